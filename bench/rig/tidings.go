//go:build linux

package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
)

// Secret signs the tokens of all servers of a run, so that what one of them has issued another takes.
const Secret = "the secret of a benchmark and of nobody else"

// Build builds a program of the module around the working directory into dir, "." is the server, and returns its path.
func Build(ctx context.Context, dir, pkg string) (string, error) {
	mod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env: %w", err)
	}
	path := filepath.Join(dir, "tidings")
	if pkg != "." {
		path = filepath.Join(dir, filepath.Base(pkg))
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, pkg)
	cmd.Dir = filepath.Dir(strings.TrimSpace(string(mod)))
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
}

// Told in the environment of the server makes it log what is worth knowing, how reads were answered at its end, say;
// otherwise it logs warnings.
const Told = "TIDINGS_LOG=info"

// StartTidings runs the server on a database as -database names it, with its rates off, and with the variables of env.
func StartTidings(ctx context.Context, path, database string, env ...string) (*Process, error) {
	// In the environment, for a URL may hold a password.
	env = append([]string{"TIDINGS_LOG=warn", "TIDINGS_SECRET=" + Secret, "TIDINGS_DATABASE=" + database}, env...)
	return Start(ctx, path, env, func(address string) []string {
		return []string{"-addr", address, "-rates", "off"}
	})
}

// User is who writes.
type User struct {
	Server *Process
	Token  string // the access token, good for 15 minutes; "" for nobody
}

const (
	username = "bench"
	password = "Sesame-123"
)

// SignUp makes the user's account, and returns a refresh token that is good on every copy of this database.
func SignUp(ctx context.Context, p *Process) (refreshToken string, err error) {
	u := User{Server: p}
	_, err = u.Post(ctx, `mutation($u: String!, $e: String!, $p: String!) { createUser(input: {username: $u, fullName: $u, email: $e, password: $p}) { id } }`,
		map[string]any{"u": username, "e": username + "@example.org", "p": password})
	if err != nil {
		return "", err
	}
	data, err := u.Post(ctx, `mutation($u: String!, $p: String!) { logIn(input: {login: $u, password: $p}) { refreshToken } }`,
		map[string]any{"u": username, "p": password})
	if err != nil {
		return "", err
	}
	return data["logIn"]["refreshToken"], nil
}

// SignIn goes on with the session of a refresh token. Unlike a log-in that takes no memory for a password's hash, which
// would be free for what is measured afterwards.
func SignIn(ctx context.Context, p *Process, refreshToken string) (User, error) {
	u := User{Server: p}
	data, err := u.Post(ctx, `mutation($t: String) { refreshSession(refreshToken: $t) { accessToken } }`, map[string]any{"t": refreshToken})
	u.Token = data["refreshSession"]["accessToken"]
	return u, err
}

// Post runs an operation whose fields return objects of strings.
func (u User) Post(ctx context.Context, query string, variables map[string]any) (map[string]map[string]string, error) {
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+u.Server.Address+"/graphql", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if u.Token != "" {
		req.Header.Set("Authorization", "Bearer "+u.Token)
	}
	resp, err := Client.Do(req)
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
