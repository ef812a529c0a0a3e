package storage

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/cockroachdb/pebble/v2"

	"github.com/eiderdb/eider/storage/format"
)

// View is the store as of one LSN, for any number of goroutines, until its
// last Release. Everything it returns agrees: live bitmaps, postings, records
// and vectors. Ords of a view stay the property of its documents while it is
// held (S5), so hold it briefly: a view held long keeps deleted data on disk.
type View struct {
	s       *Store
	lsn     uint64
	first   uint64
	snap    *pebble.Snapshot
	refs    atomic.Int64 // one is the store's while the view is the newest
	colls   map[uint32]*collView
	names   map[string]uint32
	aliases map[string]uint32
	events  eventCounts
}

// collView is one collection in a view, shared by the views between which the
// collection did not change.
type collView struct {
	info       Collection
	terms      Terms
	generation uint64
	count      int
	next       uint32
	ttl        int

	base  *roaring.Bitmap
	delta []edit
	last  *atomic.Pointer[built] // the collection's
	once  sync.Once
	live  atomic.Pointer[roaring.Bitmap]
}

// built is a bitmap that a view was asked for: base with the first n edits after it.
// Read only.
type built struct {
	base, bitmap *roaring.Bitmap
	n            int
}

// bitmap returns base with delta applied, built when first asked for: a group
// of writes that nobody looks at costs no bitmap. It begins with what was built for
// an earlier view, so that searches between writes apply each edit once.
func (c *collView) bitmap() *roaring.Bitmap {
	if b := c.live.Load(); b != nil {
		return b
	}
	c.once.Do(func() {
		from := built{c.base, c.base, 0}
		last := c.last.Load()
		if last != nil && last.base == c.base && last.n <= len(c.delta) {
			from = *last
		}
		b := from.bitmap
		if from.n < len(c.delta) {
			b = b.Clone()
			for _, e := range c.delta[from.n:] {
				if e.alive {
					b.Add(e.ord)
				} else {
					b.Remove(e.ord)
				}
			}
			c.last.CompareAndSwap(last, &built{c.base, b, len(c.delta)})
		}
		c.live.Store(b)
	})
	return c.live.Load()
}

// rebase is how many edits pile up before the committer copies its bitmap.
const rebase = 8192

// snapshotView freezes the committer's side of a collection.
func (c *collection) snapshotView() *collView {
	if c.view != nil {
		return c.view
	}
	if len(c.delta) > rebase {
		c.base, c.delta = c.live.Clone(), nil
	}
	v := &collView{
		info: c.info, terms: c.terms, generation: c.generation,
		count: int(c.live.GetCardinality()), next: c.next, ttl: c.ttl,
		base: c.base, delta: c.delta[:len(c.delta):len(c.delta)], last: &c.last,
	}
	c.view = v
	return v
}

// publish makes the committer's state the newest view. The Pebble snapshot is
// taken here, after the group was applied and before the next can be, so it is
// exactly the state at the LSN.
func (s *Store) publish() {
	st := s.state
	v := &View{s: s, lsn: st.lsn, first: st.first, snap: s.db.NewSnapshot(),
		colls: make(map[uint32]*collView, len(st.colls)), names: st.names, aliases: st.aliases, events: st.events}
	for id, c := range st.colls {
		v.colls[id] = c.snapshotView()
	}
	v.refs.Store(1)
	s.viewsMu.Lock()
	s.views = append(s.views, v)
	s.viewsMu.Unlock()
	if s.cacheUnset() {
		s.cache.notify(nil, nil, 0, st.lsn)
	}
	s.lsn.Store(v.lsn)
	old := s.view.Swap(v)
	if old != nil {
		old.Release()
	}
	s.mu.Lock()
	close(s.changed)
	s.changed = make(chan struct{})
	s.mu.Unlock()
	if s.opts.Published != nil {
		s.opts.Published(v.lsn)
	}
}

// cacheUnset reports the first publish, when the cache knows no LSN yet.
func (s *Store) cacheUnset() bool { return s.view.Load() == nil }

