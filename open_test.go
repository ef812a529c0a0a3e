package eider

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/eiderdb/eider/index"
)

// codedSchema has a vector for each way of keeping vectors beside their codes.
var codedSchema = Schema{
	Fields: map[string]Field{"n": {Type: Int64, Index: true}},
	Vectors: map[string]Vector{
		"memory": {Dim: 12, Metric: index.Cosine, Index: VectorIndex{Codes: "int8", EfConstruction: 40}},
		"half":   {Dim: 12, Storage: index.Float16, Index: VectorIndex{Codes: "int8", EfConstruction: 40}},
		"disk":   {Dim: 12, Index: VectorIndex{Codes: "int4", Originals: "disk", EfConstruction: 40}},
		"bit":    {Dim: 12, Index: VectorIndex{Codes: "bit", EfConstruction: 40}},
	},
}

// coded is a document whose vectors follow from its number and version.
func coded(i, version int) Doc {
	r := rand.New(rand.NewPCG(uint64(i), uint64(version)))
	v := vec(r, 12)
	d := Doc{ID: fmt.Sprint(i), Fields: map[string]any{"n": i}, Vectors: map[string][]float32{"memory": v, "half": v, "disk": v, "bit": v}}
	if i%7 == 0 {
		delete(d.Vectors, "half")
	}
	return d
}

// answers are the hits of walks, filtered and exact searches of every vector.
func answers(t testing.TB, c *Collection) (out []string) {
	t.Helper()
	r := rand.New(rand.NewPCG(3, 3))
	few := Lt("n", int64(40))
	for range 6 {
		q := vec(r, 12)
		for _, name := range []string{"memory", "half", "disk", "bit"} {
			for _, one := range []Query{
				{Retrieve: []Retrieve{{Near: &Near{Vector: name, Value: q}}}},
				{Retrieve: []Retrieve{{Near: &Near{Vector: name, Value: q}, Exact: true}}},
				{Retrieve: []Retrieve{{Near: &Near{Vector: name, Value: q}}}, Filter: &few},
			} {
				one.Limit = 5
				for _, h := range must(c.Search(ctx, one))(t).Hits {
					out = append(out, fmt.Sprint(h.ID, " ", h.Score))
				}
			}
		}
	}
	return out
}

// saved fills a collection, saves its indexes and leaves it open.
func saved(t *testing.T, dir string, n int) (*DB, *Collection) {
	t.Helper()
	db := open(t, dir, &Options{SnapshotInterval: -1})
	c := create(t, db, "c", codedSchema)
	put(t, c, 0, n, 0)
	if err := c.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	for _, l := range db.lives() {
		if err := l.save(ctx, true); err != nil {
			t.Fatal(err)
		}
	}
	return db, c
}

func put(t *testing.T, c *Collection, from, to, version int) {
	t.Helper()
	var docs []Doc
	for i := from; i < to; i++ {
		docs = append(docs, coded(i, version))
	}
	for part := range slices.Chunk(docs, 500) {
		must(c.Upsert(ctx, part...))(t)
	}
}

