// Package ent holds the entities of Tidings. ent/schema, ent/rule, ent/annotation and ent/template are written by
// hand; everything else is generated from them by `go generate ./ent`.
package ent

//go:generate go run -mod=mod generate_main.go
