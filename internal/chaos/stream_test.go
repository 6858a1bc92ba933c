package chaos_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"tidings/internal/testkit/checker"
)

// streaming is for connections that are streams of server-sent events: one each, as an EventSource has them.
var streaming = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}}

// onceStreaming is once by server-sent events. Every other time it asks as an EventSource does, for the same address
// again, with the place to resume at in Last-Event-ID; else by POST, with that in the variables.
func (s *subscriber) onceStreaming(whole context.Context, server string, get bool) {
	ctx, stop := context.WithCancel(whole)
	defer stop()
	resp, err := s.ask(ctx, server, s.begin().After, get)
	if err != nil {
		s.end(checker.Cut)
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		_, _ = io.Copy(io.Discard, resp.Body)
		if s.end(checker.Cut); resp.StatusCode != http.StatusServiceUnavailable {
			s.end(checker.End("refused: " + resp.Status))
		}
		return
	}
	silent := time.AfterFunc(silence, stop)
	defer silent.Stop()
	events := bufio.NewReader(resp.Body)
	for {
		name, data, err := event(events)
		silent.Reset(silence)
		switch {
		case err != nil && whole.Err() != nil: // the end of the test: what is to come has come
			return
		case err != nil:
			if err == io.EOF {
				s.cut(websocket.CloseGoingAway) // what a stream has in its stead: the response ends as it should
			} else {
				s.cut(0)
			}
			s.mu.Lock()
			s.closed[server] = append(s.closed[server], time.Now())
			s.mu.Unlock()
			return
		case name == "complete":
			s.end(checker.Completed)
			return
		}
		var p payload
		if err := json.Unmarshal(data, &p); err != nil || len(p.Errors) == 0 && p.Data.It.ID == "" {
			s.end(checker.End("payload: " + string(data)))
			return
		}
		if len(p.Errors) > 0 {
			code, _ := p.Errors[0].Extensions["code"].(string)
			s.end(checker.End(code))
			return
		}
		s.got(checker.Delivery{Item: p.Data.It.ID, Cursor: p.Extensions.Cursor, At: time.Now()})
	}
}

func (s *subscriber) ask(ctx context.Context, server, after string, get bool) (*http.Response, error) {
	variables := map[string]any{"after": after}
	if get {
		variables["after"] = s.start
	}
	if s.stream.Scope != "" {
		variables["scope"] = s.stream.Scope
	}
	text, err := json.Marshal(variables)
	if err != nil {
		return nil, err
	}
	method, address, body := http.MethodGet, server+"/graphql?"+url.Values{"query": {queries[s.stream.Kind]}, "variables": {string(text)}}.Encode(), []byte(nil)
	if !get {
		method, address = http.MethodPost, server+"/graphql"
		if body, err = json.Marshal(map[string]any{"query": queries[s.stream.Kind], "variables": variables}); err != nil {
			return nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/event-stream")
	if get {
		req.Header.Set("Last-Event-ID", after)
	} else {
		req.Header.Set("Content-Type", "application/json")
	}
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	return streaming.Do(req)
}

// event reads the next event that has data or a name.
func event(r *bufio.Reader) (name string, data []byte, err error) {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", nil, err
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		switch field {
		case "event":
			name = strings.TrimPrefix(value, " ")
		case "data":
			data = append(data, strings.TrimPrefix(value, " ")...)
		case "":
			if line == "\n" && name != "" {
				return name, data, nil
			}
		}
	}
}
