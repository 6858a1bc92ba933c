package web_test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"tidings/internal/gid"
	"tidings/internal/testkit/leak"
	"tidings/internal/testkit/npmtest"
	"tidings/internal/testkit/require"
	"tidings/internal/web"
)

// TestEventSource: a browser's EventSource, with nothing around it, is cut off twice and has every post once and in order;
// so has one that was cut off before it was told anything. When they are complete they stay away.
func TestEventSource(t *testing.T) {
	browser, err := exec.LookPath("chromium")
	if err != nil {
		require.Missing(t, "browser", err)
	}
	w := newWorld(t, func(o *web.Options) { o.Playground = web.Playground() })
	line := newCable(t, strings.TrimPrefix(leak.Proxy(t, w.http.URL), "http://"))
	rare := gid.NewUser()
	page := npmtest.Start(t, "../app/testdata/browser", "source.mjs", "http://"+line.addr+"/", browser,
		`subscription { posted { text } }`, `subscription { posted(author: "`+rare.String()+`") { text } }`)

	var opened, lost, complete, closed [2]int
	var got [2][]string
	listen := func(until string, ok func() bool) {
		t.Helper()
		for !ok() {
			line := page.Line()
			var said struct {
				Source                             int
				Open, Lost, Sure, Complete, Closed bool
				Next                               string
			}
			if err := json.Unmarshal([]byte(line), &said); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			switch {
			case said.Open:
				opened[said.Source]++
			case said.Lost:
				lost[said.Source]++
			case said.Complete:
				complete[said.Source]++
			case said.Closed:
				closed[said.Source]++
			case said.Next != "" && said.Sure:
				got[said.Source] = append(got[said.Source], said.Next)
			default:
				t.Fatalf("%s, before %s", line, until)
			}
		}
	}
	var want []string
	post := func(author gid.User) {
		want = append(want, fmt.Sprint("post ", len(want)))
		w.log.post(author, want[len(want)-1])
	}
	listen("both are open", func() bool { return opened == [2]int{1, 1} })
	post(gid.NewUser())
	for i := range 2 {
		listen("all is there", func() bool { return len(got[0]) == len(want) })
		line.cut()
		for range 10 {
			post(gid.NewUser())
		}
		if i == 1 {
			post(rare)
		}
		line.mend()
		listen("they are back", func() bool { return opened == [2]int{2 + i, 2 + i} })
		post(gid.NewUser())
	}
	listen("all is there", func() bool { return len(got[0]) == len(want) && len(got[1]) == 1 })
	if fmt.Sprint(got[0]) != fmt.Sprint(want) || got[1][0] != "post 22" {
		t.Errorf("got %v, want %v", got, want)
	}

	w.over.Store(true)
	w.log.post(rare, "hidden")
	listen("both are closed for good", func() bool { return closed == [2]int{1, 1} })
	if complete != [2]int{1, 1} || lost != [2]int{3, 3} || opened != [2]int{3, 3} {
		t.Errorf("complete %v, lost %v, opened %v", complete, lost, opened)
	}
}
