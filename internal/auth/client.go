package auth

import (
	"context"
	"net/netip"
	"time"
)

// Client is where an operation comes from, whoever asks.
type Client struct {
	// Address is the client's own, as far as it is known: that of the connection, or the one that a trusted proxy
	// has forwarded. The zero Addr where there is none, as in the server's own work.
	Address netip.Addr
	// Request is the id of the HTTP request, or of the socket; the log has it too.
	Request string
	// Cookie is the refresh token's cookie; nil where none can be set, as over WebSocket.
	Cookie *Cookie
}

// Cookie is the way of a refresh token to a browser and back, where no script can read it.
type Cookie struct {
	// Presented is the token that came with the request, "" without one.
	Presented string
	// Set gives the browser a token that is good until then, in place of the one it has; "" takes that away. It works
	// until the response is written.
	Set func(token string, until time.Time)
}

type clientKey struct{}

// WithClient returns a context whose operation comes from c.
func WithClient(ctx context.Context, c Client) context.Context {
	return context.WithValue(ctx, clientKey{}, c)
}

// ClientFrom returns where the operation of ctx comes from; the zero Client when nobody has said.
func ClientFrom(ctx context.Context) Client {
	c, _ := ctx.Value(clientKey{}).(Client)
	return c
}
