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

	"golang.org/x/sync/errgroup"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/simd"
	"github.com/eiderdb/eider/storage"
	"github.com/eiderdb/eider/storage/format"
)

// live is the index of one vector of one collection, kept equal to storage.
//
// It comes into being empty and queues changes; a goroutine reads the stored
// vectors as of a view, then drains the queue. From then on changes are applied
// where they are committed. Searches wait for the vectors, not for the graph:
// what is not linked yet is scanned exactly.
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

	cancel context.CancelFunc
	done   chan struct{} // the loader has ended
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

// start registers the loader. lsn is the last change already applied; the
// caller holds the lock that orders changes.
func (db *DB) startLive(coll uint32, name string, id uint16, spec Vector, lsn uint64, anew bool) *live {
	ctx, cancel := context.WithCancel(db.ctx)
	l := &live{db: db, coll: coll, name: name, id: id, spec: spec, begun: lsn, anew: anew,
		queue: []change{}, loaded: make(chan struct{}), cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(l.done)
		if err := l.load(ctx); err != nil {
			l.err = err
			l.mu.Lock()
			l.queue, l.failed = nil, true
			l.mu.Unlock()
			if ctx.Err() == nil {
				db.log.Error("vector index did not load; searches of it fail until the database is reopened", "collection", coll, "vector", name, "err", err)
			}
			close(l.loaded)
		}
	}()
	return l
}

func (l *live) config() index.Config {
	c := index.Config{
		Dim: l.spec.Dim, Metric: l.spec.Metric, Storage: l.spec.Storage,
		M: l.spec.Index.M, EfConstruction: l.spec.Index.EfConstruction, Ef: l.spec.Index.Ef,
		Codes: l.spec.Index.codes(l.spec.Dim), Widths: l.spec.widths(), Seed: 1, Workers: l.db.opts.Workers,
		// The committer must never wait for linking; writers wait before they
		// enter it, in room.
		MaxFresh: 1 << 30,
	}
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
	x, restored, err := l.fromSnapshot(ctx, view)
	if err != nil {
		l.db.log.Warn("index snapshot is not usable; rebuilding in the background", "collection", l.coll, "vector", l.name, "err", err)
	}
	if x == nil {
		if x, err = kinds[l.spec.Index.Kind].create(l.config()); err != nil {
			return err
		}
		l.dirty.Store(int64(view.Live(l.coll).GetCardinality()))
		if err := l.fill(ctx, view, func(ord uint32, vec []float32) error { return x.Insert(ctx, ord, vec) }); err != nil {
			x.Close()
			return err
		}
	}
	if err := l.catchUp(ctx, x, view.LSN()); err != nil {
		x.Close()
		return err
	}
	l.db.log.Debug("vector index loaded", "collection", l.coll, "vector", l.name, "vectors", x.Len(), "restored", restored, "took", time.Since(start))
	return nil
}

// fromSnapshot restores the saved structure and brings it to the view's LSN.
// It returns nil, and why if there is something to tell, when the index must be
// built anew.
func (l *live) fromSnapshot(ctx context.Context, view *storage.View) (index.Index, bool, error) {
	restore := kinds[l.spec.Index.Kind].restore
	if restore == nil || l.anew {
		return nil, false, nil
	}
	snap, err := l.db.store.LoadSnapshot(l.coll, l.id)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer snap.Close()
	// Ords put or freed after the snapshot name other vectors now.
	stale, changed, err := l.changedSince(ctx, view, snap.LSN)
	if err != nil {
		return nil, false, err
	}
	x, err := restore(ctx, l.config(), snap)
	if err != nil {
		return nil, false, err
	}
	var mu sync.Mutex
	var fresh []change
	err = l.fill(ctx, view, func(ord uint32, vec []float32) error {
		if _, ok := stale[ord]; ok {
			mu.Lock()
			fresh = append(fresh, change{ord: ord, put: true, vector: append([]float32(nil), vec...)})
			mu.Unlock()
			return nil
		}
		return x.Fill(ord, vec)
	})
	if err == nil {
		err = x.Ready(ctx)
	}
	for _, c := range fresh {
		if err == nil {
			err = x.Insert(ctx, c.ord, c.vector)
		}
	}
	if err != nil {
		x.Close()
		return nil, false, err
	}
	l.saved.Store(snap.LSN)
	l.dirty.Store(int64(changed))
	return x, true, nil
}

// changedSince collects the ords of this collection that a change after lsn
// wrote or freed.
func (l *live) changedSince(ctx context.Context, view *storage.View, lsn uint64) (map[uint32]struct{}, int, error) {
	ords := map[uint32]struct{}{}
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
			ords[ch.Ord] = struct{}{}
			n++
		case format.OpDelete:
			n++
		default:
			continue
		}
		if ch.HasOld || ch.Op == format.OpDelete {
			ords[ch.OldOrd] = struct{}{}
		}
	}
	return ords, n, nil
}

// fill reads the vectors of every live document, on all cores.
func (l *live) fill(ctx context.Context, view *storage.View, add func(ord uint32, vec []float32) error) error {
	ids := view.Live(l.coll)
	if ids.IsEmpty() {
		return nil
	}
	parts := uint32(runtime.GOMAXPROCS(0))
	lo, hi := uint64(ids.Minimum()), uint64(ids.Maximum())+1
	step := (hi - lo + uint64(parts) - 1) / uint64(parts)
	g, ctx := errgroup.WithContext(ctx)
	for from := lo; from < hi; from += step {
		g.Go(func() error {
			var vec []float32
			n := 0
			return view.ForEachVector(l.coll, l.id, uint32(from), uint32(min(from+step, hi)), func(ord uint32, raw []byte) error {
				if n++; n%512 == 0 && ctx.Err() != nil {
					return ctx.Err()
				}
				if f, ok := simd.Floats(raw); ok && l.spec.Storage == index.Float32 && len(f) == l.spec.Dim {
					return add(ord, f) // which copies it
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

// freshBytes is how many bytes of vectors may await linking before writers
// wait: every search scans them.
const freshBytes = 16 << 20

// room waits until few enough vectors are fresh.
func (l *live) room(ctx context.Context) error {
	p := l.index.Load()
	if p == nil {
		_, err := l.wait(ctx)
		return err
	}
	limit := max(1000, freshBytes/(4*l.spec.Dim))
	for (*p).Stats().Fresh > limit {
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

// save writes a snapshot of the structure if enough has changed, or whenever
// anything has if force is set.
func (l *live) save(ctx context.Context, force bool) error {
	p := l.index.Load()
	if p == nil || kinds[l.spec.Index.Kind].restore == nil || l.retired.Load() {
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

// close stops the loader and frees the index.
func (l *live) close() error {
	l.cancel()
	<-l.done
	if p := l.index.Load(); p != nil {
		return (*p).Close()
	}
	return nil
}
