package bench

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/internal/dataset"
)

func TestChurnKeepsRecallAndFindsEveryVectorByItself(t *testing.T) {
	all := suite(t, Churn, Options{Set: "clusters", Data: t.TempDir(), Rows: 200, Queries: 20, Peers: []string{"none"}, Codes: []string{"none", "int8"}})
	for _, codes := range []string{"none", "int8"} {
		i := slices.IndexFunc(all, func(f Figure) bool { return f.Figure == "self" && f.Codes == codes })
		if i < 0 || all[i].Value != 100 {
			t.Errorf("%s: self figure %d of %+v", codes, i, all)
		}
	}
	turns := 0
	for _, f := range all {
		if f.Figure == "recall" && f.Engine == "eider" {
			turns++
			if f.At != turns || f.Value < 0.95 {
				t.Errorf("%+v", f)
			}
		}
	}
	if turns != 3 {
		t.Errorf("%d turnovers", turns)
	}
}

func TestChurnRefusesFormsOnDisk(t *testing.T) {
	o := Options{Set: "sphere", Data: t.TempDir(), Rows: 100, Codes: []string{"int8-disk"}}
	if err := Churn(context.Background(), o, io.Discard); !errors.Is(err, ErrOption) || !strings.Contains(err.Error(), "int4") {
		t.Error(err)
	}
}

func TestWorkloadKeepsItsSizeAndNeverUsesALabelAgain(t *testing.T) {
	s := &Set{Base: dataset.Sphere(200, 8, 1), Metric: index.L2}
	w, twin := newWorkload(s, 100, 3), newWorkload(s, 100, 3)
	used := map[uint32]bool{}
	for _, p := range w.pairs() {
		used[p.label] = true
	}
	for i := range 3 * churnSteps {
		drop, add := w.step(i % churnSteps)
		if again, more := twin.step(i % churnSteps); !slices.Equal(drop, again) || !slices.Equal(add, more) {
			t.Fatal("equal seeds gave other steps")
		}
		if len(drop) != 10 || len(add) != 10 || len(w.live) != 100 {
			t.Fatalf("step %d deletes %d, adds %d and leaves %d", i, len(drop), len(add), len(w.live))
		}
		for _, p := range add {
			if used[p.label] {
				t.Fatalf("label %d came back", p.label)
			}
			used[p.label] = true
		}
		rows := w.rows()
		slices.Sort(rows)
		if len(slices.Compact(rows)) != 100 {
			t.Fatal("a row is live twice")
		}
	}
}

func TestBuildComparesRatesAndRecall(t *testing.T) {
	all := suite(t, Build, Options{Set: "clusters", Data: t.TempDir(), Rows: 800, Queries: 20, Peers: []string{"none"}, Codes: []string{"int8"}})
	for _, name := range []string{"rate_1t", "wall_1t", "recall_ef40"} {
		if f := find(t, all, name, ""); f.Value <= 0 || f.Codes != "int8" {
			t.Errorf("%+v", f)
		}
	}
}

func TestNestedComparesPrefixWalksWithFullWidth(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	all := suite(t, Nested, Options{Set: "nested768", Data: t.TempDir(), Rows: 300, Queries: 10, Peers: []string{"none"}, Time: 1})
	for _, codes := range []string{"int8", "int8-w128", "int8-w128+384"} {
		if !slices.ContainsFunc(all, func(f Figure) bool {
			return f.Figure == "qps@0.99" && f.Codes == codes && f.Peer != nil && *f.Peer == "eider-full" && f.Ratio != nil
		}) {
			t.Errorf("%s is not compared with eider-full at recall 0.99", codes)
		}
	}
	if err := Nested(context.Background(), Options{Data: t.TempDir(), Rows: 50, Queries: 2, Codes: []string{"none"}}, io.Discard); !errors.Is(err, ErrOption) {
		t.Error(err)
	}
}

func TestLatencyMeasuresSearchesWithAndWithoutWrites(t *testing.T) {
	all := suite(t, Latency, Options{Rows: 600, Time: 100 * time.Millisecond})
	for _, q := range []string{"p50", "p99"} {
		if f := find(t, all, "idle_"+q, ""); f.Value <= 0 {
			t.Errorf("%+v", f)
		}
		if f := find(t, all, "writing_"+q, "idle"); f.Value <= 0 || f.Ratio == nil || !strings.Contains(f.Note, "of the machine") {
			t.Errorf("%+v", f)
		}
	}
}
