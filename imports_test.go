package main

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// allowed says which packages of ours each package may import: down, never up. A package that is not named may import
// nothing of ours; one that ends in /... stands for all below it.
var allowed = map[string][]string{
	"tidings":                        {"internal/app", "internal/config", "internal/heap"},
	"tidings/internal/app":           {"..."},
	"tidings/internal/testkit":       {"..."},
	"tidings/internal/testkit/...":   {"internal/testkit/..."},
	"tidings/graph":                  {"graph/...", "ent/...", "internal/relay", "internal/eventlog", "internal/live", "internal/auth", "internal/event", "internal/fault", "internal/gid", "internal/search", "internal/audit", "internal/session"},
	"tidings/graph/model":            {"ent/..."},
	"tidings/graph/scalar":           {"internal/fault"},
	"tidings/internal/web":           {"internal/live", "internal/auth", "internal/audit", "internal/cost", "internal/rate", "internal/fault", "internal/event", "internal/gid"},
	"tidings/internal/eventlog":      {"ent/...", "internal/event", "internal/gid"},
	"tidings/internal/store":         {"ent/...", "internal/config", "internal/store/..."},
	"tidings/internal/store/migrate": {"ent/...", "internal/store/...", "internal/testkit/pgtest"},
	"tidings/internal/live":          {"internal/event"},
	"tidings/internal/demo":          {"ent/...", "internal/auth", "internal/event", "internal/eventlog", "internal/gid"},
	"tidings/internal/relay":         {"ent/...", "internal/gid", "internal/fault"},
	"tidings/internal/event":         {"internal/gid"},
	"tidings/internal/session":       {"ent/...", "internal/auth", "internal/audit", "internal/event", "internal/fault", "internal/gid", "internal/live"},
	"tidings/internal/cost":          {"internal/fault"},
	"tidings/internal/auth":          {"internal/gid", "internal/rate"},
	"tidings/internal/audit":         {"internal/auth", "internal/gid"},
	"tidings/bench/live":             {"bench/rig", "graph", "ent", "internal/gid", "internal/testkit/pgtest"}, // the server is a process
	"tidings/bench/read":             {"bench/rig", "internal/auth", "internal/gid", "internal/heap", "internal/testkit/pgtest"},
	"tidings/bench/read/profiled":    {"bench/rig", "internal/app", "internal/config", "internal/heap"},
	"tidings/ent/...":                {"ent/...", "internal/auth", "internal/gid"},
}

func TestImportsPointDown(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); seen++ {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		for _, i := range p.Imports {
			if strings.HasPrefix(i, "tidings/") && !slices.ContainsFunc(rule(p.ImportPath), func(r string) bool { return covers("tidings/"+r, i) }) {
				t.Errorf("%s imports %s, which the rule in this file does not allow", p.ImportPath, i)
			}
		}
	}
	if seen < 10 {
		t.Errorf("only %d packages were looked at", seen)
	}
}

func rule(pkg string) []string {
	if r, ok := allowed[pkg]; ok {
		return r
	}
	for pattern, r := range allowed {
		if covers(pattern, pkg) {
			return r
		}
	}
	return nil
}

func covers(pattern, pkg string) bool {
	if base, ok := strings.CutSuffix(pattern, "..."); ok {
		return strings.HasPrefix(pkg+"/", base)
	}
	return pattern == pkg
}
