package eventlog_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tidings/ent"
	"tidings/internal/auth"
	"tidings/internal/event"
	"tidings/internal/eventlog"
	"tidings/internal/gid"
	"tidings/internal/testkit"
)

// BenchmarkWrite writes posts on Postgres, one a transaction, by 32 writers: with nothing else, with the naive log
// of TestOrderTellsANaiveLog, and with this one, sequencer and notifications included. They take turns in rounds, so
// that all of them meet the same machine. "Moved" is when the last event stood in the log.
func BenchmarkWrite(b *testing.B) {
	const writers = 32
	s := openWide(b, testkit.MigratedPostgres(b))
	notify := func(ctx context.Context) error {
		_, err := s.Client().ExecContext(ctx, "NOTIFY tidings_log")
		return err
	}
	l := open(b, s, eventlog.Options{Notify: notify})
	sql(b, s, `CREATE TABLE naive (id bigserial PRIMARY KEY, event uuid NOT NULL, kind text NOT NULL, subject uuid NOT NULL, scope uuid NOT NULL, at timestamptz NOT NULL)`)
	ctx := auth.AsSystem(b.Context())
	u, err := s.Client().User.Create().SetUsername("ada").SetFullName("Ada").SetEmail("ada@example.com").SetPasswordHash("x").Save(ctx)
	if err != nil {
		b.Fatal(err)
	}
	post := func(ctx context.Context, tx *ent.Client) (event.Event, error) {
		id := gid.NewPost()
		now := time.Now()
		return event.NewPostCreated(id, u.ID), tx.Post.Create().SetID(id).SetAuthorID(u.ID).SetTitle("A title").SetContent("Some content.").SetPublished(true).SetPublishedAt(now).Exec(ctx)
	}
	inTx := func(after func(*ent.Tx, event.Event) error) error {
		tx, err := s.Client().Tx(ctx)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		e, err := post(ctx, tx.Client())
		if err != nil {
			return err
		}
		if err := after(tx, e); err != nil {
			return err
		}
		return tx.Commit()
	}
	kinds := []struct {
		name  string
		write func() error
		spent time.Duration
	}{
		{name: "alone", write: func() error { return inTx(func(*ent.Tx, event.Event) error { return nil }) }},
		{name: "naive", write: func() error {
			return inTx(func(tx *ent.Tx, e event.Event) error { return insertNaive(ctx, tx, e) })
		}},
		{name: "log", write: func() error {
			return l.Write(ctx, func(ctx context.Context, tx *ent.Client) ([]event.Event, error) {
				e, err := post(ctx, tx)
				return []event.Event{e}, err
			})
		}},
	}
	const round = 512
	rounds := 0
	var moved time.Duration
	for b.Loop() {
		rounds++
		for i := range kinds {
			k := &kinds[(i+rounds)%len(kinds)]
			var all sync.WaitGroup
			var taken atomic.Int64
			begin := time.Now()
			for range writers {
				all.Go(func() {
					for taken.Add(1) <= round {
						if err := k.write(); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			k.spent += time.Since(begin)
			if k.name == "log" {
				for head(b, l).Position < int64(rounds*round) {
				}
				moved += time.Since(begin)
			}
		}
	}
	for _, k := range kinds {
		b.ReportMetric(float64(rounds*round)/k.spent.Seconds(), k.name+"-tx/s")
	}
	b.ReportMetric(kinds[1].spent.Seconds()/kinds[2].spent.Seconds(), "log/naive")
	b.ReportMetric(kinds[0].spent.Seconds()/kinds[2].spent.Seconds(), "log/alone")
	b.ReportMetric(float64(rounds*round)/moved.Seconds(), "moved/s")
}
