package hnsw

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/eiderdb/eider/index"
)

// learnAt is the slot at whose insertion the set learns the order of scoring.
const learnAt = 255

// Insert adds a vector; see index.Index. It is found as soon as Insert returns,
// and linked into the graph later. O(dim), unless it has to wait for the linkers.
func (x *Index) Insert(ctx context.Context, id uint32, vec []float32) error {
	if err := x.set.Verify(vec); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if x.ready.Load() {
		if err := x.fresh.wait(ctx); err != nil {
			return err
		}
	}
	return x.insert(id, vec)
}

// insert stores a verified vector and queues it.
func (x *Index) insert(id uint32, vec []float32) error {
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
	x.set.Move.RLock()
	row := x.view.Load().base(slot)
	for i := range row {
		atomic.StoreUint32(&row[i], none)
	}
	x.set.Move.RUnlock()
	x.set.Publish(slot)
	if slot == learnAt {
		x.set.Learn()
	}
	x.upkeep.came.Store(time.Now().UnixNano())
	x.fresh.push(slot)
	x.wake()
	return nil
}

// Delete hides id from searches as of lsn or later. O(1).
func (x *Index) Delete(id uint32, lsn uint64) {
	t, ok := x.set.Enter(id)
	if !ok {
		return
	}
	defer x.set.Leave(t)
	if slot, ok := x.set.Delete(id, lsn); ok {
		x.upkeep.bury(slot, lsn)
	}
}

// Release lets the memory of ids deleted at or before lsn be reused: repair
// unlinks them in the background.
func (x *Index) Release(lsn uint64) {
	x.upkeep.release(lsn, x.plenty())
	x.wake()
}
