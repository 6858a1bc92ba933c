package eventlog_test

import (
	"context"
	"errors"
	"flag"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	"github.com/google/uuid"

	"tidings/ent"
	"tidings/internal/event"
	"tidings/internal/eventlog"
	"tidings/internal/store"
	"tidings/internal/testkit"
)

var (
	orderEvents = flag.Int("order.events", 30_000, "how many events the test of the order writes")
	orderTime   = flag.Duration("order.time", 12*time.Second, "how long it writes at most")
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

// chaos lets 64 writers write for a while: some roll back by themselves, and the trigger makes the others' commits
// slow or fail after the event was appended.
func chaos(t *testing.T, w *witness, table string, s *store.Store, commit func(writer int) func(event.Event) error) {
	for _, statement := range []string{
		`CREATE FUNCTION dither() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF random() < 0.03 THEN RAISE EXCEPTION 'no'; END IF;
			IF random() < 0.4 THEN PERFORM pg_sleep(random() * random() * 0.03); END IF;
			RETURN NULL; END $$`,
		`CREATE CONSTRAINT TRIGGER dither AFTER INSERT ON ` + table + ` DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION dither()`,
	} {
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

// Writers on two nodes, both of which sequence; a reader follows each.
func TestOrder(t *testing.T) {
	dsn := testkit.MigratedPostgres(t)
	var logs [2]*eventlog.Log
	var stores [2]*store.Store
	for i := range logs {
		stores[i] = openWide(t, dsn)
		logs[i] = open(t, stores[i], eventlog.Options{})
	}
	w := &witness{times: map[uuid.UUID]span{}}
	var readers sync.WaitGroup
	var seen [2][]event.Event
	done := make(chan struct{})
	for i, l := range logs {
		readers.Go(func() {
			for last := false; ; {
				page, err := l.Read(context.Background(), int64(len(seen[i])), 500)
				if err != nil {
					t.Errorf("reading behind %d: %v", len(seen[i]), err)
					return
				}
				for _, e := range page {
					if e.Position != int64(len(seen[i]))+1 {
						t.Errorf("event %d follows %d", e.Position, len(seen[i]))
					}
					seen[i] = append(seen[i], e)
				}
				if len(page) > 0 {
					continue
				}
				if last {
					return
				}
				select {
				case <-done:
					last = true
				case <-time.After(3 * time.Millisecond):
				}
			}
		})
	}
	chaos(t, w, "log_inbox", stores[0], func(writer int) func(event.Event) error {
		l := logs[writer%2]
		dice := rand.New(rand.NewPCG(2, uint64(writer)))
		return func(e event.Event) error {
			return l.Write(context.Background(), func(ctx context.Context, tx *ent.Client) ([]event.Event, error) {
				if dice.IntN(25) == 0 {
					return nil, errRolledBack
				}
				return []event.Event{e}, nil
			})
		}
	})
	eventually(t, "the inbox is empty", func() bool {
		moved, got, err := eventlog.Move(logs[0], t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return got && moved == 0
	})
	close(done)
	readers.Wait()
	for i := range seen {
		missing, doubled, unknown, disordered := w.judge(seen[i])
		if missing+doubled+unknown+disordered > 0 {
			t.Errorf("reader %d: of %d events %d missing, %d doubled, %d never committed, %d out of order", i, len(w.times), missing, doubled, unknown, disordered)
		}
	}
	if len(w.times) < 1000 {
		t.Errorf("only %d events were committed", len(w.times))
	}
	t.Logf("%d events committed", len(w.times))
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
