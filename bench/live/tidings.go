//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"tidings/bench/rig"
)

// author is who publishes the events.
type author struct{ rig.User }

// batch is how many events the author publishes in one request at most: each is a mutation and a transaction of its own.
const batch = 25

// publish publishes events from the number first on, in order, and returns when the last is committed.
func (a author) publish(ctx context.Context, first, count int) error {
	for count > 0 {
		n := min(count, batch)
		var params, fields strings.Builder
		variables := map[string]any{}
		for i := range n {
			fmt.Fprintf(&params, "$t%d: String! ", i)
			fmt.Fprintf(&fields, ` p%d: createPost(input: {title: $t%d, content: "text", published: true}) { id }`, i, i)
			variables[fmt.Sprint("t", i)] = title(first + i)
		}
		if _, err := a.Post(ctx, "mutation("+params.String()+") {"+fields.String()+" }", variables); err != nil {
			return err
		}
		first, count = first+n, count-n
	}
	return nil
}

// startTidings runs the server so that it says what its heap is like.
func startTidings(ctx context.Context, path, database string) (*rig.Process, error) {
	return rig.StartTidings(ctx, path, database, rig.Trace)
}

// signIn goes on with the session of the author.
func signIn(ctx context.Context, p *rig.Process, refreshToken string) (author, error) {
	u, err := rig.SignIn(ctx, p, refreshToken)
	return author{u}, err
}

// prepared is a SQLite database with the author in it, to be copied for every server that is measured.
type prepared struct {
	program      string // the server's
	dir          string
	refreshToken string
	copies       int
}

const database = "bench.db"

func prepare(ctx context.Context, program, dir string) (*prepared, error) {
	p := &prepared{program: program, dir: dir}
	server, err := startTidings(ctx, program, "sqlite:"+filepath.Join(dir, database))
	if err != nil {
		return nil, err
	}
	defer server.Stop()
	p.refreshToken, err = rig.SignUp(ctx, server)
	return p, err
}

// start runs a server on a copy of the database.
func (p *prepared) start(ctx context.Context) (*rig.Process, author, error) {
	p.copies++
	dir := filepath.Join(p.dir, fmt.Sprint("copy", p.copies))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, author{}, err
	}
	files, err := filepath.Glob(filepath.Join(p.dir, database+"*")) // with what is in its log
	if err != nil {
		return nil, author{}, err
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(f)), b, 0o600)
		}
		if err != nil {
			return nil, author{}, err
		}
	}
	server, err := startTidings(ctx, p.program, "sqlite:"+filepath.Join(dir, database))
	if err != nil {
		return nil, author{}, err
	}
	a, err := signIn(ctx, server, p.refreshToken)
	if err != nil {
		server.Stop()
		return nil, author{}, err
	}
	return server, a, nil
}

// messages are what Tidings has sent a subscriber, for the controls to send again.
type messages [][]byte

// capture records count messages at least, and numbers them from 0: a subscriber need not get the first event.
func capture(ctx context.Context, p *prepared, count int) (messages, error) {
	server, a, err := p.start(ctx)
	if err != nil {
		return nil, err
	}
	defer server.Stop()
	var m messages
	s, err := subscribe(ctx, server.Address, 1, 0, func(b []byte) { m = append(m, b) })
	if err != nil {
		return nil, err
	}
	next, err := s.establish(ctx, 0, a.publish)
	if err == nil {
		s.expect(next + count - 1)
		err = a.publish(ctx, next, count)
	}
	if err == nil {
		err = s.await(ctx)
	}
	s.close() // from here on m is nobody else's
	if err != nil {
		return nil, err
	}
	for i := range m {
		at := bytes.Index(m[i], inFrame) + len(inFrame)
		copy(m[i][at:], title(i)[len(titlePrefix):])
	}
	return m, nil
}

// publisher has a control send the messages: event number n is the nth of them.
func (m messages) publisher(p *rig.Process) func(ctx context.Context, first, count int) error {
	return func(ctx context.Context, first, count int) error {
		if first+count > len(m) {
			return errors.New("the subscribers took too many events to be there")
		}
		body := bytes.Join(m[first:first+count], []byte("\n"))
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.Address+"/publish", bytes.NewReader(body))
		if err != nil {
			return err
		}
		resp, err := rig.Client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("publishing: %s: %s", resp.Status, answer)
		}
		return err
	}
}
