package web

import (
	"bytes"
	"encoding/json"
	"io"
	"reflect"
	"testing"
)

// FuzzDecode holds what is read of a request against encoding/json's Decoder.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{}`, ` { "a" : {"b":[1,2.50e+3,{"c":null}],"d":"x"} , "a":{"e":true,"f":false} } `, `{"a":{}}`, `{"a":[]}`, `{"a":null}`, `{"a":"x"}`,
		"{\"a\":{\"q\\\"\":\"\\u00e9\\n\\ud83d\\ude00\\\\\",\"q\\\"\":1}}", `{"a":{"[":"]}","{":[[[]],[{}]]}}`, `{"\u0061":{"x":-0}}`, `{"a":{"x":12345678901234567890}}`,
		`{"b":[{"a":1}],"c":"{","a":{"x":"\\"}}`, "{\r\n\t\"a\"\t:\r{\"x\" : [ 1 , 2 ] }\n}", `{"a":1`, `{"a"}`, `{,}`, `[]`, `"a"`, `{"a":{}}{}`, `{"a":{"x":"` + "\x00" + `"}}`, "{\"a\":\"\xff\"}", ``,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var got map[string]any
		err := decodeObject(text, func(name string) field {
			if name == "a" {
				return field{&got, aMap}
			}
			return field{}
		})
		var whole any
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		invalid := d.Decode(&whole)
		if invalid == nil {
			if _, behind := d.Token(); behind != io.EOF {
				invalid = errNotJSON
			}
		}
		object, isObject := whole.(map[string]any)
		want, isMap := object["a"].(map[string]any)
		switch {
		case err == errNotUTF8:
		case invalid != nil && err != errNotJSON, invalid == nil && err == errNotJSON:
			t.Errorf("%q: %v, the Decoder says %v", text, err, invalid)
		case invalid != nil:
		case !isObject && err != errNotObject:
			t.Errorf("%q: %v, and it is no object", text, err)
		case !isObject:
		case err == nil && !isMap && object["a"] != nil, err == nil && !reflect.DeepEqual(got, want):
			t.Errorf("%q is read as %#v, by the Decoder as %#v", text, got, object["a"])
		}
	})
}
