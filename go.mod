module tidings

go 1.26

require (
	github.com/99designs/gqlgen v0.17.95
	github.com/google/uuid v1.6.0
	github.com/lmittmann/tint v1.2.1
	github.com/vektah/gqlparser/v2 v2.5.37
	golang.org/x/term v0.45.0
)

require (
	github.com/agnivade/levenshtein v1.2.1 // indirect
	github.com/sosodev/duration v1.4.0 // indirect
	golang.org/x/sync v0.22.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
)
