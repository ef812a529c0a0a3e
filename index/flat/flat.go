// Package flat is the exact index: it scores every allowed vector. It is the
// oracle that other kinds are measured against, and the right kind for small
// collections. A search is bound by memory bandwidth: O(n·dim), or O(allowed·dim)
// under a filter.
package flat

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/index/vectors"
	"github.com/eiderdb/eider/internal/arena"
)

// Index is an exact index. It keeps no structure beyond the vectors, so Save
// writes nothing.
type Index struct {
	set     *vectors.Set
	threads int
	serial  atomic.Uint32
	pool    sync.Pool // of *searcher

	closing sync.Once
	closed  error // of Close

	mu    sync.Mutex
	dead  []grave       // deleted, not yet released
	reaps int           // running reap goroutines
	idle  chan struct{} // closed when reaps is 0
}

// grave is a dead slot and the LSN of its delete.
type grave struct {
	lsn  uint64
	slot uint32
}

// searcher is what one running search needs.
type searcher struct {
	scan  vectors.Scan
	probe vectors.Probe
	hint  uint32
}

var _ index.Index = (*Index)(nil)

// New returns an empty index. cfg.Workers bounds the goroutines of one large
// scan, default two. Errors: index.ErrOption. The caller must Close it.
func New(cfg index.Config) (*Index, error) {
	var set *vectors.Set
	var err error
	for room := vectors.Room; room >= vectors.MinRoom; room /= 4 {
		if set, err = vectors.New(cfg, room, nil); !errors.Is(err, arena.ErrMemory) {
			break // with many indexes open, address space runs short
		}
	}
	if err != nil {
		return nil, err
	}
	x := &Index{set: set, threads: cfg.Workers}
	if x.threads <= 0 {
		x.threads = min(2, runtime.GOMAXPROCS(0))
	}
	x.idle = make(chan struct{})
	close(x.idle)
	x.pool.New = func() any {
		s := &searcher{hint: x.serial.Add(1)}
		s.scan.Threads = x.threads
		return s
	}
	return x, nil
}

// SlotBytes is about the memory that an index of cfg takes for each vector. Errors:
// those of New.
func SlotBytes(cfg index.Config) (int64, error) { return vectors.SlotBytes(cfg) }

// Search is exact; see index.Searcher.
func (x *Index) Search(ctx context.Context, q []float32, p index.Params, dst []index.Hit) ([]index.Hit, index.Work, error) {
	w := index.Work{Exact: true}
	if err := x.set.CheckQuery(q); err != nil {
		return dst, w, err
	}
	s := x.pool.Get().(*searcher)
	defer x.pool.Put(s)
	t, ok := x.set.Enter(s.hint)
	if !ok {
		return dst, w, index.ErrClosed
	}
	defer x.set.Leave(t)
	if err := ctx.Err(); err != nil || p.K < 1 {
		return dst, w, err
	}
	x.set.Trace(&s.probe, q)
	if err := x.set.Narrow(&s.probe, p.Width); err != nil {
		return dst, w, err
	}
	out, n, err := s.scan.Exact(ctx, x.set, &s.probe, p, dst)
	w.Distances = n
	return out, w, err
}

// Distances scores ids; see index.Searcher.
func (x *Index) Distances(q []float32, ids []uint32, out []float32) error {
	return x.set.Distances(q, ids, out)
}

// Len is the number of live vectors.
func (x *Index) Len() int { return x.set.Len() }

// Insert never blocks; see index.Index.
func (x *Index) Insert(ctx context.Context, id uint32, vec []float32) error {
	if err := x.set.Verify(vec); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	t, ok := x.set.Enter(id)
	if !ok {
		return index.ErrClosed
	}
	defer x.set.Leave(t)
	slot, err := x.set.Reserve(id)
	if err != nil {
		return err
	}
	x.set.Write(slot, vec)
	x.set.Publish(slot)
	return nil
}

// Delete hides id; see index.Index.
func (x *Index) Delete(id uint32, lsn uint64) {
	t, ok := x.set.Enter(id)
	if !ok {
		return
	}
	defer x.set.Leave(t)
	if slot, ok := x.set.Delete(id, lsn); ok {
		x.mu.Lock()
		x.dead = append(x.dead, grave{lsn, slot})
		x.mu.Unlock()
	}
}

// Release lets the memory of ids deleted at or before lsn be reused, in the
// background once running searches have ended.
func (x *Index) Release(lsn uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	var slots []uint32
	kept := x.dead[:0]
	for _, g := range x.dead {
		if g.lsn <= lsn {
			slots = append(slots, g.slot)
		} else {
			kept = append(kept, g)
		}
	}
	x.dead = kept
	if len(slots) == 0 || x.set.Closed() {
		return
	}
	if x.reaps++; x.reaps == 1 {
		x.idle = make(chan struct{})
	}
	go x.reap(slots)
}

// reap frees slots once every search that may have seen them has ended.
func (x *Index) reap(slots []uint32) {
	x.set.Wait()
	if t, ok := x.set.Enter(0); ok {
		x.set.Free(slots)
		x.set.Leave(t)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.reaps--; x.reaps == 0 {
		close(x.idle)
	}
}

// quiet is closed when no reap runs.
func (x *Index) quiet() <-chan struct{} {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.idle
}

// Drain returns when every released slot has been freed.
func (x *Index) Drain(ctx context.Context) error {
	if x.set.Closed() {
		return index.ErrClosed
	}
	select {
	case <-x.quiet():
	case <-ctx.Done():
	}
	return ctx.Err()
}

// Vector appends the stored vector of id; see index.Index.
func (x *Index) Vector(id uint32, dst []float32) ([]float32, bool) { return x.set.Vector(id, dst) }

// Save writes nothing: a flat index is its vectors.
func (x *Index) Save(ctx context.Context, _ io.Writer) error {
	if x.set.Closed() {
		return index.ErrClosed
	}
	return ctx.Err()
}

// Stats reports sizes.
func (x *Index) Stats() index.Stats {
	return index.Stats{
		Kind: "flat", Live: x.set.Len(), Dead: x.set.Dead(),
		VectorBytes: x.set.VectorBytes(), CodeBytes: x.set.CodeBytes(), GraphBytes: x.set.MapBytes(),
	}
}

// Check verifies that ids, slots and their states agree.
func (x *Index) Check(ctx context.Context) error { return x.set.Check(ctx) }

// Close frees the memory once running calls have returned. Idempotent.
func (x *Index) Close() error {
	x.closing.Do(func() {
		x.closed = x.set.Close()
		<-x.quiet()
	})
	return x.closed
}
