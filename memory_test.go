package eider

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eiderdb/eider/index"
)

func TestSizesAreReadAndWritten(t *testing.T) {
	for text, want := range map[string]Size{
		"512MiB": 512 << 20, "1.5 GiB": 3 << 29, "2gb": 2e9, "1000": 1000, "7B": 7, "0": 0, "0.5KiB": 512, " 3 kB ": 3000,
	} {
		got, err := ParseSize(text)
		if err != nil || got != want {
			t.Errorf("%q is %d, want %d (%v)", text, got, want, err)
		}
		if back, err := ParseSize(got.String()); err != nil || back != got {
			t.Errorf("%d is written %q, read %d (%v)", got, got, back, err)
		}
	}
	for _, bad := range []string{"", "MiB", "-1", "1e9", "0x10", "12 parsecs", "1_000", "NaN", "inf", "99999999TiB"} {
		if got, err := ParseSize(bad); CodeOf(err) != CodeInvalid {
			t.Errorf("%q is %d, %v", bad, got, err)
		}
	}
}

func FuzzParseSize(f *testing.F) {
	for _, s := range []string{"512MiB", "1.5 GiB", "7B", "", "1e9", "9223372036854775807"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSize(text)
		if err != nil {
			return
		}
		if back, err := ParseSize(s.String()); s < 0 || err != nil || back != s {
			t.Fatalf("%q is %d, read again %d (%v)", text, s, back, err)
		}
	})
}

// held makes a holding of given sizes.
func held(at int, sizes ...int64) holding { return holding{sizes: sizes, at: at} }

func TestFormsAreChosenToFitTheirMemory(t *testing.T) {
	for _, c := range []struct {
		what   string
		all    []holding
		budget int64
		want   []int
	}{
		{"there is no bound", []holding{held(2, 100, 50, 20)}, 0, []int{0}},
		{"all fit", []holding{held(0, 100, 50, 20)}, 200, []int{0}},
		{"near the bound", []holding{held(0, 100, 50, 20)}, 104, []int{1}},
		{"the one that saves most goes first", []holding{held(0, 100, 80), held(0, 100, 10)}, 160, []int{0, 1}},
		{"nothing fits", []holding{held(0, 100, 50)}, 10, []int{1}},
		{"room again", []holding{held(1, 100, 50)}, 208, []int{0}},
		{"not room enough", []holding{held(1, 100, 50)}, 144, []int{1}},
		{"room for one of two", []holding{held(1, 100, 50), held(1, 30, 10)}, 176, []int{1, 0}},
	} {
		if got := choose(c.all, c.budget); !slices.Equal(got, c.want) {
			t.Errorf("%s: forms %v, want %v", c.what, got, c.want)
		}
	}
}

func TestAFormTakesAboutWhatItIsSaidTo(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	db := open(t, "", nil)
	forms := map[string]Vector{
		"memory": {Dim: 100}, "half": {Dim: 100, Storage: index.Float16}, "none": {Dim: 100, Index: VectorIndex{Codes: "none"}},
		"disk": {Dim: 100, Index: VectorIndex{Originals: "disk"}}, "disk4": {Dim: 100, Index: VectorIndex{Codes: "int4", Originals: "disk"}},
		"bit": {Dim: 100, Index: VectorIndex{Codes: "bit", Originals: "disk"}}, "m": {Dim: 100, Index: VectorIndex{M: 4}},
		"flat": {Dim: 100, Index: VectorIndex{Kind: "flat"}}, "nested": {Dim: 100, Prefixes: []int{20, 50}},
	}
	c := create(t, db, "c", Schema{Vectors: forms})
	var docs []Doc
	for i := range 2000 {
		d := Doc{ID: fmt.Sprint(i), Vectors: map[string][]float32{}}
		for name := range forms {
			d.Vectors[name] = vec(r, 100)
		}
		docs = append(docs, d)
	}
	for part := range slices.Chunk(docs, 200) {
		must(c.Upsert(ctx, part...))(t)
	}
	if err := c.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	for name, v := range must(db.Stats(ctx))(t).Collections[0].Vectors {
		used, said := v.VectorBytes+v.CodeBytes+v.GraphBytes, c.Schema().Vectors[name].bytes(2000)
		if said < used*85/100 || said > used*115/100 {
			t.Errorf("%s takes %d bytes, was said to take %d", name, used, said)
		}
	}
}

