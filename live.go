package eider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"golang.org/x/sync/errgroup"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/simd"
	"github.com/eiderdb/eider/storage"
	"github.com/eiderdb/eider/storage/format"
)

// live is the index of one vector of one collection, kept equal to storage.
//
// It comes into being empty and queues changes; a goroutine reads the saved index,
// or without one the stored vectors as of a view, then drains the queue. From then
// on changes are applied where they are committed. Searches wait for the codes, or
// where there are none for the vectors, not for the graph: what is not linked yet
// is scanned exactly. After that the goroutine reads the vectors of an index that
// came with its codes into memory.
type live struct {
	db   *DB
	coll uint32
	name string
	id   uint16
	spec Vector

	mu     sync.Mutex
	queue  []change // while loading; nil afterwards
	failed bool     // the index did not load; changes go nowhere
	begun  uint64   // LSN of the last change applied before live was registered

	index  atomic.Pointer[index.Index]
	loaded chan struct{} // closed when index and err are final
	err    error

	dirty   atomic.Int64  // changes since the last snapshot
	saved   atomic.Uint64 // LSN of the last snapshot
	saver   sync.Mutex    // one save at a time
	anew    bool          // an earlier index's snapshot is not this one's
	retired atomic.Bool   // replaced: saves nothing more
	torn    atomic.Bool   // missed a change: its next snapshot would miss it too

	resident atomic.Bool // the index has its vectors in memory

	// given is the rotation to begin with; nil for what the snapshot has, or the store.
	given   []float32
	learned atomic.Uint64 // vectors that the rotation was learned from; 0 without, or not known yet
	settled bool          // the store has the rotation that the index has; DB.tend only
	rest    time.Time     // before which tend lets l be; DB.tend only
	warm    bool          // fit to take the place of another; under db.mu

	ctx    context.Context // of the loader
	cancel context.CancelFunc
	done   chan struct{} // the loader has ended, vectors in memory or not
}

// change is one document version coming or going.
type change struct {
	lsn    uint64
	ord    uint32
	put    bool
	vector []float32 // when put; nil if the document lacks this vector
	old    uint32
	had    bool // old died
}

// newLive makes an index that is told of changes from now on; start loads it. lsn
// is the last change already applied; the caller holds the lock that orders changes.
func (db *DB) newLive(coll uint32, name string, id uint16, spec Vector, lsn uint64, anew bool) *live {
	ctx, cancel := context.WithCancel(db.ctx)
	return &live{db: db, coll: coll, name: name, id: id, spec: spec, begun: lsn, anew: anew,
		queue: []change{}, loaded: make(chan struct{}), ctx: ctx, cancel: cancel, done: make(chan struct{})}
}

// start starts the loader.
func (l *live) start() *live {
	db, ctx := l.db, l.ctx
	go func() {
		defer close(l.done)
		if err := l.load(ctx); err != nil {
			l.err = err
			l.mu.Lock()
			l.queue, l.failed = nil, true
			l.mu.Unlock()
			if ctx.Err() == nil {
				db.log.Error("vector index did not load; searches of it fail until the database is reopened", "collection", l.coll, "vector", l.name, "err", err)
			}
			close(l.loaded)
		}
	}()
	return l
}

// config is what an index of v is made with: plain, or with codes of rotated vectors.
func (v Vector) config(rotated bool) index.Config {
	c := index.Config{
		Dim: v.Dim, Metric: v.Metric, Storage: v.Storage,
		M: v.Index.M, EfConstruction: v.Index.EfConstruction, Ef: v.Index.Ef,
		Codes: v.Index.codes(v.Dim), Widths: v.widths(), Rotate: rotated, Seed: 1,
	}
	if rotated {
		c.Widths = v.rotatedWidths()
	}
	return c
}

