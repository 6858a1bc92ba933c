package eventlog_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"tidings/ent"
	"tidings/internal/auth"
	"tidings/internal/event"
	"tidings/internal/eventlog"
	"tidings/internal/store"
	"tidings/internal/testkit"
)

var (
	orderEvents = flag.Int("order.events", testkit.Of(12_000, 300_000), "how many events the test of the order writes")
	orderTime   = flag.Duration("order.time", testkit.Of(8*time.Second, 20*time.Minute), "how long it writes at most")
)

const orderWriters = 64

var errRolledBack = errors.New("rolled back")

// witness knows what was committed and what happened before what, by a clock of its own that counts commits.
type witness struct {
	commits atomic.Int64
	mu      sync.Mutex
	times   map[uuid.UUID]span // of what has committed
}

// span is when a write began and when its commit had returned.
type span struct{ began, ended int64 }

// write runs one transaction with e through commit. An error of it counts as a rollback.
func (w *witness) write(e event.Event, commit func(event.Event) error) {
	began := w.commits.Load()
	if commit(e) != nil {
		return
	}
	ended := w.commits.Add(1) // the clock stands at ended only after the commit: whoever reads it began after it
	w.mu.Lock()
	defer w.mu.Unlock()
	w.times[e.ID] = span{began, ended}
}

// judge compares what a reader saw with what has happened.
func (w *witness) judge(seen []event.Event) (missing, doubled, unknown, disordered int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	once := map[uuid.UUID]bool{}
	var began int64 // the latest beginning among those before
	for _, e := range seen {
		s, ok := w.times[e.ID]
		switch {
		case !ok:
			unknown++
		case once[e.ID]:
			doubled++
		case s.ended <= began: // it had committed before one that stands before it began
			disordered++
		}
		once[e.ID] = true
		began = max(began, s.began)
	}
	return len(w.times) - len(once) + unknown, doubled, unknown, disordered
}

// dither makes transactions slow or fail after their event was appended: on Postgres as they commit, on SQLite, which has
// one writer, right after the append.
var dither = map[string][]string{
	dialect.SQLite: {
		`CREATE TRIGGER dither AFTER INSERT ON %s WHEN abs(random()) %% 33 = 0 BEGIN SELECT RAISE(ABORT, 'no'); END`,
	},
	dialect.Postgres: {
		`CREATE FUNCTION dither() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF random() < 0.03 THEN RAISE EXCEPTION 'no'; END IF;
			IF random() < 0.4 THEN PERFORM pg_sleep(random() * random() * 0.03); END IF;
			RETURN NULL; END $$`,
		`CREATE CONSTRAINT TRIGGER dither AFTER INSERT ON %s DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION dither()`,
	},
}

// chaos lets 64 writers write for a while: some roll back by themselves, and some are made slow or fail by the database
// (dither).
func chaos(t *testing.T, w *witness, table string, s *store.Store, commit func(writer int) func(event.Event) error) {
	for _, statement := range dither[s.Dialect()] {
		if strings.Contains(statement, "%s") {
			statement = fmt.Sprintf(statement, table)
		}
		sql(t, s, statement)
	}
	var all sync.WaitGroup
	var started atomic.Int64
	end := time.Now().Add(*orderTime)
	for i := range orderWriters {
		all.Go(func() {
			dice := rand.New(rand.NewPCG(1, uint64(i)))
			write := commit(i)
			for started.Add(1) <= int64(*orderEvents) && time.Now().Before(end) {
				w.write(comments(1)[0], write)
				if dice.IntN(10) == 0 {
					time.Sleep(time.Duration(dice.IntN(5)) * time.Millisecond)
				}
			}
		})
	}
	all.Wait()
}

