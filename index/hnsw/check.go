package hnsw

import (
	"context"
	"fmt"

	"github.com/eiderdb/eider/index"
)

// Check verifies the invariants of the package over the whole graph, after a
// sweep if links have changed since the last. Linkers wait meanwhile. O(n·M).
// Errors: index.ErrCorrupt with what is wrong, index.ErrClosed, the context's.
func (x *Index) Check(ctx context.Context) error {
	if err := x.set.Check(ctx); err != nil {
		return err
	}
	if x.upkeep.dirty.Load() > 0 && x.ready.Load() {
		x.sweep(x.newLinker())
	}
	t, ok := x.set.Enter(0)
	if !ok {
		return index.ErrClosed
	}
	defer x.set.Leave(t)
	x.gate.Lock()
	defer x.gate.Unlock()
	v, e := x.view.Load(), x.entry.Load()
	n := x.set.Slots()
	top := -1
	if e != noEntry {
		if s := uint32(e >> 8); int(s) >= n || !v.linked(s) {
			return fmt.Errorf("%w: entry point %d is not in the graph", index.ErrCorrupt, s)
		}
		top = int(e & 0xff)
	}
	for s := range uint32(n) {
		if s%lookout == 0 && done(ctx) {
			return ctx.Err()
		}
		if !v.linked(s) {
			continue
		}
		if level := v.level(s); level > top {
			return fmt.Errorf("%w: node %d at level %d is above the entry point at %d", index.ErrCorrupt, s, level, top)
		}
		if err := x.checkLists(v, s, n); err != nil {
			return err
		}
	}
	return x.checkReach(ctx, v, e, n)
}

// checkLists verifies I1 and I2 for the lists of s.
func (x *Index) checkLists(v *view, s uint32, n int) error {
	var ids []uint32
	for level := v.level(s); level >= 0; level-- {
		ids = take(v.list(s, level), ids[:0])
		for i, m := range ids {
			if int(m) >= n || m == s || !v.linked(m) || v.level(m) < level {
				return fmt.Errorf("%w: node %d has a bad link to %d at level %d", index.ErrCorrupt, s, m, level)
			}
			for _, o := range ids[:i] {
				if o == m {
					return fmt.Errorf("%w: node %d links to %d twice at level %d", index.ErrCorrupt, s, m, level)
				}
			}
		}
	}
	return nil
}

// checkReach verifies I4.
func (x *Index) checkReach(ctx context.Context, v *view, e uint64, n int) error {
	seen, condemned := newBitset(max(n, 1)), x.condemned.Load()
	if e != noEntry {
		x.flood(v, seen, uint32(e>>8), nil)
	}
	for s := range uint32(n) {
		if v.linked(s) && x.set.IsLive(s) && !seen.has(s) && !condemned.has(s) {
			return fmt.Errorf("%w: live node %d is not reachable", index.ErrCorrupt, s)
		}
	}
	return ctx.Err()
}
