package eider

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/eiderdb/eider/index"
)

func TestReopenedDatabaseAnswersAsBefore(t *testing.T) {
	dir := t.TempDir()
	s := shopSchema
	s.Vectors = map[string]Vector{"img": {Dim: 8, Metric: index.Cosine}, "half": {Dim: 4, Storage: index.Float16}, "exact": {Dim: 4, Index: VectorIndex{Kind: "flat"}}}
	r := rand.New(rand.NewPCG(1, 2))
	queries := make([][]float32, 20)
	for i := range queries {
		queries[i] = vec(r, 8)
	}
	ask := func(c *Collection) (ids []string) {
		for _, q := range queries {
			f := Lt("stock", int64(30))
			res := must(c.Search(ctx, Query{Retrieve: []Retrieve{{Near: &Near{Vector: "img", Value: q}, Exact: true}}, Filter: &f, Limit: 5}))(t)
			for _, h := range res.Hits {
				ids = append(ids, h.ID)
			}
			res = must(c.Search(ctx, Query{Retrieve: []Retrieve{{Near: &Near{Vector: "half", Value: q[:4]}}, {Near: &Near{Vector: "exact", Value: q[:4]}}}, Limit: 5}))(t)
			for _, h := range res.Hits {
				ids = append(ids, h.ID)
			}
		}
		return ids
	}
	db, err := Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := create(t, db, "shop", s)
	for i := range 3000 {
		d := product(i)
		d.Vectors["half"], d.Vectors["exact"] = vec(r, 4), vec(r, 4)
		if i%5 == 0 {
			delete(d.Vectors, "half")
		}
		if i%1000 == 999 {
			must(c.Delete(ctx, product(i-500).ID))(t)
		}
		must(c.Upsert(ctx, d))(t)
	}
	if err := c.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	want, lsn := ask(c), db.LSN()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatalf("second close: %v", err)
	}
	for round := range 2 {
		db = open(t, dir, nil)
		c = must(db.Collection("shop"))(t)
		if db.LSN() != lsn {
			t.Fatalf("round %d: LSN %d, was %d", round, db.LSN(), lsn)
		}
		if got := ask(c); !slices.Equal(got, want) {
			t.Fatalf("round %d: answers differ", round)
		}
		if err := c.Ready(ctx); err != nil {
			t.Fatal(err)
		}
		rep := must(db.Check(ctx))(t)
		if !rep.OK {
			t.Fatalf("round %d: check %+v", round, rep)
		}
		st := must(db.Stats(ctx))(t)
		if v := st.Collections[0].Vectors["img"]; v.SavedLSN == 0 {
			t.Fatalf("round %d: index was rebuilt, not loaded: %+v", round, v)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWritesAfterASnapshotAreFoundOnReopen(t *testing.T) {
	for name, vi := range map[string]VectorIndex{"none": {}, "int8": {Codes: "int8"}, "disk": {Codes: "int4", Originals: "disk"}, "bit": {Codes: "bit", Originals: "disk"}} {
		t.Run(name, func(t *testing.T) { testWritesAfterASnapshot(t, vi) })
	}
}

func testWritesAfterASnapshot(t *testing.T, vi VectorIndex) {
	dir := t.TempDir()
	db := open(t, dir, &Options{SnapshotInterval: -1})
	schema := shopSchema
	schema.Vectors = map[string]Vector{"img": {Dim: 8, Metric: index.Cosine, Index: vi}}
	c := create(t, db, "shop", schema)
	fill(t, c, 2500)
	if err := c.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	for _, l := range db.lives() {
		if err := l.save(ctx, true); err != nil {
			t.Fatal(err)
		}
	}
	// Delete, replace and add after the snapshot, then leave without saving.
	must(c.Delete(ctx, "sku-0001", "sku-0002"))(t)
	moved := product(3)
	moved.Vectors["img"] = product(4).Vectors["img"]
	must(c.Upsert(ctx, moved))(t)
	fresh := product(9000)
	must(c.Upsert(ctx, fresh))(t)
	for _, l := range db.lives() {
		l.dirty.Store(0)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, dir, nil)
	c = must(db.Collection("shop"))(t)
	near := func(v []float32) []string {
		var ids []string
		for _, h := range must(c.Search(ctx, Query{Retrieve: []Retrieve{{Near: &Near{Value: v}}}, Limit: 2}))(t).Hits {
			ids = append(ids, h.ID)
		}
		return ids
	}
	if ids := near(product(1).Vectors["img"]); slices.Contains(ids, "sku-0001") {
		t.Error("a deleted document is found")
	}
	if ids := near(product(4).Vectors["img"]); !slices.Contains(ids, "sku-0003") || !slices.Contains(ids, "sku-0004") {
		t.Errorf("the replaced vector is not found: %v", ids)
	}
	if ids := near(fresh.Vectors["img"]); ids[0] != fresh.ID {
		t.Errorf("the new document is not found: %v", ids)
	}
}

func TestSecondOpenerIsToldWhoHoldsTheDirectory(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, nil)
	_, err := Open(dir, nil)
	if !errors.Is(err, ErrLocked) || CodeOf(err) != CodeLocked {
		t.Fatalf("got %v", err)
	}
}

func TestReadOnlyOpenerReadsBesideTheWriter(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir, nil)
	c := create(t, db, "shop", shopSchema)
	docs := fill(t, c, 50)
	ro := open(t, dir, &Options{ReadOnly: true})
	must(c.Delete(ctx, docs[0].ID))(t)
	view := must(ro.Collection("shop"))(t)
	if n := must(view.Count(ctx, nil))(t); n != 50 {
		t.Errorf("the reader counts %d", n)
	}
	r := must(view.Search(ctx, Query{Retrieve: []Retrieve{{Near: &Near{Value: docs[0].Vectors["img"]}}}}))(t)
	if r.Hits[0].ID != docs[0].ID {
		t.Errorf("the reader finds %s", r.Hits[0].ID)
	}
	if _, err := view.Upsert(ctx, docs[0]); !errors.Is(err, ErrReadOnly) {
		t.Errorf("write through the reader: %v", err)
	}
}

