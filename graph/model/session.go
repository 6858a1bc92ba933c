package model

import (
	"time"

	"tidings/ent"
)

// Session is what signing in gives. It is written by hand: the entity of the same name is the server's own record.
type Session struct {
	AccessToken  string
	ExpiresAt    time.Time
	RefreshToken string
	User         *ent.User
}
