package web

import (
	"net/url"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"
)

// refusal is what is wrong with a request, in a sentence for the client that
// quotes nothing that came from it.
type refusal string

func (r refusal) Error() string { return string(r) }

const (
	errNotUTF8   = refusal("The request is not valid UTF-8.")
	errNotJSON   = refusal("The request is not one valid JSON value.")
	errNotObject = refusal("The request is not a JSON object.")
	errNoQuery   = refusal("The parameter query is missing.")
	errBadURL    = refusal("The query string of the URL is not well formed.")
)

// fieldError says which field of a request has a value of the wrong type.
type fieldError struct{ field, want string }

func (e *fieldError) Error() string { return "The field " + e.field + " must be " + e.want + "." }

// A field is where the value of an object's field goes, and what it must be.
type field struct {
	into any // as for json.Unmarshal
	want string
}

const (
	aString = "a string"
	aMap    = "an object"
)

// decodeParams reads the parameters of a request from a JSON object
// (GraphQL over HTTP, section 5.1). A missing query is errNoQuery unless a hash
// names it; all fields but query may be null.
func decodeParams(text []byte) (*graphql.RawParams, error) {
	var query, operation *string
	p := new(graphql.RawParams)
	err := decodeObject(text, func(name string) field {
		switch name {
		case "query":
			query = nil
			return field{&query, aString}
		case "operationName":
			operation = nil
			return field{&operation, aString}
		case "variables":
			p.Variables = nil
			return field{&p.Variables, aMap}
		case "extensions":
			p.Extensions = nil
			return field{&p.Extensions, aMap}
		}
		return field{}
	})
	if err != nil {
		return nil, err
	}
	if query != nil {
		p.Query = *query
	} else if !namesDocument(p) {
		return nil, errNoQuery
	}
	if operation != nil {
		p.OperationName = *operation
	}
	return p, nil
}

// paramsOfURL reads the parameters of a GET request (GraphQL over HTTP, section
// 5.3): the maps are JSON in their turn.
func paramsOfURL(rawQuery string) (*graphql.RawParams, error) {
	values, err := url.ParseQuery(rawQuery)
	if err != nil {
		return nil, errBadURL
	}
	p := &graphql.RawParams{Query: values.Get("query"), OperationName: values.Get("operationName")}
	if !utf8.ValidString(p.Query) || !utf8.ValidString(p.OperationName) {
		return nil, errNotUTF8
	}
	for name, into := range map[string]*map[string]any{"variables": &p.Variables, "extensions": &p.Extensions} {
		if s := values.Get(name); s != "" {
			if *into, err = decodeMap(name, s); err != nil {
				return nil, err
			}
		}
	}
	if p.Query == "" && !namesDocument(p) {
		return nil, errNoQuery
	}
	return p, nil
}
