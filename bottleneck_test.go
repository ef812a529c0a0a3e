package eider

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/eiderdb/eider/embed/bottleneck"
)

// smallBottleneck learns fast.
var smallBottleneck = BottleneckSpec{Config: bottleneck.Config{Heads: 16, Keys: 32, KeyDim: 4, Seed: 1}}

// kinds of things lie around four corners; kind is what d4k is, d4k+1, ..
func kindDoc(i int) Doc {
	r := rand.New(rand.NewPCG(9, uint64(i)))
	v := vec(r, 8)
	for j := range v {
		v[j] = 0.2*v[j] + float32((i%4>>(j%2))&1)
	}
	return Doc{ID: fmt.Sprint("d", i), Vectors: map[string][]float32{"v": v}}
}

func labelOf(i int) string { return fmt.Sprint("kind ", i%4) }

func kinds4(t testing.TB, db *DB, n int) *Collection {
	t.Helper()
	c := create(t, db, "c", Schema{Vectors: map[string]Vector{"v": {Dim: 8}}})
	var docs []Doc
	for i := range n {
		docs = append(docs, kindDoc(i))
	}
	if _, err := c.Upsert(ctx, docs...); err != nil {
		t.Fatal(err)
	}
	return c
}

func lessons(from, to int) (all []Example) {
	for i := from; i < to; i++ {
		all = append(all, Example{ID: fmt.Sprint("d", i), Label: labelOf(i)})
	}
	return all
}

// stateOf is the whole state of a bottleneck, in bytes.
func stateOf(t testing.TB, b *Bottleneck) []byte {
	t.Helper()
	var w bytes.Buffer
	if err := b.read(ctx, func(l *bottleneck.Learner) error { return l.Write(&w) }); err != nil {
		t.Fatal(err)
	}
	return w.Bytes()
}

// correct is the share of documents whose kind is predicted.
func correct(t testing.TB, b *Bottleneck, from, to int) float64 {
	t.Helper()
	var in Unclassified
	for i := from; i < to; i++ {
		in.IDs = append(in.IDs, fmt.Sprint("d", i))
	}
	n := 0
	for i, p := range must(b.Classify(ctx, in))(t) {
		if p.Label == labelOf(from+i) {
			n++
		}
	}
	return float64(n) / float64(to-from)
}

func TestABottleneckLearnsPredictsNamesItsRowsAndUnlearns(t *testing.T) {
	c := kinds4(t, memory(t, nil), 400)
	b := must(c.CreateBottleneck(ctx, "kind", smallBottleneck))(t)
	got := must(b.Learn(ctx, lessons(0, 200)...))(t)
	if got.Learned != 200 || got.LSN == 0 || got.Loss <= 0 {
		t.Errorf("%+v", got)
	}
	if share := correct(t, b, 200, 400); share < 0.98 {
		t.Errorf("%.3f are right", share)
	}
	p := must(b.Classify(ctx, Unclassified{IDs: []string{"d201"}, Vectors: [][]float32{kindDoc(202).Vectors["v"]}, Explain: 5}))(t)
	if len(p) != 2 || p[0].ID != "d201" || p[1].Label != "kind 2" || len(p[0].Voters) != 5 || p[0].Voted < 5 || p[0].Voters[0].Label != "kind 1" {
		t.Errorf("%+v", p)
	}
	if err := b.Unlearn(ctx, "d0"); err != nil {
		t.Error(err)
	}
	if err := b.Unlearn(ctx, "d0"); !errors.Is(err, ErrNotFound) {
		t.Errorf("unlearned twice: %v", err)
	}
	if err := b.UnlearnClass(ctx, "kind 3"); err != nil {
		t.Error(err)
	}
	if share := correct(t, b, 200, 400); share < 0.73 || share > 0.75 {
		t.Errorf("%.3f are right without one of four kinds", share)
	}
	info := must(b.Info(ctx))(t)
	if info.Rows != 149 || !slices.Equal(info.Classes, []string{"kind 0", "kind 1", "kind 2"}) || info.Used == 0 || info.Sampled != 400 {
		t.Errorf("%+v", info)
	}
}

