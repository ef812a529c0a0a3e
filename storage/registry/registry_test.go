package registry

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eiderdb/eider/internal/fault"
	"github.com/eiderdb/eider/storage"
	"github.com/eiderdb/eider/storage/format"
)

// options make Pebble flush and compact often.
func options(fs vfs.FS) *storage.Options {
	return &storage.Options{FS: fs, MemoryTable: 32 << 10, CacheBytes: 1 << 20, BitmapBytes: 1 << 20, MinFree: -1, Logger: slog.New(slog.DiscardHandler)}
}

func open(tb testing.TB, dir string) (*storage.Store, *Registry) {
	tb.Helper()
	s, err := storage.Open(dir, options(nil))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	r, err := Open(tb.Context(), s)
	if err != nil {
		tb.Fatal(err)
	}
	return s, r
}

// draft is a model whose every part is a function of seed, of about bytes bytes.
func draft(seed uint64, bytes int) (format.Model, map[string]format.Tensor) {
	rng := rand.New(rand.NewPCG(seed, 1))
	fill := func(n int) []byte {
		b := make([]byte, 0, 4*n)
		for range n {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(rng.Float32()))
		}
		return b
	}
	rows := max(1, bytes/16)
	m := format.Model{Name: "ctr", Kind: "din", Features: [32]byte{1}, To: seed, Seed: seed, Code: "r1", Config: []byte(`{"d":4,"features":"a&b <x>"}`),
		Metrics: []format.Metric{{Name: "auc", Value: .7, Low: .6, High: .8, Count: 10, Set: "test"}}}
	return m, map[string]format.Tensor{
		"embedding.weight": {DType: "F32", Shape: []int{rows, 4}, Data: fill(4 * rows)},
		"out.bias":         {DType: "F32", Shape: []int{1}, Data: fill(1)},
		"codes":            {DType: "I8", Shape: []int{3}, Data: []byte{1, 2, byte(seed)}},
	}
}

