package hnsw

import (
	"context"
	"fmt"
	"sync"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/eiderdb/eider/index"
)

// Fill gives a loaded index the vector of id; an id that the snapshot does not
// have is inserted as fresh. Call it between Load and Ready, once for every id.
// Errors: those of Insert.
func (x *Index) Fill(id uint32, vec []float32) error {
	if err := x.set.Verify(vec); err != nil {
		return err
	}
	t, ok := x.set.Enter(id)
	if !ok {
		return index.ErrClosed
	}
	slot, ok := x.set.Bound(id)
	if !ok || x.set.Died(slot) != 0 {
		x.set.Leave(t)
		return x.insert(id, vec)
	}
	defer x.set.Leave(t)
	if x.set.IsLive(slot) {
		return fmt.Errorf("%w: %d", index.ErrExists, id)
	}
	x.set.Write(slot, vec)
	x.set.Publish(slot)
	return nil
}

// Ready ends loading: nodes that got no vector count as deleted and are repaired
// in the background, fresh vectors are linked, and searches walk the graph.
// Before it, Fill must have returned everywhere. O(n).
func (x *Index) Ready(ctx context.Context) error {
	t, ok := x.set.Enter(0)
	if !ok {
		return index.ErrClosed
	}
	defer x.set.Leave(t)
	v := x.view.Load()
	for slot := range uint32(x.set.Slots()) {
		if slot%4096 == 0 && done(ctx) {
			return ctx.Err()
		}
		if v.linked(slot) && x.set.Drop(slot) {
			x.upkeep.bury(slot, 0)
		}
	}
	x.set.Learn()
	x.upkeep.dirty.Add(1)
	x.upkeep.audited.Store(int64(x.set.Len() - x.fresh.len()))
	x.reassure(x.loose)
	x.loose = nil
	x.ready.Store(true)
	x.wake()
	return nil
}

// Stocked reports whether the snapshot that x was loaded from brought the codes of
// the vectors, so that Adopt may take the place of Fill and Ready.
func (x *Index) Stocked() bool { return x.stocked }

// Adopt ends loading without vectors: the nodes of the snapshot whose id is in
// live go live by their codes, the others count as deleted and are repaired in the
// background. The caller vouches that ids in live have the vectors that they had
// when the snapshot was saved. Adopt returns those ids of live that the snapshot
// knew to be outside the graph: the caller inserts them.
//
// Where the index keeps vectors in memory, src has them until Attach; searches
// read from it, or from Params.Source, what codes cannot decide. Call it once,
// after Load and before any other use. O(n). Errors: index.ErrClosed, the
// context's.
func (x *Index) Adopt(ctx context.Context, live *roaring.Bitmap, src index.Source) (loose []uint32, err error) {
	t, ok := x.set.Enter(0)
	if !ok {
		return nil, index.ErrClosed
	}
	defer x.set.Leave(t)
	x.set.Detach(src)
	has := members(live)
	var mu sync.Mutex
	var dead []uint32
	err = x.spans(ctx, x.set.Slots(), func(from, to int) error {
		gone := x.set.Adopt(from, to, has, nil)
		mu.Lock()
		dead = append(dead, gone...)
		mu.Unlock()
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, slot := range dead {
		if x.set.Drop(slot) {
			x.upkeep.bury(slot, 0)
		}
	}
	for _, id := range x.loose {
		if id >= unlisted {
			continue
		}
		if _, ok := x.set.Bound(id); !ok && has(id) {
			loose = append(loose, id)
		}
	}
	x.upkeep.dirty.Add(1)
	x.upkeep.audited.Store(int64(x.set.Len() - x.fresh.len()))
	x.reassure(x.loose)
	x.loose = nil
	x.ready.Store(true)
	x.wake()
	return loose, nil
}

// members is the test for membership of ids, fast where they lie close together.
func members(ids *roaring.Bitmap) func(id uint32) bool {
	if ids.IsEmpty() {
		return func(uint32) bool { return false }
	}
	if most := uint64(ids.Maximum()); most > 64*ids.GetCardinality()+1<<16 {
		return ids.Contains
	}
	words := ids.ToDense()
	return func(id uint32) bool {
		return int(id/64) < len(words) && words[id/64]&(1<<(id%64)) != 0
	}
}

// Refill gives an adopted index the vector of id for its memory. Ids that are
// gone, or came after Adopt, are left alone. It may run on many goroutines beside
// everything else. Errors: those of Insert.
func (x *Index) Refill(id uint32, vec []float32) error {
	if err := x.set.Verify(vec); err != nil {
		return err
	}
	t, ok := x.set.Enter(id)
	if !ok {
		return index.ErrClosed
	}
	defer x.set.Leave(t)
	x.set.Refill(id, vec)
	return nil
}

// Attach ends refilling: from now on vectors are read from memory. If some are
// lacking it says which, as index.ErrCorrupt, and they go on being read from the
// source. For an index that keeps no vectors it does nothing.
func (x *Index) Attach() error {
	t, ok := x.set.Enter(0)
	if !ok {
		return index.ErrClosed
	}
	defer x.set.Leave(t)
	if lack := x.set.Attach(); len(lack) > 0 {
		return fmt.Errorf("%w: no vector was given for ids %v", index.ErrCorrupt, lack)
	}
	x.wake() // to calibrate
	return nil
}
