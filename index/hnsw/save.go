package hnsw

import (
	"context"
	"io"
	"math"
	"sync/atomic"

	"github.com/eiderdb/eider/index"
)

// Save writes a snapshot of the nodes that are in the graph at the call, with
// their codes; see index.Index and codec.go. Of fresh vectors it has the ids only,
// and without codes not even those. While it runs no slot is
// used again, so the memory of deleted vectors may be freed late. Errors:
// index.ErrClosed, the context's, and those of w.
func (x *Index) Save(ctx context.Context, w io.Writer) error {
	x.saving.RLock()
	defer x.saving.RUnlock()
	t, ok := x.set.Enter(0)
	if !ok {
		return index.ErrClosed
	}
	defer x.set.Leave(t)
	s := x.freeze()
	defer x.unwatch(s.doubts)
	s.ctx = ctx
	head := s.head.encode()
	s.out = &units{w: w, crc: s.head.crc, buf: make([]byte, 0, min(unitSize, int(s.head.run(x.set.CodeSize()))+4))}
	if err := s.out.write(head); err != nil {
		return err
	}
	for _, section := range []func() error{s.writeLevels, s.writeIDs, s.writeUppers, s.writeLinks, s.writeCodes, s.writeLoose, s.writeRotation} {
		if err := section(); err != nil {
			return err
		}
	}
	return s.out.flush()
}

// saver is a snapshot being written: levels decides which nodes are in it, and
// links to others are left out.
type saver struct {
	ctx    context.Context
	gv     *view
	ids    []uint32
	levels []byte
	codes  []byte
	size   int // of a code
	loose  []uint32
	doubts *bitset   // nodes in the graph, which may lack links in the snapshot
	room   int       // for doubts: whether they fit shows when all else is written
	all    bool      // nodes are in doubt
	rotate []float32 // the rotation of the codes, nil for none
	head   header
	out    *units
}

// freeze decides what is in the snapshot.
func (x *Index) freeze() *saver {
	x.gate.Lock() // what is being linked is settled
	n := x.set.Slots()
	s := &saver{gv: x.view.Load(), levels: make([]byte, n), size: x.set.CodeSize(), doubts: x.watch(n)}
	s.all = x.upkeep.unsettled.Load() > 0
	x.gate.Unlock()
	x.gate.RLock() // no repair begins while the nodes are listed
	defer x.gate.RUnlock()
	s.ids, s.codes, s.rotate = x.set.View().IDs, x.set.View().Code, x.set.Rotation()
	metric, storage, codes := code(x.cfg)
	s.head = header{
		version: version, dim: uint32(x.cfg.Dim), m: uint32(x.m), metric: metric, storage: storage, codes: codes,
		n: uint32(n), entry: none, seed: x.cfg.Seed, widths: x.cfg.Widths, rotated: s.rotate != nil,
	}
	condemned := x.condemned.Load()
	for i := range s.levels {
		slot := uint32(i)
		s.levels[i] = absent
		switch {
		case !s.gv.linked(slot):
		case condemned.has(slot):
			s.orphan(slot)
		default:
			s.levels[i] = byte(s.gv.level(slot))
		}
	}
	e := x.entry.Load()
	for i, level := range s.levels {
		slot := uint32(i)
		id := atomic.LoadUint32(&s.ids[slot])
		// An id may have two slots, one of them dead or about to be.
		if at, ok := x.set.Bound(id); !ok || at != slot {
			if level != absent {
				s.orphan(slot)
			}
			s.levels[i] = absent
			continue
		}
		if level == absent {
			if s.size > 0 && x.set.IsLive(slot) {
				s.loose = append(s.loose, id)
			}
			continue
		}
		s.head.nodes++
		s.head.lists += uint64(level)
		if s.head.entry == none || uint32(level) > s.head.level || uint32(level) == s.head.level && uint64(slot) == e>>8 {
			s.head.entry, s.head.level = slot, uint32(level)
		}
	}
	s.room = n/8 + 1024
	s.head.loose = uint32(len(s.loose) + s.room + 1)
	return s
}

// orphan puts those in doubt that a dead slot links to.
func (s *saver) orphan(slot uint32) {
	row := s.gv.base(slot)
	for i := range row {
		n := atomic.LoadUint32(&row[i])
		if n == none {
			break
		}
		s.doubts.mark(n)
	}
}

// tick is the context's error, looked at now and then.
func (s *saver) tick(slot int) error {
	if slot%4096 == 0 {
		return s.ctx.Err()
	}
	return nil
}

func (s *saver) writeLevels() error { return s.out.write(s.levels) }

func (s *saver) writeIDs() error {
	for slot, level := range s.levels {
		id := uint32(0)
		if level != absent {
			id = atomic.LoadUint32(&s.ids[slot])
		}
		if err := s.out.add(id); err != nil {
			return err
		}
	}
	return s.ctx.Err()
}

func (s *saver) writeUppers() error {
	for slot, level := range s.levels {
		if level == absent {
			continue
		}
		for l := 1; l <= int(level); l++ {
			if err := s.list(s.gv.list(uint32(slot), l), l); err != nil {
				return err
			}
		}
	}
	return s.ctx.Err()
}

func (s *saver) writeLinks() error {
	for slot, level := range s.levels {
		row := s.gv.base(uint32(slot))
		if level == absent {
			row = row[:0]
		}
		if err := s.listOf(row, s.gv.m0, 0); err != nil {
			return err
		}
		if err := s.tick(slot); err != nil {
			return err
		}
	}
	return nil
}

func (s *saver) writeCodes() error {
	if s.size == 0 {
		return nil
	}
	zeros := make([]byte, s.size)
	for slot, level := range s.levels {
		row := s.codes[slot*s.size:][:s.size]
		if level == absent { // somebody may be writing it
			row = zeros
		}
		if err := s.out.write(row); err != nil {
			return err
		}
		if err := s.tick(slot); err != nil {
			return err
		}
	}
	return nil
}

func (s *saver) writeLoose() error {
	ids := s.loose
	for slot, level := range s.levels {
		if level != absent && s.doubts.has(uint32(slot)) && len(ids) <= len(s.loose)+s.room {
			ids = append(ids, atomic.LoadUint32(&s.ids[slot]))
		}
	}
	end := len(s.loose) + s.room
	last := uint32(none)
	if s.all || len(ids) > end {
		ids, last = ids[:len(s.loose)], unlisted
	}
	for len(ids) < end {
		ids = append(ids, none)
	}
	for _, id := range append(ids, last) {
		if err := s.out.add(id); err != nil {
			return err
		}
	}
	return s.ctx.Err()
}

func (s *saver) writeRotation() error {
	for _, f := range s.rotate {
		if err := s.out.add(math.Float32bits(f)); err != nil {
			return err
		}
	}
	return s.ctx.Err()
}

func (s *saver) list(row []uint32, level int) error { return s.listOf(row, s.gv.m, level) }

// listOf writes the neighbours in row that are in the snapshot, and none in the
// places left of room.
func (s *saver) listOf(row []uint32, room, level int) error {
	for i := range row {
		n := atomic.LoadUint32(&row[i])
		if n == none {
			break
		}
		if int(n) < len(s.levels) && s.levels[n] != absent && int(s.levels[n]) >= level {
			if err := s.out.add(n); err != nil {
				return err
			}
			room--
		}
	}
	for ; room > 0; room-- {
		if err := s.out.add(none); err != nil {
			return err
		}
	}
	return nil
}
