package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"tidings/ent"
	"tidings/ent/user"
	"tidings/internal/audit"
	"tidings/internal/auth"
	"tidings/internal/config"
	"tidings/internal/event"
	"tidings/internal/eventlog"
	"tidings/internal/store"
)

// MakeAdmin makes the user named cfg.Admin an active admin and says so at w. Servers that run on the database learn of
// it from the log. It is an error if there is no such user or, with SQLite, no database.
func MakeAdmin(ctx context.Context, cfg config.Config, log *slog.Logger, w io.Writer) (err error) {
	if cfg.Database.Dialect == config.SQLite {
		// Opening would make one, in the wrong folder most likely.
		if _, err := os.Stat(cfg.Database.Path); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("there is no database %s yet: start the server and sign up first, or say where it is with -database", cfg.Database.Path)
		}
	}
	s, err := store.Open(ctx, target(cfg.Database))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	events := eventlog.New(s.Client(), s.Dialect(), eventlog.Options{Logger: log})
	var u *ent.User
	err = events.Write(auth.AsSystem(ctx), func(ctx context.Context, tx *ent.Client) (_ []event.Event, err error) {
		q := tx.User.Query().Where(user.UsernameKey(strings.ToLower(cfg.Admin)))
		q.Modify(ent.LockForUpdate)
		if u, err = q.Only(ctx); err != nil || isAdmin(u) {
			return nil, err
		}
		err = tx.User.UpdateOne(u).SetRole(user.RoleADMIN).SetIsActive(true).Exec(ctx)
		return []event.Event{event.NewUserChanged(u.ID)}, err
	})
	switch {
	case ent.IsNotFound(err):
		return fmt.Errorf("nobody is called %q: they have to sign up first", cfg.Admin)
	case err != nil:
		return err
	case isAdmin(u):
		fmt.Fprintf(w, "%s is an admin already.\n", u.Username)
		return nil
	}
	audit.New(log).Write(ctx, audit.RoleChanged, "admin", u.ID)
	fmt.Fprintf(w, "%s is an admin now.\n", u.Username)
	return nil
}

func isAdmin(u *ent.User) bool { return u.Role == user.RoleADMIN && u.IsActive }