func TestABottleneckIsTheSameAfterOpeningAnew(t *testing.T) {
	due := snapshotDue
	defer func() { snapshotDue = due }()
	for _, often := range []bool{false, true} {
		snapshotDue = func(logged, _ int64) bool { return often && logged > 2000 }
		dir := t.TempDir()
		db := open(t, dir, nil)
		b := must(kinds4(t, db, 200).CreateBottleneck(ctx, "kind", smallBottleneck))(t)
		for i := 0; i < 200; i += 10 {
			must(b.Learn(ctx, lessons(i, i+10)...))(t)
		}
		if err := errors.Join(b.Unlearn(ctx, "d7"), b.UnlearnClass(ctx, "kind 2")); err != nil {
			t.Fatal(err)
		}
		want := stateOf(t, b)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		for _, o := range []*Options{nil, {ReadOnly: true}} {
			db = open(t, dir, o)
			b = must(must(db.Collection("c"))(t).Bottleneck("kind"))(t)
			if !bytes.Equal(stateOf(t, b), want) {
				t.Errorf("snapshots %v: another state after opening", often)
			}
			if o != nil {
				if _, err := b.Learn(ctx, lessons(0, 1)...); !errors.Is(err, ErrReadOnly) {
					t.Errorf("learned read-only: %v", err)
				}
			}
			if rep := must(db.Check(ctx))(t); !rep.OK {
				t.Errorf("%+v", rep)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestLearnersThatCommitTogetherLeaveOneOrder(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir, nil)
	b := must(kinds4(t, db, 200).CreateBottleneck(ctx, "kind", smallBottleneck))(t)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := w; i < 200; i += 8 {
				if _, err := b.Learn(ctx, lessons(i, i+1)...); err != nil {
					t.Error(err)
				}
				if _, err := b.Classify(ctx, Unclassified{IDs: []string{"d1"}, Explain: 2}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	want := stateOf(t, b)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	b = must(must(open(t, dir, nil).Collection("c"))(t).Bottleneck("kind"))(t)
	if !bytes.Equal(stateOf(t, b), want) {
		t.Error("the log gives another state than what was served")
	}
}

func TestARefusedCallTeachesNothing(t *testing.T) {
	c := kinds4(t, memory(t, nil), 50)
	b := must(c.CreateBottleneck(ctx, "kind", smallBottleneck))(t)
	want := stateOf(t, b)
	good := lessons(0, 1)[0]
	for name, x := range map[string]struct {
		bad  Example
		want error
	}{
		"no label":  {Example{ID: "d1"}, ErrInvalid},
		"nobody":    {Example{Label: "a"}, ErrInvalid},
		"unknown":   {Example{ID: "x", Label: "a"}, ErrNotFound},
		"dimension": {Example{Vector: []float32{1}, Label: "a"}, ErrDimension},
		"targets":   {Example{ID: "d1", Label: "a", Targets: []float32{1}}, ErrInvalid},
	} {
		_, err := b.Learn(ctx, good, x.bad)
		var e *Error
		if !errors.Is(err, x.want) || !errors.As(err, &e) || e.Field != "/examples/1" {
			t.Errorf("%s: %v", name, err)
		}
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := b.Learn(ended, good); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if !bytes.Equal(stateOf(t, b), want) {
		t.Error("something was learned")
	}
}

func TestStepsWithoutBoundAreRefusedAndLeaveNothing(t *testing.T) {
	c := kinds4(t, memory(t, nil), 50)
	spec := smallBottleneck
	spec.Config.Targets, spec.Config.Rate = 1, 1e6
	b := must(c.CreateBottleneck(ctx, "y", spec))(t)
	want := stateOf(t, b)
	var all []Example
	for range 40 {
		all = append(all, Example{ID: "d1", Targets: []float32{1e20}})
	}
	if _, err := b.Learn(ctx, all...); !errors.Is(err, ErrInvalid) {
		t.Errorf("%v", err)
	}
	if !bytes.Equal(stateOf(t, b), want) {
		t.Error("something was learned")
	}
}

func TestARegressionBottleneckPredictsTargets(t *testing.T) {
	c := kinds4(t, memory(t, nil), 300)
	spec := smallBottleneck
	spec.Config.Targets = 1
	b := must(c.CreateBottleneck(ctx, "y", spec))(t)
	for range 3 {
		for i := range 200 {
			must(b.Learn(ctx, Example{ID: fmt.Sprint("d", i), Targets: []float32{float32(i % 4)}}))(t)
		}
	}
	off := 0.0
	for i := 200; i < 300; i++ {
		p := must(b.Classify(ctx, Unclassified{IDs: []string{fmt.Sprint("d", i)}, Explain: 1}))(t)[0]
		d := float64(p.Targets[0] - float32(i%4))
		off += d * d / 100
		if p.Label != "" || len(p.Voters) != 1 {
			t.Fatalf("%+v", p)
		}
	}
	if off > 0.2 { // the targets' variance is 1.25
		t.Errorf("mean squared error %.3f", off)
	}
}

func TestBottlenecksComeAndGo(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir, nil)
	c := kinds4(t, db, 50)
	b := must(c.CreateBottleneck(ctx, "kind", smallBottleneck))(t)
	must(b.Learn(ctx, lessons(0, 50)...))(t)
	if _, err := c.CreateBottleneck(ctx, "kind", smallBottleneck); !errors.Is(err, ErrExists) {
		t.Errorf("created twice: %v", err)
	}
	if _, err := c.Bottleneck("none"); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v", err)
	}
	if err := db.PutSetting(ctx, headKey(c.id, "kind"), []byte("x")); !errors.Is(err, ErrInvalid) {
		t.Errorf("a setting of the database was overwritten: %v", err)
	}
	if all := must(c.Bottlenecks(ctx))(t); len(all) != 1 || all[0].Name != "kind" || all[0].Rows != 50 {
		t.Errorf("%+v", all)
	}
	if err := c.DropBottleneck(ctx, "kind"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Learn(ctx, lessons(0, 1)...); !errors.Is(err, ErrNotFound) {
		t.Errorf("a dropped one learns: %v", err)
	}
	b = must(c.CreateBottleneck(ctx, "kind", smallBottleneck))(t)
	if info := must(b.Info(ctx))(t); info.Rows != 0 {
		t.Errorf("%+v", info)
	}
	if err := db.DropCollection(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	for key := range db.Settings("") {
		t.Errorf("setting %s is left", key)
	}
}

func TestABackupHoldsWhatABottleneckLearned(t *testing.T) {
	db := open(t, t.TempDir(), nil)
	b := must(kinds4(t, db, 100).CreateBottleneck(ctx, "kind", smallBottleneck))(t)
	must(b.Learn(ctx, lessons(0, 50)...))(t)
	full, more, target := t.TempDir()+"/full", t.TempDir()+"/more", t.TempDir()+"/restored"
	info := must(db.Backup(ctx, full, 0))(t)
	must(b.Learn(ctx, lessons(50, 100)...))(t)
	must(db.Backup(ctx, more, info.LSN))(t)
	if err := Restore(ctx, target, full, more); err != nil {
		t.Fatal(err)
	}
	restored := must(must(open(t, target, nil).Collection("c"))(t).Bottleneck("kind"))(t)
	if !bytes.Equal(stateOf(t, restored), stateOf(t, b)) {
		t.Error("the restored bottleneck is another")
	}
}

func TestABottleneckWhoseVectorIsGoneSaysSo(t *testing.T) {
	c := kinds4(t, memory(t, nil), 50)
	b := must(c.CreateBottleneck(ctx, "kind", smallBottleneck))(t)
	if err := c.AddVector(ctx, "w", Vector{Dim: 8}); err != nil {
		t.Fatal(err)
	}
	if err := c.DropVector(ctx, "v"); err != nil {
		t.Fatal(err)
	}
	if err := c.AddVector(ctx, "v", Vector{Dim: 8}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Learn(ctx, Example{Vector: make([]float32, 8), Label: "a"}); !errors.Is(err, ErrInvalid) {
		t.Errorf("%v", err)
	}
}
