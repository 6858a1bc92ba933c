//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// secret signs the tokens of all servers of a run, so that what one of them has issued another takes.
const secret = "TIDINGS_SECRET=the secret of a benchmark and of nobody else"

// build builds the server of the module around the working directory, and returns the path of its program.
func build(ctx context.Context, dir string) (string, error) {
	mod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env: %w", err)
	}
	path := filepath.Join(dir, "tidings")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, ".")
	cmd.Dir = filepath.Dir(strings.TrimSpace(string(mod)))
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
}

// startTidings runs the server on a database as -database names it, with its rates off.
func startTidings(ctx context.Context, path, database string) (*process, error) {
	// In the environment, for a URL may hold a password.
	env := []string{secret, "TIDINGS_DATABASE=" + database}
	return start(ctx, path, env, func(address string) []string {
		return []string{"-addr", address, "-rates", "off", "-log", "warn"}
	})
}

// author is who publishes the events.
type author struct {
	server *process
	token  string
}

const (
	username = "bench"
	password = "Sesame-123"
)

// signUp makes the author's account, and returns a refresh token that is good on every copy of this database.
func signUp(ctx context.Context, p *process) (refreshToken string, err error) {
	a := author{server: p}
	_, err = a.post(ctx, `mutation($u: String!, $e: String!, $p: String!) { createUser(input: {username: $u, fullName: $u, email: $e, password: $p}) { id } }`,
		map[string]any{"u": username, "e": username + "@example.org", "p": password})
	if err != nil {
		return "", err
	}
	data, err := a.post(ctx, `mutation($u: String!, $p: String!) { logIn(input: {login: $u, password: $p}) { refreshToken } }`,
		map[string]any{"u": username, "p": password})
	if err != nil {
		return "", err
	}
	return data["logIn"]["refreshToken"], nil
}

// signIn goes on with the session of a refresh token. Unlike a log-in that takes no memory for a password's hash, which
// would be free for the subscribers afterwards.
func signIn(ctx context.Context, p *process, refreshToken string) (author, error) {
	a := author{server: p}
	data, err := a.post(ctx, `mutation($t: String) { refreshSession(refreshToken: $t) { accessToken } }`, map[string]any{"t": refreshToken})
	a.token = data["refreshSession"]["accessToken"]
	return a, err
}

// batch is how many events the author publishes in one request at most: each is a mutation and a transaction of its own.
const batch = 25

// publish publishes events from the number first on, in order, and returns when the last is committed.
func (a author) publish(ctx context.Context, first, count int) error {
	for count > 0 {
		n := min(count, batch)
		var params, fields strings.Builder
		variables := map[string]any{}
		for i := range n {
			fmt.Fprintf(&params, "$t%d: String! ", i)
			fmt.Fprintf(&fields, ` p%d: createPost(input: {title: $t%d, content: "text", published: true}) { id }`, i, i)
			variables[fmt.Sprint("t", i)] = title(first + i)
		}
		if _, err := a.post(ctx, "mutation("+params.String()+") {"+fields.String()+" }", variables); err != nil {
			return err
		}
		first, count = first+n, count-n
	}
	return nil
}

// post runs an operation whose fields return objects of strings.
func (a author) post(ctx context.Context, query string, variables map[string]any) (map[string]map[string]string, error) {
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+a.server.address+"/graphql", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	var r struct {
		Data   map[string]map[string]string
		Errors []struct{ Message string }
	}
	if err := json.Unmarshal(answer, &r); err != nil {
		return nil, fmt.Errorf("%s: %.200s: %w", resp.Status, answer, err)
	}
	if len(r.Errors) > 0 {
		return nil, fmt.Errorf("%.60s: %s", query, r.Errors[0].Message)
	}
	return r.Data, nil
}

// prepared is a SQLite database with the author in it, to be copied for every server that is measured.
type prepared struct {
	program      string // the server's
	dir          string
	refreshToken string
	copies       int
}

const database = "bench.db"

func prepare(ctx context.Context, program, dir string) (*prepared, error) {
	p := &prepared{program: program, dir: dir}
	server, err := startTidings(ctx, program, "sqlite:"+filepath.Join(dir, database))
	if err != nil {
		return nil, err
	}
	defer server.stop()
	p.refreshToken, err = signUp(ctx, server)
	return p, err
}

// start runs a server on a copy of the database.
func (p *prepared) start(ctx context.Context) (*process, author, error) {
	p.copies++
	dir := filepath.Join(p.dir, fmt.Sprint("copy", p.copies))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, author{}, err
	}
	files, err := filepath.Glob(filepath.Join(p.dir, database+"*")) // with what is in its log
	if err != nil {
		return nil, author{}, err
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(f)), b, 0o600)
		}
		if err != nil {
			return nil, author{}, err
		}
	}
	server, err := startTidings(ctx, p.program, "sqlite:"+filepath.Join(dir, database))
	if err != nil {
		return nil, author{}, err
	}
	a, err := signIn(ctx, server, p.refreshToken)
	if err != nil {
		server.stop()
		return nil, author{}, err
	}
	return server, a, nil
}

// messages are what Tidings has sent a subscriber, for the controls to send again.
type messages [][]byte

// capture records count messages at least, and numbers them from 0: a subscriber need not get the first event.
func capture(ctx context.Context, p *prepared, count int) (messages, error) {
	server, a, err := p.start(ctx)
	if err != nil {
		return nil, err
	}
	defer server.stop()
	var m messages
	s, err := subscribe(ctx, server.address, 1, 0, func(b []byte) { m = append(m, b) })
	if err != nil {
		return nil, err
	}
	next, err := s.establish(ctx, 0, a.publish)
	if err == nil {
		s.expect(next + count - 1)
		err = a.publish(ctx, next, count)
	}
	if err == nil {
		err = s.await(ctx)
	}
	s.close() // from here on m is nobody else's
	if err != nil {
		return nil, err
	}
	for i := range m {
		at := bytes.Index(m[i], inFrame) + len(inFrame)
		copy(m[i][at:], title(i)[len(titlePrefix):])
	}
	return m, nil
}

// publisher has a control send the messages: event number n is the nth of them.
func (m messages) publisher(p *process) func(ctx context.Context, first, count int) error {
	return func(ctx context.Context, first, count int) error {
		if first+count > len(m) {
			return errors.New("the subscribers took too many events to be there")
		}
		body := bytes.Join(m[first:first+count], []byte("\n"))
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.address+"/publish", bytes.NewReader(body))
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("publishing: %s: %s", resp.Status, answer)
		}
		return err
	}
}
