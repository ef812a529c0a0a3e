package storage

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/cockroachdb/pebble/v2"

	"github.com/eiderdb/eider/storage/format"
)

// state is what the committer knows; only it reads or writes it.
type state struct {
	lsn     uint64 // of the last accepted call
	first   uint64 // first LSN still in the changelog
	next    uint32 // next collection id
	colls   map[uint32]*collection
	names   map[string]uint32 // replaced, never changed, when the catalog changes
	aliases map[string]uint32 // the same
	events  eventCounts
}

// collection is the committer's side of one collection.
type collection struct {
	info       Collection
	terms      Terms
	generation uint64          // changes whenever terms does; never 0
	live       *roaring.Bitmap // ords alive
	next       uint32          // ords from here on were never used
	free       *roaring.Bitmap // ords below next that may be reused
	dying      []death         // ords that views may still see, oldest first
	ttl        int             // live documents that will expire

	base  *roaring.Bitmap // what readers share; never changed
	delta []edit          // from base to live, append-only
	last  atomic.Pointer[built]
	view  *collView // as last published, nil after a change
}

// death is an ord and the LSN that killed it.
type death struct {
	ord uint32
	lsn uint64
}

// edit is one change of a live bitmap.
type edit struct {
	ord   uint32
	alive bool
}

func (c *collection) setLive(ord uint32, alive bool) {
	if alive {
		c.live.Add(ord)
	} else {
		c.live.Remove(ord)
	}
	c.delta = append(c.delta, edit{ord, alive})
	c.view = nil
}

// alloc returns an ord that no view can see (S5).
func (c *collection) alloc() (uint32, error) {
	if !c.free.IsEmpty() {
		ord := c.free.Minimum()
		c.free.Remove(ord)
		return ord, nil
	}
	if c.next == 1<<32-1 {
		return 0, fmt.Errorf("%w: collection %q holds 2^32-1 documents", ErrLimit, c.info.Name)
	}
	c.next++
	return c.next - 1, nil
}

// group is one Pebble batch under construction.
type group struct {
	s        *Store
	batch    *pebble.Batch
	start    uint64 // LSN before the group
	rows     map[rowID]*row
	postings map[string]*posting
	users    map[string]*eventUser // whose events the group reads or changes
	eventIDs map[string]bool       // event ids of the group, false if deleted; see eventKey
	told     []told                // for Options.Apply
	posted   []string              // posting keys in the batch
	purged   [][]byte              // key prefixes range-deleted
	now      int64
	keys     []byte // scratch
}

type told struct {
	lsn     uint64
	changes []Change
}

// commitGroup runs one group from staging to publishing and sets every call's
// result. It returns after Options.Apply has run and the view is published.
func (s *Store) commitGroup(calls []*call) {
	if p := s.failed.Load(); p != nil {
		for _, c := range calls {
			c.err = *p
		}
		return
	}
	g := &group{
		s: s, batch: s.db.NewBatch(), start: s.state.lsn,
		rows:     map[rowID]*row{},
		postings: map[string]*posting{},
		users:    map[string]*eventUser{},
		eventIDs: map[string]bool{},
		now:      s.opts.Now().UnixNano(),
	}
	defer g.batch.Close()
	s.recycle()
	syncNow := s.opts.Durability == SyncGroup
	refuse := s.quota.refusal()
	for _, c := range calls {
		if err := refuse(c); err != nil {
			c.err = err
			continue
		}
		c.err = g.accept(c)
		syncNow = syncNow || c.sync
	}
	if err := g.write(syncNow); err != nil {
		err = s.fail(err)
		for _, c := range calls {
			if c.err == nil {
				c.err = err
			}
		}
		return
	}
	if s.state.lsn == g.start {
		return // nothing that can be named changed; the published view is still right
	}
	if s.opts.Apply != nil {
		for _, t := range g.told {
			s.opts.Apply(t.lsn, t.changes)
		}
	}
	s.publish()
	s.maybeVacuum()
}

