package store

import (
	"container/list"
	"database/sql/driver"
)

// kept are the prepared statements of one connection that nobody is using, by their text. It needs no lock: database/sql
// lets one goroutine at a time use a connection.
type kept[S driver.Stmt] struct {
	most    int // how many, at most: the least recently used one goes first
	byQuery map[string]*list.Element
	recent  *list.List // of keptStatement[S], the least recently used last
}

type keptStatement[S driver.Stmt] struct {
	query string
	stmt  S
}

func newKept[S driver.Stmt](most int) *kept[S] {
	return &kept[S]{most: most, byQuery: map[string]*list.Element{}, recent: list.New()}
}

// find returns the statement of a query, which is the most recently used one from then on.
func (k *kept[S]) find(query string) (s S, ok bool) {
	e := k.byQuery[query]
	if e == nil {
		return s, false
	}
	k.recent.MoveToFront(e)
	return e.Value.(keptStatement[S]).stmt, true
}

// take returns the statement of a query, which the caller has from then on.
func (k *kept[S]) take(query string) (s S, ok bool) {
	e := k.byQuery[query]
	if e == nil {
		return s, false
	}
	delete(k.byQuery, query)
	return k.recent.Remove(e).(keptStatement[S]).stmt, true
}

// room closes as many statements as must go before another one is added.
func (k *kept[S]) room() error { return k.reduce(k.most - 1) }

// reduce closes all but so many statements.
func (k *kept[S]) reduce(to int) error {
	for k.recent.Len() > to {
		if err := k.forget(k.recent.Back().Value.(keptStatement[S]).query); err != nil {
			return err
		}
	}
	return nil
}

// add keeps the statement of a query that there is none of.
func (k *kept[S]) add(query string, s S) {
	k.byQuery[query] = k.recent.PushFront(keptStatement[S]{query, s})
}

// forget closes the statement of a query, if there is one.
func (k *kept[S]) forget(query string) error {
	s, ok := k.take(query)
	if !ok {
		return nil
	}
	return s.Close()
}
