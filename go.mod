module tidings

go 1.26

require (
	entgo.io/ent v0.14.6 // indirect
	github.com/google/uuid v1.6.0 // indirect
)
