package eider

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/eiderdb/eider/storage"
	"github.com/eiderdb/eider/storage/format"
)

// Collection is a set of documents with one schema. It stays usable after a
// rename of aliases; after its drop every call gives ErrNotFound.
type Collection struct {
	db    *DB
	id    uint32
	name  string
	state atomic.Pointer[state]
	// warming is being built to replace an index that serves meanwhile, nil if none;
	// under db.mu.
	warming *live
}

// state is a collection as of a schema change: immutable, linked to the states
// before it for readers of older views.
type state struct {
	id          uint32
	lsn         uint64 // from which it holds
	version     uint64 // LSN of the schema change that made it
	stored      *stored
	lives       map[string]*live // by vector name
	vectorOrder []string
	dropped     bool
	prev        atomic.Pointer[state]
}

// maxStates is how many schema changes back a reader can be.
const maxStates = 8

// set makes st the newest state.
func (c *Collection) set(st *state) {
	st.vectorOrder = sortedKeys(st.stored.VectorID)
	st.prev.Store(c.state.Load())
	c.state.Store(st)
	at := st
	for range maxStates {
		if at = at.prev.Load(); at == nil {
			return
		}
	}
	at.prev.Store(nil)
}

// stateAt is the state that holds at an LSN.
func (c *Collection) stateAt(lsn uint64) (*state, error) {
	for st := c.state.Load(); st != nil; st = st.prev.Load() {
		if st.lsn <= lsn {
			if st.dropped {
				break
			}
			return st, nil
		}
	}
	return nil, fmt.Errorf("%w: collection %q", ErrNotFound, c.name)
}

// Name is the collection's own name, not an alias.
func (c *Collection) Name() string { return c.name }

// Schema is the schema as it is now, with defaults written out. The caller owns
// it.
func (c *Collection) Schema() Schema { return c.state.Load().stored.Schema.clone() }

// Info describes the collection as it is now.
func (c *Collection) Info() Info {
	st := c.state.Load()
	info := Info{Name: c.name, Schema: c.Schema(), SchemaVersion: st.version, Building: sortedKeys(st.stored.Building)}
	for alias, name := range c.db.Aliases() {
		if name == c.name {
			info.Aliases = append(info.Aliases, alias)
		}
	}
	slices.Sort(info.Aliases)
	if view, err := c.db.viewAt(0); err == nil {
		info.Docs = view.Live(c.id).GetCardinality()
		info.LSN = view.LSN()
		view.Release()
	}
	return info
}

// vector finds the index of a named vector; "" is the only one there is.
func (st *state) vector(name string) (*live, error) {
	if name == "" {
		if len(st.vectorOrder) != 1 {
			return nil, fmt.Errorf("%w: the collection has %d vectors; say which: %v", ErrInvalid, len(st.vectorOrder), st.vectorOrder)
		}
		name = st.vectorOrder[0]
	}
	if l, ok := st.lives[name]; ok {
		return l, nil
	}
	return nil, st.unknownVector(name)
}

func (st *state) unknownVector(name string) error {
	return fmt.Errorf("%w: vector %q; the collection has %v", ErrUnknownField, name, st.vectorOrder)
}

// apply hands a change to the vector indexes. It runs in the committer.
func (c *Collection) apply(lsn uint64, ch *storage.Change) {
	st := c.state.Load()
	for _, l := range st.lives {
		c.tell(l, lsn, ch)
	}
	if c.warming != nil {
		c.tell(c.warming, lsn, ch)
	}
}

// tell hands a change to one vector index.
func (c *Collection) tell(l *live, lsn uint64, ch *storage.Change) {
	one := change{lsn: lsn, ord: ch.Ord, put: ch.Op == format.OpPut, old: ch.OldOrd, had: ch.HasOld || ch.Op == format.OpDelete}
	for _, v := range ch.Vectors {
		if v.Field != l.id {
			continue
		}
		vec, err := decodeVector(l.spec, v.Data, nil)
		if err != nil {
			c.db.log.Error("stored vector does not decode", "collection", c.name, "vector", l.name, "err", err)
			continue
		}
		one.vector = vec
	}
	l.apply(one)
}

// startLives starts the indexes that the newest state lacks. The caller holds
// db.mu.
func (c *Collection) startLives(lsn uint64, anew bool) {
	st := c.state.Load()
	for name, id := range st.stored.VectorID {
		if st.lives[name] == nil {
			st.lives[name] = c.db.newLive(c.id, name, id, st.stored.vector(name), lsn, anew).start()
		}
	}
}

