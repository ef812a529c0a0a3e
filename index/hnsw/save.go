package hnsw

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"sync/atomic"

	"github.com/eiderdb/eider/index"
)

// Save writes a snapshot of the nodes that are in the graph at the call; see
// index.Index and codec.go. Fresh vectors are not in it. While it runs no slot is
// used again, so the memory of deleted vectors may be freed late. Errors:
// index.ErrClosed, the context's, and those of w.
func (x *Index) Save(ctx context.Context, w io.Writer) error {
	t, ok := x.set.Enter(0)
	if !ok {
		return index.ErrClosed
	}
	defer x.set.Leave(t)
	s := x.freeze()
	b := bufio.NewWriterSize(w, 64<<10)
	if _, err := b.Write(s.head.encode()); err != nil {
		return err
	}
	s.out = &chunks{w: b, crc: s.head.crc}
	s.ctx = ctx
	for _, section := range []func() error{s.writeLevels, s.writeIDs, s.writeUppers, s.writeLinks} {
		if err := section(); err != nil {
			return err
		}
	}
	return b.Flush()
}

// saver is a snapshot being written: levels decides which nodes are in it, and
// links to others are left out.
type saver struct {
	ctx    context.Context
	gv     *view
	ids    []uint32
	levels []byte
	head   header
	out    *chunks
	buf    []byte
}

// freeze decides what is in the snapshot.
func (x *Index) freeze() *saver {
	x.gate.RLock() // no repair begins while the nodes are listed
	defer x.gate.RUnlock()
	n := x.set.Slots()
	s := &saver{gv: x.view.Load(), levels: make([]byte, n), buf: make([]byte, 0, chunkSize)}
	s.ids = x.set.View().IDs
	metric, storage := code(x.cfg)
	s.head = header{
		dim: uint32(x.cfg.Dim), m: uint32(x.m), metric: metric, storage: storage,
		n: uint32(n), entry: none, seed: x.cfg.Seed,
	}
	condemned := x.condemned.Load()
	for i := range s.levels {
		slot := uint32(i)
		s.levels[i] = absent
		if s.gv.linked(slot) && !condemned.has(slot) {
			s.levels[i] = byte(s.gv.level(slot))
		}
	}
	e := x.entry.Load()
	for i, level := range s.levels {
		slot := uint32(i)
		// An id may have two slots, one of them dead or about to be.
		if at, ok := x.set.Bound(atomic.LoadUint32(&s.ids[slot])); !ok || at != slot {
			s.levels[i] = absent
		}
		if s.levels[i] == absent {
			continue
		}
		s.head.nodes++
		s.head.lists += uint64(level)
		if s.head.entry == none || uint32(level) > s.head.level || uint32(level) == s.head.level && uint64(slot) == e>>8 {
			s.head.entry, s.head.level = slot, uint32(level)
		}
	}
	return s
}

// flush writes the buffer as a chunk.
func (s *saver) flush() error {
	if len(s.buf) == 0 {
		return nil
	}
	err := s.out.write(s.buf)
	s.buf = s.buf[:0]
	if err == nil {
		err = s.ctx.Err()
	}
	return err
}

// add appends a number, and writes the chunk when it is full.
func (s *saver) add(v uint32) error {
	s.buf = binary.LittleEndian.AppendUint32(s.buf, v)
	if len(s.buf) == chunkSize {
		return s.flush()
	}
	return nil
}

func (s *saver) writeLevels() error {
	for from := 0; from < len(s.levels); from += chunkSize {
		if err := s.out.write(s.levels[from:min(from+chunkSize, len(s.levels))]); err != nil {
			return err
		}
	}
	return s.ctx.Err()
}

func (s *saver) writeIDs() error {
	for slot, level := range s.levels {
		id := uint32(0)
		if level != absent {
			id = atomic.LoadUint32(&s.ids[slot])
		}
		if err := s.add(id); err != nil {
			return err
		}
	}
	return s.flush()
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
	return s.flush()
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
	}
	return s.flush()
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
			if err := s.add(n); err != nil {
				return err
			}
			room--
		}
	}
	for ; room > 0; room-- {
		if err := s.add(none); err != nil {
			return err
		}
	}
	return nil
}
