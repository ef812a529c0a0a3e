package demo

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"regexp"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/eiderdb/eider/embed"
	"github.com/eiderdb/eider/embed/text"
)

// row is a document as the tests keep it.
type row struct {
	id  string
	doc map[string]any
}

func read(t *testing.T, c Collection) []row {
	t.Helper()
	var rows []row
	if err := c.Each(func(id string, doc map[string]any) error {
		rows = append(rows, row{id, doc})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestEveryDocumentHasAUniqueIDTextAndDeclaredFields(t *testing.T) {
	legal := regexp.MustCompile(`^[a-z0-9][a-z0-9.+-]*$`)
	for _, c := range Collections() {
		seen, used := map[string]bool{}, map[string]bool{}
		for _, r := range read(t, c) {
			if seen[r.id] || !legal.MatchString(r.id) {
				t.Errorf("%s: id %q is not unique or not plain", c.Name, r.id)
			}
			seen[r.id] = true
			if s := c.Text(r.doc); s == "" || !utf8.ValidString(s) {
				t.Errorf("%s %s: text %q", c.Name, r.id, s)
			}
			for name := range r.doc {
				used[name] = true
			}
		}
		if len(seen) != c.Count {
			t.Errorf("%s: %d documents, declared %d", c.Name, len(seen), c.Count)
		}
		for _, f := range c.Fields {
			if !used[f.Name] {
				t.Errorf("%s: no document has the field %s", c.Name, f.Name)
			}
		}
		for _, f := range c.Source {
			i := slices.IndexFunc(c.Fields, func(d Field) bool { return d.Name == f })
			if i < 0 || c.Fields[i].Type != "text" {
				t.Errorf("%s: source %s is not a text field", c.Name, f)
			}
		}
	}
}

func TestFilmYearsAndAmountsAreWithinReason(t *testing.T) {
	for _, r := range read(t, films()) {
		if y := r.doc["year"].(int64); y < 1910 || y > 2016 {
			t.Errorf("%s: year %d", r.id, y)
		}
		for _, f := range []string{"budget", "gross_us", "gross"} {
			if n, ok := r.doc[f].(int64); ok && (n < 0 || n > 4e9) {
				t.Errorf("%s: %s %d", r.id, f, n)
			}
		}
		for _, f := range []string{"title", "about"} {
			if s, _ := r.doc[f].(string); regexp.MustCompile(`[\x{80}-\x{9f}\x{fffd}Ì]|&[#a-z]`).MatchString(s) {
				t.Errorf("%s: damaged text %q", r.id, s)
			}
		}
	}
}

func TestEachStopsAtTheErrorOfItsCallback(t *testing.T) {
	stop, n := errors.New("stop"), 0
	err := films().Each(func(string, map[string]any) error {
		n++
		return stop
	})
	if !errors.Is(err, stop) || n != 1 {
		t.Errorf("%v after %d documents", err, n)
	}
}

func TestShowcaseSearchesFindWhatTheyPromise(t *testing.T) {
	e, err := text.Open(text.StaticTiny)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range Collections() {
		rows := read(t, c)
		texts := make([]string, len(rows))
		for i, r := range rows {
			texts[i] = c.Text(r.doc)
		}
		vectors := make([][]float32, len(rows))
		if err := e.Encode(context.Background(), texts, vectors); err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		if len(c.Searches) < 3 {
			t.Errorf("%s has %d searches", c.Name, len(c.Searches))
		}
		for _, s := range c.Searches {
			if top := search(t, e, s, rows, vectors); !slices.Contains(top, s.Expect) {
				t.Errorf("%s: %q finds %v, not %s", c.Name, s.Text, top, s.Expect)
			}
		}
	}
}

// search is the exact answer: the five nearest by dot product among the rows
// that meet the filter.
func search(t *testing.T, e embed.Encoder, s Search, rows []row, vectors [][]float32) []string {
	t.Helper()
	q := [][]float32{nil}
	if err := e.Encode(context.Background(), []string{s.Text}, q); err != nil {
		t.Fatal(err)
	}
	type hit struct {
		id    string
		score float64
	}
	var hits []hit
	for i, r := range rows {
		if !meets(r.doc, s.Filter) {
			continue
		}
		score := 0.0
		for j, v := range vectors[i] {
			score += float64(v) * float64(q[0][j])
		}
		hits = append(hits, hit{r.id, score})
	}
	if len(hits) < 10 || len(hits) > len(rows)*9/10 {
		t.Errorf("%q: the filter keeps %d of %d documents, which shows little", s.Text, len(hits), len(rows))
	}
	slices.SortStableFunc(hits, func(a, b hit) int { return cmp.Compare(b.score, a.score) })
	var ids []string
	for _, h := range hits[:min(5, len(hits))] {
		ids = append(ids, h.id)
	}
	return ids
}

// meets is the plain meaning of a filter: every condition holds; a field with a
// list meets a condition if one element does.
func meets(doc map[string]any, filter []Condition) bool {
	for _, c := range filter {
		values, _ := doc[c.Field].([]string)
		ok := false
		switch v := doc[c.Field].(type) {
		case string:
			values = []string{v}
		case bool:
			ok = c.Op == "eq" && v == c.Value
		case int64:
			ok = compare(v, c)
		case float64:
			ok = compare(v, c)
		}
		wanted, _ := c.Value.([]string)
		if s, is := c.Value.(string); is {
			wanted = []string{s}
		}
		if !ok && !slices.ContainsFunc(values, func(v string) bool { return slices.Contains(wanted, v) }) {
			return false
		}
	}
	return true
}

func compare[N int64 | float64](v N, c Condition) bool {
	limit, ok := c.Value.(N)
	switch c.Op {
	case "eq":
		return ok && v == limit
	case "gt":
		return ok && v > limit
	case "gte":
		return ok && v >= limit
	case "lt":
		return ok && v < limit
	case "lte":
		return ok && v <= limit
	}
	return false
}

func TestEveryLikeIsOfADocumentAndNobodyLikesOneTwice(t *testing.T) {
	for _, c := range Collections() {
		if c.Taste == nil {
			continue
		}
		known, seen, likes := map[string]bool{}, map[string]bool{}, 0
		for _, r := range read(t, c) {
			known[r.id] = true
		}
		if err := c.Taste.Each(func(user string, liked []string) error {
			if seen[user] {
				t.Errorf("%s comes twice", user)
			}
			seen[user] = true
			likes += len(liked)
			for i, id := range liked {
				if !known[id] || slices.Contains(liked[:i], id) {
					t.Errorf("%s likes %v", user, liked)
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if len(seen) != c.Taste.People || likes != c.Taste.Likes || !seen[c.Taste.User] {
			t.Errorf("%s: %d people with %d likes, declared %+v", c.Name, len(seen), likes, c.Taste)
		}
	}
}

func TestDataStaysBelowThreeMegabytesWithItsLicences(t *testing.T) {
	size := int64(0)
	for _, tree := range []fs.FS{files, Licenses} {
		if err := fs.WalkDir(tree, ".", func(_ string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				info, err := d.Info()
				size += info.Size()
				return err
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	const encoder = 560 << 10 // embed/text/model
	if size+encoder > 3<<20 {
		t.Errorf("%d bytes of data", size)
	}
	for _, name := range []string{"README.md", "emoji-datasource-MIT.txt", "emojibase-MIT.txt", "fivethirtyeight-CC-BY-4.0.txt", "debian.txt"} {
		if b, err := fs.ReadFile(Licenses, "LICENSES/"+name); err != nil || len(b) < 200 {
			t.Errorf("licence %s: %v", name, err)
		}
	}
}
