package web

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// What clients send is read in two steps: encoding/json says whether it is JSON at all, and what is known to be is taken
// apart here. Its Decoder would read all of it three times, and take a third of the memory that a small request takes.
// (FuzzDecode holds the two against each other.)

// decodeObject reads text as one JSON object in UTF-8 and each field that
// known has into its place. Names match exactly; other fields are passed over,
// and of a field that comes twice the last counts. Numbers become json.Number,
// for a float64 would not hold every integer.
func decodeObject(text []byte, known func(name string) field) error {
	if err := checkJSON(text); err != nil {
		return err
	}
	rest := space(text)
	if rest[0] != '{' {
		return errNotObject
	}
	for rest = space(rest[1:]); rest[0] != '}'; {
		var name, value []byte
		name, rest = cutValue(rest)
		value, rest = cutValue(space(space(rest)[1:])) // behind the colon
		if rest = space(rest); rest[0] == ',' {
			rest = space(rest[1:])
		}
		key := unquote(name)
		if f := known(key); f.into != nil && !store(value, f.into) {
			return &fieldError{key, f.want}
		}
	}
	return nil
}

// decodeMap reads a JSON object or null in UTF-8.
func decodeMap(name, text string) (m map[string]any, err error) {
	switch err := checkJSON([]byte(text)); {
	case err == errNotUTF8:
		return nil, err
	case err != nil || !store(bytes.TrimSpace([]byte(text)), &m):
		return nil, &fieldError{name, aMap + " in JSON"}
	}
	return m, nil
}

func checkJSON(text []byte) error {
	if !utf8.Valid(text) {
		return errNotUTF8
	}
	if !json.Valid(text) {
		return errNotJSON
	}
	return nil
}

// store puts a value where it belongs, null as nil, and reports whether it is of that type.
func store(value []byte, into any) bool {
	null := value[0] == 'n'
	switch into := into.(type) {
	case **string:
		if *into = nil; value[0] == '"' {
			s := unquote(value)
			*into = &s
		}
		return null || *into != nil
	case *map[string]any:
		if *into = nil; value[0] == '{' {
			*into, _ = object(value)
		}
		return null || *into != nil
	case *json.RawMessage:
		*into = bytes.Clone(value)
		return true
	}
	return json.Unmarshal(value, into) == nil
}

// Of the following, text begins with a value, and what they return of it is what comes behind.

func anyValue(text []byte) (any, []byte) {
	switch text[0] {
	case '{':
		return object(text)
	case '[':
		list := []any{}
		for text = space(text[1:]); text[0] != ']'; {
			var v any
			v, text = anyValue(text)
			list = append(list, v)
			if text = space(text); text[0] == ',' {
				text = space(text[1:])
			}
		}
		return list, text[1:]
	}
	value, rest := cutValue(text)
	switch value[0] {
	case '"':
		return unquote(value), rest
	case 't':
		return true, rest
	case 'f':
		return false, rest
	case 'n':
		return nil, rest
	}
	return json.Number(value), rest
}

func object(text []byte) (map[string]any, []byte) {
	m := map[string]any{}
	for text = space(text[1:]); text[0] != '}'; {
		var name []byte
		name, text = cutValue(text)
		m[unquote(name)], text = anyValue(space(space(text)[1:]))
		if text = space(text); text[0] == ',' {
			text = space(text[1:])
		}
	}
	return m, text[1:]
}

func cutValue(text []byte) (value, rest []byte) {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
			if !quoted && depth == 0 {
				return text[:i+1], text[i+1:]
			}
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth == 0 {
				return text[:i], text[i:] // of a number or a word
			}
			if depth--; depth == 0 {
				return text[:i+1], text[i+1:]
			}
		case depth == 0 && (c == ',' || c == ':' || c == ' ' || c == '\t' || c == '\r' || c == '\n'):
			return text[:i], text[i:]
		}
	}
	return text, nil
}

func space(text []byte) []byte {
	for len(text) > 0 && (text[0] == ' ' || text[0] == '\t' || text[0] == '\r' || text[0] == '\n') {
		text = text[1:]
	}
	return text
}

func unquote(text []byte) string {
	if bytes.IndexByte(text, '\\') < 0 {
		return string(text[1 : len(text)-1])
	}
	var s string
	_ = json.Unmarshal(text, &s) // it is a string
	return s
}