// accept stages one call and, if nothing in it is refused, adds it to the
// batch under the next LSN. A refused call leaves no trace.
func (g *group) accept(c *call) error {
	if c.fn != nil {
		return c.fn(g)
	}
	t := &txn{g: g, lsn: g.s.state.lsn + 1, rows: map[rowID]*row{}, results: make([]OpResult, len(c.ops))}
	for i := range c.ops {
		if err := t.stage(i, &c.ops[i], c.terms[i]); err != nil {
			return &OpError{i, c.ops[i].ID, err}
		}
	}
	c.result = Result{LSN: g.s.state.lsn, Ops: t.results}
	if len(t.effects) == 0 {
		return nil
	}
	if err := t.reserve(); err != nil {
		return err
	}
	g.s.state.lsn++
	c.result.LSN = g.s.state.lsn
	return t.apply()
}

// apply writes an accepted call into the batch and the committer's state.
func (t *txn) apply() error {
	g := t.g
	changes := make([]Change, 0, len(t.effects))
	for i := range t.effects {
		e := &t.effects[i]
		if e.setting != nil {
			if err := g.set(e.setting); err != nil {
				return g.s.fail(err)
			}
			continue
		}
		ch := Change{LSN: t.lsn, Time: g.now, Op: format.OpDelete, Collection: e.c.info.ID, ID: e.id, Key: []byte(e.key)}
		if e.old != nil {
			if err := g.kill(e.c, e.old, t.lsn); err != nil {
				return g.s.fail(err)
			}
			ch.OldOrd = e.old.ord
			t.results[e.index].OldOrd = e.old.ord
		}
		if e.new == nil {
			if err := g.batch.Delete(idKey(e.c.info.ID, ch.Key), nil); err != nil {
				return g.s.fail(err)
			}
		} else {
			if err := g.birth(e); err != nil {
				return g.s.fail(err)
			}
			t.results[e.index].Ord = e.new.ord
			ch.Op, ch.Ord, ch.HasOld = format.OpPut, e.new.ord, e.old != nil
			ch.ExpireAt, ch.Body, ch.Vectors = e.new.rec.ExpireAt, e.new.rec.Body, e.new.vecs
		}
		changes = append(changes, ch)
	}
	for id, r := range t.rows {
		g.rows[id] = r
	}
	return g.log(t.lsn, changes)
}

func (g *group) set(op *Op) error {
	if op.Body == nil {
		return g.batch.Delete(settingKey(op.Name), nil)
	}
	b, err := format.AppendEnvelope(nil, format.EnvSetting, 1, op.Body)
	if err != nil {
		return err
	}
	return g.batch.Set(settingKey(op.Name), b, nil)
}

// birth writes a new version.
func (g *group) birth(e *effect) error {
	c, r := e.c, e.new
	id := c.info.ID
	err := errors.Join(
		g.batch.Set(recordKey(id, r.ord), e.encoded, nil),
		g.batch.Set(idKey(id, []byte(e.key)), idValue(r.ord, r.rec.LSN), nil))
	for _, v := range r.vecs {
		err = errors.Join(err, g.batch.Set(vectorKey(id, v.Field, r.ord), v.Data, nil))
	}
	if r.rec.ExpireAt > 0 {
		c.ttl++
		err = errors.Join(err, g.batch.Set(expireKey(id, r.rec.ExpireAt, r.ord), nil, nil))
	}
	g.post(c, r.terms, r.ord, true)
	g.mark(c, r.ord, true)
	return err
}

