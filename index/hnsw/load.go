package hnsw

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/internal/arena"
)

// Load returns an index with what a snapshot holds that Save wrote: structure, and
// codes if the index has them; no vectors. If it is Stocked the caller then calls
// Adopt. Else it calls Fill for every vector that storage holds, from as many
// goroutines as it likes, and Ready; until Ready, searches score every vector
// filled so far. cfg must be what the snapshot was made with; Ef, EfConstruction,
// Workers and MaxFresh may differ.
//
// If r is an io.ReaderAt too, with the snapshot at 0, it is read from there, by
// every core at once, straight to where it belongs.
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

func (x *Index) load(ctx context.Context, r io.Reader) error {
	b := make([]byte, headerSize)
	if _, err := io.ReadFull(r, b); err != nil {
		return short(err)
	}
	var head header
	if err := head.decode(b, x.cfg, x.set.Most()); err != nil {
		return err
	}
	if head.version == 1 {
		return x.load1(ctx, r, head)
	}
	at, ok := r.(io.ReaderAt)
	if !ok {
		whole, err := io.ReadAll(io.MultiReader(bytes.NewReader(b), r))
		if err != nil {
			return err
		}
		at = bytes.NewReader(whole)
	}
	l := &loader{x: x, ctx: ctx, r: at, head: head}
	for _, step := range []func() error{l.measure, l.readFrame, l.rotate, l.rank, l.bind, l.readBody} {
		if err := step(); err != nil {
			return err
		}
	}
	x.set.Vacate(l.vacant)
	x.begin(head)
	x.stocked = head.codes != 0
	x.loose = make([]uint32, head.loose)
	numbers(x.loose, l.loose)
	return nil
}

// begin makes the entry point of a snapshot that of x.
func (x *Index) begin(head header) {
	if head.nodes > 0 {
		x.entry.Store(uint64(head.entry)<<8 | uint64(head.level))
	}
}

// loader is a snapshot being read, on all cores: first the units of its frame,
// which is all but links and codes, and what they say is checked and bound; then
// the units of its body, each checked while the caches hold it.
type loader struct {
	x    *Index
	ctx  context.Context
	r    io.ReaderAt
	head header
	size uint64 // bytes of the run

	levels, ids, uppers, loose []byte
	rotation                   []byte
	parts                      [7][]byte // the sections
	starts                     [7]uint64 // of the sections in the run
	vacant                     []uint32
	ranks                      []rank // of each span
}

// rank is what comes before the first slot of a span.
type rank struct {
	lists  int // upper lists
	towers int // slots with upper lists
}

// measure makes sure that r is as long as the header says, by its last unit, and
// takes memory for all of it.
func (l *loader) measure() error {
	x, h := l.x, &l.head
	l.size = h.run(x.set.CodeSize())
	last := (l.size - 1) / unitRun
	if err := l.unit(uint32(last), make([]byte, l.size-last*unitRun)); err != nil {
		return err
	}
	if n, err := l.r.ReadAt(make([]byte, 1), int64(l.size+4*(last+1))); n != 0 {
		return damaged("bytes after the end")
	} else if err != io.EOF {
		return err
	}
	if err := x.set.Extend(int(h.n)); err != nil {
		return err
	}
	s := h.sections(x.set.CodeSize())
	l.levels, l.ids, l.uppers, l.loose = make([]byte, s[0]), make([]byte, s[1]), make([]byte, s[2]), make([]byte, s[5])
	l.rotation = make([]byte, s[6])
	l.parts = [7][]byte{l.levels, l.ids, l.uppers, arena.Whole[byte](x.links)[:s[3]], x.set.View().Code[:s[4]], l.loose, l.rotation}
	at := uint64(headerSize)
	for i := range s {
		l.starts[i] = at
		at += s[i]
	}
	return nil
}

// each runs work on so many goroutines and returns the first error.
func each(workers int, work func() error) error {
	var first error
	var once sync.Once
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			if err := work(); err != nil {
				once.Do(func() { first = err })
			}
		})
	}
	wg.Wait()
	return first
}

// stretch is the number of slots in a span: a multiple of 32.
const stretch = 1 << 13

// spans calls do with the spans of slots below n, on all cores.
func (x *Index) spans(ctx context.Context, n int, do func(from, to int) error) error {
	var next atomic.Int64
	count := (n + stretch - 1) / stretch
	return each(min(runtime.GOMAXPROCS(0), count), func() error {
		for {
			i := int(next.Add(1)) - 1
			if i >= count {
				return nil
			}
			err := ctx.Err()
			if err == nil {
				err = do(i*stretch, min(n, (i+1)*stretch))
			}
			if err != nil {
				next.Store(int64(count))
				return err
			}
		}
	})
}

// rotate takes the rotation over.
func (l *loader) rotate() error {
	if !l.head.rotated {
		return nil
	}
	rows := make([]float32, len(l.rotation)/4)
	for i := range rows {
		rows[i] = math.Float32frombits(binary.LittleEndian.Uint32(l.rotation[4*i:]))
	}
	l.rotation, l.parts[6] = nil, nil
	return l.x.set.Rotate(rows)
}

// rank checks the levels against the header, and takes memory for upper lists.
func (l *loader) rank() error {
	h := &l.head
	var at rank
	var nodes uint32
	top := -1
	for slot, level := range l.levels {
		if slot%stretch == 0 {
			l.ranks = append(l.ranks, at)
		}
		switch {
		case level == absent:
			l.vacant = append(l.vacant, uint32(slot))
			continue
		case level > maxLevel:
			return damaged("level %d", level)
		case level > 0:
			at.lists += int(level)
			at.towers++
			top = max(top, int(level))
		}
		nodes++
	}
	if nodes > 0 {
		top = max(top, 0)
	}
	if nodes != h.nodes || uint64(at.lists) != h.lists || nodes > 0 && (top != int(h.level) || int(l.levels[h.entry]) != top) {
		return damaged("levels do not agree with the header")
	}
	return l.x.raiseBlocks(int64(at.towers) + int64(at.lists)*int64(l.x.m))
}

// bind gives every slot its id and its upper lists.
func (l *loader) bind() error { return l.x.spans(l.ctx, int(l.head.n), l.restore) }

// restore binds the slots from..to-1 to their ids, and hangs up their upper lists
// and checks them.
func (l *loader) restore(from, to int) error {
	x, le := l.x, binary.LittleEndian
	v, m := x.view.Load(), x.m
	at := l.ranks[from/stretch]
	for slot := from; slot < to; slot++ {
		level := int(l.levels[slot])
		if level == absent {
			continue
		}
		if id := le.Uint32(l.ids[4*slot:]); !x.set.Restore(uint32(slot), id) {
			return damaged("id %d is there twice", id)
		}
		v.towers[slot] = 1
		if level > 0 {
			off := at.towers + at.lists*m
			v.towers[slot] = uint32(off) + 2
			v.blocks[off] = uint32(level)
			numbers(v.blocks[off+1:off+1+level*m], l.uppers[4*at.lists*m:])
			at.towers++
			at.lists += level
		}
	}
	k := &links{x: x, levels: l.levels, whole: len(l.vacant) == 0}
	return k.checkUppers(from, to)
}

// numbers reads dst from b.
func numbers(dst []uint32, b []byte) {
	for i := range dst {
		dst[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
}

// littleEndian reports whether memory already has the order of the snapshot.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1
