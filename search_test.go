package eider

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/eiderdb/eider/index"
)

// TestResultsStayAsTheyWereReturned runs searches of every shape beside and
// after each other: nothing of one reaches another through the memory that
// searches leave behind.
func TestResultsStayAsTheyWereReturned(t *testing.T) {
	db := open(t, "", nil)
	c := create(t, db, "c", Schema{
		Fields:  map[string]Field{"brand": {Type: Keyword, Index: true}, "stock": {Type: Int64}},
		Vectors: map[string]Vector{"v": {Dim: 8, Metric: index.L2}},
	})
	r := rand.New(rand.NewPCG(5, 5))
	docs := make([]Doc, 400)
	for i := range docs {
		docs[i] = Doc{ID: fmt.Sprint("doc-", i), Vectors: map[string][]float32{"v": vec(r, 8)}, Fields: map[string]any{
			"brand": fmt.Sprint("brand-", i%10), "stock": i,
		}}
	}
	if _, err := c.Upsert(ctx, docs...); err != nil {
		t.Fatal(err)
	}
	near := func() Retrieve { return Retrieve{Near: &Near{Value: vec(r, 8)}} }
	some := Eq("brand", "brand-3")
	queries := []Query{
		{Retrieve: []Retrieve{near()}, Fields: []string{}},
		{Retrieve: []Retrieve{near()}, Explain: true, Limit: 50, Vectors: []string{"v"}},
		{Retrieve: []Retrieve{near()}, Filter: &some, Total: true, Paged: true},
		{Retrieve: []Retrieve{near(), near()}, Limit: 5, Explain: true},
		{Retrieve: []Retrieve{near()}, GroupBy: &GroupBy{Field: "brand", Size: 2}, Limit: 4},
		{Retrieve: []Retrieve{near()}, Sort: []Sort{{Field: "stock"}}, Fields: []string{"stock"}},
		{Retrieve: []Retrieve{{Like: &Like{Positive: []string{"doc-1"}}}}, Limit: 1000, Timed: true},
		{Sort: []Sort{{Field: "stock", Desc: true}}, Facets: map[string]int{"brand": 3}},
	}
	// What a search took is its own; all else is the same each time.
	text := func(res Result) string {
		if res.Explain != nil {
			phases := append([]Phase(nil), res.Explain.Phases...)
			for i := range phases {
				phases[i].Micros = 0
			}
			res.Explain = &Explain{Phases: phases}
		}
		b, err := json.Marshal(res)
		if err != nil {
			t.Error(err)
		}
		return string(b)
	}
	want := make([]string, len(queries))
	for i, q := range queries {
		res, err := c.Search(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		want[i] = text(res)
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(6, uint64(g)))
			var at []int
			var got []Result
			for range 60 {
				i := r.IntN(len(queries))
				res, err := c.Search(ctx, queries[i])
				if err != nil {
					t.Error(err)
					return
				}
				at, got = append(at, i), append(got, res)
				if _, err := c.Search(ctx, Query{Retrieve: []Retrieve{{Near: &Near{Value: []float32{1}}}}}); err == nil {
					t.Error("a query of the wrong dimension was answered")
				}
			}
			for j, i := range at {
				if s := text(got[j]); s != want[i] {
					t.Errorf("query %d answered\n%.600s\nbut alone\n%.600s", i, s, want[i])
					return
				}
			}
		})
	}
	wg.Wait()
}
