//go:build !race

package eider

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/eiderdb/eider/index"
)

// TestASearchAllocatesLittle counts the heap allocations of one search call: the
// hits and their ids, and what filters and returned fields need. The
// race detector makes pools forget, so it is not run there.
func TestASearchAllocatesLittle(t *testing.T) {
	db := open(t, "", nil)
	c := create(t, db, "c", Schema{
		Fields:  map[string]Field{"brand": {Type: Keyword, Index: true}, "stock": {Type: Int64}, "title": {Type: Text}},
		Vectors: map[string]Vector{"v": {Dim: 16, Metric: index.L2}},
	})
	r := rand.New(rand.NewPCG(1, 1))
	docs := make([]Doc, 5000)
	for i := range docs {
		docs[i] = Doc{ID: fmt.Sprint("doc-", i), Vectors: map[string][]float32{"v": vec(r, 16)}, Fields: map[string]any{
			"brand": fmt.Sprint("brand-", i%10), "stock": i, "title": fmt.Sprint("product number ", i),
		}}
	}
	for len(docs) > 0 {
		if _, err := c.Upsert(ctx, docs[:1000]...); err != nil {
			t.Fatal(err)
		}
		docs = docs[1000:]
	}
	if err := c.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	some := Eq("brand", "brand-3")
	for _, tc := range []struct {
		name   string
		filter *Filter
		fields []string
		most   float64
	}{
		{"vector", nil, []string{}, 2},
		{"vector and filter", &some, []string{}, 14},
		{"vector, two fields", nil, []string{"brand", "stock"}, 2 + 6*10},
		{"vector, filter, two fields", &some, []string{"brand", "stock"}, 14 + 6*10},
	} {
		q := Query{Retrieve: []Retrieve{{Near: &Near{Value: vec(r, 16)}}}, Filter: tc.filter, Fields: tc.fields}
		got := testing.AllocsPerRun(200, func() {
			if res, err := c.Search(ctx, q); err != nil || len(res.Hits) != 10 {
				t.Fatal(len(res.Hits), err)
			}
		})
		t.Logf("%s: %v", tc.name, got)
		if got > tc.most {
			t.Errorf("%s: %v allocations a search, at most %v are expected", tc.name, got, tc.most)
		}
	}
}
