package storage

import (
	"errors"
	"fmt"
	"slices"

	"github.com/eiderdb/eider/storage/format"
)

// row is the newest version of a document during a group.
type row struct {
	exists bool
	ord    uint32
	rec    format.Record
	vecs   []Vec  // only if the version was written in this group
	fresh  bool   // written in this group
	terms  []Term // only if fresh
}

type rowID struct {
	coll uint32
	key  string
}

// effect is one staged operation of a call that is not yet accepted.
type effect struct {
	c        *collection
	index    int // in the call
	id       string
	key      string
	old, new *row // nil if there is none
	encoded  []byte
	setting  *Op
}

// txn is the staging of one call over the group.
type txn struct {
	g       *group
	lsn     uint64 // the call's, if it is accepted
	rows    map[rowID]*row
	effects []effect
	results []OpResult
}

// stage decides what one operation does, without doing it.
func (t *txn) stage(i int, op *Op, pre prepared) error {
	if op.Kind == Set {
		t.effects = append(t.effects, effect{index: i, setting: op})
		return nil
	}
	c := t.g.s.state.colls[op.Collection]
	if c == nil {
		return fmt.Errorf("%w: collection %d", ErrNotFound, op.Collection)
	}
	key, err := format.EncodeID(c.info.Kind, op.ID)
	if err != nil {
		return err
	}
	old, err := t.lookup(c, string(key))
	if err != nil {
		return err
	}
	present := old.exists && (old.rec.ExpireAt == 0 || old.rec.ExpireAt > t.g.now)
	if err := op.If.holds(op.ID, present, old.rec.LSN); err != nil {
		return err
	}
	e := effect{c: c, index: i, id: op.ID, key: string(key)}
	if old.exists {
		e.old = old
	}
	u := Update{op.Body, op.Vectors, op.ExpireAt}
	switch op.Kind {
	case Delete:
		if old.exists {
			t.rows[rowID{c.info.ID, e.key}] = &row{}
			t.effects = append(t.effects, e)
		}
		t.results[i] = OpResult{Existed: present}
		return nil
	case Patch:
		var rec *Record
		if present {
			rec = t.record(c, op.ID, old)
		}
		if u, err = callPatch(op.Patch, rec); err != nil {
			return err
		}
		if err := checkUpdate(&u); err != nil {
			return err
		}
	}
	for _, v := range u.Vectors {
		if slices.Contains(c.info.Dropped, v.Field) {
			return fmt.Errorf("%w: vector field %d was dropped", ErrValue, v.Field)
		}
	}
	n := &row{exists: true, fresh: true, vecs: u.Vectors, terms: pre.terms}
	if op.Kind == Patch || pre.generation != c.generation {
		if n.terms, err = derive(c.terms, u.Body); err != nil {
			return err
		}
	}
	n.rec = format.Record{LSN: t.lsn, ExpireAt: u.ExpireAt, Key: key, Body: u.Body}
	for _, v := range u.Vectors {
		n.rec.Fields = append(n.rec.Fields, v.Field)
	}
	slices.Sort(n.rec.Fields)
	if e.encoded, err = format.AppendRecord(nil, n.rec); err != nil {
		return err
	}
	e.new = n
	t.rows[rowID{c.info.ID, e.key}] = n
	t.effects = append(t.effects, e)
	t.results[i] = OpResult{Existed: present, Version: t.lsn}
	return nil
}

func callPatch(fn func(*Record) (Update, error), rec *Record) (u Update, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: patch function panicked: %v", ErrValue, p)
		}
	}()
	return fn(rec)
}

func (c Condition) holds(id string, present bool, version uint64) error {
	switch {
	case c.kind == condAbsent && present:
		return fmt.Errorf("%w: id %q", ErrExists, id)
	case c.kind == condExists && !present:
		return fmt.Errorf("%w: id %q", ErrNotFound, id)
	case c.kind == condVersion && (!present || version != c.version):
		if !present {
			version = 0
		}
		return &ConflictError{ID: id, Want: c.version, Have: version}
	}
	return nil
}

// lookup returns the newest version of a document: of this call, of this
// group, of the store.
func (t *txn) lookup(c *collection, key string) (*row, error) {
	id := rowID{c.info.ID, key}
	if r := t.rows[id]; r != nil {
		return r, nil
	}
	if r := t.g.rows[id]; r != nil {
		return r, nil
	}
	b, err := t.g.s.get(idKey(c.info.ID, []byte(key)))
	if errors.Is(err, ErrNotFound) {
		return &row{}, nil
	} else if err != nil {
		return nil, err
	}
	ord, lsn, err := parseIDValue(b)
	if err != nil {
		return nil, fmt.Errorf("id entry: %w", err)
	}
	if b, err = t.g.s.get(recordKey(c.info.ID, ord)); err != nil {
		if errors.Is(err, ErrNotFound) {
			err = fmt.Errorf("%w: id entry names ord %d, which has no record", ErrCorrupt, ord)
		}
		return nil, err
	}
	rec, err := format.ParseRecord(b)
	if err != nil {
		return nil, err
	}
	if rec.LSN != lsn || string(rec.Key) != key {
		return nil, fmt.Errorf("%w: id entry and record of ord %d disagree", ErrCorrupt, ord)
	}
	r := &row{exists: true, ord: ord, rec: rec}
	t.rows[id] = r
	return r, nil
}

// record presents a row to a Patch function.
func (t *txn) record(c *collection, id string, r *row) *Record {
	return &Record{
		ID: id, Ord: r.ord, Version: r.rec.LSN, ExpireAt: r.rec.ExpireAt,
		Body: r.rec.Body, Fields: c.info.fields(r.rec.Fields),
		vector: func(field uint16, dst []byte) ([]byte, error) {
			for _, v := range r.vecs {
				if v.Field == field {
					return append(dst, v.Data...), nil
				}
			}
			if r.fresh || !slices.Contains(r.rec.Fields, field) {
				return dst, fmt.Errorf("%w: vector field %d of id %q", ErrNotFound, field, id)
			}
			b, err := t.g.s.get(vectorKey(c.info.ID, field, r.ord))
			return append(dst, b...), err
		},
	}
}

// reserve gives every new version its ord; the only step of an accepted call
// that can still fail, so it comes before anything is written.
func (t *txn) reserve() error {
	for i := range t.effects {
		e := &t.effects[i]
		if e.new == nil {
			continue
		}
		ord, err := e.c.alloc()
		if err != nil {
			for _, f := range t.effects[:i] {
				if f.new != nil {
					f.c.free.Add(f.new.ord)
				}
			}
			return err
		}
		e.new.ord = ord
	}
	return nil
}