// adoptSchema takes a schema change over: indexes whose vector stays as it was
// are kept, the others are started or retired. It runs in the committer with
// db.mu held.
func (c *Collection) adoptSchema(lsn uint64, info storage.Collection) {
	next, err := decodeStored(info.Schema)
	if err != nil {
		c.db.log.Error("schema does not decode", "collection", c.name, "err", err)
		return
	}
	old := c.state.Load()
	lives := map[string]*live{}
	for name, l := range old.lives {
		if id, ok := next.VectorID[name]; ok && id == l.id && next.vector(name).builds(l.spec) {
			lives[name] = l
		}
	}
	if w := c.warming; w != nil && w.warm {
		if id, ok := next.VectorID[w.name]; ok && id == w.id && next.vector(w.name).builds(w.spec) {
			lives[w.name], c.warming = w, nil
		}
	}
	st := &state{id: c.id, lsn: lsn, version: info.Version, stored: next, lives: lives}
	c.set(st)
	c.startLives(lsn, true)
	c.retire(old, st)
}

// builds reports whether an index built for o serves v unchanged; what Rotate asks
// for comes later.
func (v Vector) builds(o Vector) bool {
	v.Index.Rotate = o.Index.Rotate
	return v.Dim == o.Dim && v.Metric == o.Metric && v.Storage == o.Storage && v.Index == o.Index
}

// retire closes the indexes of old that next does not use, once no reader can
// hold them.
func (c *Collection) retire(old, next *state) {
	if next == nil {
		gone := &state{id: c.id, lsn: c.db.last, stored: old.stored, lives: map[string]*live{}, dropped: true}
		c.set(gone)
		next = gone
	}
	var done []*live
	for name, l := range old.lives {
		if next.lives[name] != l {
			l.retired.Store(true)
			done = append(done, l)
		}
	}
	if len(done) == 0 {
		return
	}
	lsn := c.db.last
	c.db.wg.Go(func() {
		c.db.waitOldest(lsn) // ends early at Close, which waits for readers itself
		for _, l := range done {
			if err := l.close(); err != nil {
				c.db.log.Warn("index did not close", "vector", l.name, "err", err)
			}
			if n := next.lives[l.name]; n != nil && (n.spec.builds(l.spec) || n.saved.Load() > 0) {
				continue // its snapshot serves the new one as well, or is gone
			}
			if err := c.db.store.DropSnapshot(c.id, l.id); err != nil && !next.dropped {
				c.db.log.Debug("index snapshot stays until the next save", "vector", l.name, "err", err)
			}
		}
	})
}

// Ready returns when every vector index is loaded, with the vectors that it keeps in
// memory, and every vector is linked and found by itself. Bulk loads call it at their
// end; searches need not, they see every write at once, but for a vector far from all
// others whose way was cut by what came or went since: such a one may be missed until
// Ready, or until no writes came for a second.
func (c *Collection) Ready(ctx context.Context) error {
	for _, name := range c.state.Load().vectorOrder {
		l := c.state.Load().lives[name]
		if l == nil {
			continue
		}
		x, err := l.wait(ctx)
		if err == nil {
			err = l.waitResident(ctx)
		}
		if err == nil {
			err = x.Drain(ctx)
		}
		if err != nil {
			return c.fail("ready", "", err)
		}
	}
	return nil
}

// change commits a new schema made from the current one by fn.
func (c *Collection) change(ctx context.Context, op string, fn func(s *stored) error) error {
	c.db.schemas.Lock()
	defer c.db.schemas.Unlock()
	return c.fail(op, "", c.changeLocked(ctx, fn))
}

func (c *Collection) changeLocked(ctx context.Context, fn func(s *stored) error) error {
	next := c.state.Load().stored.clone()
	if err := fn(next); err != nil {
		return err
	}
	norm, err := next.Schema.normalise()
	if err != nil {
		return err
	}
	next.Schema = norm
	_, err = c.db.store.SetSchema(ctx, c.id, 0, next.encode())
	return err
}

// AddField declares a field. Documents already there keep what they have under
// that name; with f.Index they are indexed before AddField returns, while reads
// and writes go on. Error: ErrExists if the field is declared with another type.
func (c *Collection) AddField(ctx context.Context, name string, f Field) error {
	err := c.change(ctx, "add field", func(s *stored) error {
		if old, ok := s.Schema.Fields[name]; ok && old.Type != f.Type {
			return fmt.Errorf("%w: field %q has type %s", ErrExists, name, old.Type)
		} else if ok {
			return nil
		}
		s.Schema.Fields[name] = Field{Type: f.Type}
		return f.validate(name)
	})
	if err == nil && f.Index {
		err = c.AddIndex(ctx, name)
	}
	return err
}