func TestACollectionKeepsWithinItsMemoryAndGrowsBack(t *testing.T) {
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(7, 7))
	vecs := grouped(r, 4000, 128)
	db := open(t, dir, nil)
	c := create(t, db, "c", Schema{Vectors: map[string]Vector{"v": {Dim: 128, Metric: index.Cosine, Index: VectorIndex{EfConstruction: 60}}}})
	upsertVecs(t, c, 0, vecs)
	if err := c.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	stats := func() (VectorStats, *MemoryStats) {
		s := must(db.Stats(ctx))(t).Collections[0]
		return s.Vectors["v"], s.Memory
	}
	want, _ := nearest(t, c, vecs[9], true)
	await := func(memory Size, codes, originals string) {
		t.Helper()
		for end := time.Now().Add(time.Minute); ; time.Sleep(2 * time.Millisecond) {
			v, m := stats()
			if got, _ := nearest(t, c, vecs[9], true); !slices.Equal(got, want) {
				t.Fatalf("%v: hits %v, want %v", memory, got, want)
			}
			if v.Codes == codes && v.Originals == originals {
				if memory > 0 && (m.Used > int64(memory) || m.Advice != "" || m.Budget != int64(memory)) || memory == 0 && m != nil {
					t.Errorf("%v: %+v", memory, m)
				}
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%v: is kept as %s, %s", memory, v.Codes, v.Originals)
			}
		}
		if err := c.Ready(ctx); err != nil {
			t.Fatal(err)
		}
		if f := found(t, c, vecs[:20]); f < 0.85 {
			t.Errorf("%v: found %.3f", memory, f)
		}
		if codes := c.Schema().Vectors["v"].Index.Codes; codes != "" {
			t.Errorf("%v: the schema says codes %q", memory, codes)
		}
	}
	for _, s := range []struct {
		memory           Size
		codes, originals string
	}{
		{8 << 20, "int8", "memory"}, {3 << 20, "int8", "disk"}, {1400 << 10, "int4", "disk"}, {1050 << 10, "bit", "disk"},
		{2 << 20, "int4", "disk"}, {3 << 20, "int8", "disk"},
	} {
		if err := c.SetMemory(ctx, s.memory); err != nil {
			t.Fatal(err)
		}
		await(s.memory, s.codes, s.originals)
	}
	if err := c.SetMemory(ctx, 100<<10); CodeOf(err) != CodeInvalid || !strings.Contains(err.Error(), "set memory to at least 1MiB") {
		t.Errorf("a memory that nothing fits: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, dir, nil)
	c = must(db.Collection("c"))(t)
	if err := c.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	if v, _ := stats(); v.Codes != "int8" || v.Originals != "disk" || v.SavedLSN == 0 {
		t.Errorf("reopened as %s, %s, saved at %d", v.Codes, v.Originals, v.SavedLSN)
	}
	if err := c.SetMemory(ctx, 0); err != nil {
		t.Fatal(err)
	}
	await(0, "int8", "memory")
	if rep := must(db.Check(ctx))(t); !rep.OK {
		t.Errorf("check %+v", rep)
	}
}

func TestAMemoryThatWasOutgrownIsAdvisedUpon(t *testing.T) {
	db := open(t, "", nil)
	c := create(t, db, "c", Schema{Memory: 100 << 10, Vectors: map[string]Vector{"v": {Dim: 64, Index: VectorIndex{Rotate: true, EfConstruction: 40}}}})
	upsertVecs(t, c, 0, hidden(3000))
	if err := c.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(2 * time.Millisecond) {
		s := must(db.Stats(ctx))(t).Collections[0]
		if s.Vectors["v"].Codes == "int4" && strings.Contains(s.Memory.Advice, "set memory to at least") {
			break // bits have no rotation
		}
		if time.Now().After(end) {
			t.Fatalf("%+v, %+v", s.Memory, s.Vectors["v"])
		}
	}
}