// config is what the index is made with.
func (l *live) config(rotated bool) index.Config {
	c := l.spec.config(rotated)
	c.Workers = l.db.opts.Workers
	// The committer must never wait for linking; writers wait before they enter it,
	// in room.
	c.MaxFresh = 1 << 30
	if l.onDisk() {
		c.Source = latest{l}
	}
	return c
}

// load fills the index from a view that holds every change before begun.
func (l *live) load(ctx context.Context) error {
	if err := l.db.WaitLSN(ctx, l.begun); err != nil {
		return err
	}
	view, err := l.db.viewAt(0)
	if err != nil {
		return err
	}
	defer view.Release()
	start := time.Now()
	x, kept, err := l.fromSnapshot(ctx, view)
	if err != nil {
		l.db.log.Warn("index snapshot is not usable; rebuilding in the background", "collection", l.coll, "vector", l.name, "err", err)
	}
	restored := x != nil
	if !restored {
		fresh, err := l.create(view)
		if err != nil {
			return err
		}
		x = fresh
		l.dirty.Store(int64(view.Live(l.coll).GetCardinality()))
		if err := l.fill(ctx, view, view.Live(l.coll), func(ord uint32, vec []float32) error { return x.Insert(ctx, ord, vec) }); err != nil {
			x.Close()
			return err
		}
	}
	l.resident.Store(kept == nil && !l.onDisk())
	if err := l.catchUp(ctx, x, view.LSN()); err != nil {
		x.Close()
		return err
	}
	l.db.log.Debug("vector index loaded", "collection", l.coll, "vector", l.name, "vectors", x.Len(), "restored", restored, "took", time.Since(start))
	if kept != nil && !l.onDisk() {
		l.refill(ctx, view, x.(restorable), kept)
	}
	return nil
}

// fromSnapshot restores the saved index and brings it to the view's LSN. It
// returns no index, and why if there is something to tell, when one must be built
// anew. kept are the documents whose codes came with the snapshot.
func (l *live) fromSnapshot(ctx context.Context, view *storage.View) (x index.Index, kept *roaring.Bitmap, err error) {
	restore := kinds[l.spec.Index.Kind].restore
	if restore == nil || l.anew {
		return nil, nil, nil
	}
	snap, err := l.db.store.LoadSnapshot(l.coll, l.id)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	defer snap.Close()
	if snap.LSN > view.LSN() {
		return nil, nil, fmt.Errorf("it is of LSN %d, the log ends at %d", snap.LSN, view.LSN())
	}
	// Ords put or freed after the snapshot name other vectors now.
	stale, changed, err := l.changedSince(ctx, view, snap.LSN)
	if err != nil {
		return nil, nil, err
	}
	r, err := restore(ctx, l.config(l.spec.Index.Rotate), io.NewSectionReader(snap, 0, snap.Size()))
	if l.spec.Index.Rotate && errors.Is(err, index.ErrCorrupt) { // one of before the rotation has other widths
		var plain error
		if r, plain = restore(ctx, l.config(false), io.NewSectionReader(snap, 0, snap.Size())); plain == nil {
			err = nil
		}
	}
	if err != nil {
		return nil, nil, err
	}
	insert := func(ord uint32, vec []float32) error { return r.Insert(ctx, ord, vec) }
	stays := roaring.AndNot(view.Live(l.coll), stale)
	stale.And(view.Live(l.coll))
	if r.Stocked() {
		var loose []uint32
		if loose, err = r.Adopt(ctx, stays, latest{l}); err == nil {
			stale.AddMany(loose)
			kept = stays
		}
	} else if err = l.fill(ctx, view, stays, r.Fill); err == nil {
		err = r.Ready(ctx)
	}
	if err == nil {
		err = l.fill(ctx, view, stale, insert)
	}
	if err != nil {
		r.Close()
		return nil, nil, err
	}
	l.saved.Store(snap.LSN)
	l.dirty.Store(int64(changed))
	return r, kept, nil
}

// polite is how many vectors a refill reads between looks at who else wants the
// processor: about 20 microseconds.
const polite = 32

