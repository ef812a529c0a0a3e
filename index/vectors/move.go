package vectors

import (
	"sync/atomic"

	"github.com/eiderdb/eider/internal/arena"
)

// A live vector moves to another slot so that memory at the end of the set can be
// given back, or so that it lies beside its neighbours. Searches go on; each finds
// the vector, and its id once:
//
//	Copy    to holds what from holds; nobody finds it yet
//	Switch  searches find both, and Pick leaves one out; the id names to. The caller
//	        sees to it that from now on nobody comes to from
//	Wait
//	Retire  from holds nothing to any reader
//	Wait    from is free, for Vacate or the next Copy
//
// Between StartMoves and EndMoves only; at the end nobody may still meet a slot
// that was retired.

// StartMoves and EndMoves enclose moves. StartMoves waits for the readers inside,
// which do not expect to meet an id twice.
func (s *Set) StartMoves() {
	s.moving.Add(1)
	s.Wait()
}
func (s *Set) EndMoves() { s.moving.Add(-1) }

// Moving reports whether vectors move.
func (s *Set) Moving() bool { return s.moving.Load() != 0 }

// Copy makes the free slot to, which the caller has by Seize or Annex, hold the id
// and the vector of from. It is not found yet. O(dim).
func (s *Set) Copy(from, to uint32) {
	s.Move.RLock()
	defer s.Move.RUnlock()
	v := s.view.Load()
	i, j := int(from)*s.stride, int(to)*s.stride
	switch {
	case s.rows == nil:
	case s.half:
		copy(v.F16[j:j+s.dim], v.F16[i:])
	default:
		copy(v.F32[j:j+s.dim], v.F32[i:])
	}
	if s.codec != nil {
		copy(s.code(v, to), s.code(v, from))
	}
	atomic.StoreUint32(&v.IDs[to], atomic.LoadUint32(&v.IDs[from]))
}

// Switch makes to, which holds a copy of from, the slot of its id. It reports
// false if from died meanwhile; then to is as free as it was.
func (s *Set) Switch(from, to uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.IsLive(from) {
		return false
	}
	v := s.view.Load()
	atomic.OrUint32(&v.Live[to/32], 1<<(to%32))
	s.slots.set(atomic.LoadUint32(&v.IDs[to]), uint64(to)+1)
	if s.twins == nil {
		s.twins = map[uint32]uint32{}
	}
	s.twins[to] = from
	return true
}

// Retire ends the move of from to to: from holds nothing.
func (s *Set) Retire(from, to uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.twins, to)
	s.died.set(from, 0) // of a delete meanwhile, which to keeps
	atomic.AndUint32(&s.view.Load().Live[from/32], ^(uint32(1) << (from % 32)))
}

// Seize takes all free slots, in no order: they are not reserved until Vacate.
func (s *Set) Seize() []uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	free := s.free
	s.free = nil
	return free
}

// Annex makes the set n slots longer and takes those: they are first..first+n-1.
// Errors: those of package arena.
func (s *Set) Annex(n int) (first uint32, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.Slots()
	if err := s.reach(old + n); err != nil {
		return 0, err
	}
	s.n.Store(int64(old + n))
	return uint32(old), nil
}

// SlotBytes is the memory of the vector and the code of a slot.
func (s *Set) SlotBytes() int {
	if s.rows == nil {
		return s.codeSize
	}
	return s.stride*s.width() + s.codeSize
}

// Trim makes a set of end slots end at to and gives the memory of the slots
// between back, all of which the caller has by Seize. drop does the same for what
// else is kept by slot. It reports false, and does nothing, if the set has more
// slots. Inserts wait meanwhile: go in small steps.
func (s *Set) Trim(end, to int, drop func(from, to int)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Slots() != end {
		return false
	}
	s.n.Store(int64(to))
	discard := func(r *arena.Region, size int) {
		if r != nil {
			r.Discard(int64(to)*int64(size), int64(end)*int64(size))
		}
	}
	discard(s.rows, s.stride*s.width())
	discard(s.codes, s.codeSize)
	discard(s.ids, 4)
	drop(to, end)
	return true
}