// Acquire returns the newest view, which contains every acknowledged call. The
// caller must Release it. It makes no Pebble call. Error: ErrClosed.
func (s *Store) Acquire() (*View, error) {
	for {
		v := s.view.Load()
		if v == nil {
			return nil, ErrClosed
		}
		for {
			n := v.refs.Load()
			if n == 0 {
				break // replaced and gone; there is a newer one
			}
			if v.refs.CompareAndSwap(n, n+1) {
				return v, nil
			}
		}
	}
}

// Retain adds a holder, who must Release too; the caller must hold the view.
func (v *View) Retain() *View {
	v.refs.Add(1)
	return v
}

// Release gives the view up; slices and bitmaps it returned stay valid.
func (v *View) Release() {
	if v.refs.Add(-1) != 0 {
		return
	}
	// The snapshot is closed before the view leaves the list, because Close
	// closes Pebble when the list is empty.
	v.snap.Close()
	s := v.s
	s.viewsMu.Lock()
	if i := slices.Index(s.views, v); i >= 0 {
		s.views = slices.Delete(s.views, i, i+1)
	}
	idle := s.idle
	s.idle = make(chan struct{})
	s.viewsMu.Unlock()
	close(idle)
}

// Oldest returns the LSN of the oldest view that somebody holds, the newest
// view included.
func (s *Store) Oldest() uint64 {
	s.viewsMu.Lock()
	defer s.viewsMu.Unlock()
	if len(s.views) == 0 {
		return s.lsn.Load()
	}
	return s.views[0].lsn
}

// LSN returns the log sequence number of the newest view.
func (s *Store) LSN() uint64 { return s.lsn.Load() }

// LSN returns the log sequence number the view is of.
func (v *View) LSN() uint64 { return v.lsn }

// Collections returns the collections in order of name.
func (v *View) Collections() []Collection {
	out := make([]Collection, 0, len(v.names))
	for _, n := range sortedNames(v.names) {
		out = append(out, v.colls[v.names[n]].info)
	}
	return out
}

// Collection finds a collection by name or alias.
func (v *View) Collection(name string) (Collection, bool) {
	id, ok := v.names[name]
	if !ok {
		id, ok = v.aliases[name]
	}
	if !ok {
		return Collection{}, false
	}
	return v.colls[id].info, true
}

// CollectionByID returns a collection's description.
func (v *View) CollectionByID(coll uint32) (Collection, bool) {
	c := v.colls[coll]
	if c == nil {
		return Collection{}, false
	}
	return c.info, true
}

// Aliases returns the aliases and the ids of their collections. Read only.
func (v *View) Aliases() map[string]uint32 { return v.aliases }

// Count returns the exact number of documents, O(1); expired ones count until
// they are deleted.
func (v *View) Count(coll uint32) int {
	if c := v.colls[coll]; c != nil {
		return c.count
	}
	return 0
}

// Limit returns a bound above every ord of the collection.
func (v *View) Limit(coll uint32) uint32 {
	if c := v.colls[coll]; c != nil {
		return c.next
	}
	return 0
}

var empty = roaring.New()

// Live returns the ords of all documents. Shared: read only. The first call
// after a write costs O(live/65536) copies of 8 KiB.
func (v *View) Live(coll uint32) *roaring.Bitmap {
	if c := v.colls[coll]; c != nil {
		return c.bitmap()
	}
	return empty
}

// Record is a document version as stored. Its slices are owned by the caller.
type Record struct {
	ID       string
	Ord      uint32
	Version  uint64 // LSN of the write that made it
	ExpireAt int64  // nanoseconds since 1970 UTC, 0 for never
	Fields   []uint16
	Body     []byte

	vector func(field uint16, dst []byte) ([]byte, error)
}

// Vector appends the bytes of one of the record's vector fields to dst. Within
// a Patch function only, or while the record's view is held. ErrNotFound if the
// record has no such vector.
func (r *Record) Vector(field uint16, dst []byte) ([]byte, error) { return r.vector(field, dst) }

func (v *View) get(key []byte) ([]byte, error) {
	b, closer, err := v.snap.Get(key)
	if err != nil {
		return nil, readError(fmt.Sprintf("key %q", key[:1]), err)
	}
	out := append(make([]byte, 0, len(b)), b...)
	return out, closer.Close()
}

func (v *View) coll(coll uint32) (*collView, error) {
	c := v.colls[coll]
	if c == nil {
		return nil, fmt.Errorf("%w: collection %d", ErrNotFound, coll)
	}
	return c, nil
}

