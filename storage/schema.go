package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/cockroachdb/pebble/v2"

	"github.com/eiderdb/eider/storage/format"
)

// Collection describes a collection. Schema is opaque to storage and read-only.
type Collection struct {
	ID      uint32
	Name    string
	Kind    format.IDKind
	Schema  []byte
	Created uint64 // LSN
	Version uint64 // LSN of the last schema change
	// Dropped lists the vector fields that DropVector removed, ascending.
	Dropped []uint16
	// Stale reports that postings are incomplete, because the collection was
	// restored from documents; Rebuild derives them.
	Stale bool
}

func (c *Collection) entry() format.Collection {
	e := format.Collection{ID: c.ID, Kind: c.Kind, Created: c.Created, Version: c.Version, Dropped: c.Dropped, Name: c.Name, Schema: c.Schema}
	if c.Stale {
		e.Flags |= format.CollectionStale
	}
	return e
}

func (s *Store) compile(info Collection) (terms Terms, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: compiling the schema panicked: %v", ErrValue, p)
		}
	}()
	return s.opts.Compile(info)
}

// putCatalog writes a collection's entry into the batch.
func (g *group) putCatalog(info *Collection) error {
	entry := info.entry()
	b, err := format.AppendCollection(nil, entry)
	if err != nil {
		return err
	}
	return g.batch.Set(collKey(prefixCollection, info.ID), b, nil)
}

// CreateCollection makes an empty collection and returns it; durable and
// visible on return. Errors: ErrExists if a collection or alias has the name,
// ErrValue for a bad name, ErrLimit, Compile's own, and those of Commit.
func (s *Store) CreateCollection(ctx context.Context, name string, kind format.IDKind, schema []byte) (Collection, error) {
	info := Collection{Name: name, Kind: kind, Schema: bytes.Clone(schema)}
	if err := format.CheckLabel(name); err != nil {
		return info, err
	}
	if kind > format.IDUint64 {
		return info, fmt.Errorf("%w: id kind %d", ErrValue, kind)
	}
	if len(schema) > format.MaxSchema {
		return info, fmt.Errorf("%w: schema of %d bytes, at most %d", ErrLimit, len(schema), format.MaxSchema)
	}
	err := s.submit(ctx, &call{bytes: len(schema), fn: func(g *group) error {
		st := s.state
		if _, taken := st.names[name]; taken {
			return fmt.Errorf("%w: collection %q", ErrExists, name)
		}
		if _, taken := st.aliases[name]; taken {
			return fmt.Errorf("%w: alias %q", ErrExists, name)
		}
		info.ID, info.Created, info.Version = st.next, st.lsn+1, st.lsn+1
		terms, err := s.compile(info)
		if err != nil {
			return err
		}
		if err := errors.Join(g.putCatalog(&info), g.batch.Set(keyNext, be.AppendUint32(nil, info.ID+1), nil)); err != nil {
			return s.fail(err)
		}
		st.next++
		st.colls[info.ID] = newCollection(info, terms, info.Version)
		st.names = with(st.names, name, info.ID)
		return g.next(Change{Op: format.OpCreate, Collection: info.ID, Name: name})
	}})
	return info, err
}

func newCollection(info Collection, terms Terms, generation uint64) *collection {
	return &collection{
		info: info, terms: terms, generation: generation,
		live: roaring.New(), free: roaring.New(), base: roaring.New(),
	}
}

// with returns a copy of m with one more entry; views share m.
func with(m map[string]uint32, name string, id uint32) map[string]uint32 {
	m = maps.Clone(m)
	m[name] = id
	return m
}

func without(m map[string]uint32, name string) map[string]uint32 {
	m = maps.Clone(m)
	delete(m, name)
	return m
}

// SetSchema replaces a collection's schema and, through Compile, its Terms:
// writes from the next call on use them. An index number the old Terms used
// must mean the same in the new ones; a new index needs Backfill, a dropped one
// DropIndex. version is the schema version replaced, 0 for any. Errors:
// ErrNotFound, ErrConflict, ErrLimit, Compile's own, and those of Commit.
func (s *Store) SetSchema(ctx context.Context, coll uint32, version uint64, schema []byte) (Collection, error) {
	if len(schema) > format.MaxSchema {
		return Collection{}, fmt.Errorf("%w: schema of %d bytes, at most %d", ErrLimit, len(schema), format.MaxSchema)
	}
	var info Collection
	schema = bytes.Clone(schema)
	err := s.submit(ctx, &call{bytes: len(schema), fn: func(g *group) error {
		c := s.state.colls[coll]
		if c == nil {
			return fmt.Errorf("%w: collection %d", ErrNotFound, coll)
		}
		if version != 0 && version != c.info.Version {
			return &ConflictError{ID: c.info.Name, Want: version, Have: c.info.Version}
		}
		err := g.setSchema(c, schema)
		info = c.info
		return err
	}})
	return info, err
}