func TestIndexAddedLaterAgreesWithReadingDocuments(t *testing.T) {
	db := memory(t, nil)
	c := create(t, db, "shop", shopSchema)
	fill(t, c, 1000)
	red := Eq("color", "red")
	slow := must(c.Search(ctx, Query{Filter: &red, Total: true, Limit: 1}))(t)
	if len(slow.Advice) == 0 {
		t.Error("no advice for a filter on a field without an index")
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { // writes go on while the index is built
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				must(c.Upsert(ctx, product(i%1000)))(t)
			}
		}
	})
	if err := c.AddIndex(ctx, "color"); err != nil {
		t.Fatal(err)
	}
	close(stop)
	wg.Wait()
	fast := must(c.Search(ctx, Query{Filter: &red, Total: true, Limit: 1}))(t)
	if len(fast.Advice) != 0 || *fast.Total != *slow.Total {
		t.Errorf("with the index %d (advice %v), without %d", *fast.Total, fast.Advice, *slow.Total)
	}
	if err := c.DropIndex(ctx, "color"); err != nil {
		t.Fatal(err)
	}
	if again := must(c.Search(ctx, Query{Filter: &red, Total: true, Limit: 1}))(t); *again.Total != *slow.Total || len(again.Advice) == 0 {
		t.Errorf("after the drop %d, advice %v", *again.Total, again.Advice)
	}
	if err := c.AddField(ctx, "fresh", Field{Type: Int64, Index: true}); err != nil {
		t.Fatal(err)
	}
	must(c.Update(ctx, Doc{ID: "sku-0001", Fields: map[string]any{"fresh": 5}}, If{}))(t)
	if n := must(c.Count(ctx, &Filter{Field: "fresh", Gte: 5}))(t); n != 1 {
		t.Errorf("%d documents by the new field", n)
	}
}