// kill removes everything stored under the ord of a version that is replaced
// or deleted. Views that can see the ord read it through their snapshot.
func (g *group) kill(c *collection, r *row, lsn uint64) error {
	id := c.info.ID
	terms := r.terms
	if !r.fresh {
		var err error
		if terms, err = derive(c.terms, r.rec.Body); err != nil {
			return fmt.Errorf("deriving the postings of a stored document: %w", err)
		}
	}
	err := g.batch.Delete(recordKey(id, r.ord), nil)
	for _, f := range r.rec.Fields {
		err = errors.Join(err, g.batch.Delete(vectorKey(id, f, r.ord), nil))
	}
	if r.rec.ExpireAt > 0 {
		c.ttl--
		err = errors.Join(err, g.batch.Delete(expireKey(id, r.rec.ExpireAt, r.ord), nil))
	}
	g.post(c, terms, r.ord, false)
	g.s.removed += len(terms)
	g.mark(c, r.ord, false)
	c.dying = append(c.dying, death{r.ord, lsn})
	return err
}

// log writes the changelog entry of an accepted call and remembers it for
// Options.Apply.
func (g *group) log(lsn uint64, changes []Change) error {
	refs := make([]format.Change, len(changes))
	for i := range changes {
		refs[i] = changes[i].reference()
	}
	return g.enter(lsn, refs, changes)
}

// enter writes the changelog entry of an LSN; changes are what Options.Apply is
// told of it.
func (g *group) enter(lsn uint64, refs []format.Change, changes []Change) error {
	b, err := format.AppendEntry(nil, format.Entry{LSN: lsn, Time: g.now, Changes: refs})
	if err == nil {
		err = g.batch.Set(changeKey(lsn), b, nil)
	}
	if err != nil {
		return g.s.fail(err)
	}
	g.told = append(g.told, told{lsn, changes})
	return nil
}

// next consumes the next LSN for a call that is not made of documents.
func (g *group) next(changes ...Change) error {
	g.s.state.lsn++
	for i := range changes {
		changes[i].LSN, changes[i].Time = g.s.state.lsn, g.now
	}
	return g.log(g.s.state.lsn, changes)
}

// write completes the batch and commits it. On return the group is durable
// (sync) and visible to new Pebble snapshots.
func (g *group) write(sync bool) error {
	s := g.s
	if p := s.failed.Load(); p != nil {
		return *p
	}
	opt := pebble.NoSync
	if sync {
		opt = pebble.Sync
	}
	if s.state.lsn == g.start && g.batch.Empty() {
		if sync && s.opts.Durability == Async && !s.opts.InMemory {
			return s.db.LogData(nil, pebble.Sync)
		}
		return nil
	}
	err := g.flushPostings()
	if err == nil {
		err = g.trim()
	}
	if err != nil {
		return err
	}
	slices.Sort(g.posted)
	if s.state.lsn > g.start {
		s.cache.notify(g.posted, g.purged, g.start+1, s.state.lsn)
	}
	return s.db.Apply(g.batch, opt)
}

// trimSlack is how many LSNs past the retention pile up before a trim.
const trimSlack = 4096

func (g *group) trim() error {
	st, keep := g.s.state, g.s.opts.ChangeRetention
	if st.lsn < st.first+keep+trimSlack {
		return nil
	}
	first := st.lsn - keep + 1
	return g.trimTo(first)
}

func (g *group) trimTo(first uint64) error {
	st := g.s.state
	err := errors.Join(
		g.batch.DeleteRange(changeKey(0), changeKey(first), nil),
		g.batch.Set(keyTrim, be.AppendUint64(nil, first), nil))
	if err == nil {
		st.first = first
	}
	return err
}

// recycle frees the ords that no view can see any more (S5).
func (s *Store) recycle() {
	pending := false
	for _, c := range s.state.colls {
		pending = pending || len(c.dying) > 0
	}
	if !pending {
		return
	}
	upTo := s.Oldest()
	if s.opts.Recycle != nil {
		upTo = min(upTo, s.opts.Recycle(upTo))
	}
	for _, c := range s.state.colls {
		n := 0
		for ; n < len(c.dying) && c.dying[n].lsn <= upTo; n++ {
			c.free.Add(c.dying[n].ord)
		}
		if n > 0 {
			c.dying = slices.Delete(c.dying, 0, n)
		}
	}
}

// sortedNames lists map keys in order, for stable output.
func sortedNames(m map[string]uint32) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.SortFunc(names, strings.Compare)
	return names
}
