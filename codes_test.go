package eider

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/eiderdb/eider/index"
)

// forms are ways to keep one vector of 96 components; all must give the hits of
// the first.
var forms = map[string]Vector{
	"plain":  {Dim: 96, Metric: index.Cosine, Index: VectorIndex{Kind: "flat"}},
	"int8":   {Dim: 96, Metric: index.Cosine},
	"none":   {Dim: 96, Metric: index.Cosine, Index: VectorIndex{Codes: "none"}},
	"int4":   {Dim: 96, Metric: index.Cosine, Index: VectorIndex{Codes: "int4"}},
	"disk":   {Dim: 96, Metric: index.Cosine, Index: VectorIndex{Originals: "disk"}},
	"disk4":  {Dim: 96, Metric: index.Cosine, Index: VectorIndex{Codes: "int4", Originals: "disk"}},
	"bit":    {Dim: 96, Metric: index.Cosine, Index: VectorIndex{Codes: "bit"}},
	"disk1":  {Dim: 96, Metric: index.Cosine, Index: VectorIndex{Codes: "bit", Originals: "disk"}},
	"flat":   {Dim: 96, Metric: index.Cosine, Index: VectorIndex{Kind: "flat", Codes: "int8", Originals: "disk"}},
	"nested": {Dim: 96, Metric: index.Cosine, Prefixes: []int{16, 48}},
	"half":   {Dim: 96, Metric: index.Cosine, Storage: index.Float16, Index: VectorIndex{Originals: "disk"}},
}

// grouped returns n vectors in twenty groups.
func grouped(r *rand.Rand, n, dim int) [][]float32 {
	centres := make([][]float32, 20)
	for i := range centres {
		centres[i] = vec(r, dim)
	}
	out := make([][]float32, n)
	for i := range out {
		out[i] = vec(r, dim)
		for j, x := range centres[r.IntN(len(centres))] {
			out[i][j] = x + out[i][j]/2
		}
	}
	return out
}

func hitIDs(r Result) (ids []string) {
	for _, h := range r.Hits {
		ids = append(ids, h.ID)
	}
	return ids
}

func TestEveryFormOfCodesFindsWhatAScanOfTheVectorsFinds(t *testing.T) {
	dir := t.TempDir()
	db, err := Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := create(t, db, "forms", Schema{Vectors: forms})
	r := rand.New(rand.NewPCG(8, 8))
	n := 3000
	if testing.Short() {
		n = 1200
	}
	vecs := grouped(r, n, 96)
	put := func(i int, v []float32) Doc {
		d := Doc{ID: fmt.Sprint(i), Vectors: map[string][]float32{}}
		for name := range forms {
			d.Vectors[name] = v
		}
		return d
	}
	var docs []Doc
	for i, v := range vecs {
		docs = append(docs, put(i, v))
	}
	for part := range slices.Chunk(docs, 500) {
		must(c.Upsert(ctx, part...))(t)
	}
	for i := range 100 { // some move, some go
		must(c.Upsert(ctx, put(i*7, vecs[i*3])))(t)
		must(c.Delete(ctx, fmt.Sprint(i*11+1)))(t)
	}
	if err := c.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	check := func(c *Collection) {
		t.Helper()
		for _, q := range vecs[n-20:] {
			ask := func(name string, exact bool) []string {
				near := &Near{Vector: name, Value: q}
				return hitIDs(must(c.Search(ctx, Query{Retrieve: []Retrieve{{Near: near, Exact: exact, Ef: 200}}, Limit: 10}))(t))
			}
			want := ask("plain", true)
			for name := range forms {
				exact, walked := ask(name, true), ask(name, false)
				if name != "half" && !slices.Equal(exact, want) {
					t.Fatalf("%s, exact: %v, want %v", name, exact, want)
				}
				found := 0
				for _, id := range walked {
					if slices.Contains(want, id) {
						found++
					}
				}
				if found < 8 {
					t.Fatalf("%s: %v, want nearly %v", name, walked, want)
				}
			}
		}
	}
	check(c)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, dir, nil)
	c, err = db.Collection("forms")
	if err != nil {
		t.Fatal(err)
	}
	check(c)
}