// AddIndex keeps a filter index for a declared field from now on, and fills it
// from the documents there are while reads and writes go on. It returns when
// filters use it. If ctx ends first the index stays half built and unused;
// calling AddIndex again goes on.
func (c *Collection) AddIndex(ctx context.Context, field string) error {
	c.db.schemas.Lock()
	defer c.db.schemas.Unlock()
	return c.fail("add index", "", c.addIndex(ctx, field))
}

func (c *Collection) addIndex(ctx context.Context, field string) error {
	err := c.changeLocked(ctx, func(s *stored) error {
		f, ok := s.Schema.Fields[field]
		if !ok {
			return s.unknownField(field)
		}
		f.Index = true
		if err := f.validate(field); err != nil {
			return err
		}
		s.Schema.Fields[field] = f
		if _, has := s.FieldID[field]; !has {
			s.FieldID[field] = s.NextField
			s.NextField++
			s.Building[field] = true
		}
		return nil
	})
	if err != nil || !c.state.Load().stored.Building[field] {
		return err
	}
	if err := c.db.store.Backfill(ctx, c.id, c.state.Load().stored.FieldID[field], nil); err != nil {
		return err
	}
	return c.changeLocked(ctx, func(s *stored) error {
		delete(s.Building, field)
		return nil
	})
}

// DropIndex removes the filter index of a field; filters then read documents.
func (c *Collection) DropIndex(ctx context.Context, field string) error {
	c.db.schemas.Lock()
	defer c.db.schemas.Unlock()
	var id uint32
	err := c.changeLocked(ctx, func(s *stored) error {
		f, ok := s.Schema.Fields[field]
		if !ok {
			return s.unknownField(field)
		}
		f.Index = false
		s.Schema.Fields[field] = f
		id = s.FieldID[field]
		delete(s.FieldID, field)
		delete(s.Building, field)
		return nil
	})
	if err == nil && id != 0 {
		err = c.db.store.DropIndex(ctx, c.id, id)
	}
	return c.fail("drop index", "", err)
}

// AddVector declares a vector; documents get it as they are written. Error:
// ErrExists if it is declared differently.
func (c *Collection) AddVector(ctx context.Context, name string, v Vector) error {
	return c.change(ctx, "add vector", func(s *stored) error {
		norm, err := v.normalise(name)
		if err != nil {
			return err
		}
		space, err := c.db.checkEncoder(name, norm)
		if err != nil {
			return err
		}
		if old, ok := s.Schema.Vectors[name]; ok {
			if Schema.same(Schema{Vectors: map[string]Vector{name: old}}, Schema{Vectors: map[string]Vector{name: norm}}) {
				return nil
			}
			return fmt.Errorf("%w: vector %q, declared differently", ErrExists, name)
		}
		s.Schema.Vectors[name] = norm
		s.VectorID[name] = s.NextVec
		s.NextVec++
		s.settle(name, space)
		return nil
	})
}

// DropVector removes a vector, its index and its values.
func (c *Collection) DropVector(ctx context.Context, name string) error {
	var id uint16
	err := c.change(ctx, "drop vector", func(s *stored) error {
		if _, ok := s.Schema.Vectors[name]; !ok {
			return c.state.Load().unknownVector(name)
		}
		id = s.VectorID[name]
		delete(s.Schema.Vectors, name)
		delete(s.VectorID, name)
		delete(s.Forms, name)
		delete(s.Spaces, name)
		return nil
	})
	if err == nil {
		err = c.db.store.DropVector(ctx, c.id, id)
	}
	return c.fail("drop vector", "", err)
}

// SetVectorIndex changes how a vector is indexed. The new index is built in the
// background; searches use it at once, exactly until it is linked.
func (c *Collection) SetVectorIndex(ctx context.Context, name string, vi VectorIndex) error {
	return c.change(ctx, "set vector index", func(s *stored) error {
		v, ok := s.Schema.Vectors[name]
		if !ok {
			return c.state.Load().unknownVector(name)
		}
		v.Index = vi
		delete(s.Forms, name)
		s.Schema.Vectors = maps.Clone(s.Schema.Vectors)
		s.Schema.Vectors[name] = v
		return nil
	})
}
