package hnsw

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/internal/arena"
)

// Load returns an index with the structure of a snapshot that Save wrote and no
// vectors. The caller then calls Fill for every vector that storage holds, from
// as many goroutines as it likes, and Ready. Until Ready, searches score every
// vector filled so far; Insert and Delete work as ever. cfg must be what the
// snapshot was made with; Ef, EfConstruction, Workers and MaxFresh may differ.
//
// Errors: index.ErrOption; index.ErrCorrupt if r is not such a snapshot, whole
// and unchanged, to its last byte; the context's and those of r. Then the caller
// builds a new index from storage. Memory taken is bounded by what r has given.
// O(n·M) time, bound by memory.
func Load(ctx context.Context, cfg index.Config, r io.Reader) (*Index, error) {
	x, err := open(cfg)
	if err != nil {
		return nil, err
	}
	if err := x.load(ctx, r); err != nil {
		x.Close()
		return nil, fmt.Errorf("load graph: %w", err)
	}
	return x, nil
}

// loader is a snapshot being read.
type loader struct {
	x      *Index
	ctx    context.Context
	in     *chunks
	head   header
	levels []byte
	buf    []byte
}

func (x *Index) load(ctx context.Context, r io.Reader) error {
	l := &loader{x: x, ctx: ctx}
	b := make([]byte, headerSize)
	if _, err := io.ReadFull(r, b); err != nil {
		return short(err)
	}
	if err := l.head.decode(b, x.cfg, x.set.Most()); err != nil {
		return err
	}
	l.in = &chunks{r: r, crc: l.head.crc}
	for _, section := range []func() error{l.readLevels, l.readIDs, l.readUppers, l.readLinks, l.check} {
		if err := section(); err != nil {
			return err
		}
	}
	if n, err := io.ReadFull(r, b[:1]); n != 0 {
		return damaged("bytes after the end")
	} else if err != io.EOF {
		return err
	}
	if l.head.nodes > 0 {
		x.entry.Store(uint64(l.head.entry)<<8 | uint64(l.head.level))
	}
	return nil
}

// numbers reads count numbers, a chunk at a time, and gives each chunk to use
// with the place of its first number.
func (l *loader) numbers(count uint64, use func(first uint64, b []byte) error) error {
	for first := uint64(0); first < count; {
		m := min(count-first, chunkSize/4)
		if l.buf == nil {
			l.buf = make([]byte, min(chunkSize, count*4))
		}
		if uint64(len(l.buf)) < 4*m {
			l.buf = make([]byte, chunkSize)
		}
		b := l.buf[:4*m]
		if err := l.in.read(b); err != nil {
			return err
		}
		if err := use(first, b); err != nil {
			return err
		}
		if err := l.ctx.Err(); err != nil {
			return err
		}
		first += m
	}
	return nil
}

func (l *loader) readLevels() error {
	var nodes uint32
	var lists uint64
	top := -1
	for left := int(l.head.n); left > 0; {
		m := min(left, chunkSize)
		// Grown as bytes arrive: n is not to be trusted with memory.
		from := len(l.levels)
		l.levels = append(l.levels, make([]byte, m)...)
		if err := l.in.read(l.levels[from:]); err != nil {
			return err
		}
		for _, level := range l.levels[from:] {
			if level == absent {
				continue
			}
			if level > maxLevel {
				return damaged("level %d", level)
			}
			nodes++
			lists += uint64(level)
			top = max(top, int(level))
		}
		left -= m
	}
	h := &l.head
	if nodes != h.nodes || lists != h.lists || nodes > 0 && (top != int(h.level) || int(l.levels[h.entry]) != top) {
		return damaged("levels do not agree with the header")
	}
	return nil
}

