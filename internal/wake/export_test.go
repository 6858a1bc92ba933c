package wake

import "time"

// Ping sets how often the connection is pinged, and how long it may take to answer. It comes before Run.
func (p *Postgres) Ping(every, timeout time.Duration) { p.pingEvery, p.pingTimeout = every, timeout }
