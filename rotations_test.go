package eider

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/storage/format"
)

func init() { tendEvery, tendRest = 10*time.Millisecond, 20*time.Millisecond }

const hiddenDim = 64

// hidden are vectors of 64 components that a random basis of 12 and some noise make:
// no prefix says much of them, and a few rotated components nearly all.
func hidden(n int) [][]float32 {
	r := rand.New(rand.NewPCG(5, 5))
	basis := make([][]float32, 12)
	for i := range basis {
		basis[i] = vec(r, hiddenDim)
	}
	out := make([][]float32, n)
	for i := range out {
		out[i] = vec(r, hiddenDim)
		for j := range out[i] {
			out[i][j] *= 0.1
		}
		for _, b := range basis {
			f := float32(r.NormFloat64())
			for j, x := range b {
				out[i][j] += f * x
			}
		}
	}
	return out
}

var rotating = Schema{Vectors: map[string]Vector{"v": {Dim: hiddenDim, Metric: index.Cosine, Index: VectorIndex{Rotate: true, EfConstruction: 60}}}}

func upsertVecs(t testing.TB, c *Collection, from int, vecs [][]float32) {
	t.Helper()
	var docs []Doc
	for i, v := range vecs {
		docs = append(docs, Doc{ID: fmt.Sprint(from + i), Vectors: map[string][]float32{"v": v}})
	}
	for part := range slices.Chunk(docs, 500) {
		must(c.Upsert(ctx, part...))(t)
	}
}

func rotationStats(t testing.TB, db *DB) *RotationStats {
	t.Helper()
	return must(db.Stats(ctx))(t).Collections[0].Vectors["v"].Rotation
}

// awaitRotation returns when the index is rotated as the store says.
func awaitRotation(t testing.TB, db *DB) *RotationStats {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if s := rotationStats(t, db); s != nil && s.Learned > 0 {
			return s
		}
		if time.Now().After(end) {
			t.Fatal("no rotation in a minute")
		}
	}
}

// nearest are ids and scores of the ten nearest to q, and the plan.
func nearest(t testing.TB, c *Collection, q []float32, exact bool) (hits []string, plan string) {
	t.Helper()
	r := must(c.Search(ctx, Query{Retrieve: []Retrieve{{Near: &Near{Value: q}, Exact: exact, Ef: 100}}, Limit: 10, Explain: true}))(t)
	for _, h := range r.Hits {
		hits = append(hits, fmt.Sprint(h.ID, " ", h.Score))
	}
	for _, p := range r.Explain.Phases {
		if p.Name == "retrieve" {
			plan = p.Plan
		}
	}
	return hits, plan
}

// found is the share of the nearest, by id and score, that walks find.
func found(t testing.TB, c *Collection, queries [][]float32) float64 {
	t.Helper()
	n := 0
	for _, q := range queries {
		want, _ := nearest(t, c, q, true)
		got, _ := nearest(t, c, q, false)
		for _, h := range got {
			if slices.Contains(want, h) {
				n++
			}
		}
	}
	return float64(n) / float64(10*len(queries))
}

// rotated is a database whose index has been rotated.
func rotated(t *testing.T, dir string, vecs [][]float32) (*DB, *Collection) {
	t.Helper()
	db := open(t, dir, &Options{SnapshotInterval: -1})
	c := create(t, db, "c", rotating)
	upsertVecs(t, c, 0, vecs)
	awaitRotation(t, db)
	if err := c.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	return db, c
}

