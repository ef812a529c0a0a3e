package tabr

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"testing"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/index/flat"
	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/tabular"
)

var background = context.Background()

// part is rows lo to hi-1 of d.
func part(d *tabular.Data, lo, hi int) *tabular.Data {
	p := *d
	p.Rows, p.Num, p.Bin = hi-lo, d.Num[lo*d.NumWidth:hi*d.NumWidth], d.Bin[lo*d.BinWidth:hi*d.BinWidth]
	p.Cat = d.Cat[lo*len(d.CatSizes) : hi*len(d.CatSizes)]
	if d.Y != nil {
		p.Y = d.Y[lo:hi]
	}
	return &p
}

func numbered(lo, hi int) (ids []uint32) {
	for i := lo; i < hi; i++ {
		ids = append(ids, uint32(i))
	}
	return ids
}

func serving(t testing.TB, c Config, d *tabular.Data) (*Model, *Predictor) {
	t.Helper()
	m, err := New(c, 5)
	if err != nil {
		t.Fatal(err)
	}
	p := NewPredictor(m.Freeze())
	if err := p.Add(d, numbered(0, d.Rows)); err != nil {
		t.Fatal(err)
	}
	return m, p
}

func predict(t testing.TB, p *Predictor, q Query) []float32 {
	t.Helper()
	out := make([]float32, q.Rows.Rows*p.f.c.out())
	if err := p.Predict(background, q, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func near(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i := range want {
		if math.Abs(float64(got[i]-want[i])) > 1e-5*(1+math.Abs(float64(want[i]))) {
			t.Errorf("%s: output %d is %v, want %v", what, i, got[i], want[i])
		}
	}
}

func TestPredictionsAreThoseOfTheTrainedModelWithoutDropout(t *testing.T) {
	for name, c := range kinds() {
		l, d := sample(t, c, 150)
		p, err := l.predictor(d)
		if err != nil {
			t.Fatal(err)
		}
		rows := numbered(0, 130)
		l.ctx, l.dist = make([]uint32, len(rows)*l.k), make([]float32, len(rows)*l.k)
		out, ok := l.forward(new(nn.Tape), rows, false)
		if !ok {
			t.Fatal("no contexts")
		}
		want := slices.Clone(out.Data)
		p.f.scaleUp(want)
		near(t, name, predict(t, p, Query{Rows: part(d, 0, len(rows)), Self: rows}), want)
	}
}

func TestCandidatesAddedAndDeletedAreAsIfThereFromTheStart(t *testing.T) {
	for name, c := range kinds() {
		d, q := table(c, 300, 1), table(c, 9, 2)
		_, want := serving(t, c, part(d, 100, 300))
		m, p := serving(t, c, part(d, 0, 150))
		p.Delete(numbered(0, 100)...)
		p.Delete(7, 1<<30)
		// Rows 100 to 149 had these ids; now they come again, and the rest.
		if err := p.Add(part(d, 100, 300), numbered(100, 300)); err != nil {
			t.Fatal(err)
		}
		if p.Len() != 200 || want.Len() != 200 || m == nil {
			t.Fatalf("%d candidates", p.Len())
		}
		near(t, name, predict(t, p, Query{Rows: q}), predict(t, want, Query{Rows: q}))
		p.Delete(numbered(100, 300)...)
		if err := p.Predict(background, Query{Rows: q}, make([]float32, q.Rows*c.out())); !errors.Is(err, ErrData) {
			t.Errorf("%s: without candidates: %v", name, err)
		}
	}
}

func TestPredictionNamesTheCandidatesItUsed(t *testing.T) {
	for name, c := range kinds() {
		d, q := table(c, 50, 1), table(c, 7, 2)
		_, p := serving(t, c, d)
		found := make([]Neighbour, q.Rows*c.Context)
		out := predict(t, p, Query{Rows: q, Near: found})
		for i := range q.Rows {
			row := found[i*c.Context:][:c.Context]
			sum, only := float32(0), []uint32{}
			for j, n := range row {
				sum += n.Weight
				only = append(only, n.ID)
				if j > 0 && n.Weight > row[j-1].Weight {
					t.Errorf("%s: shares %v are not in order", name, row)
				}
			}
			if math.Abs(float64(sum)-1) > 1e-5 {
				t.Errorf("%s: shares add up to %v", name, sum)
			}
			// All others may go: the prediction stays.
			_, few := serving(t, c, d)
			for id := range uint32(d.Rows) {
				if !slices.Contains(only, id) {
					few.Delete(id)
				}
			}
			near(t, name, predict(t, few, Query{Rows: part(q, i, i+1)}), out[i*c.out():][:c.out()])
		}
	}
}

func TestFewerCandidatesThanAContextAreAllUsed(t *testing.T) {
	c := kinds()["s"]
	d := table(c, 3, 1)
	_, p := serving(t, c, d)
	found := make([]Neighbour, c.Context)
	predict(t, p, Query{Rows: part(d, 1, 2), Near: found, Self: []uint32{1}})
	if found[0].ID+found[1].ID != 2 || found[0].Weight == 0 || found[2].Weight != 0 {
		t.Errorf("used %v", found)
	}
}

func TestWhatARowMayNotUseIsNoConcernOfTheRowsBesideIt(t *testing.T) {
	for name, c := range kinds() {
		d := table(c, c.Context, 1)
		_, p := serving(t, c, d)
		q := part(d, 0, 3)
		got := predict(t, p, Query{Rows: q, Self: []uint32{0, 1 << 20, 2}})
		for i := range 3 {
			alone := Query{Rows: part(d, i, i+1), Self: []uint32{uint32(i)}}
			if i == 1 {
				alone.Self = nil
			}
			near(t, name, got[i*c.out():][:c.out()], predict(t, p, alone))
		}
	}
}

func TestAnIndexOverKeysGivesTheSamePredictions(t *testing.T) {
	for name, c := range kinds() {
		d, q := table(c, 200, 1), table(c, 70, 2)
		_, p := serving(t, c, d)
		keys, err := p.f.Keys(d, nil)
		if err != nil {
			t.Fatal(err)
		}
		n := p.f.KeyDim()
		x, err := flat.New(index.Config{Dim: n, Metric: index.L2})
		if err != nil {
			t.Fatal(err)
		}
		defer x.Close()
		for i := range d.Rows {
			if err := x.Insert(background, uint32(i), keys[i*n:][:n]); err != nil {
				t.Fatal(err)
			}
		}
		near(t, name, predict(t, p, Query{Rows: q, Index: x}), predict(t, p, Query{Rows: q}))
		self := numbered(0, 5)
		near(t, name, predict(t, p, Query{Rows: part(d, 0, 5), Index: x, Self: self}), predict(t, p, Query{Rows: part(d, 0, 5), Self: self}))
		p.Delete(3) // the index still has it
		predict(t, p, Query{Rows: part(d, 3, 4), Index: x})
	}
}

func TestRowsThatDoNotFitAreRefused(t *testing.T) {
	c := kinds()["classes in more columns than dimensions"]
	d := table(c, 10, 1)
	_, p := serving(t, c, d)
	spoil := func(f func(d *tabular.Data)) *tabular.Data {
		x := *table(c, 2, 1)
		f(&x)
		return &x
	}
	for name, x := range map[string]*tabular.Data{
		"columns":       spoil(func(d *tabular.Data) { d.NumWidth-- }),
		"values":        spoil(func(d *tabular.Data) { d.Num = d.Num[1:] }),
		"NaN":           spoil(func(d *tabular.Data) { d.Num[0] = float32(math.NaN()) }),
		"labels":        spoil(func(d *tabular.Data) { d.Y = d.Y[1:] }),
		"a class":       spoil(func(d *tabular.Data) { d.Y[0] = float32(c.Classes) }),
		"half a class":  spoil(func(d *tabular.Data) { d.Y[0] = 0.5 }),
		"negative rows": spoil(func(d *tabular.Data) { d.Rows = -1 }),
	} {
		if err := p.Add(x, []uint32{100, 101}); !errors.Is(err, ErrData) || p.Len() != 10 {
			t.Errorf("%s: %v, %d candidates", name, err, p.Len())
		}
	}
	if err := p.Add(d, nil); !errors.Is(err, ErrData) {
		t.Errorf("no ids: %v", err)
	}
	if err := p.Predict(background, Query{Rows: d}, nil); !errors.Is(err, ErrData) {
		t.Errorf("no room: %v", err)
	}
	unknown := table(c, 1, 1)
	unknown.Cat[0] = 99
	predict(t, p, Query{Rows: unknown})
}

func TestPredictionsGoOnWhileCandidatesChange(t *testing.T) {
	c := kinds()["plr-lite"]
	d := table(c, 300, 1)
	_, p := serving(t, c, part(d, 0, 100))
	var wait sync.WaitGroup
	wait.Go(func() {
		for i := 100; i < 300; i += 10 {
			if err := p.Add(part(d, i, i+10), numbered(i, i+10)); err != nil {
				t.Error(err)
			}
			p.Delete(uint32(i-100), uint32(i-50))
		}
	})
	for range 2 {
		wait.Go(func() {
			out := make([]float32, 20)
			for range 20 {
				if err := p.Predict(background, Query{Rows: part(d, 0, 20)}, out); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
}
