package app

import (
	"errors"
	"fmt"
	"syscall"
)

// plainListen says in words why a port can't be listened on.
func plainListen(addr string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s is in use: another server listens there; stop it, or choose another port with -addr", addr)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s: this user may not listen there; ports below 1024 are often reserved", addr)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s is not an address of this machine", addr)
	}
	return fmt.Errorf("listening on %s: %w", addr, err)
}