func TestANestedVectorIsSearchedAtAnyWidth(t *testing.T) {
	v := forms["nested"]
	v.Metric = index.L2
	c := create(t, memory(t, nil), "nested", Schema{Vectors: map[string]Vector{"v": v}})
	vecs := grouped(rand.New(rand.NewPCG(9, 9)), 2500, 96)
	for i, v := range vecs {
		must(c.Upsert(ctx, Doc{ID: fmt.Sprint(i), Vectors: map[string][]float32{"v": v}}))(t)
	}
	q := vecs[77]
	for _, width := range []int{16, 20, 48, 96} {
		best, at := float32(1e9), -1
		for i, v := range vecs {
			var d float32
			for j := range width {
				d += (v[j] - q[j]) * (v[j] - q[j])
			}
			if i != 77 && d < best {
				best, at = d, i
			}
		}
		res := must(c.Search(ctx, Query{Retrieve: []Retrieve{{Near: &Near{Value: q}, Width: width, Ef: 400}}, Limit: 2}))(t)
		if got := hitIDs(res); !slices.Equal(got, []string{"77", fmt.Sprint(at)}) {
			t.Errorf("width %d: %v, want 77 and %d", width, got, at)
		}
	}
	_, err := c.Search(ctx, Query{Retrieve: []Retrieve{{Near: &Near{Value: q}, Width: 97}}})
	if err == nil || !strings.Contains(err.Error(), "use 1 to 96") {
		t.Errorf("width 97: %v", err)
	}
}

func TestIndexFormChangesUnderSearches(t *testing.T) {
	c := create(t, memory(t, nil), "forms", Schema{Vectors: map[string]Vector{"v": {Dim: 96}}})
	vecs := grouped(rand.New(rand.NewPCG(3, 3)), 600, 96)
	for i, v := range vecs {
		must(c.Upsert(ctx, Doc{ID: fmt.Sprint(i), Vectors: map[string][]float32{"v": v}}))(t)
	}
	for _, vi := range []VectorIndex{{Originals: "disk"}, {Codes: "int4"}, {Codes: "bit"}, {Codes: "none"}, {Codes: "bit", Originals: "disk"}, {Kind: "flat", Originals: "disk"}} {
		if err := c.SetVectorIndex(ctx, "v", vi); err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			r := must(c.Search(ctx, Query{Retrieve: []Retrieve{{Near: &Near{Value: vecs[i]}}}, Limit: 1}))(t)
			if r.Hits[0].ID != fmt.Sprint(i) {
				t.Fatalf("%+v: %d finds %s", vi, i, r.Hits[0].ID)
			}
		}
	}
}

func TestBadFormsOfVectorsAreRefused(t *testing.T) {
	db := memory(t, nil)
	for want, v := range map[string]Vector{
		"use int8, int4, bit or none": {Dim: 8, Index: VectorIndex{Codes: "pq"}},
		"use memory or disk":          {Dim: 8, Index: VectorIndex{Originals: "tape"}},
		"set codes to int8":           {Dim: 8, Index: VectorIndex{Codes: "none", Originals: "disk"}},
		"bit have no prefixes":        {Dim: 8, Prefixes: []int{4}, Index: VectorIndex{Codes: "bit"}},
		"prefixes need metric":        {Dim: 8, Metric: index.IP, Prefixes: []int{4}},
		"ascending numbers from 1":    {Dim: 8, Prefixes: []int{4, 4}},
		"ascending numbers from 1 ":   {Dim: 8, Prefixes: []int{8}},
	} {
		_, err := db.CreateCollection(ctx, "c", Schema{Vectors: map[string]Vector{"v": v}})
		if err == nil || !strings.Contains(err.Error(), strings.TrimSpace(want)) {
			t.Errorf("%+v: %v, want %q", v, err, want)
		}
	}
}
