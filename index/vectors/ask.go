package vectors

import (
	"context"
	"fmt"
	"math"
	"math/bits"
	"sync/atomic"

	"github.com/eiderdb/eider/index"
)

// Distances writes the distance from q to each id to out; +Inf for an id that
// has no slot. It is what an index's Distances does.
func (s *Set) Distances(q []float32, ids []uint32, out []float32) error {
	if err := s.CheckQuery(q); err != nil {
		return err
	}
	if len(ids) == 0 {
		return nil
	}
	t, ok := s.Enter(ids[0])
	if !ok {
		return index.ErrClosed
	}
	defer s.Leave(t)
	var p Probe
	s.Trace(&p, q)
	v := s.View()
	var slots [block]uint32
	for len(ids) > 0 {
		m := min(len(ids), block)
		for i, id := range ids[:m] {
			slot, ok := s.Slot(id)
			if !ok || int(slot) >= v.Cap {
				slot = math.MaxUint32
			}
			slots[i] = slot
		}
		if err := s.scoreKnown(v, &p, slots[:m], out[:m]); err != nil {
			return err
		}
		ids, out = ids[m:], out[m:]
	}
	return nil
}

// scoreKnown is Score where the slot MaxUint32 is infinitely far.
func (s *Set) scoreKnown(v *View, p *Probe, slots []uint32, out []float32) error {
	for from := 0; from < len(slots); {
		to := from
		for to < len(slots) && slots[to] != math.MaxUint32 {
			to++
		}
		if err := s.scoreTrue(v, p, slots[from:to], out[from:to], nil); err != nil {
			return err
		}
		for ; to < len(slots) && slots[to] == math.MaxUint32; to++ {
			out[to] = float32(math.Inf(1))
		}
		from = to
	}
	return nil
}

// Vector appends the stored vector of id to dst; false if id has no slot or the
// set is closed or the vector cannot be read.
func (s *Set) Vector(id uint32, dst []float32) ([]float32, bool) {
	t, ok := s.Enter(id)
	if !ok {
		return dst, false
	}
	defer s.Leave(t)
	slot, ok := s.Slot(id)
	if !ok {
		return dst, false
	}
	if !s.Resident() {
		out, err := s.recall(s.View(), slot, dst, nil)
		return out, err == nil
	}
	return s.Append(slot, dst), true
}

// Check verifies that ids, slots and their states agree. Writers wait.
func (s *Set) Check(ctx context.Context) error {
	t, ok := s.Enter(0)
	if !ok {
		return index.ErrClosed
	}
	defer s.Leave(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.view.Load()
	n := s.Slots()
	live := 0
	for w := range (n + 31) / 32 {
		word := atomic.LoadUint32(&v.Live[w])
		for ; word != 0; word &= word - 1 {
			slot := uint32(w*32 + bits.TrailingZeros32(word))
			live++
			switch at := s.slots.get(v.IDs[slot]); {
			case int(slot) >= n:
				return fmt.Errorf("%w: slot %d is live beyond %d slots", index.ErrCorrupt, slot, n)
			case at != uint64(slot)+1 && (at == 0 || s.twins[uint32(at-1)] != slot):
				return fmt.Errorf("%w: id %d of live slot %d maps to %d", index.ErrCorrupt, v.IDs[slot], slot, int64(at)-1)
			case s.died.get(slot) != 0:
				return fmt.Errorf("%w: slot %d is live and dead", index.ErrCorrupt, slot)
			}
		}
		if done(ctx) {
			return ctx.Err()
		}
	}
	for _, slot := range s.free {
		if s.IsLive(slot) || s.died.get(slot) != 0 {
			return fmt.Errorf("%w: slot %d is free and in use", index.ErrCorrupt, slot)
		}
	}
	return ctx.Err()
}