func (l *loader) readIDs() error {
	set := l.x.set
	var vacant []uint32
	err := l.numbers(uint64(l.head.n), func(first uint64, b []byte) error {
		if err := set.Extend(int(first) + len(b)/4); err != nil {
			return err
		}
		for i := 0; i < len(b); i += 4 {
			slot, id := uint32(first)+uint32(i/4), binary.LittleEndian.Uint32(b[i:])
			if l.levels[slot] == absent {
				vacant = append(vacant, slot)
			} else if !set.Restore(slot, id) {
				return damaged("id %d is there twice", id)
			}
		}
		return nil
	})
	if err == nil {
		set.Vacate(vacant)
	}
	return err
}

// readUppers fills the upper lists. They follow each other by slot and level, and
// a list may cross from one chunk to the next.
func (l *loader) readUppers() error {
	v := l.x.view.Load()
	slot, level := -1, absent
	var row []uint32
	return l.numbers(l.head.lists*uint64(l.x.m), func(_ uint64, b []byte) error {
		for ; len(b) > 0; b = b[4:] {
			if len(row) == 0 {
				if level++; slot < 0 || level > int(l.levels[slot]) {
					for slot++; l.levels[slot] == absent || l.levels[slot] == 0; slot++ {
					}
					t, err := l.x.block(int(l.levels[slot]))
					if err != nil {
						return err
					}
					if t < 2 {
						return fmt.Errorf("%w: upper levels", arena.ErrFull)
					}
					v = l.x.view.Load()
					v.towers[slot] = t
					level = 1
				}
				row = v.list(uint32(slot), level)
			}
			row[0] = binary.LittleEndian.Uint32(b)
			row = row[1:]
		}
		return nil
	})
}

func (l *loader) readLinks() error {
	v := l.x.view.Load()
	n := int(l.head.n) * l.x.m0
	err := l.numbersInto(v.links[:n], arena.Whole[uint8](l.x.links))
	for slot, level := range l.levels {
		if level == 0 {
			v.towers[slot] = 1
		}
	}
	return err
}

// numbersInto reads a section straight to where it belongs: dst, whose memory is
// also raw.
func (l *loader) numbersInto(dst []uint32, raw []byte) error {
	for len(dst) > 0 {
		m := min(len(dst), chunkSize/4)
		b := raw[:4*m]
		if err := l.in.read(b); err != nil {
			return err
		}
		if !littleEndian {
			for i := range dst[:m] {
				dst[i] = binary.LittleEndian.Uint32(b[4*i:])
			}
		}
		if err := l.ctx.Err(); err != nil {
			return err
		}
		dst, raw = dst[m:], raw[4*m:]
	}
	return nil
}

// littleEndian reports whether memory already has the order of the snapshot.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// check verifies that every list names nodes of its level, never its own, and is
// none after the first none.
func (l *loader) check() error {
	v := l.x.view.Load()
	n := int(l.head.n)
	var bad atomic.Int64
	bad.Store(-1)
	var wg sync.WaitGroup
	workers := min(runtime.GOMAXPROCS(0), n/4096+1)
	part := (n + workers - 1) / workers
	for w := range workers {
		wg.Go(func() {
			for slot := w * part; slot < min(n, (w+1)*part); slot++ {
				if l.levels[slot] == absent {
					continue
				}
				ok := l.valid(v.base(uint32(slot)), slot, 0)
				for level := 1; ok && level <= int(l.levels[slot]); level++ {
					ok = l.valid(v.list(uint32(slot), level), slot, level)
				}
				if !ok {
					bad.Store(int64(slot))
					return
				}
			}
		})
	}
	wg.Wait()
	if slot := bad.Load(); slot >= 0 {
		return damaged("links of slot %d", slot)
	}
	return l.ctx.Err()
}

func (l *loader) valid(row []uint32, slot, level int) bool {
	levels := l.levels
	for i, n := range row {
		if n == none {
			for _, n := range row[i:] {
				if n != none {
					return false
				}
			}
			return true
		}
		if int(n) >= len(levels) || int(n) == slot || levels[n] == absent || int(levels[n]) < level {
			return false
		}
	}
	return true
}

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
	x.ready.Store(true)
	x.wake()
	return nil
}