// refill reads the vectors of ords into the memory of x, beside searches and
// writes. If it fails the vectors go on being read from the store.
func (l *live) refill(ctx context.Context, view *storage.View, x restorable, ords *roaring.Bitmap) {
	start := time.Now()
	var n atomic.Int64
	err := l.fill(ctx, view, ords, func(ord uint32, vec []float32) error {
		if n.Add(1)%polite == 0 {
			runtime.Gosched()
		}
		return x.Refill(ord, vec)
	})
	if err == nil {
		err = x.Attach()
	}
	if err == nil {
		l.resident.Store(true)
		l.db.log.Debug("vectors are in memory", "collection", l.coll, "vector", l.name, "vectors", n.Load(), "took", time.Since(start))
	} else if ctx.Err() == nil {
		l.db.log.Error("vectors cannot be kept in memory; searches read them from the store, check the database", "collection", l.coll, "vector", l.name, "err", err)
	}
}

// changedSince collects the ords of this collection that a change after lsn
// wrote or freed, and counts the changes.
func (l *live) changedSince(ctx context.Context, view *storage.View, lsn uint64) (*roaring.Bitmap, int, error) {
	ords := roaring.New()
	n := 0
	for ch, err := range view.References(ctx, lsn) {
		if err != nil {
			return nil, 0, err
		}
		if ch.Collection != l.coll {
			continue
		}
		switch ch.Op {
		case format.OpPut:
			ords.Add(ch.Ord)
			n++
		case format.OpDelete:
			n++
		default:
			continue
		}
		if ch.HasOld || ch.Op == format.OpDelete {
			ords.Add(ch.OldOrd)
		}
	}
	return ords, n, nil
}

// run is a range of ords, lo..hi-1, of which some are wanted.
type run struct {
	lo, hi uint32
	all    bool
}

const (
	runMost = 1 << 12 // ords of a run at most
	runGap  = 16      // unwanted ords that are cheaper to step over than to seek
)

// runs cuts ords into ranges that are worth a scan each.
func runs(ords *roaring.Bitmap) []run {
	var out []run
	for it := ords.Iterator(); it.HasNext(); {
		ord := it.Next()
		if n := len(out); n > 0 {
			if r := &out[n-1]; ord-r.hi <= runGap && ord-r.lo < runMost {
				r.all = r.all && ord == r.hi
				r.hi = ord + 1
				continue
			}
		}
		out = append(out, run{ord, ord + 1, true})
	}
	return out
}

// fill calls add with the vectors of those of ords that have one, on all cores;
// add copies what it keeps.
func (l *live) fill(ctx context.Context, view *storage.View, ords *roaring.Bitmap, add func(ord uint32, vec []float32) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, r := range runs(ords) {
		g.Go(func() error {
			var vec []float32
			n := 0
			return view.ForEachVector(l.coll, l.id, r.lo, r.hi, func(ord uint32, raw []byte) error {
				if n++; n%512 == 1 && ctx.Err() != nil {
					return ctx.Err()
				}
				if !r.all && !ords.Contains(ord) {
					return nil
				}
				if f, ok := simd.Floats(raw); ok && l.spec.Storage == index.Float32 && len(f) == l.spec.Dim {
					return add(ord, f)
				}
				var err error
				if vec, err = decodeVector(l.spec, raw, vec[:0]); err != nil {
					return err
				}
				return add(ord, vec)
			})
		})
	}
	return g.Wait()
}

// catchUp applies the queue and then stops queueing.
func (l *live) catchUp(ctx context.Context, x index.Index, lsn uint64) error {
	for {
		l.mu.Lock()
		batch := l.queue
		if len(batch) == 0 {
			l.queue = nil
			l.index.Store(&x)
			close(l.loaded)
			l.mu.Unlock()
			return nil
		}
		l.queue = []change{}
		l.mu.Unlock()
		for _, c := range batch {
			if c.lsn <= lsn {
				continue // the view had it
			}
			if err := l.applyTo(ctx, x, c); err != nil {
				return err
			}
		}
	}
}