// leave closes the database as a crash would: no index is saved.
func leave(t *testing.T, db *DB) {
	t.Helper()
	for _, l := range db.lives() {
		l.dirty.Store(0)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func resident(t *testing.T, db *DB) bool {
	t.Helper()
	for name, v := range must(db.Stats(ctx))(t).Collections[0].Vectors {
		if v.Resident != (name != "disk") {
			return false
		}
	}
	return true
}

func TestReopenedIndexAnswersTheSameWhileAndAfterVectorsComeIntoMemory(t *testing.T) {
	dir := t.TempDir()
	db, c := saved(t, dir, 2200)
	want := answers(t, c)
	leave(t, db)
	for _, o := range []*Options{nil, {ReadOnly: true}} {
		db = open(t, dir, o)
		c = must(db.Collection("c"))(t)
		for done := false; !done; {
			done = resident(t, db)
			if got := answers(t, c); !slices.Equal(got, want) {
				t.Fatalf("vectors in memory: %v; the answers differ", done)
			}
		}
		if v := must(db.Stats(ctx))(t).Collections[0].Vectors["memory"]; v.SavedLSN == 0 {
			t.Fatal("the index was built anew")
		}
		if rep := must(db.Check(ctx))(t); !rep.OK {
			t.Fatalf("check %+v", rep)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// After the snapshot documents go, change and come, and their ords are used again.
func TestChangesAfterASnapshotAreInTheReopenedIndex(t *testing.T) {
	dir := t.TempDir()
	db, c := saved(t, dir, 600)
	for round := range 3 {
		var gone []string
		for i := round * 50; i < round*50+50; i++ {
			gone = append(gone, fmt.Sprint(i))
		}
		must(c.Delete(ctx, gone...))(t)
		put(t, c, 200, 260, round+1)
		put(t, c, 600+round*40, 640+round*40, 0)
	}
	if err := c.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	step := 1
	if testing.Short() {
		step = 7
	}
	exact := func(c *Collection) (ids []string) {
		for i := 0; i < 720; i += step {
			d := coded(i, 0)
			q := Query{Retrieve: []Retrieve{{Near: &Near{Vector: "disk", Value: d.Vectors["disk"]}, Exact: true}, {Near: &Near{Vector: "memory", Value: d.Vectors["memory"]}, Exact: true}}, Limit: 2}
			for _, h := range must(c.Search(ctx, q))(t).Hits {
				ids = append(ids, h.ID)
			}
		}
		return ids
	}
	want := exact(c)
	leave(t, db)
	db = open(t, dir, nil)
	c = must(db.Collection("c"))(t)
	if got := exact(c); !slices.Equal(got, want) {
		t.Fatal("right after Open the answers differ")
	}
	if err := c.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	if !resident(t, db) {
		t.Fatal("Ready returned before the vectors were in memory")
	}
	if got := exact(c); !slices.Equal(got, want) {
		t.Fatal("with vectors in memory the answers differ")
	}
}

func TestASnapshotThatIsDamagedAnywhereIsRebuiltAndLosesNothing(t *testing.T) {
	dir := t.TempDir()
	db, c := saved(t, dir, 300)
	want := answers(t, c)
	var l *live
	for _, one := range db.lives() {
		if one.name == "memory" {
			l = one
		}
	}
	snap := must(db.store.LoadSnapshot(l.coll, l.id))(t)
	whole := must(io.ReadAll(snap))(t)
	lsn := snap.LSN
	if err := snap.Close(); err != nil {
		t.Fatal(err)
	}
	for part := range 6 { // from the header to the codes
		b := slices.Clone(whole)
		b[part*(len(b)-1)/5] ^= 4
		if err := db.store.SaveSnapshot(ctx, l.coll, l.id, lsn, func(w io.Writer) error { _, err := w.Write(b); return err }); err != nil {
			t.Fatal(err)
		}
		coll, field := l.coll, l.id
		leave(t, db)
		db = open(t, dir, &Options{SnapshotInterval: -1})
		c = must(db.Collection("c"))(t)
		if err := c.Ready(ctx); err != nil {
			t.Fatal(err)
		}
		if got := answers(t, c); !slices.Equal(got, want) {
			t.Fatalf("damage %d: the answers differ", part)
		}
		for _, one := range db.lives() {
			if one.coll == coll && one.id == field {
				if l = one; l.saved.Load() != 0 {
					t.Fatalf("damage %d was not seen", part)
				}
			}
		}
	}
}

func TestSnapshotFilesThatAreGoneOrCutAreRebuiltAndLoseNothing(t *testing.T) {
	for what, harm := range map[string]func(file string) error{
		"gone": os.Remove, "empty": func(file string) error { return os.Truncate(file, 0) },
		"cut": func(file string) error { return os.Truncate(file, 1000) },
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			db, c := saved(t, dir, 300)
			want := answers(t, c)
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			files := must(filepath.Glob(filepath.Join(dir, "snapshots", "*")))(t)
			if len(files) != len(codedSchema.Vectors) {
				t.Fatalf("snapshot files %v", files)
			}
			for _, f := range files {
				if err := harm(f); err != nil {
					t.Fatal(err)
				}
			}
			db = open(t, dir, &Options{SnapshotInterval: -1})
			c = must(db.Collection("c"))(t)
			if got := answers(t, c); !slices.Equal(got, want) {
				t.Error("the answers differ")
			}
			for _, l := range db.lives() {
				if l.saved.Load() != 0 {
					t.Errorf("%s: the damage was not seen", l.name)
				}
			}
		})
	}
}

func TestClosingWhileVectorsComeIntoMemoryIsClean(t *testing.T) {
	dir := t.TempDir()
	db, _ := saved(t, dir, 1500)
	leave(t, db)
	for range 5 {
		db = open(t, dir, nil)
		c := must(db.Collection("c"))(t)
		must(c.Search(ctx, Query{Retrieve: []Retrieve{{Near: &Near{Vector: "memory", Value: coded(1, 0).Vectors["memory"]}}}, Limit: 1}))(t)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestABackupOfAnIndexWithCodesRestoresIt(t *testing.T) {
	dir := t.TempDir()
	db, c := saved(t, dir+"/db", 400)
	want := answers(t, c)
	must(db.Backup(ctx, dir+"/backup", 0))(t)
	if err := Restore(ctx, dir+"/back", dir+"/backup"); err != nil {
		t.Fatal(err)
	}
	back := open(t, dir+"/back", nil)
	if got := answers(t, must(back.Collection("c"))(t)); !slices.Equal(got, want) {
		t.Fatal("the answers differ")
	}
}
