package bench

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/eiderdb/eider/recsys/din"
)

// madeUpRatings writes a small set in the layout of MovieLens: users take items of
// their own half, so histories tell what comes next.
func madeUpRatings(t *testing.T, users, each, items int) (dir string) {
	t.Helper()
	rng := rand.New(rand.NewPCG(5, 5))
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	for u := range users {
		for i, it := range rng.Perm(items / 2)[:each] {
			fmt.Fprintf(z, "%d\t%d\t%d\t%d\n", u+1, 2*it+u%2+1, 1+rng.IntN(5), 1000+i)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "ml-100k"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ml-100k", "u.data.gz"), b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestDinReportsQuality(t *testing.T) {
	dir := madeUpRatings(t, 200, 12, 60)
	var out bytes.Buffer
	o := Options{Quick: true, JSON: true, Data: dir, Peers: []string{"none"}}
	if err := Din(context.Background(), o, &out); err != nil {
		t.Fatal(err)
	}
	all := lines(t, out.Bytes())
	if f := find(t, all, "GAUC", "mean pooling"); f.Value < 0.65 || f.Ratio == nil {
		t.Errorf("half of the items can be told from the history: %+v", f)
	}
	for _, name := range []string{"gain over mean pooling", "cost of vectors as bytes"} {
		find(t, all, name, "")
	}
	find(t, all, "GAUC", "popularity")
}

// Users of one half of the items, with attributes that say which half it is.
func TestDinChoosesTheEpochBeforeTheTest(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	var users, items bytes.Buffer
	for u := range 150 {
		fmt.Fprint(&users, u+1)
		for _, it := range rng.Perm(30)[:8] {
			fmt.Fprint(&users, " ", 2*it+u%2+1)
		}
		fmt.Fprintln(&users)
	}
	for it := range 60 {
		fmt.Fprintf(&items, `%c"%d": [%d]`, "{,"[min(it, 1)], it+1, it%2)
	}
	items.WriteString("}")
	dir := amazonFiles(t, users.String(), items.String())
	var out bytes.Buffer
	o := Options{Quick: true, JSON: true, Data: dir, Set: "beauty", Peers: []string{"none"}}
	if err := Din(context.Background(), o, &out); err != nil {
		t.Fatal(err)
	}
	all := lines(t, out.Bytes())
	if f := find(t, all, "GAUC", "mean pooling"); f.Value < 0.65 || !strings.Contains(f.Note, "chosen by the click before the last") {
		t.Errorf("%+v", f)
	}
	if f := find(t, all, "gain over mean pooling", ""); !strings.Contains(f.Note, "over the users tested") {
		t.Errorf("%+v", f)
	}
}

func amazonFiles(t *testing.T, users, attributes string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	folder := filepath.Join(dir, "amazon-lastfm-s3rec")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"Beauty.txt": users, "Beauty_item2attributes.json": attributes} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestDinSpeedReportsTrainingAndServing(t *testing.T) {
	var out bytes.Buffer
	o := Options{Quick: true, JSON: true, Data: madeUpRatings(t, 60, 12, 60), Peers: []string{"none"}}
	if err := DinSpeed(context.Background(), o, &out); err != nil {
		t.Fatal(err)
	}
	all := lines(t, out.Bytes())
	for _, name := range []string{"training, threads=1", "serving 200x50, d=128, unit 512-80-40-1, p50", "serving 1000x50, d=36, unit 144-36-16-1, p99"} {
		if f := find(t, all, name, ""); f.Value <= 0 {
			t.Errorf("%+v", f)
		}
	}
}

func TestDinSaysWhatDataItMisses(t *testing.T) {
	if err := Din(context.Background(), Options{Data: t.TempDir()}, new(bytes.Buffer)); !errors.Is(err, ErrSet) {
		t.Errorf("%v", err)
	}
	dir := madeUpRatings(t, 3, 4, 10)
	path := filepath.Join(dir, "ml-100k", "u.data.gz")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b[:len(b)-9], 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Din(context.Background(), Options{Data: dir}, new(bytes.Buffer)); !errors.Is(err, ErrSet) {
		t.Errorf("a torn file: %v", err)
	}
}

func TestClicksNeverHoldTheirOwnTarget(t *testing.T) {
	dir := madeUpRatings(t, 20, 9, 30)
	c, err := movielens(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	v, err := movielens(dir, true)
	if err != nil {
		t.Fatal(err)
	}
	for i := range v.tests { // what is predicted to choose by is the newest of the history at the test
		if past := c.tests[i].past; len(v.tests) != len(c.tests) || len(v.tests[i].past) != len(past)-1 {
			t.Fatalf("%+v beside %+v", v.tests[i], c.tests[i])
		}
	}
	if len(c.tests) != 20 || len(c.examples) != 20*7 {
		t.Fatalf("%d tests, %d examples", len(c.tests), len(c.examples))
	}
	for _, e := range append(c.tests, c.examples...) {
		if slices.Contains(e.past, e.items[0]) {
			t.Errorf("%+v", e)
		}
	}
	taken := map[uint32][]uint32{}
	for _, e := range c.tests {
		taken[e.user] = append(slices.Clone(e.past), e.items[0])
		for _, n := range e.items[1:] {
			if slices.Contains(taken[e.user], n) {
				t.Errorf("user %d took the negative %d", e.user, n)
			}
		}
	}
	one, two := c.source(3, 8), c.source(3, 8)
	for b := range one(4) {
		for same := range two(4) { // the first batch of an epoch, whoever asks
			if !slices.Equal(b.Items, same.Items) || !slices.Equal(b.Past, same.Past) {
				t.Error("an epoch came out in two ways")
			}
			break
		}
		break
	}
}

func TestSequencesOfAmazonComeWithAttributes(t *testing.T) {
	dir := amazonFiles(t, "1 5 9 5 7\n2 9 7\n3 5 9 8\n", `{"5": [2, 3], "8": [4], "9": [1]}`)
	c, err := readClicks(dir, "beauty")
	if err != nil {
		t.Fatal(err)
	}
	// Items 5, 7, 8, 9 are 0 to 3; 7 has no attributes. A repeat is no click.
	if want := []int32{0, 2, 2, 3, 4}; !slices.Equal(c.columns[1].Start, want) || !slices.Equal(c.columns[1].IDs, []uint32{2, 3, 4, 1}) {
		t.Errorf("attributes %v from %v", c.columns[1].IDs, c.columns[1].Start)
	}
	if len(c.tests) != 3 || !slices.Equal(c.tests[0].past, []uint32{0, 3}) || c.tests[0].items[0] != 1 || c.fields[1].Rows != 5 {
		t.Errorf("%+v, %+v", c.tests, c.fields)
	}
	// Of the first user 9 is ranked after 5 to choose the epoch, and not learned from.
	if len(c.examples) != 0 || len(c.valid) != 2 || c.valid[0].items[0] != 3 || !slices.Equal(c.valid[0].past, []uint32{0}) {
		t.Errorf("%d examples, %+v", len(c.examples), c.valid)
	}
	if _, err := din.NewItems(c.items, c.fields, c.columns); err != nil {
		t.Error(err)
	}
	if _, err := readClicks(dir, "books"); !errors.Is(err, ErrSet) {
		t.Errorf("an unknown set: %v", err)
	}
}