func TestARotationIsLearnedFromEnoughVectorsAndChangesNoScore(t *testing.T) {
	vecs := hidden(4300)
	db := open(t, t.TempDir(), nil)
	c := create(t, db, "c", rotating)
	upsertVecs(t, c, 0, vecs[:3900])
	if err := c.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	before, plan := nearest(t, c, vecs[7], true)
	time.Sleep(20 * tendEvery)
	if s := rotationStats(t, db); s != nil || strings.Contains(plan, "rotated") {
		t.Fatalf("rotated from too few vectors: %+v, %s", s, plan)
	}
	upsertVecs(t, c, 3900, vecs[3900:4100])
	s := awaitRotation(t, db)
	if s.Learned < 4000 || s.Learned > 4100 || s.Bytes != 4*hiddenDim*hiddenDim || !slices.Equal(s.Prefixes, []int{16, 32}) {
		t.Errorf("stats %+v", s)
	}
	// What comes and goes after the swap, and went during the build.
	upsertVecs(t, c, 4100, vecs[4100:])
	must(c.Delete(ctx, "11"))(t)
	if err := c.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	after, _ := nearest(t, c, vecs[7], true)
	if before[0] != after[0] || !strings.HasPrefix(after[0], "7 ") {
		t.Errorf("nearest was %s and is %s", before[0], after[0])
	}
	if f := found(t, c, vecs[4200:4260]); f < 0.97 {
		t.Errorf("walks on 16 rotated components find %.3f", f)
	}
	if hits, plan := nearest(t, c, vecs[11], false); strings.HasPrefix(hits[0], "11 ") || !strings.Contains(plan, "on 16 of 64 components of rotated vectors") {
		t.Errorf("%s; %s", hits[0], plan)
	}
	if rep := must(db.Check(ctx))(t); !rep.OK {
		t.Errorf("check %+v", rep)
	}
}

func TestTheOldIndexServesAndTakesWritesWhileItsRotatedTwinIsBuilt(t *testing.T) {
	vecs := hidden(5000)
	db := open(t, "", nil)
	c := create(t, db, "c", rotating)
	upsertVecs(t, c, 0, vecs[:4000])
	for i := 4000; rotationStats(t, db) == nil; i++ {
		if i == 5000 {
			awaitRotation(t, db)
			break
		}
		upsertVecs(t, c, i, vecs[i:i+1])
		must(c.Delete(ctx, fmt.Sprint(i-4000)))(t)
		hits, _ := nearest(t, c, vecs[i], false)
		if gone, _ := nearest(t, c, vecs[i-4000], false); !strings.HasPrefix(hits[0], fmt.Sprint(i, " ")) || strings.HasPrefix(gone[0], fmt.Sprint(i-4000, " ")) {
			t.Fatalf("%d: %s, %s", i, hits[0], gone[0])
		}
	}
	if err := c.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	n := int(must(c.Count(ctx, nil))(t))
	if v := must(db.Stats(ctx))(t).Collections[0].Vectors["v"]; n != 4000 || v.Live != n {
		t.Errorf("%d documents, %d in the index", n, v.Live)
	}
	if rep := must(db.Check(ctx))(t); !rep.OK {
		t.Errorf("check %+v", rep)
	}
}