func TestVectorAddedAndDroppedLater(t *testing.T) {
	c := create(t, memory(t, nil), "shop", shopSchema)
	fill(t, c, 20)
	if err := c.AddVector(ctx, "txt", Vector{Dim: 3}); err != nil {
		t.Fatal(err)
	}
	must(c.Update(ctx, Doc{ID: "sku-0003", Vectors: map[string][]float32{"txt": {1, 2, 3}}}, If{}))(t)
	r := must(c.Search(ctx, Query{Retrieve: []Retrieve{{Near: &Near{Vector: "txt", Value: []float32{0, 0, 0}}}}}))(t)
	if len(r.Hits) != 1 || r.Hits[0].ID != "sku-0003" {
		t.Fatalf("hits %+v", r.Hits)
	}
	if err := c.DropVector(ctx, "txt"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Search(ctx, Query{Retrieve: []Retrieve{{Near: &Near{Vector: "txt", Value: []float32{0, 0, 0}}}}}); CodeOf(err) != CodeUnknownField {
		t.Errorf("search of a dropped vector: %v", err)
	}
	if d := must(c.Get(ctx, "sku-0003"))(t); d.Vectors["txt"] != nil || d.Vectors["img"] == nil {
		t.Errorf("vectors %v", d.Vectors)
	}
}

func TestIndexKindChangesUnderSearches(t *testing.T) {
	c := create(t, memory(t, nil), "shop", shopSchema)
	docs := fill(t, c, 500)
	for _, vi := range []VectorIndex{{Kind: "flat"}, {Kind: "hnsw", M: 8}, {Kind: "hnsw", M: 24}} {
		if err := c.SetVectorIndex(ctx, "img", vi); err != nil {
			t.Fatal(err)
		}
		for _, d := range docs[:20] {
			r := must(c.Search(ctx, Query{Retrieve: []Retrieve{{Near: &Near{Value: d.Vectors["img"]}}}, Limit: 1}))(t)
			if r.Hits[0].ID != d.ID {
				t.Fatalf("%v: %s finds %s", vi, d.ID, r.Hits[0].ID)
			}
		}
	}
}

func TestChangeFeedLeadsACopyToTheSameState(t *testing.T) {
	db := memory(t, nil)
	c := create(t, db, "shop", shopSchema)
	fill(t, c, 60)
	must(c.Delete(ctx, "sku-0005"))(t)
	must(c.Update(ctx, Doc{ID: "sku-0006", Fields: map[string]any{"brand": "moved"}}, If{}))(t)
	copied := map[string]*Doc{}
	var last uint64
	for ch, err := range db.Changes(ctx, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if ch.LSN < last {
			t.Fatalf("LSN went back from %d to %d", last, ch.LSN)
		}
		last = ch.LSN
		switch {
		case ch.Op == ChangePut && !ch.Superseded:
			copied[ch.ID] = ch.Doc
		case ch.Op == ChangeDelete:
			delete(copied, ch.ID)
		}
	}
	if last != db.LSN() {
		t.Errorf("feed ends at %d, database at %d", last, db.LSN())
	}
	n := 0
	for d, err := range c.All(ctx, nil) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		if copied[d.ID] == nil || copied[d.ID].Version != d.Version || copied[d.ID].Fields["brand"] != d.Fields["brand"] {
			t.Fatalf("%s differs: %+v", d.ID, copied[d.ID])
		}
	}
	if n != len(copied) {
		t.Errorf("%d documents, %d copied", n, len(copied))
	}
}

