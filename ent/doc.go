// Package ent holds the entities of Tidings. schema, rule, annotation, template and relay.go are written by hand;
// everything else is generated from them by `go generate` at the top.
package ent
