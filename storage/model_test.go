package storage

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/eiderdb/eider/storage/format"
)

// modelDoc is a document in the in-memory model.
type modelDoc struct {
	tag     string
	n       int64
	vec     uint32
	expire  int64
	version uint64
}

// machine runs random histories against a store and a map, and compares
// everything a reader can see after each step.
type machine struct {
	fs   vfs.FS
	s    *Store
	coll uint32
	docs map[string]modelDoc
	pins []pin
}

// pin is a view held over later writes, and what it must go on showing.
type pin struct {
	v    *View
	docs map[string]modelDoc
}

func (m *machine) open(t *rapid.T) {
	o := crashOptions(m.fs)
	o.ChangeRetention = 1 << 20
	s, err := Open("store", o)
	if err != nil {
		t.Fatal(err)
	}
	m.s = s
}

func (m *machine) write(t *rapid.T) {
	ids := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g", "h"})
	n := rapid.IntRange(1, 4).Draw(t, "operations")
	next := map[string]modelDoc{}
	for k, d := range m.docs {
		next[k] = d
	}
	version := m.s.LSN() + 1
	var ops []Op
	var want error
	for range n {
		id := ids.Draw(t, "id")
		old, have := next[id]
		d := modelDoc{tag: rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "tag"), n: rapid.Int64Range(-3, 3).Draw(t, "n"), vec: rapid.Uint32().Draw(t, "vec"), version: version}
		if rapid.Bool().Draw(t, "expires") {
			d.expire = 1 << 62 // never within the test, but stored and indexed
		}
		op := Op{Kind: Put, Collection: m.coll, ID: id, Body: modelBody(d), Vectors: vector(1, d.vec), ExpireAt: d.expire}
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0, 1:
			op = Op{Kind: Delete, Collection: m.coll, ID: id}
		case 2:
			op.If = Absent
			if have && want == nil {
				want = ErrExists
			}
		case 3:
			op.If = Exists
			if !have && want == nil {
				want = ErrNotFound
			}
		case 4:
			op.If = Version(old.version)
			if rapid.Bool().Draw(t, "stale") {
				op.If = Version(old.version + 1)
			}
			if (!have || op.If.version != old.version) && want == nil {
				want = ErrConflict
			}
		case 5:
			op = Op{Kind: Patch, Collection: m.coll, ID: id, Patch: func(rec *Record) (Update, error) {
				if rec == nil {
					return Update{Body: modelBody(d), Vectors: vector(1, d.vec)}, nil
				}
				vec, err := rec.Vector(0, nil)
				return Update{Body: modelBody(modelDoc{tag: d.tag, n: d.n}), Vectors: []Vec{{0, vec}}, ExpireAt: rec.ExpireAt}, err
			}}
			d.expire = 0
			if have {
				d.vec, d.expire = old.vec, old.expire
			}
		}
		ops = append(ops, op)
		if op.Kind == Delete {
			delete(next, id)
		} else {
			next[id] = d
		}
	}
	r, err := m.s.Commit(context.Background(), ops)
	if want != nil {
		if !errors.Is(err, want) {
			t.Fatalf("commit: %v, want %v", err, want)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	changed := false
	for _, o := range r.Ops {
		changed = changed || o.Version != 0 || o.Existed
	}
	if changed && r.LSN != version {
		t.Fatalf("LSN %d, want %d", r.LSN, version)
	}
	m.docs = next
}

func modelBody(d modelDoc) []byte {
	b, err := format.EncodeDocument(nil, []format.Field{{Name: "tag", Value: format.String(d.tag)}, {Name: "n", Value: format.Int64(d.n)}})
	if err != nil {
		panic(err)
	}
	return b
}

// agree compares a view with what the model said when it was taken.
func agree(v *View, coll uint32, docs map[string]modelDoc) error {
	if v.Count(coll) != len(docs) || int(v.Live(coll).GetCardinality()) != len(docs) {
		return fmt.Errorf("count %d, live %d, want %d", v.Count(coll), v.Live(coll).GetCardinality(), len(docs))
	}
	seen, expiring := 0, 0
	for id, d := range docs {
		rec, err := v.Get(coll, id)
		if err != nil {
			return err
		}
		if string(rec.Body) != string(modelBody(d)) || rec.Version != d.version || rec.ExpireAt != d.expire {
			return fmt.Errorf("id %s: %+v, want %+v", id, rec, d)
		}
		vec, err := rec.Vector(0, nil)
		if err != nil || binary.LittleEndian.Uint32(vec) != d.vec {
			return fmt.Errorf("id %s: vector %x, %v", id, vec, err)
		}
		for index, val := range map[uint32]format.Value{1: format.String(d.tag), 2: format.Int64(d.n)} {
			k, err := format.AppendKey(nil, val)
			if err != nil {
				return err
			}
			bm, err := v.Term(coll, index, k)
			if err != nil || !bm.Contains(rec.Ord) {
				return fmt.Errorf("id %s is not under %v: %v, %v", id, val, bm, err)
			}
			if rest := bm.Clone(); true {
				if rest.AndNot(v.Live(coll)); !rest.IsEmpty() {
					return fmt.Errorf("dead ords %v under %v", rest, val)
				}
			}
		}
		if d.expire > 0 {
			expiring++
		}
		seen++
	}
	lo, err := format.AppendKey(nil, format.Int64(-1))
	if err != nil {
		return err
	}
	bm, err := v.TermRange(coll, 2, lo, nil, false, false)
	if err != nil {
		return err
	}
	above := 0
	for _, d := range docs {
		if d.n > -1 {
			above++
		}
	}
	if int(bm.GetCardinality()) != above {
		return fmt.Errorf("%v have n > -1, want %d", bm, above)
	}
	ex, err := v.Expired(coll, 1<<62)
	if err != nil || int(ex.GetCardinality()) != expiring {
		return fmt.Errorf("expired %v, want %d, %v", ex, expiring, err)
	}
	return nil
}

func (m *machine) release() {
	for _, p := range m.pins {
		p.v.Release()
	}
	m.pins = nil
}

func TestStoreAgreesWithAModelOverRandomHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{fs: vfs.NewMem(), docs: map[string]modelDoc{}}
		m.open(t)
		defer func() {
			m.release()
			if err := m.s.Close(); err != nil {
				t.Error(err)
			}
		}()
		coll, err := scriptCollection(m.s)
		if err != nil {
			t.Fatal(err)
		}
		m.coll = coll
		t.Repeat(map[string]func(*rapid.T){
			"write":      m.write,
			"write more": m.write,
			"pin": func(t *rapid.T) {
				v, err := m.s.Acquire()
				if err != nil {
					t.Fatal(err)
				}
				m.pins = append(m.pins, pin{v, m.docs})
			},
			"unpin": func(*rapid.T) { m.release() },
			"flush": func(t *rapid.T) {
				if err := m.s.db.Flush(); err != nil {
					t.Fatal(err)
				}
			},
			"compact": func(t *rapid.T) {
				if err := m.s.Compact(context.Background()); err != nil {
					t.Fatal(err)
				}
			},
			"rebuild": func(t *rapid.T) {
				if err := m.s.Rebuild(context.Background(), m.coll, nil); err != nil {
					t.Fatal(err)
				}
			},
			"restart": func(t *rapid.T) {
				m.release()
				if err := m.s.Close(); err != nil {
					t.Fatal(err)
				}
				m.open(t)
			},
			"": func(t *rapid.T) {
				for i, p := range m.pins {
					if err := agree(p.v, m.coll, p.docs); err != nil {
						t.Fatalf("view %d at LSN %d: %v", i, p.v.LSN(), err)
					}
				}
				v, err := m.s.Acquire()
				if err != nil {
					t.Fatal(err)
				}
				defer v.Release()
				if err := agree(v, m.coll, m.docs); err != nil {
					t.Fatal(err)
				}
				rep, err := m.s.Check(context.Background())
				if err != nil || !rep.OK() {
					t.Fatalf("check: %+v %v", rep.Problems, err)
				}
			},
		})
	})
}
