package eider

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// ranking is a shop of documents d0..d9 on a line, whose price falls and whose stock
// is their number.
func ranking(t *testing.T) (*DB, *Collection) {
	t.Helper()
	db := memory(t, nil)
	c := create(t, db, "shop", Schema{Fields: map[string]Field{"price": {Type: Float64}, "stock": {Type: Int64}, "kind": {Type: Keyword}}, Vectors: map[string]Vector{"v": {Dim: 2}}})
	for i := range 10 {
		must(c.Upsert(ctx, Doc{ID: fmt.Sprint("d", i), Fields: map[string]any{"price": float64(10 - i), "stock": i, "kind": []string{"odd", "even"}[i%2]}, Vectors: map[string][]float32{"v": {float32(i), 0}}}))(t)
	}
	served(t, db, linearOf("stock", 0, 1, 0, 0))
	served(t, db, linearOf("price", 1, 0, 0, 0))
	return db, c
}

func near(x float32) []Retrieve {
	return []Retrieve{{Near: &Near{Value: []float32{x, 0}}}}
}

func idsOf(r Result) (ids []string) {
	for _, h := range r.Hits {
		ids = append(ids, h.ID)
	}
	return ids
}

func TestRankPhaseOrdersTheBestCandidates(t *testing.T) {
	_, c := ranking(t)
	r := must(c.Search(ctx, Query{Retrieve: near(0), Limit: 5, Explain: true, Rank: []Rank{{Model: "stock@production", Top: 3}}}))(t)
	if got, want := idsOf(r), []string{"d2", "d1", "d0", "d3", "d4"}; !slices.Equal(got, want) {
		t.Fatalf("hits %v, want the nearest three by stock, then the next two: %v", got, want)
	}
	first := r.Hits[0].Ranked
	if len(first) != 1 || first[0].Model != "stock@1" || first[0].Score != 2 || first[0].From != 3 || first[0].Features["stock"] != 2 || r.Hits[0].Score != 2 {
		t.Errorf("explained %+v", first)
	}
	if r.Hits[3].Ranked != nil || first[0].Was >= r.Hits[2].Ranked[0].Was {
		t.Errorf("hits %+v", r.Hits)
	}
	if !slices.Equal(r.Models, []string{"stock@1"}) {
		t.Errorf("models %v", r.Models)
	}
	i := slices.IndexFunc(r.Explain.Phases, func(p Phase) bool { return p.Name == "rank" })
	if i < 0 || r.Explain.Phases[i].Plan != "stock@1 (linear)" || r.Explain.Phases[i].Counts["scored"] != 3 {
		t.Errorf("phases %+v", r.Explain.Phases)
	}
	r = must(c.Search(ctx, Query{Retrieve: near(0), Limit: 2, Rank: []Rank{{Model: "stock"}}}))(t)
	if got, want := idsOf(r), []string{"d9", "d8"}; !slices.Equal(got, want) || r.Hits[0].Ranked != nil {
		t.Errorf("hits %v, want all ten scored: %v", got, want)
	}
}

func TestRankPhasesFollowEachOther(t *testing.T) {
	_, c := ranking(t)
	r := must(c.Search(ctx, Query{Retrieve: near(0), Limit: 4, Explain: true, Rank: []Rank{{Model: "stock", Top: 6}, {Model: "price@1", Top: 2}}}))(t)
	if got, want := idsOf(r), []string{"d4", "d5", "d3", "d2"}; !slices.Equal(got, want) {
		t.Errorf("hits %v, want %v", got, want)
	}
	if len(r.Hits[0].Ranked) != 2 || len(r.Hits[2].Ranked) != 1 || !slices.Equal(r.Models, []string{"stock@1", "price@1"}) {
		t.Errorf("result %+v", r)
	}
}

func TestWeightedRankMixesWithTheScoreBefore(t *testing.T) {
	_, c := ranking(t)
	weigh := func(w float64) []string {
		return idsOf(must(c.Search(ctx, Query{Retrieve: near(0), Limit: 3, Rank: []Rank{{Model: "stock", Top: 10, Weight: w}}}))(t))
	}
	if got := weigh(0.01); !slices.Equal(got, []string{"d0", "d1", "d2"}) {
		t.Errorf("a small weight gives %v", got)
	}
	if got := weigh(0.99); !slices.Equal(got, []string{"d9", "d8", "d7"}) {
		t.Errorf("a large weight gives %v", got)
	}
}

func TestPagesOfARankedSearchAgreeWhileTheModelIsReplaced(t *testing.T) {
	db, c := ranking(t)
	q := Query{Retrieve: near(0), Limit: 4, Paged: true, Rank: []Rank{{Model: "stock"}}}
	var got []string
	for {
		r := must(c.Search(ctx, q))(t)
		if got = append(got, idsOf(r)...); !slices.Equal(r.Models, []string{"stock@1"}) {
			t.Errorf("a page by %v", r.Models)
		}
		if q.Cursor = r.Cursor; q.Cursor == "" {
			break
		}
		served(t, db, linearOf("stock", 0, -1, 0, 0))
	}
	if want := []string{"d9", "d8", "d7", "d6", "d5", "d4", "d3", "d2", "d1", "d0"}; !slices.Equal(got, want) {
		t.Errorf("pages %v", got)
	}
	if r := must(c.Search(ctx, Query{Retrieve: near(0), Limit: 1, Rank: []Rank{{Model: "stock"}}}))(t); r.Hits[0].ID != "d0" {
		t.Errorf("the new version ranks %v first", idsOf(r))
	}
}

