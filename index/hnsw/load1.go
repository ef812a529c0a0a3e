package hnsw

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/eiderdb/eider/internal/arena"
)

// chunks reads the chunks of a snapshot of version 1.
type chunks struct {
	r      io.Reader
	crc    uint32 // of the header
	number uint32
}

// read fills b, of at most chunkSize bytes, from one chunk.
func (c *chunks) read(b []byte) error {
	var tail [4]byte
	if _, err := io.ReadFull(c.r, b); err != nil {
		return short(err)
	}
	if _, err := io.ReadFull(c.r, tail[:]); err != nil {
		return short(err)
	}
	if seal(c.crc, c.number, b) != binary.LittleEndian.Uint32(tail[:]) {
		return damaged("checksum of chunk %d", c.number)
	}
	c.number++
	return nil
}

// reader1 is a snapshot of version 1 being read.
type reader1 struct {
	x      *Index
	ctx    context.Context
	in     *chunks
	head   header
	levels []byte
	buf    []byte
}

// load1 reads what follows the header of a snapshot of version 1.
func (x *Index) load1(ctx context.Context, r io.Reader, head header) error {
	l := &reader1{x: x, ctx: ctx, head: head, in: &chunks{r: r, crc: head.crc}}
	for _, section := range []func() error{l.readLevels, l.readIDs, l.readUppers, l.readLinks} {
		if err := section(); err != nil {
			return err
		}
	}
	if n, err := io.ReadFull(r, make([]byte, 1)); n != 0 {
		return damaged("bytes after the end")
	} else if err != io.EOF {
		return err
	}
	k := &links{x: x, levels: l.levels}
	if err := x.spans(ctx, len(l.levels), k.check); err != nil {
		return err
	}
	x.begin(head)
	return nil
}

// numbers reads count numbers, a chunk at a time, and gives each chunk to use
// with the place of its first number.
func (l *reader1) numbers(count uint64, use func(first uint64, b []byte) error) error {
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

func (l *reader1) readLevels() error {
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

func (l *reader1) readIDs() error {
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
func (l *reader1) readUppers() error {
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

func (l *reader1) readLinks() error {
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
func (l *reader1) numbersInto(dst []uint32, raw []byte) error {
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