func TestAcknowledgedWriteIsSeenByEverySearchThatFollows(t *testing.T) {
	c := create(t, memory(t, nil), "shop", shopSchema)
	fill(t, c, 2500)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(9, uint64(g)))
			for i := range 150 {
				id := fmt.Sprintf("w%d-%d", g, i%20)
				v := vec(r, 8)
				must(c.Upsert(ctx, Doc{ID: id, Vectors: map[string][]float32{"img": v}}))(t)
				res := must(c.Search(ctx, Query{Retrieve: []Retrieve{{Near: &Near{Value: v}}}, Limit: 1}))(t)
				if res.Hits[0].ID != id || res.Hits[0].Score < 0.9999 {
					t.Errorf("wrote %s, found %s at %v", id, res.Hits[0].ID, res.Hits[0].Score)
					return
				}
				if i%7 == 0 {
					must(c.Delete(ctx, id))(t)
					res = must(c.Search(ctx, Query{Retrieve: []Retrieve{{Near: &Near{Value: v}}}, Limit: 3}))(t)
					for _, h := range res.Hits {
						if h.ID == id {
							t.Errorf("deleted %s and found it", id)
							return
						}
					}
				}
			}
		})
	}
	wg.Wait()
}

func TestScanEndsWithinAFewDocumentsOfItsContext(t *testing.T) {
	c := create(t, memory(t, nil), "shop", shopSchema)
	fill(t, c, 2000)
	slow := Eq("color", "red") // reads every document
	cut := errors.New("cut short")
	half, cancel := context.WithCancelCause(ctx)
	view, st, err := c.read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer view.Release()
	read := 0
	err = (&fields{state: st, view: view, ctx: half}).Scan(half, "color", view.Live(st.id), func(uint32, []any) {
		if read++; read == 300 {
			cancel(cut)
		}
	})
	if !errors.Is(err, context.Canceled) || read > 300+256 {
		t.Fatalf("read %d documents after the cancellation, err %v", read-300, err)
	}
	if _, err := c.Count(half, &slow); CodeOf(err) != CodeCanceled {
		t.Fatalf("count gave %v", err)
	}
	gone, cancel2 := contextWithTimeout(0)
	defer cancel2()
	if _, err := c.Search(gone, Query{}); CodeOf(err) != CodeDeadline {
		t.Errorf("search with a dead context: %v", err)
	}
	if _, err := c.Upsert(gone, product(1)); CodeOf(err) != CodeDeadline {
		t.Errorf("upsert with a dead context: %v", err)
	}
}

func TestClosedDatabaseSaysSo(t *testing.T) {
	db, err := Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	c := create(t, db, "shop", shopSchema)
	fill(t, c, 10)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"get":    func() error { _, err := c.Get(ctx, "sku-0001"); return err }(),
		"search": func() error { _, err := c.Search(ctx, Query{}); return err }(),
		"upsert": func() error { _, err := c.Upsert(ctx, product(1)); return err }(),
		"create": func() error { _, err := db.CreateCollection(ctx, "x", Schema{}); return err }(),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func contextWithTimeout(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d)
}

func TestSchemaVersionSurvivesReopening(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir, nil)
	c := create(t, db, "shop", shopSchema)
	fill(t, c, 10)
	if err := c.AddField(ctx, "later", Field{Type: Int64}); err != nil {
		t.Fatal(err)
	}
	want := c.Info().SchemaVersion
	fill(t, c, 20)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	c = must(open(t, dir, nil).Collection("shop"))(t)
	if got := c.Info().SchemaVersion; got != want || want == 0 {
		t.Errorf("schema version %d, was %d", got, want)
	}
}

func TestBackupOutlivesDamageToTheDatabase(t *testing.T) {
	dir, backup, target := t.TempDir(), t.TempDir()+"/b", t.TempDir()+"/r"
	db, err := Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := create(t, db, "shop", shopSchema)
	docs := fill(t, c, 300)
	if err := db.store.Compact(ctx); err != nil {
		t.Fatal(err)
	}
	must(db.Backup(ctx, backup, 0))(t)
	must(c.Delete(ctx, docs[0].ID))(t)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(dir, "*", "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("no tables in %s: %v", dir, err)
	}
	for _, name := range tables { // in place, as a failing disk would
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("damaged"), 10); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	if err := Restore(ctx, target, backup); err != nil {
		t.Fatal(err)
	}
	again := open(t, target, nil)
	if n := must(must(again.Collection("shop"))(t).Count(ctx, nil))(t); n != 300 {
		t.Errorf("%d documents restored", n)
	}
}