func openWide(t testing.TB, dsn string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Target{Dialect: dialect.Postgres, DSN: dsn, MaxConns: orderWriters/2 + 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // connections that a test has killed say so
	return s
}

// follow reads a log from its beginning as a tail does, until done is closed and nothing more comes.
func follow(t *testing.T, l *eventlog.Log, done <-chan struct{}) (seen []event.Event) {
	for last := false; ; {
		page, err := l.Read(context.Background(), int64(len(seen)), 500)
		if err != nil {
			t.Errorf("reading behind %d: %v", len(seen), err)
			return seen
		}
		for _, e := range page {
			if e.Position != int64(len(seen))+1 {
				t.Errorf("event %d follows %d", e.Position, len(seen))
			}
			seen = append(seen, e)
		}
		if len(page) > 0 {
			continue
		}
		if last {
			return seen
		}
		select {
		case <-done:
			last = true
		case <-time.After(3 * time.Millisecond):
		}
	}
}

// Writers on two nodes of a Postgres, both of which sequence, or on the one of a SQLite file; a reader follows each. Half
// of them insert rows with their events.
func TestOrder(t *testing.T) {
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		stores := []*store.Store{s}
		if s.Dialect() == dialect.Postgres {
			stores = []*store.Store{openWide(t, s.DSN()), openWide(t, s.DSN())}
		}
		var logs []*eventlog.Log
		for _, s := range stores {
			logs = append(logs, open(t, s, eventlog.Options{}))
		}
		w := &witness{times: map[uuid.UUID]span{}}
		var readers sync.WaitGroup
		seen, done := make([][]event.Event, len(logs)), make(chan struct{})
		for i, l := range logs {
			readers.Go(func() { seen[i] = follow(t, l, done) })
		}
		table := map[string]string{dialect.SQLite: "log", dialect.Postgres: "log_inbox"}[s.Dialect()]
		talk, inserted := newConversation(t, s, true), atomic.Int64{}
		chaos(t, w, table, stores[0], func(writer int) func(event.Event) error {
			l := logs[writer%len(logs)]
			dice := rand.New(rand.NewPCG(2, uint64(writer)))
			if writer%4 < 2 {
				return func(e event.Event) error {
					ok, err := l.Insert(by(t, talk.reader), talk.says(talk.reader, "x", e))
					if ok {
						inserted.Add(1)
					}
					return err
				}
			}
			return func(e event.Event) error {
				return l.Write(context.Background(), func(ctx context.Context, tx *ent.Client) ([]event.Event, error) {
					switch dice.IntN(50) {
					case 0, 1:
						return nil, errRolledBack
					case 2:
						time.Sleep(time.Duration(dice.IntN(2000)) * time.Microsecond)
					}
					return []event.Event{e}, nil
				})
			}
		})
		if s.Dialect() == dialect.Postgres {
			eventually(t, "the inbox is empty", func() bool {
				moved, got, err := eventlog.Move(logs[0], t.Context())
				if err != nil {
					t.Fatal(err)
				}
				return got && moved == 0
			})
		}
		close(done)
		readers.Wait()
		for i := range seen {
			missing, doubled, unknown, disordered := w.judge(seen[i])
			if missing+doubled+unknown+disordered > 0 {
				t.Errorf("reader %d: of %d events %d missing, %d doubled, %d never committed, %d out of order", i, len(w.times), missing, doubled, unknown, disordered)
			}
		}
		rows, err := s.Client().Comment.Query().Where(func(s *entsql.Selector) {
			s.Where(entsql.In(s.C("id"), entsql.Dialect(s.Dialect()).Select("subject").From(entsql.Table("log"))))
		}).Count(auth.AsSystem(t.Context()))
		if all := strings.Count(contents(t, s), "x"); err != nil || int64(rows) != inserted.Load() || all != rows {
			t.Errorf("%d rows were inserted, %d are there, %d with their event: %v", inserted.Load(), all, rows, err)
		}
		if n := *orderEvents / testkit.Of(12, 2); len(w.times) < n {
			t.Errorf("only %d events were committed, want %d", len(w.times), n)
		}
		t.Logf("%d events committed by %d writers", len(w.times), orderWriters)
	})
}

// The same writers with a log that anybody would write first: the test must be able to tell.
func TestOrderTellsANaiveLog(t *testing.T) {
	s := openWide(t, testkit.MigratedPostgres(t))
	sql(t, s, `CREATE TABLE naive (id bigserial PRIMARY KEY, event uuid NOT NULL, kind text NOT NULL, subject uuid NOT NULL, scope uuid NOT NULL, at timestamptz NOT NULL)`)
	w := &witness{times: map[uuid.UUID]span{}}
	var seen []event.Event
	done, reader := make(chan struct{}), sync.WaitGroup{}
	reader.Go(func() {
		for last, over := int64(0), false; ; {
			rows, err := s.Client().QueryContext(context.Background(), `SELECT id, event FROM naive WHERE id > $1 ORDER BY id`, last)
			if err != nil {
				t.Error(err)
				return
			}
			for rows.Next() {
				var e event.Event
				if err := rows.Scan(&last, &e.ID); err != nil {
					t.Error(err)
				}
				seen = append(seen, e)
			}
			_ = rows.Close()
			if over {
				return
			}
			select {
			case <-done:
				over = true
			case <-time.After(3 * time.Millisecond):
			}
		}
	})
	*orderEvents, *orderTime = *orderEvents/4, *orderTime/4
	defer func() { *orderEvents, *orderTime = *orderEvents*4, *orderTime*4 }()
	chaos(t, w, "naive", s, func(int) func(event.Event) error {
		return func(e event.Event) error {
			tx, err := s.Client().Tx(context.Background())
			if err != nil {
				return err
			}
			if err := insertNaive(context.Background(), tx, e); err != nil {
				return errors.Join(err, tx.Rollback())
			}
			return tx.Commit()
		}
	})
	close(done)
	reader.Wait()
	missing, doubled, unknown, disordered := w.judge(seen)
	t.Logf("of %d events %d missing (%.1f%%), %d doubled, %d never committed, %d out of order", len(w.times), missing, 100*float64(missing)/float64(len(w.times)), doubled, unknown, disordered)
	if missing == 0 {
		t.Error("a tail that loses events passes for one that doesn't")
	}
}

func insertNaive(ctx context.Context, tx *ent.Tx, e event.Event) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO naive (event, kind, subject, scope, at) VALUES ($1, $2, $3, $4, $5)`, e.ID, string(e.Kind), e.Subject, e.Scope, time.Now())
	return err
}
