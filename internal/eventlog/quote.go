package eventlog

import (
	"context"
	"errors"
	"regexp"
	"strconv"
	"sync"

	"entgo.io/ent/dialect"
)

// A quote is the statement that ent would have run.
type quote struct {
	query string
	args  []any
}

type quoteKey struct{}

var errQuoting = errors.New("statements are quoted here, one at a time, and not run")

// quoted returns the statement that run has an ent client of the driver quoting execute. It is empty when there was none,
// or more than one.
func quoted(ctx context.Context, run func(context.Context) error) (q quote, err error) {
	err = run(context.WithValue(ctx, quoteKey{}, &q))
	return q, err
}

// quoting is a driver for Postgres that has no database.
type quoting struct{}

// Exec implements dialect.ExecQuerier.
func (quoting) Exec(ctx context.Context, query string, args, _ any) error {
	q, ok := ctx.Value(quoteKey{}).(*quote)
	if !ok || q.query != "" {
		return errQuoting
	}
	q.query = query
	q.args, _ = args.([]any)
	return nil
}

// Query implements dialect.ExecQuerier. It has no rows to give, and says so by an error.
func (d quoting) Query(ctx context.Context, query string, args, v any) error {
	return errors.Join(d.Exec(ctx, query, args, v), errQuoting)
}

// Tx implements dialect.Driver.
func (quoting) Tx(context.Context) (dialect.Tx, error) { return nil, errQuoting }

// Close implements dialect.Driver.
func (quoting) Close() error { return nil }

// Dialect implements dialect.Driver.
func (quoting) Dialect() string { return dialect.Postgres }

// joints are joined statements by those they are made of.
type joints struct {
	mu  sync.RWMutex
	all map[[2]string]string
}

// maxJoints bounds how many are kept: there are a few for each call of Insert in the program.
const maxJoints = 256

// of returns the statement that inserts a row for each that on gives, and then an event for that. Its arguments are
// row's, on's and the event's, one after the other. It is "" when the two are not of the form that ent gives them.
func (j *joints) of(on, row quote) string {
	key := [2]string{on.query, row.query}
	j.mu.RLock()
	query, ok := j.all[key]
	j.mu.RUnlock()
	if ok {
		return query
	}
	query = join(on, row)
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.all == nil {
		j.all = map[[2]string]string{}
	}
	if len(j.all) < maxJoints {
		j.all[key] = query
	}
	return query
}

var (
	parameter = regexp.MustCompile(`\$\d+`)
	locking   = regexp.MustCompile(`^SELECT [^']* FOR SHARE$`) // without literals, in which a $ would be no parameter
	creating  = regexp.MustCompile(`^INSERT INTO ("\w+" \([^()]*\)) VALUES \((\$\d+(?:, \$\d+)*)\)$`)
)

func join(on, row quote) string {
	into := creating.FindStringSubmatch(row.query)
	if into == nil || !locking.MatchString(on.query) {
		return ""
	}
	return "WITH there AS (" + behind(len(row.args), on.query) + "), " +
		"inserted AS (INSERT INTO " + into[1] + " SELECT " + into[2] + " FROM there RETURNING true) " +
		intoInbox + " SELECT " + behind(len(row.args)+len(on.args), newEvent) + " FROM inserted"
}

// behind gives the text with its parameters counted from behind the first n.
func behind(n int, text string) string {
	return parameter.ReplaceAllStringFunc(text, func(p string) string {
		i, _ := strconv.Atoi(p[1:])
		return "$" + strconv.Itoa(n+i)
	})
}
