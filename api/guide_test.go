package api

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/eiderdb/eider"
)

const guide = "../docs/api.md"

var httpBlock = regexp.MustCompile("(?ms)^```http\n(.*?)^```$")

// message is a ```http block: a start line, headers, a body.
type message struct {
	start  string
	header [][2]string
	body   string
	line   int
}

func messages(t *testing.T, text []byte) []message {
	t.Helper()
	var out []message
	for _, m := range httpBlock.FindAllSubmatchIndex(text, -1) {
		head, body, _ := strings.Cut(string(text[m[2]:m[3]]), "\n\n")
		s := bufio.NewScanner(strings.NewReader(head))
		s.Scan()
		msg := message{start: s.Text(), body: strings.TrimSpace(body), line: 1 + bytes.Count(text[:m[0]], []byte("\n"))}
		for s.Scan() {
			name, value, ok := strings.Cut(s.Text(), ": ")
			if !ok {
				t.Fatalf("%s:%d: %q is not a header", guide, msg.line, s.Text())
			}
			msg.header = append(msg.header, [2]string{name, value})
		}
		out = append(out, msg)
	}
	return out
}

// within reports where got lacks something that want shows: "…" is any value,
// objects may have more members, a list that ends with "…" may go on.
func within(want, got any, at string) error {
	switch w := want.(type) {
	case string:
		if w == "…" {
			return nil
		}
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return fmt.Errorf("%s: want an object, got %v", at, got)
		}
		for k, v := range w {
			if _, ok := g[k]; !ok {
				return fmt.Errorf("%s/%s is missing", at, k)
			}
			if err := within(v, g[k], at+"/"+k); err != nil {
				return err
			}
		}
		return nil
	case []any:
		g, ok := got.([]any)
		open := len(w) > 0 && w[len(w)-1] == "…"
		if open {
			w = w[:len(w)-1]
		}
		if !ok || len(g) < len(w) || len(g) != len(w) && !open {
			return fmt.Errorf("%s: want %d elements, got %v", at, len(w), got)
		}
		for i := range w {
			if err := within(w[i], g[i], at+"/"+strconv.Itoa(i)); err != nil {
				return err
			}
		}
		return nil
	}
	if fmt.Sprint(want) != fmt.Sprint(got) {
		return fmt.Errorf("%s: want %v, got %v", at, want, got)
	}
	return nil
}

// values decodes the JSON values of a body: one, or one a line.
func values(t *testing.T, what string, body []byte) []any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var out []any
	for d.More() {
		var v any
		if err := d.Decode(&v); err != nil {
			t.Fatalf("%s: %v in %s", what, err, body)
		}
		out = append(out, v)
	}
	return out
}

// TestEveryExampleOfTheGuideAnswersAsShown sends the requests of docs/api.md in
// order to one server and compares the answers.
func TestEveryExampleOfTheGuideAnswersAsShown(t *testing.T) {
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	db, err := eider.Open(filepath.Join(dir, "db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	h := handler(t, db, func(o *Options) { o.Snapshots = filepath.Join(dir, "snapshots") })
	var last answer
	var request message
	asked, answered, key := 0, 0, ""
	for _, m := range messages(t, text) {
		at := fmt.Sprintf("%s:%d", guide, m.line)
		if !strings.HasPrefix(m.start, "HTTP/") {
			method, path, _ := strings.Cut(m.start, " ")
			var header []string
			for _, kv := range m.header {
				header = append(header, kv[0], strings.ReplaceAll(kv[1], "$KEY", key))
			}
			var body any
			if m.body != "" {
				body = m.body
			}
			last, request = do(t, h, method, path, body, header...), m
			asked++
			continue
		}
		answered++
		if want := strings.Fields(m.start)[1]; want != strconv.Itoa(last.status) {
			t.Fatalf("%s: %s answered %d: %s", at, request.start, last.status, last.body)
		}
		if want := strings.SplitN(m.start, " ", 3)[2]; want != http.StatusText(last.status) {
			t.Errorf("%s: status %d is %q", at, last.status, http.StatusText(last.status))
		}
		for _, kv := range m.header {
			if got := last.header.Get(kv[0]); got == "" || kv[1] != "…" && kv[1] != got {
				t.Errorf("%s: header %s is %q, want %q", at, kv[0], got, kv[1])
			}
		}
		if m.body == "" {
			continue
		}
		want, got := values(t, at, []byte(m.body)), values(t, at, last.body)
		if err := within(want, got, ""); err != nil {
			t.Errorf("%s: %s: %v\nin %s", at, request.start, err, last.body)
		}
		if len(got) == 1 {
			if o, ok := got[0].(map[string]any); ok {
				if k, ok := o["key"].(string); ok {
					key = k
				}
			}
		}
	}
	if asked != answered || asked < 20 {
		t.Errorf("%d requests, %d answers", asked, answered)
	}
}

// TestGuideNamesEveryRouteAndCode keeps the tables of docs/api.md whole.
func TestGuideNamesEveryRouteAndCode(t *testing.T) {
	raw, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	head, _, ok := strings.Cut(string(raw), "\n| method | path | access |\n|---|---|---|\n")
	if !ok {
		t.Fatal("the table of routes is missing")
	}
	var b strings.Builder
	for _, rt := range table(t, memory(t)) {
		if rt.path != "/ui/*" {
			fmt.Fprintf(&b, "| %s | `%s` | %s |\n", rt.method, rt.path, accessName(rt.access))
		}
	}
	want := head + "\n| method | path | access |\n|---|---|---|\n" + b.String()
	if *update {
		if err := os.WriteFile(guide, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(raw) != want {
		t.Error("the table of routes is not the routes table; rewrite it with -update")
	}
	for code, s := range statuses {
		if !strings.Contains(want, fmt.Sprintf("| `%s` | %d", code, s.status)) {
			t.Errorf("code %s (%d) is not in the table", code, s.status)
		}
	}
}
