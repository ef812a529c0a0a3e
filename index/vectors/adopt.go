package vectors

import (
	"fmt"
	"math/bits"
	"sync/atomic"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/index/quant"
	"github.com/eiderdb/eider/simd"
)

// A set that was restored with its codes can be searched before any vector is in
// memory. Until its rows are filled it behaves as one whose vectors stay on
// disk: see Resident.
//
//	Restore, Admit    slots have ids and codes
//	Adopt             slots are live; without rows a Source answers for them
//	Refill, Fill      rows come in, while searches and writes go on
//	Attach            rows answer

// marks is a set of slots, changed atomically; a nil one is empty and stays so.
type marks []atomic.Uint32

func (m marks) has(slot uint32) bool {
	return int(slot/32) < len(m) && m[slot/32].Load()&(1<<(slot%32)) != 0
}

func (m marks) clear(slot uint32) {
	if int(slot/32) < len(m) {
		m[slot/32].And(^(uint32(1) << (slot % 32)))
	}
}

// Resident reports whether vectors are in memory. If not, they are read from the
// source of the set or of a search, and what can be decided by codes is.
func (s *Set) Resident() bool { return s.filled.Load() }

// Filling reports whether some rows wait for Refill. Until Attach no vector may
// move to another slot.
func (s *Set) Filling() bool { return len(s.owed) > 0 && !s.Resident() }

// CodeSize is the number of bytes of a code, 0 without codes.
func (s *Set) CodeSize() int { return s.codeSize }

// Admit takes the codes of the slots from..to-1 that keep reports, which the
// caller has put into View.Code. It may run for several ranges at once. Error:
// index.ErrCorrupt for one that no vector has.
func (s *Set) Admit(from, to int, keep func(slot int) bool) error {
	v := s.view.Load()
	var most quant.Extent
	for slot := from; slot < to; slot++ {
		if !keep(slot) {
			continue
		}
		row := s.code(v, uint32(slot))
		if err := s.codec.Check(row); err != nil {
			return fmt.Errorf("slot %d: %w", slot, err)
		}
		e := s.codec.Measure(row, 0)
		most.Err, most.Norm, most.Offset = max(most.Err, e.Err), max(most.Norm, e.Norm), max(most.Offset, e.Offset)
	}
	s.extent.add(most)
	return nil
}

// Detach says that src has the vectors of the slots that Adopt will publish, and
// the rows have not. For a set that has codes; one without rows has its source.
func (s *Set) Detach(src index.Source) {
	if s.rows == nil {
		return
	}
	s.source = src
	s.owed = make(marks, (s.Slots()+31)/32)
	s.filled.Store(false)
}

// Adopt makes those of the restored slots from..to-1 live whose id is one of
// live, and appends the others to dead; from is a multiple of 32. It may run for
// several ranges at once, before any other use of the slots.
func (s *Set) Adopt(from, to int, live func(id uint32) bool, dead []uint32) []uint32 {
	v := s.view.Load()
	n := 0
	for w := from / 32; w*32 < to; w++ {
		var word uint32
		for b := range min(32, to-w*32) {
			slot := uint32(w*32 + b)
			switch id := v.IDs[slot]; {
			case s.slots.get(id) != uint64(slot)+1: // vacant
			case live(id):
				word |= 1 << b
			default:
				dead = append(dead, slot)
			}
		}
		if w < len(s.owed) {
			s.owed[w].Store(word)
		}
		atomic.StoreUint32(&v.Live[w], word)
		n += bits.OnesCount32(word)
	}
	s.nlive.Add(int64(n))
	return dead
}

// Refill writes vec to the row that awaits the vector of id; if none does, it does
// nothing. vec must have passed Verify when it was stored. Its code stays. The
// caller is a reader of the set.
//
// A live slot is not freed while a reader that saw it live is inside. A dead one
// may be, by a repair that began before the reader entered, and used again: then
// the lock under which slots are freed keeps it.
func (s *Set) Refill(id uint32, vec []float32) {
	slot, ok := s.Bound(id)
	if !ok || !s.owed.has(slot) {
		return
	}
	if !s.IsLive(slot) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if now, ok := s.Bound(id); !ok || now != slot || !s.owed.has(slot) {
			return
		}
	}
	s.Move.RLock()
	defer s.Move.RUnlock()
	v := s.view.Load()
	if !s.half {
		s.direct(v.F32[int(slot)*s.stride:][:s.dim], vec)
	} else {
		b := s.scratch.Get().(*[]float32)
		s.direct(*b, vec)
		simd.ToHalf(v.F16[int(slot)*s.stride:][:s.dim], *b)
		s.scratch.Put(b)
	}
	s.owed.clear(slot)
}

// Attach lets rows answer, if every slot that Adopt published has got its row. If
// not it returns the ids, at most 16, of some that lack it.
func (s *Set) Attach() (lack []uint32) {
	s.mu.Lock() // keeps slots from being freed
	defer s.mu.Unlock()
	ids := s.view.Load().IDs
	for w := range s.owed {
		for word := s.owed[w].Load(); word != 0 && len(lack) < 16; word &= word - 1 {
			lack = append(lack, atomic.LoadUint32(&ids[w*32+bits.TrailingZeros32(word)]))
		}
	}
	if len(lack) == 0 {
		s.filled.Store(s.rows != nil)
	}
	return lack
}
