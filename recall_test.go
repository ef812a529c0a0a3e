package eider

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/eiderdb/eider/index"
)

func TestARecallOutOfRangeOrBesideEfIsRefused(t *testing.T) {
	db := open(t, "", nil)
	c := create(t, db, "c", Schema{Vectors: map[string]Vector{"v": {Dim: 2}}})
	for _, r := range []Retrieve{{Recall: 1}, {Recall: -0.1}, {Recall: math.NaN()}, {Recall: 0.9, Ef: 10}} {
		r.Near = &Near{Value: []float32{1, 2}}
		_, err := c.Search(ctx, Query{Retrieve: []Retrieve{r}})
		if !errors.Is(err, ErrInvalid) || !strings.Contains(fmt.Sprint(err), "recall") {
			t.Errorf("recall %v, ef %d: %v", r.Recall, r.Ef, err)
		}
	}
}

func TestExplainShowsThePoolThatARecallChose(t *testing.T) {
	db := open(t, "", nil)
	c := create(t, db, "c", Schema{Vectors: map[string]Vector{"v": {Dim: 32, Metric: index.Cosine}}})
	r := rand.New(rand.NewPCG(7, 8))
	docs := make([]Doc, 5000)
	for i := range docs {
		docs[i] = Doc{ID: fmt.Sprint(i), Vectors: map[string][]float32{"v": vec(r, 32)}}
	}
	for len(docs) > 0 {
		n := min(1000, len(docs))
		if _, err := c.Upsert(ctx, docs[:n]...); err != nil {
			t.Fatal(err)
		}
		docs = docs[n:]
	}
	x, err := c.state.Load().lives["v"].wait(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	for _, want := range []float64{0.8, 0.95} {
		res, err := c.Search(ctx, Query{Explain: true, Retrieve: []Retrieve{{Near: &Near{Value: vec(r, 32)}, Recall: want}}})
		if err != nil {
			t.Fatal(err)
		}
		p := res.Explain.Phases[0]
		if strings.Contains(p.Plan, "scan: for this recall") {
			continue // this machine scans faster than it walks
		}
		if !strings.Contains(p.Plan, "as measured") || p.Counts["rescored"] < 10 || p.Counts["ef"] < 10 {
			t.Errorf("recall %v: phase %+v", want, p)
		}
	}
}
