package graph

//go:generate go tool gqlgen generate --config ../gqlgen.yml

// Resolver is what resolvers work with.
type Resolver struct{}