func TestAReopenedIndexIsRotatedFromItsSnapshotOrFromTheStore(t *testing.T) {
	dir := t.TempDir()
	vecs := hidden(4050)
	db, c := rotated(t, dir, vecs)
	learned := rotationStats(t, db).Learned
	want, _ := nearest(t, c, vecs[9], false)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	lose := map[string]func(){
		"nothing": func() {},
		"the snapshot": func() {
			if err := os.RemoveAll(filepath.Join(dir, "snapshots")); err != nil {
				t.Fatal(err)
			}
		},
		"a byte of the rotation in the snapshot": func() {
			files, err := filepath.Glob(filepath.Join(dir, "snapshots", "*"))
			if err != nil || len(files) != 1 {
				t.Fatal(files, err)
			}
			b, err := os.ReadFile(files[0])
			if err != nil {
				t.Fatal(err)
			}
			b[len(b)-100] ^= 1
			if err := os.WriteFile(files[0], b, 0o644); err != nil {
				t.Fatal(err)
			}
		},
	}
	for _, what := range []string{"nothing", "the snapshot", "a byte of the rotation in the snapshot"} {
		lose[what]()
		db = open(t, dir, &Options{SnapshotInterval: -1})
		c = must(db.Collection("c"))(t)
		if s := awaitRotation(t, db); s.Learned != learned {
			t.Errorf("lost %s: learned from %d, was %d", what, s.Learned, learned)
		}
		if saved := must(db.Stats(ctx))(t).Collections[0].Vectors["v"].SavedLSN > 0; saved != (what == "nothing") {
			t.Errorf("lost %s: from its snapshot %v", what, saved)
		}
		if err := c.Ready(ctx); err != nil {
			t.Fatal(err)
		}
		if got, _ := nearest(t, c, vecs[9], false); !slices.Equal(got, want) {
			t.Errorf("lost %s: %v, want %v", what, got, want)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestARotationThatTheStoreLostIsTakenFromTheIndexOrLearnedAgain(t *testing.T) {
	dir := t.TempDir()
	vecs := hidden(4050)
	db, c := rotated(t, dir, vecs)
	l := db.lives()[0]
	rows := rotationOf(*l.index.Load())
	shape := format.Rotation{Learned: 4050, Rows: make([]float32, len(rows))} // its checksum is right, it is no rotation
	for _, lost := range []struct {
		what     string
		now      format.Rotation
		snapshot bool // is kept
		same     bool // the rotation stays
	}{
		{"the key", format.Rotation{}, true, true},
		{"the key and the snapshot", format.Rotation{}, false, false},
		{"what made it a rotation, and the snapshot", shape, false, false},
		{"its youth", format.Rotation{Learned: 500, Rows: rows}, true, false},
	} {
		if err := db.store.SetRotation(ctx, c.id, l.id, lost.now); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if !lost.snapshot {
			if err := os.RemoveAll(filepath.Join(dir, "snapshots")); err != nil {
				t.Fatal(err)
			}
		}
		db = open(t, dir, &Options{SnapshotInterval: -1})
		c = must(db.Collection("c"))(t)
		for awaitRotation(t, db).Learned < 4000 {
			time.Sleep(time.Millisecond)
		}
		if err := c.Ready(ctx); err != nil {
			t.Fatal(err)
		}
		now := rotationOf(*db.lives()[0].index.Load())
		if lost.same && !slices.Equal(now, rows) || len(now) != len(rows) || slices.Equal(now, shape.Rows) {
			t.Errorf("lost %s: the rotation is another", lost.what)
		}
		rows = now
		if f := found(t, c, vecs[:20]); f < 0.97 {
			t.Errorf("lost %s: found %.3f", lost.what, f)
		}
		if rep := must(db.Check(ctx))(t); len(rep.Indexes) > 0 || lost.snapshot && !rep.OK {
			t.Errorf("lost %s: check %+v", lost.what, rep)
		}
	}
}

func TestRotationsComeWithBackupsAndGoWithTheOption(t *testing.T) {
	dir := t.TempDir()
	vecs := hidden(4050)
	db, c := rotated(t, filepath.Join(dir, "db"), vecs)
	learned := rotationStats(t, db).Learned
	full, err := db.Backup(ctx, filepath.Join(dir, "full"), 0)
	if err != nil {
		t.Fatal(err)
	}
	upsertVecs(t, c, 4050, hidden(4060)[4050:])
	must(db.Backup(ctx, filepath.Join(dir, "more"), full.LSN))(t)
	if err := Restore(ctx, filepath.Join(dir, "back"), filepath.Join(dir, "full"), filepath.Join(dir, "more")); err != nil {
		t.Fatal(err)
	}
	back := open(t, filepath.Join(dir, "back"), nil)
	if s := awaitRotation(t, back); s.Learned != learned {
		t.Errorf("restored: learned from %d, was %d", s.Learned, learned)
	}
	if n := must(must(back.Collection("c"))(t).Count(ctx, nil))(t); n != 4060 {
		t.Errorf("restored: %d documents", n)
	}
	vi := c.Schema().Vectors["v"].Index
	vi.Rotate = false
	if err := c.SetVectorIndex(ctx, "v", vi); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); rotationStats(t, db) != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("still rotated")
		}
	}
	if err := c.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	if f := found(t, c, vecs[:20]); f < 0.97 {
		t.Errorf("found %.3f", f)
	}
	if r, err := db.lives()[0].kept(); err != nil || r.Rows != nil {
		t.Errorf("the store keeps a rotation nobody wants: %v", err)
	}
}

func TestVectorsThatCannotBeRotatedAreRefused(t *testing.T) {
	db := open(t, "", nil)
	for i, v := range []Vector{
		{Dim: 63}, {Dim: 3073}, {Dim: 64, Metric: index.IP}, {Dim: 64, Index: VectorIndex{Kind: "flat", Codes: "int8"}},
		{Dim: 64, Index: VectorIndex{Codes: "bit"}}, {Dim: 64, Index: VectorIndex{Codes: "none"}},
	} {
		v.Index.Rotate = true
		if _, err := db.CreateCollection(ctx, fmt.Sprint("c", i), Schema{Vectors: map[string]Vector{"v": v}}); CodeOf(err) != CodeInvalid || !strings.Contains(err.Error(), "rotate") {
			t.Errorf("%d components, %s, %+v: %v", v.Dim, v.Metric, v.Index, err)
		}
	}
}
