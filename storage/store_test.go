package storage

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand"
	"testing"
	"time"

	"github.com/eiderdb/eider/storage/format"
)

// Test bodies are documents; index 1 holds the field "tag", 2 the field "n".
func testTerms(Collection) (Terms, error) {
	return func(dst []Term, body []byte) []Term {
		for i, name := range []string{"tag", "n"} {
			if v, ok := format.Lookup(body, name); ok {
				if k, err := format.AppendKey(nil, v); err == nil {
					dst = append(dst, Term{uint32(i + 1), k})
				}
			}
		}
		return dst
	}, nil
}

func body(tb testing.TB, tag string, n int64) []byte {
	tb.Helper()
	b, err := format.EncodeDocument(nil, []format.Field{{Name: "tag", Value: format.String(tag)}, {Name: "n", Value: format.Int64(n)}})
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func key(tb testing.TB, v format.Value) []byte {
	tb.Helper()
	k, err := format.AppendKey(nil, v)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func vector(fields int, x uint32) []Vec {
	var vs []Vec
	for f := range fields {
		vs = append(vs, Vec{uint16(f), binary.LittleEndian.AppendUint32(nil, x)})
	}
	return vs
}

func open(tb testing.TB, dir string, o *Options) *Store {
	tb.Helper()
	if o == nil {
		o = &Options{}
	}
	if o.Compile == nil {
		o.Compile = testTerms
	}
	s, err := Open(dir, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func create(tb testing.TB, s *Store, name string) uint32 {
	tb.Helper()
	c, err := s.CreateCollection(context.Background(), name, format.IDString, []byte("schema"))
	if err != nil {
		tb.Fatal(err)
	}
	return c.ID
}

func acquire1(tb testing.TB, s *Store) *View {
	tb.Helper()
	v, err := s.Acquire()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(v.Release)
	return v
}

func commit(tb testing.TB, s *Store, ops ...Op) Result {
	tb.Helper()
	r, err := s.Commit(context.Background(), ops)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func TestCommittedDocumentIsVisibleAndSurvivesReopen(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	c := create(t, s, "films")
	r := commit(t, s,
		Op{Kind: Put, Collection: c, ID: "a", Body: body(t, "x", 1), Vectors: vector(2, 7)},
		Op{Kind: Put, Collection: c, ID: "b", Body: body(t, "x", 2)},
		Op{Kind: Set, Name: "note", Body: []byte("hello")})
	if r.LSN != 2 || r.Ops[0].Version != 2 {
		t.Fatalf("result %+v", r)
	}
	commit(t, s, Op{Kind: Put, Collection: c, ID: "a", Body: body(t, "y", 3), Vectors: vector(2, 8)})
	commit(t, s, Op{Kind: Delete, Collection: c, ID: "b"})
	check := func(s *Store) {
		v, err := s.Acquire()
		if err != nil {
			t.Fatal(err)
		}
		defer v.Release()
		rec, err := v.Get(c, "a")
		if err != nil {
			t.Fatal(err)
		}
		if n, _ := format.Lookup(rec.Body, "n"); n.Int64() != 3 {
			t.Fatalf("n = %v", n)
		}
		vec, err := rec.Vector(1, nil)
		if err != nil || binary.LittleEndian.Uint32(vec) != 8 {
			t.Fatalf("vector %v %v", vec, err)
		}
		if _, err := v.Get(c, "b"); !errors.Is(err, ErrNotFound) {
			t.Fatalf("b: %v", err)
		}
		if v.Count(c) != 1 || v.Live(c).GetCardinality() != 1 || !v.Live(c).Contains(rec.Ord) {
			t.Fatalf("count %d live %v", v.Count(c), v.Live(c))
		}
		for tag, want := range map[string]uint64{"x": 0, "y": 1} {
			bm, err := v.Term(c, 1, key(t, format.String(tag)))
			if err != nil || bm.GetCardinality() != want {
				t.Fatalf("tag %s: %v %v", tag, bm, err)
			}
		}
		bm, err := v.TermRange(c, 2, key(t, format.Int64(2)), nil, true, false)
		if err != nil || bm.GetCardinality() != 1 {
			t.Fatalf("range: %v %v", bm, err)
		}
		note, err := v.Setting("note")
		if err != nil || string(note) != "hello" {
			t.Fatalf("setting %q %v", note, err)
		}
		if v.LSN() != 4 {
			t.Fatalf("LSN %d", v.LSN())
		}
	}
	check(s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	check(open(t, dir, nil))
}

func TestRefusedOperationRejectsItsWholeCallAndOnlyIt(t *testing.T) {
	s := open(t, "", &Options{InMemory: true})
	c := create(t, s, "films")
	commit(t, s, Op{Kind: Put, Collection: c, ID: "a", Body: body(t, "x", 1)})
	_, err := s.Commit(context.Background(), []Op{
		{Kind: Put, Collection: c, ID: "b", Body: body(t, "x", 1)},
		{Kind: Put, Collection: c, ID: "a", Body: body(t, "x", 1), If: Absent},
	})
	var oe *OpError
	if !errors.Is(err, ErrExists) || !errors.As(err, &oe) || oe.Index != 1 {
		t.Fatal(err)
	}
	v := acquire1(t, s)
	if v.Count(c) != 1 || v.LSN() != 2 {
		t.Fatalf("count %d LSN %d", v.Count(c), v.LSN())
	}
}

func TestPatchSeesEarlierOperationsOfItsCall(t *testing.T) {
	s := open(t, "", &Options{InMemory: true})
	c := create(t, s, "films")
	incr := func(old *Record) (Update, error) {
		n, _ := format.Lookup(old.Body, "n")
		vec, err := old.Vector(0, nil)
		return Update{Body: body(t, "x", n.Int64()+1), Vectors: []Vec{{0, vec}}}, err
	}
	ops := []Op{{Kind: Put, Collection: c, ID: "a", Body: body(t, "x", 1), Vectors: vector(1, 5)}}
	for range 5 {
		ops = append(ops, Op{Kind: Patch, Collection: c, ID: "a", Patch: incr})
	}
	commit(t, s, ops...)
	commit(t, s, Op{Kind: Patch, Collection: c, ID: "a", Patch: incr})
	rec, err := acquire1(t, s).Get(c, "a")
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := format.Lookup(rec.Body, "n"); n.Int64() != 7 {
		t.Fatalf("n = %v, want 7", n)
	}
}

func TestSecondWriterIsToldWhoHoldsTheDirectory(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, nil)
	_, err := Open(dir, nil)
	if !errors.Is(err, ErrLocked) {
		t.Fatal(err)
	}
	t.Log(err)
}

func TestReadOnlyOpenerSeesAFrozenStateBesideTheWriter(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	c := create(t, s, "films")
	for i := range 50 {
		commit(t, s, Op{Kind: Put, Collection: c, ID: fmt.Sprint(i), Body: body(t, "x", int64(i))})
	}
	r := open(t, dir, &Options{ReadOnly: true})
	commit(t, s, Op{Kind: Put, Collection: c, ID: "late", Body: body(t, "x", 0)})
	if n := acquire1(t, r).Count(c); n != 50 {
		t.Fatalf("count %d", n)
	}
	if _, err := r.Commit(context.Background(), []Op{{Kind: Delete, Collection: c, ID: "1"}}); !errors.Is(err, ErrReadOnly) {
		t.Fatal(err)
	}
}

func TestWriteBuffersLeaveTheBlockCacheItsRoom(t *testing.T) {
	const size = 1 << 20
	s := open(t, t.TempDir(), &Options{MemoryTable: size, CacheBytes: size})
	c := create(t, s, "c")
	for i := range 6 * size / (32 << 10) { // fills and flushes several buffers
		commit(t, s, Op{Kind: Put, Collection: c, ID: fmt.Sprint(i), Body: body(t, "t", int64(i)),
			Vectors: []Vec{{0, bytes.Repeat([]byte{byte(i)}, 32<<10)}}})
	}
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	v := acquire1(t, s)
	read := func() uint64 {
		before := s.db.Metrics().BlockCache.Misses
		if _, err := v.Get(c, "1"); err != nil {
			t.Fatal(err)
		}
		return uint64(s.db.Metrics().BlockCache.Misses - before)
	}
	// A compaction that still runs moves blocks to new tables, where they miss once
	// more; a cache without room misses every time.
	var n uint64
	for range 100 {
		if n = read(); n == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("reading a document again and again missed the block cache, at last %d times", n)
}

func TestViewsKeepTheirOwnLiveDocumentsInWhateverOrderTheyAreAsked(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	c := create(t, s, "c")
	var views []*View
	want := map[*View]map[uint32]bool{}
	live := map[uint32]bool{}
	for i := range 60 {
		r := commit(t, s, Op{Kind: Put, Collection: c, ID: fmt.Sprint(i % 7), Body: body(t, "t", int64(i))}).Ops[0]
		if r.Existed {
			delete(live, r.OldOrd)
		}
		live[r.Ord] = true
		v := acquire1(t, s)
		views, want[v] = append(views, v), maps.Clone(live)
		if i%4 == 0 {
			v.Live(c) // built before the views around it
		}
	}
	for _, i := range rand.New(rand.NewSource(1)).Perm(len(views)) {
		v := views[i]
		got := map[uint32]bool{}
		for _, ord := range v.Live(c).ToArray() {
			got[ord] = true
		}
		if !maps.Equal(got, want[v]) {
			t.Errorf("at LSN %d the live ords are %v, want %v", v.LSN(), got, want[v])
		}
	}
}