// setSchema makes schema that of c.
func (g *group) setSchema(c *collection, schema []byte) error {
	info := c.info
	info.Schema, info.Version = schema, g.s.state.lsn+1
	terms, err := g.s.compile(info)
	if err != nil {
		return err
	}
	if err := g.putCatalog(&info); err != nil {
		return g.s.fail(err)
	}
	c.info, c.terms, c.generation, c.view = info, terms, info.Version, nil
	return g.next(Change{Op: format.OpSchema, Collection: info.ID, Name: info.Name})
}

// DropCollection removes a collection, its aliases and everything in it. Views
// acquired before still read it. Errors: ErrNotFound and those of Commit.
func (s *Store) DropCollection(ctx context.Context, coll uint32) error {
	err := s.submit(ctx, &call{frees: true, fn: func(g *group) error {
		st := s.state
		c := st.colls[coll]
		if c == nil {
			return fmt.Errorf("%w: collection %d", ErrNotFound, coll)
		}
		err := errors.Join(g.flushPostings(), g.batch.Delete(collKey(prefixCollection, coll), nil))
		for _, p := range []byte{prefixID, prefixRecord, prefixVector, prefixTerm, prefixLive, prefixExpire, prefixSnapshot, prefixRotation} {
			lo, hi := collRange(p, coll)
			err = errors.Join(err, g.batch.DeleteRange(lo, hi, nil))
			g.purged = append(g.purged, lo)
		}
		for _, alias := range sortedNames(st.aliases) {
			if st.aliases[alias] == coll {
				err = errors.Join(err, g.batch.Delete(aliasKey(alias), nil))
				st.aliases = without(st.aliases, alias)
			}
		}
		if err != nil {
			return s.fail(err)
		}
		delete(st.colls, coll)
		st.names = without(st.names, c.info.Name)
		return g.next(Change{Op: format.OpDrop, Collection: coll, Name: c.info.Name})
	}})
	if err == nil && s.snapshotMu.TryLock() { // whoever has it sweeps, or the next open
		s.sweepSnapshots()
		s.snapshotMu.Unlock()
	}
	return err
}

// Alias is one change of SetAliases.
type Alias struct {
	Name       string
	Collection uint32 // ignored if Remove
	Remove     bool
}

// SetAliases applies all changes at once, so that an alias can move from one
// collection to another without a moment of neither. Errors: ErrNotFound for a
// missing collection or a removed alias that does not exist, ErrExists if a
// collection has the name, ErrValue, and those of Commit.
func (s *Store) SetAliases(ctx context.Context, aliases ...Alias) error {
	for _, a := range aliases {
		if err := format.CheckLabel(a.Name); err != nil {
			return err
		}
	}
	if len(aliases) == 0 {
		return nil
	}
	return s.submit(ctx, &call{fn: func(g *group) error {
		st := s.state
		next := st.aliases
		changes := make([]Change, 0, len(aliases))
		for _, a := range aliases {
			ch := Change{Op: format.OpAlias, Collection: a.Collection, Name: a.Name}
			if _, taken := st.names[a.Name]; taken {
				return fmt.Errorf("%w: collection %q", ErrExists, a.Name)
			}
			if a.Remove {
				coll, ok := next[a.Name]
				if !ok {
					return fmt.Errorf("%w: alias %q", ErrNotFound, a.Name)
				}
				ch.Op, ch.Collection = format.OpUnalias, coll
				next = without(next, a.Name)
			} else {
				if st.colls[a.Collection] == nil {
					return fmt.Errorf("%w: collection %d", ErrNotFound, a.Collection)
				}
				next = with(next, a.Name, a.Collection)
			}
			changes = append(changes, ch)
		}
		for _, ch := range changes {
			var err error
			if ch.Op == format.OpUnalias {
				err = g.batch.Delete(aliasKey(ch.Name), nil)
			} else {
				err = g.batch.Set(aliasKey(ch.Name), be.AppendUint32(nil, ch.Collection), nil)
			}
			if err != nil {
				return s.fail(err)
			}
		}
		st.aliases = next
		return g.next(changes...)
	}})
}

