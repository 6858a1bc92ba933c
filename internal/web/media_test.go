package web

import "testing"

func TestNegotiate(t *testing.T) {
	for accept, want := range map[string]string{
		"":                                  "",
		"*/*":                               typeJSON,
		"application/*":                     typeJSON,
		"application/json":                  typeJSON,
		"APPLICATION/JSON ; Charset=UTF-8":  typeJSON,
		"application/json; charset=latin1":  "",
		"application/graphql-response+json": typeResponse,
		"application/json, application/graphql-response+json":                typeResponse,
		"application/graphql-response+json, application/json;q=0.9":          typeResponse,
		"application/graphql-response+json;q=0.8, application/json":          typeJSON,
		"application/graphql-response+json;q=0.8, */*;q=0.9":                 typeJSON,
		"application/graphql-response+json, */*":                             typeResponse,
		"application/json;q=0, */*":                                          typeResponse,
		"application/json;q=0, application/graphql-response+json;q=0, */*":   "",
		"text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8": typeJSON,
		"text/html":                                 "",
		"text/event-stream":                         typeEvents,
		"text/event-stream, */*":                    typeEvents,
		"text/event-stream;q=0.1, */*":              typeJSON,
		"text/event-stream, application/json;q=0.9": typeEvents,
		"application/graphql-response+json, application/json, text/event-stream, multipart/mixed": typeResponse,
		"text/*":                          "",
		"application/json;q=2":            "",
		"application/json;q=NaN":          "",
		"nonsense, ;;, application/json":  typeJSON,
		"application/json;q=0.5;q=0.9, a": "",
	} {
		if got, _ := negotiate([]string{accept}); got != want {
			t.Errorf("Accept: %s is answered in %q, want %q", accept, got, want)
		}
	}
	if got, _ := negotiate(nil); got != typeJSON {
		t.Errorf("without Accept in %q", got)
	}
	if got, _ := negotiate([]string{"text/html", typeResponse}); got != typeResponse {
		t.Errorf("with two headers in %q", got)
	}
}
