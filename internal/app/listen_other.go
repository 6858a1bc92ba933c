//go:build !linux

package app

import (
	"net"
	"time"
)

func listenConfig(time.Duration) *net.ListenConfig { return new(net.ListenConfig) }