// apply takes one change in commit order.
func (l *live) apply(c change) {
	l.mu.Lock()
	if l.queue != nil || l.failed {
		if !l.failed {
			l.queue = append(l.queue, c)
		}
		l.mu.Unlock()
		return
	}
	l.mu.Unlock()
	if err := l.applyTo(context.Background(), *l.index.Load(), c); err != nil {
		l.torn.Store(true)
		l.db.log.Error("vector index missed a change; reopen the database to rebuild it", "collection", l.coll, "vector", l.name, "lsn", c.lsn, "err", err)
	}
}

func (l *live) applyTo(ctx context.Context, x index.Index, c change) error {
	l.dirty.Add(1)
	if c.had {
		x.Delete(c.old, c.lsn)
	}
	if c.put && c.vector != nil {
		return x.Insert(ctx, c.ord, c.vector)
	}
	return nil
}

// wait returns the index once it can answer.
func (l *live) wait(ctx context.Context) (index.Index, error) {
	if x := l.index.Load(); x != nil {
		return *x, nil
	}
	select {
	case <-l.loaded:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if l.err != nil {
		if errors.Is(l.err, context.Canceled) {
			return nil, ErrClosed
		}
		return nil, fmt.Errorf("%w: index of vector %q: %v", ErrInternal, l.name, l.err)
	}
	return *l.index.Load(), nil
}

// waitResident returns when the index has the vectors that belong in memory, or has
// given up.
func (l *live) waitResident(ctx context.Context) error {
	if l.resident.Load() {
		return nil
	}
	select {
	case <-l.done:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// How many vectors may await linking before writers wait: 16 MiB of them, for every
// search scans them, or freshBusy while searches go on, a fraction of what a walk
// scores. Writers then go at the pace of the linkers, which still have work for as
// long as a commit takes.
const (
	freshBytes = 16 << 20
	freshBusy  = 512
)

// room waits until few enough vectors are fresh.
func (l *live) room(ctx context.Context) error {
	p := l.index.Load()
	if p == nil {
		_, err := l.wait(ctx)
		return err
	}
	for !l.roomy((*p).Stats()) {
		t := time.NewTimer(2 * time.Millisecond)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
		}
	}
	return nil
}

func (l *live) roomy(s index.Stats) bool {
	if s.Busy {
		return s.Fresh <= freshBusy
	}
	return s.Fresh <= max(1000, freshBytes/(4*l.spec.Dim))
}

// save writes a snapshot of the structure if enough has changed, or whenever
// anything has if force is set.
func (l *live) save(ctx context.Context, force bool) error {
	p := l.index.Load()
	if p == nil || kinds[l.spec.Index.Kind].restore == nil || l.retired.Load() || l.torn.Load() {
		return nil
	}
	l.saver.Lock()
	defer l.saver.Unlock()
	n := l.dirty.Load()
	if n == 0 || !force && n < int64(max(1000, (*p).Len()/10)) {
		return nil
	}
	if (*p).Stats().Fresh > 0 && !force {
		return nil // a snapshot now would lack what is being linked
	}
	l.dirty.Add(-n)
	lsn := l.db.store.LSN()
	err := l.db.store.SaveSnapshot(ctx, l.coll, l.id, lsn, func(w io.Writer) error { return (*p).Save(ctx, w) })
	if err != nil {
		l.dirty.Add(n)
		return err
	}
	l.saved.Store(lsn)
	return nil
}

// release passes index.Index.Release on.
func (l *live) release(oldest uint64) {
	if p := l.index.Load(); p != nil {
		(*p).Release(oldest)
	}
}

// close stops the loader and frees the index.
func (l *live) close() error {
	l.cancel()
	<-l.done
	if p := l.index.Load(); p != nil {
		return (*p).Close()
	}
	return nil
}