func TestGroupsAndFiltersAreRanked(t *testing.T) {
	_, c := ranking(t)
	r := must(c.Search(ctx, Query{Retrieve: near(0), GroupBy: &GroupBy{Field: "kind"}, Limit: 2, Rank: []Rank{{Model: "stock"}}}))(t)
	if got, want := idsOf(r), []string{"d9", "d8"}; !slices.Equal(got, want) {
		t.Errorf("groups %v, want %v", got, want)
	}
	r = must(c.Search(ctx, Query{Filter: &Filter{Field: "price", Gt: 7.0}, Limit: 2, Rank: []Rank{{Model: "stock"}}}))(t)
	if got, want := idsOf(r), []string{"d2", "d1"}; !slices.Equal(got, want) {
		t.Errorf("browsed %v, want %v", got, want)
	}
	r = must(c.Search(ctx, Query{Limit: 1, Rank: []Rank{{Model: "stock", Top: 5}}}))(t)
	if len(r.Advice) != 1 || r.Hits[0].ID != "d4" {
		t.Errorf("browsing more than it ranks gives %v and advises %q", idsOf(r), r.Advice)
	}
}

func TestDocumentWithoutAFiniteScoreComesLast(t *testing.T) {
	_, c := ranking(t)
	must(c.Upsert(ctx, Doc{ID: "huge", Fields: map[string]any{"price": math.MaxFloat64}, Vectors: map[string][]float32{"v": {0, 0}}}))(t)
	db := c.db
	served(t, db, linearOf("wild", 4, 0, 0, 0))
	r := must(c.Search(ctx, Query{Retrieve: near(0), Limit: 11, Rank: []Rank{{Model: "wild"}}}))(t)
	if r.Hits[10].ID != "huge" || r.Hits[10].Score != -math.MaxFloat64 || len(r.Advice) != 1 {
		t.Errorf("hits %v, advice %q", idsOf(r), r.Advice)
	}
}

func TestRankThatCannotBeIsRefused(t *testing.T) {
	db, c := ranking(t)
	served(t, db, NewModel{Name: "kind", Kind: "linear", Config: []byte(`{"fields":["kind"]}`),
		Tensors: map[string]Tensor{"weight": {Shape: []int{1, 1}, Data: []float32{1}}, "bias": {Shape: []int{1}, Data: []float32{0}}}})
	for name, c2 := range map[string]struct {
		q    Query
		code Code
		at   string
	}{
		"no model":   {Query{Rank: []Rank{{}}}, CodeInvalid, "/rank/0/model"},
		"unknown":    {Query{Rank: []Rank{{Model: "stock"}, {Model: "none"}}}, CodeNotFound, "/rank/1/model"},
		"top":        {Query{Rank: []Rank{{Model: "stock", Top: 1001}}}, CodeInvalid, "/rank/0/top"},
		"weight":     {Query{Rank: []Rank{{Model: "stock", Weight: 1.5}}}, CodeInvalid, "/rank/0/weight"},
		"nan":        {Query{Rank: []Rank{{Model: "stock", Weight: math.NaN()}}}, CodeInvalid, "/rank/0/weight"},
		"user":       {Query{Rank: []Rank{{Model: "stock", User: "u"}}}, CodeInvalid, "/rank/0/user"},
		"wrong type": {Query{Rank: []Rank{{Model: "kind"}}}, CodeInvalid, "/rank/0/model"},
		"sort":       {Query{Rank: []Rank{{Model: "stock"}}, Sort: []Sort{{Field: "price"}}}, CodeInvalid, "/rank"},
		"many":       {Query{Rank: make([]Rank, 5)}, CodeInvalid, "/rank"},
	} {
		_, err := c.Search(ctx, c2.q)
		codeIs(t, err, c2.code)
		if e, ok := err.(*Error); !ok || e.Field != c2.at {
			t.Errorf("%s: %v, want it at %s", name, err, c2.at)
		}
	}
}

func BenchmarkRankedSearch(b *testing.B) {
	c := searchable(b)
	n := NewModel{Name: "ctr", Kind: "linear", Config: []byte(`{"fields":["price"]}`),
		Tensors: map[string]Tensor{"weight": {Shape: []int{1, 1}, Data: []float32{1}}, "bias": {Shape: []int{1}, Data: []float32{0}}}}
	served(b, c.db, n)
	r := rand.New(rand.NewPCG(3, 3))
	for _, top := range []int{0, 100, 1000} {
		q := Query{Retrieve: []Retrieve{{Near: &Near{Value: vec(r, 128)}, K: max(top, 100)}}, Fields: []string{}}
		if top > 0 {
			q.Rank = []Rank{{Model: "ctr", Top: top}}
		}
		b.Run(fmt.Sprint("top=", top), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Search(ctx, q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	rows := make([]map[string]any, 200)
	for i := range rows {
		rows[i] = map[string]any{"price": float64(i)}
	}
	b.Run("predict=200", func(b *testing.B) {
		for b.Loop() {
			if _, err := c.db.Predict(ctx, "ctr", Inputs{Rows: rows}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
