// Package testschema is a small executable schema, as gqlgen generates it, for
// the tests of the transports: fields that answer, wait, fail and panic.
package testschema

//go:generate go tool gqlgen generate