func put(tb testing.TB, r *Registry, seed uint64, bytes int) *format.Model {
	tb.Helper()
	m, tensors := draft(seed, bytes)
	v, err := r.Put(tb.Context(), m, tensors)
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

func promote(tb testing.TB, r *Registry, version uint32) *format.Promotion {
	tb.Helper()
	p, err := r.Promote(tb.Context(), "ctr", version, Production, Options{Gate: Gate{Metric: "auc"}})
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// whole loads what a reference names and compares it with its draft.
func whole(ctx context.Context, r *Registry, ref string, bytes int) (*format.Model, error) {
	v, err := r.Get(ref)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	_, want := draft(v.Model.Seed, bytes)
	if got, err := v.Load(ctx, Expect{}); err != nil || !reflect.DeepEqual(got, want) {
		return nil, fmt.Errorf("%v of seed %d is not what was stored: %w", v, v.Model.Seed, err)
	}
	return v.Model, v.Verify(ctx)
}

func clean(tb testing.TB, s *storage.Store) {
	tb.Helper()
	rep, err := s.Check(context.Background())
	if err != nil || !rep.OK() {
		tb.Fatalf("check: %v %+v", err, rep.Problems)
	}
}

// waste is the number of sets of chunks that no version names.
func waste(tb testing.TB, s *storage.Store) int {
	tb.Helper()
	n, err := s.SweepWeights(context.Background())
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

func TestStoredVersionReadsBackEqualAfterReopen(t *testing.T) {
	dir := t.TempDir()
	s, r := open(t, dir)
	const bytes = 5 << 19 // two chunks and a half
	want := put(t, r, 7, bytes)
	put(t, r, 8, 10)
	promote(t, r, 1)
	if s.Format().Format != 2 {
		t.Errorf("a store with models is of format %d, older binaries would lose them", s.Format().Format)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, r = open(t, dir)
	got, err := whole(t.Context(), r, "ctr", bytes)
	if err != nil || !reflect.DeepEqual(got, want) || got.Chunks() != 3 {
		t.Fatalf("read %+v, %v", got, err)
	}
	all, err := r.List()
	if err != nil || len(all) != 1 || len(all[0].Versions) != 2 || len(all[0].Aliases) != 1 || all[0].Aliases[0].Version != 1 {
		t.Errorf("list %+v, %v", all, err)
	}
	clean(t, s)
}

func TestEditsOfModelsAreInTheOneLog(t *testing.T) {
	s, r := open(t, t.TempDir())
	put(t, r, 1, 10)
	put(t, r, 2, 10)
	p := promote(t, r, 1)
	promote(t, r, 2)
	if err := r.Delete(t.Context(), "ctr", 2); !errors.Is(err, ErrInUse) {
		t.Error(err)
	}
	view, err := s.Acquire()
	if err != nil {
		t.Fatal(err)
	}
	defer view.Release()
	var got []string
	for ch, err := range view.Changes(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(ch.LSN, ch.Op, ch.Name, ch.Alias, ch.ModelVersion, ch.Superseded))
	}
	want := []string{"1 model ctr  1 false", "2 model ctr  2 false", "3 promote ctr production 1 false", "4 promote ctr production 2 false"}
	for i := range want {
		want[i] = strings.Join(strings.Fields(want[i]), " ")
	}
	for i := range got {
		got[i] = strings.Join(strings.Fields(got[i]), " ")
	}
	if p.LSN != 3 || len(got) != 4 {
		t.Errorf("log %q, promotion at LSN %d", got, p.LSN)
	}
	for i, w := range []string{"model", "model", "promote", "promote"} {
		if !strings.Contains(got[i], w) {
			t.Errorf("change %d is %q, want %s", i+1, got[i], w)
		}
	}
}

func TestGateRefusesAWorseCandidateAndSaysTheNumbers(t *testing.T) {
	_, r := open(t, t.TempDir())
	metric := func(value float64, lower bool, set string) format.Metric {
		return format.Metric{Name: "auc", Value: value, Low: value, High: value, Lower: lower, Set: set}
	}
	for i, x := range []format.Metric{metric(.8, false, "a"), metric(.78, false, "a"), metric(.9, false, "b"), metric(.1, true, "a")} {
		m, tensors := draft(uint64(i), 10)
		m.Metrics = []format.Metric{x}
		if _, err := r.Put(t.Context(), m, tensors); err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	promote(t, r, 1)
	var ge *GateError
	_, err := r.Promote(ctx, "ctr", 2, Production, Options{Gate: Gate{Metric: "auc", Margin: .01}})
	if !errors.As(err, &ge) || !errors.Is(err, ErrGate) || !strings.Contains(err.Error(), "0.78 [0.78, 0.78], 0.8 [0.8, 0.8] of version 1 serves") || !strings.Contains(err.Error(), "0.01 worse is allowed") {
		t.Errorf("worse by more than the margin: %v", err)
	}
	for name, c := range map[string]struct {
		version uint32
		gate    Gate
		says    string
	}{
		"no metric":           {2, Gate{}, "name a metric"},
		"metric of none":      {2, Gate{Metric: "ndcg"}, `no metric "ndcg"`},
		"other examples":      {3, Gate{Metric: "auc"}, "same examples"},
		"other direction":     {4, Gate{Metric: "auc"}, "disagree"},
		"another one given":   {2, Gate{Metric: "auc", Candidate: &format.Metric{Name: "x"}}, `no metric "auc"`},
		"worse as given":      {3, Gate{Metric: "auc", Candidate: ptr(metric(.7, false, "c")), Served: ptr(metric(.8, false, "c"))}, "0.7"},
		"lower, and it is up": {3, Gate{Metric: "auc", Candidate: ptr(metric(.9, true, "c")), Served: ptr(metric(.8, true, "c"))}, "lower is better"},
	} {
		if _, err := r.Promote(ctx, "ctr", c.version, Production, Options{Gate: c.gate}); !errors.Is(err, ErrGate) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want words about %s", name, err, c.says)
		}
	}
	if _, err := r.Promote(ctx, "ctr", 2, Production, Options{Gate: Gate{Metric: "auc", Margin: math.NaN()}}); !errors.Is(err, storage.ErrValue) {
		t.Errorf("a margin of NaN: %v", err)
	}
	p, err := r.Promote(ctx, "ctr", 2, Production, Options{Gate: Gate{Metric: "auc", Margin: .02000001}})
	if err != nil || p.Forced || p.Candidate != .78 || p.Served != .8 || p.Previous != 1 {
		t.Errorf("within the margin: %+v, %v", p, err)
	}
	if p, err = r.Promote(ctx, "ctr", 4, Production, Options{Force: true, Note: "fire"}); err != nil || !p.Forced || p.Note != "fire" {
		t.Errorf("forced: %+v, %v", p, err)
	}
}

func ptr[T any](x T) *T { return &x }

func TestRollbackWalksBackAndHistoryKeepsAll(t *testing.T) {
	s, r := open(t, t.TempDir())
	ctx := t.Context()
	for seed := range uint64(4) {
		put(t, r, seed, 10)
		promote(t, r, uint32(seed+1))
	}
	if err := r.Delete(ctx, "ctr", 3); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "rolled back") {
		t.Errorf("deleting what a rollback needs: %v", err)
	}
	if err := r.Delete(ctx, "ctr", 2); err != nil {
		t.Fatal(err)
	}
	for _, want := range []uint32{3, 1} { // 2 is gone
		if p, err := r.Rollback(ctx, "ctr", Production, Options{Note: "bad"}); err != nil || p.Version != want || !p.Rollback {
			t.Fatalf("rolled back to %+v, %v; want %d", p, err, want)
		}
	}
	if _, err := r.Rollback(ctx, "ctr", Production, Options{}); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("rolled back past the first: %v", err)
	}
	if err := r.Unalias(ctx, "ctr", Production, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Get("ctr"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("a removed alias: %v", err)
	}
	if p, err := r.Rollback(ctx, "ctr", Production, Options{}); err != nil || p.Version != 1 {
		t.Errorf("rolled back to %+v, %v", p, err)
	}
	var versions []uint32
	all, err := r.History("ctr", Production)
	for _, p := range all {
		versions = append(versions, p.Version)
	}
	if want := []uint32{1, 0, 1, 3, 4, 3, 2, 1}; err != nil || !slices.Equal(versions, want) {
		t.Errorf("history %v, %v; want %v", versions, err, want)
	}
	if v := put(t, r, 9, 10); v.Version != 5 {
		t.Errorf("version %d after four", v.Version)
	}
	clean(t, s)
}

func TestHeldVersionStaysReadableWhileItIsReplacedAndDeleted(t *testing.T) {
	s, r := open(t, t.TempDir())
	put(t, r, 1, 3<<20)
	promote(t, r, 1)
	held, err := r.Get("ctr")
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	for seed := uint64(2); seed < 4; seed++ {
		put(t, r, seed, 10)
		promote(t, r, uint32(seed))
	}
	if err := r.Delete(t.Context(), "ctr", 1); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Get("ctr@1"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("deleted version: %v", err)
	}
	_, want := draft(1, 3<<20)
	if got, err := held.Load(t.Context(), Expect{}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("held version: %v", err)
	}
	clean(t, s)
}

func TestWhatDoesNotFitIsRefusedWithBothSides(t *testing.T) {
	_, r := open(t, t.TempDir())
	put(t, r, 1, 32)
	v, err := r.Get("ctr@1")
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	shapes := func(change func(map[string]Shape)) map[string]Shape {
		all := map[string]Shape{"embedding.weight": {"F32", []int{-1, 4}}, "out.bias": {"F32", []int{1}}, "codes": {"I8", []int{3}}}
		change(all)
		return all
	}
	if _, err := v.Load(t.Context(), Expect{Kind: "din", Features: [32]byte{1}, Tensors: shapes(func(map[string]Shape) {})}); err != nil {
		t.Errorf("what fits: %v", err)
	}
	for says, want := range map[string]Expect{
		`tensor "embedding.weight" of ctr@1 is F32[2 4], the model needs F32[-1 8]`: {Tensors: shapes(func(m map[string]Shape) { m["embedding.weight"] = Shape{"F32", []int{-1, 8}} })},
		`tensor "codes" of ctr@1 is I8[3], the model needs U8[3]`:                   {Tensors: shapes(func(m map[string]Shape) { m["codes"] = Shape{"U8", []int{3}} })},
		`lacks tensor "out.weight", the model needs F32[4]`:                         {Tensors: shapes(func(m map[string]Shape) { m["out.weight"] = Shape{"F32", []int{4}} })},
		`has a tensor "out.bias", F32[1], that kind din does not know`:              {Tensors: shapes(func(m map[string]Shape) { delete(m, "out.bias") })},
		`schema 01` + strings.Repeat("0", 62) + `, the data has 02`:                 {Features: [32]byte{2}},
		`is of kind din, bert is asked for`:                                         {Kind: "bert"},
	} {
		if _, err := v.Load(t.Context(), want); !errors.Is(err, ErrMismatch) || !strings.Contains(err.Error(), says) {
			t.Errorf("%v; want %s", err, says)
		}
		if _, err := r.Promote(t.Context(), "ctr", 1, Production, Options{Expect: want}); !errors.Is(err, ErrMismatch) {
			t.Errorf("promoted: %v", err)
		}
	}
}

func TestRefusedVersionsLeaveNothing(t *testing.T) {
	s, r := open(t, t.TempDir())
	ctx := t.Context()
	m, tensors := draft(1, 3<<20)
	nan := binary.LittleEndian.AppendUint32(slices.Clone(tensors["embedding.weight"].Data[4:]), math.Float32bits(float32(math.NaN())))
	tensors["embedding.weight"] = format.Tensor{DType: "F32", Shape: tensors["embedding.weight"].Shape, Data: nan}
	if _, err := r.Put(ctx, m, tensors); !errors.Is(err, storage.ErrValue) || !strings.Contains(err.Error(), `element 786431 of tensor "embedding.weight"`) {
		t.Errorf("a weight that is NaN: %v", err)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	good, tensors := draft(1, 3<<20)
	if _, err := r.Put(canceled, good, tensors); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for name, change := range map[string]func(*format.Model){
		"name": func(m *format.Model) { m.Name = "../x" }, "kind": func(m *format.Model) { m.Kind = "" },
		"config": func(m *format.Model) { m.Config = []byte("{") }, "range": func(m *format.Model) { m.From, m.To = 2, 1 },
		"metric": func(m *format.Model) { m.Metrics = []format.Metric{{Name: "auc", Value: math.Inf(1)}} },
		"parent": func(m *format.Model) { m.Parent = 1 },
	} {
		m, tensors := draft(1, 10)
		change(&m)
		if _, err := r.Put(ctx, m, tensors); !errors.Is(err, storage.ErrValue) {
			t.Errorf("bad %s: %v", name, err)
		}
	}
	if all, err := r.List(); err != nil || len(all) != 0 || waste(t, s) != 0 {
		t.Errorf("%+v is left, %v", all, err)
	}
	clean(t, s)
}

func TestDamagedChunkIsNamedByCheckAndNeverPromoted(t *testing.T) {
	s, r := open(t, t.TempDir())
	m := put(t, r, 1, 3<<20)
	if err := s.EditModels(t.Context(), false, func(e *storage.ModelEdit) error {
		e.DropWeights(m.Weights)
		e.Log(format.OpModel, "ctr", "", 1)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Promote(t.Context(), "ctr", 1, Production, Options{}); !errors.Is(err, storage.ErrCorrupt) || !strings.Contains(err.Error(), `"embedding.weight"`) {
		t.Errorf("promoted: %v", err)
	}
	rep, err := s.Check(t.Context())
	if err != nil || len(rep.Problems) != 1 || rep.Problems[0].Kind != "model" || !strings.Contains(rep.Problems[0].Detail, "embedding.weight") {
		t.Errorf("check %+v, %v", rep.Problems, err)
	}
}

func TestBackupsCarryModels(t *testing.T) {
	dir := t.TempDir()
	s, r := open(t, filepath.Join(dir, "store"))
	ctx := t.Context()
	put(t, r, 1, 3<<20)
	promote(t, r, 1)
	full, err := s.Backup(ctx, filepath.Join(dir, "full"), 0)
	if err != nil {
		t.Fatal(err)
	}
	for seed := uint64(2); seed < 5; seed++ {
		put(t, r, seed, 3<<20)
		promote(t, r, uint32(seed))
	}
	if err := r.Delete(ctx, "ctr", 1); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Backup(ctx, filepath.Join(dir, "more"), full.LSN); err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(dir, "back")
	if _, err := storage.Restore(ctx, target, filepath.Join(dir, "full"), filepath.Join(dir, "more")); err != nil {
		t.Fatal(err)
	}
	back, rb := open(t, target)
	for _, v := range []int{2, 3, 4} {
		if _, err := whole(ctx, rb, fmt.Sprintf("ctr@%d", v), 3<<20); err != nil {
			t.Error(err)
		}
	}
	want, err1 := r.List()
	got, err2 := rb.List()
	if !reflect.DeepEqual(got, want) || err1 != nil || err2 != nil {
		t.Errorf("restored %+v, %v; want %+v, %v", got, err2, want, err1)
	}
	if n := waste(t, back); n != 0 {
		t.Errorf("%d sets of chunks of deleted versions came back", n)
	}
	clean(t, back)
	if _, err := storage.Restore(ctx, filepath.Join(dir, "first"), filepath.Join(dir, "full")); err != nil {
		t.Fatal(err)
	}
	_, rf := open(t, filepath.Join(dir, "first"))
	if m, err := whole(ctx, rf, "ctr", 3<<20); err != nil || m.Version != 1 {
		t.Errorf("the full backup serves %+v, %v", m, err)
	}
}

func TestReadersSeeWholeVersionsWhileOthersPromote(t *testing.T) {
	s, r := open(t, t.TempDir())
	ctx := t.Context()
	const bytes = 1200
	for seed := range uint64(4) {
		put(t, r, seed, bytes)
	}
	promote(t, r, 1)
	stop := make(chan struct{})
	var readers, writers sync.WaitGroup
	reads := [3]int{}
	for i := range reads {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := whole(ctx, r, "ctr", bytes); err != nil {
					t.Error(err)
					return
				}
				reads[i]++
			}
		})
	}
	for w := range 3 {
		writers.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 2))
			for i := range 40 {
				var err error
				switch rng.IntN(5) {
				case 0:
					_, err = r.Rollback(ctx, "ctr", Production, Options{})
				case 1:
					m, tensors := draft(uint64(100*w+i), bytes)
					_, err = r.Put(ctx, m, tensors)
				case 2:
					err = r.Delete(ctx, "ctr", uint32(1+rng.IntN(6)))
				default:
					_, err = r.Promote(ctx, "ctr", uint32(1+rng.IntN(6)), Production, Options{Gate: Gate{Metric: "auc"}})
				}
				if err != nil && !errors.Is(err, storage.ErrNotFound) && !errors.Is(err, ErrInUse) {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	if waste(t, s) != 0 || reads[0] == 0 {
		t.Errorf("reads %v", reads)
	}
	clean(t, s)
}

func TestMain(m *testing.M) {
	switch mode := fault.Mode(); mode {
	case "":
		os.Exit(m.Run())
	case "kill":
		killChild()
	default:
		fmt.Fprintln(os.Stderr, "unknown mode", mode)
		os.Exit(98)
	}
}

func TestRollbackTriesTheVersionBeforeTheAliasMoves(t *testing.T) {
	_, r := open(t, t.TempDir())
	ctx := t.Context()
	for n := range uint64(2) {
		promote(t, r, put(t, r, n, 32).Version)
	}
	broken := errors.New("broken")
	var tried []string
	o := Options{Note: "bad", Warm: func(_ context.Context, v *Version) error {
		tried = append(tried, v.String())
		if now, err := At(v.View(), "ctr"); err != nil || now.Model.Version != 2 {
			t.Errorf("while it is tried %v serves: %v", now, err)
		} else {
			now.Close()
		}
		return broken
	}}
	if _, err := r.Rollback(ctx, "ctr", Production, o); !errors.Is(err, broken) {
		t.Errorf("rolled back to a broken version: %v", err)
	}
	broken = nil
	if p, err := r.Rollback(ctx, "ctr", Production, o); err != nil || p.Version != 1 || p.Note != "bad" {
		t.Errorf("rolled back to %+v, %v", p, err)
	}
	if !slices.Equal(tried, []string{"ctr@1", "ctr@1"}) {
		t.Errorf("tried %v", tried)
	}
}