// load reads the catalog, the end of the log and the live bitmaps.
func (s *Store) load() error {
	st := &state{first: 1, next: 1, colls: map[uint32]*collection{}, names: map[string]uint32{}, aliases: map[string]uint32{}}
	s.state = st
	if b, err := s.get(keyNext); err == nil && len(b) == 4 {
		st.next = be.Uint32(b)
	} else if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if b, err := s.get(keyTrim); err == nil && len(b) == 8 {
		st.first = be.Uint64(b)
	} else if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if err := errors.Join(s.loadEnd(), s.loadEvents()); err != nil {
		return err
	}
	err := s.each([]byte{prefixCollection}, func(key, value []byte) error {
		e, err := format.ParseCollection(value)
		if err != nil {
			return fmt.Errorf("catalog entry: %w", err)
		}
		if len(key) != 5 || e.ID != be.Uint32(key[1:]) {
			return fmt.Errorf("%w: catalog entry of collection %d is under another key", ErrCorrupt, e.ID)
		}
		info := Collection{ID: e.ID, Name: e.Name, Kind: e.Kind, Schema: bytes.Clone(e.Schema), Created: e.Created, Version: e.Version,
			Dropped: e.Dropped, Stale: e.Flags&format.CollectionStale != 0}
		terms, err := s.compile(info)
		if err != nil {
			return fmt.Errorf("schema of collection %q: %w", e.Name, err)
		}
		st.colls[e.ID] = newCollection(info, terms, e.Version)
		st.names[e.Name] = e.ID
		st.next = max(st.next, e.ID+1)
		return nil
	})
	if err != nil {
		return err
	}
	err = s.each([]byte{prefixAlias}, func(key, value []byte) error {
		if len(value) != 4 || st.colls[be.Uint32(value)] == nil {
			return fmt.Errorf("%w: alias %q names no collection", ErrCorrupt, key[1:])
		}
		st.aliases[string(key[1:])] = be.Uint32(value)
		return nil
	})
	if err != nil {
		return err
	}
	for _, c := range st.colls {
		if err := s.loadLive(c); err != nil {
			return err
		}
	}
	return nil
}

// loadEnd finds the last LSN: the newest changelog entry, which a trim keeps.
func (s *Store) loadEnd() error {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixChange}, UpperBound: []byte{prefixChange + 1}})
	if err != nil {
		return readError("changelog", err)
	}
	if it.Last() {
		value, verr := it.ValueAndErr()
		e, perr := format.ParseEntry(value)
		err = errors.Join(verr, perr)
		if err == nil && string(it.Key()) != string(changeKey(e.LSN)) {
			err = fmt.Errorf("%w: changelog entry %d is under another key", ErrCorrupt, e.LSN)
		}
		s.state.lsn = e.LSN
	}
	return errors.Join(err, readError("changelog", it.Close()))
}

// loadLive reads one collection's live bitmap and derives from it which ords
// are free: with no view alive, every one that is not live (S5).
func (s *Store) loadLive(c *collection) error {
	r := bitmapReader{}
	err := s.each(collKey(prefixLive, c.info.ID), func(key, value []byte) error { return r.add(key, value) })
	if err != nil {
		return fmt.Errorf("live bitmap of %q: %w", c.info.Name, err)
	}
	if c.live, err = r.bitmap(); err != nil {
		return err
	}
	if !c.live.IsEmpty() {
		c.next = c.live.Maximum() + 1
	}
	c.free.AddRange(0, uint64(c.next))
	c.free.AndNot(c.live)
	c.base = c.live.Clone()
	return s.each(collKey(prefixExpire, c.info.ID), func(_, _ []byte) error {
		c.ttl++
		return nil
	})
}

// each calls fn for every key that starts with prefix, as of now.
func (s *Store) each(prefix []byte, fn func(key, value []byte) error) error {
	return scan(s.db, prefix, successor(prefix), fn)
}

// scan calls fn for the keys in [lo, hi) in order; key and value are valid
// during the call.
func scan(r pebble.Reader, lo, hi []byte, fn func(key, value []byte) error) (err error) {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	if err != nil {
		return readError(fmt.Sprintf("keys %q", lo[:1]), err)
	}
	defer func() {
		if cerr := it.Close(); err == nil {
			err = readError(fmt.Sprintf("keys %q", lo[:1]), cerr)
		}
	}()
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return readError(fmt.Sprintf("keys %q", lo[:1]), err)
		}
		if err := fn(it.Key(), value); err != nil {
			return err
		}
	}
	return nil
}