// Lookup returns the ord and version of an id, false if there is none. Errors:
// ErrNotFound for the collection, ErrID, ErrCorrupt.
func (v *View) Lookup(coll uint32, id string) (ord uint32, version uint64, ok bool, err error) {
	c, err := v.coll(coll)
	if err != nil {
		return 0, 0, false, err
	}
	key, err := format.EncodeID(c.info.Kind, id)
	if err != nil {
		return 0, 0, false, err
	}
	b, closer, err := v.snap.Get(idKey(coll, key))
	if err == pebble.ErrNotFound {
		return 0, 0, false, nil
	} else if err != nil {
		return 0, 0, false, readError(fmt.Sprintf("id %q", id), err)
	}
	ord, version, err = parseIDValue(b)
	closer.Close()
	if err != nil {
		return 0, 0, false, fmt.Errorf("id %q: %w", id, err)
	}
	return ord, version, true, nil
}

// Record returns the document under a live ord. Errors: ErrNotFound, ErrCorrupt.
func (v *View) Record(coll, ord uint32) (Record, error) {
	c, err := v.coll(coll)
	if err != nil {
		return Record{}, err
	}
	b, err := v.get(recordKey(coll, ord))
	if err != nil {
		return Record{}, fmt.Errorf("record of ord %d: %w", ord, err)
	}
	return v.parseRecord(c, ord, b)
}

// parseRecord decodes b, which the record keeps.
func (v *View) parseRecord(c *collView, ord uint32, b []byte) (Record, error) {
	r, err := format.ParseRecord(b)
	if err != nil {
		return Record{}, fmt.Errorf("record of ord %d: %w", ord, err)
	}
	id, err := format.DecodeID(c.info.Kind, r.Key)
	if err != nil {
		return Record{}, fmt.Errorf("record of ord %d: %w", ord, err)
	}
	coll := c.info.ID
	return Record{ID: id, Ord: ord, Version: r.LSN, ExpireAt: r.ExpireAt, Fields: c.info.fields(r.Fields), Body: r.Body,
		vector: func(field uint16, dst []byte) ([]byte, error) { return v.Vector(coll, field, ord, dst) }}, nil
}

// Get returns the document of an id: Lookup and Record in one. ErrNotFound if
// there is none.
func (v *View) Get(coll uint32, id string) (Record, error) {
	ord, _, ok, err := v.Lookup(coll, id)
	if err != nil {
		return Record{}, err
	}
	if !ok {
		return Record{}, fmt.Errorf("%w: id %q", ErrNotFound, id)
	}
	return v.Record(coll, ord)
}

// Vector appends the bytes of one vector to dst. ErrNotFound if the document
// under ord has none in the field.
func (v *View) Vector(coll uint32, field uint16, ord uint32, dst []byte) ([]byte, error) {
	b, closer, err := v.snap.Get(vectorKey(coll, field, ord))
	if err != nil {
		return dst, readError(fmt.Sprintf("vector field %d of ord %d", field, ord), err)
	}
	dst = append(dst, b...)
	return dst, closer.Close()
}

// Setting returns the bytes stored under name by a Set operation. Errors:
// ErrNotFound, ErrCorrupt.
func (v *View) Setting(name string) ([]byte, error) {
	b, err := v.get(settingKey(name))
	if err != nil {
		return nil, fmt.Errorf("setting %q: %w", name, err)
	}
	_, body, err := format.OpenEnvelope(b, format.EnvSetting, 1)
	if err != nil {
		return nil, fmt.Errorf("setting %q: %w", name, err)
	}
	return body, nil
}

// Settings calls fn with every setting whose name starts with prefix, in order
// of name, until fn returns false. value is valid during the call.
func (v *View) Settings(prefix string, fn func(name string, value []byte) bool) error {
	lo := settingKey(prefix)
	err := scan(v.snap, lo, successor(lo), func(key, value []byte) error {
		_, body, err := format.OpenEnvelope(value, format.EnvSetting, 1)
		if err != nil {
			return fmt.Errorf("setting %q: %w", key[1:], err)
		}
		if !fn(string(key[1:]), body) {
			return errStop
		}
		return nil
	})
	return stopped(err)
}
