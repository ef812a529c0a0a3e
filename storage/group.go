package storage

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

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
	view  *collView       // as last published, nil after a change
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

// posting collects the changes of one posting key in order.
type posting []uint32 // ord low 16 bits <<1 | added

// group is one Pebble batch under construction.
type group struct {
	s        *Store
	batch    *pebble.Batch
	start    uint64 // LSN before the group
	rows     map[rowID]*row
	settings map[string][]byte
	postings map[string]*posting
	told     []told   // for Options.Apply
	posted   []string // posting keys in the batch
	purged   [][]byte // key prefixes range-deleted
	now      int64
	keys     []byte // scratch
}

type told struct {
	lsn     uint64
	changes []Change
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
		return // nothing changed; the published view is still right
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

// mark changes the live bitmap.
func (g *group) mark(c *collection, ord uint32, alive bool) {
	c.setLive(ord, alive)
	g.keys = be.AppendUint16(appendColl(g.keys[:0], prefixLive, c.info.ID), uint16(ord>>16))
	g.delta(g.keys, ord, alive)
}

// post adds an ord to, or removes it from, the postings of terms.
func (g *group) post(c *collection, terms []Term, ord uint32, add bool) {
	for _, t := range terms {
		g.keys = appendTermKey(g.keys[:0], c.info.ID, t.Index, t.Key)
		g.keys = be.AppendUint16(g.keys, uint16(ord>>16))
		g.delta(g.keys, ord, add)
	}
}

func (g *group) delta(key []byte, ord uint32, add bool) {
	p := g.postings[string(key)]
	if p == nil {
		p = new(posting)
		g.postings[string(key)] = p
	}
	x := uint32(uint16(ord)) << 1
	if add {
		x |= 1
	}
	*p = append(*p, x)
}

// operand encodes a posting: for an ord named twice the last change counts.
func (p posting) operand() []byte {
	if len(p) > 1 {
		slices.SortStableFunc(p, func(a, b uint32) int { return int(a>>1) - int(b>>1) })
		n := 0
		for i := range p {
			if i+1 < len(p) && p[i]>>1 == p[i+1]>>1 {
				continue
			}
			p[n] = p[i]
			n++
		}
		p = p[:n]
	}
	if len(p) > 4096 {
		var s sets
		for _, x := range p {
			if x&1 == 1 {
				s.adds.Add(uint16(x >> 1))
			} else {
				s.removes.Add(uint16(x >> 1))
			}
		}
		return format.AppendSets(nil, &s.adds, &s.removes)
	}
	lists := make([]uint16, 0, len(p))
	for _, want := range [2]uint32{1, 0} {
		for _, x := range p {
			if x&1 == want {
				lists = append(lists, uint16(x>>1))
			}
		}
	}
	adds := 0
	for _, x := range p {
		adds += int(x & 1)
	}
	return format.AppendOperand(nil, lists[:adds], lists[adds:])
}

// log writes the changelog entry of an accepted call and remembers it for
// Options.Apply.
func (g *group) log(lsn uint64, changes []Change) error {
	e := format.Entry{LSN: lsn, Time: g.now, Changes: make([]format.Change, len(changes))}
	for i := range changes {
		e.Changes[i] = changes[i].reference()
	}
	b, err := format.AppendEntry(nil, e)
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
	if s.state.lsn == g.start {
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
	s.cache.notify(g.posted, g.purged, g.start+1, s.state.lsn)
	return s.db.Apply(g.batch, opt)
}

// flushPostings writes the staged postings into the batch: at its end, so that
// documents of a group share operands, and before a range delete that must not
// cover what comes after it.
func (g *group) flushPostings() error {
	keys := slices.Sorted(maps.Keys(g.postings))
	for _, k := range keys {
		if err := g.batch.Merge([]byte(k), g.postings[k].operand(), nil); err != nil {
			return err
		}
	}
	clear(g.postings)
	g.posted = append(g.posted, keys...)
	return nil
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
