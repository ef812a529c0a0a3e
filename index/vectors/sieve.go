package vectors

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"sync/atomic"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/index/quant"
	"github.com/eiderdb/eider/simd"
)

// sieve finds what may be among the k nearest by codes alone. Each code bounds
// the true distance of its vector from both sides; a slot is kept while its
// lower bound is no more than the k-th least upper bound. What is left is scored
// by the vectors, so the answer is exact, and a scan reads codes instead of rows.
type sieve struct {
	most index.Top // the k least upper bounds, by slot
	kept []bound
	cut  float32 // a distance by the first block above it cannot matter
	soft bool    // bounds are likely, see Scan.Likely; there is one block then
	one  [1]uint32
	add  [1]float32
}

// bound is a slot and the least distance it can have.
type bound struct {
	least float32
	slot  uint32
}

// crowd is the number of kept slots at which those that became hopeless leave.
const crowd = 4096

func (f *sieve) reset(k int, soft bool) {
	f.soft = soft
	f.most.Reset(k)
	f.kept = f.kept[:0]
	f.cut = float32(math.Inf(1))
}

// offer takes a slot at distance d <= f.cut by codes.
func (f *sieve) offer(s *Set, v *View, p *Probe, slot uint32, d float32) {
	row := s.code(v, slot)
	limit := f.most.Limit()
	last := s.codec.Levels() - 1
	for level := range last {
		if p.code.Bounds(level).Least(d, s.codec.Measure(row, level))+s.codec.Rest(&p.code, row, level) > limit {
			return
		}
		f.one[0] = slot
		s.codec.Gather(&p.code, level+1, v.Code, f.one[:], f.add[:])
		d += f.add[0]
	}
	e := s.codec.Measure(row, last)
	b := p.code.Bounds(last)
	var least, most float32
	if f.soft {
		least, most = b.Probably(d, e)
	} else {
		least, most = b.Least(d, e), b.Most(d, e)
	}
	if least > limit {
		return
	}
	if len(f.kept) == crowd {
		f.kept = slices.DeleteFunc(f.kept, func(b bound) bool { return b.least > limit })
	}
	f.kept = append(f.kept, bound{least, slot})
	f.most.Push(index.Hit{ID: slot, Distance: most})
	if l := f.most.Limit(); l != limit && !f.soft {
		f.cut = p.code.Bounds(0).Cut(l, s.extent.get())
	}
}

// merge adds what another sieve kept.
func (f *sieve) merge(o *sieve) {
	f.kept = append(f.kept, o.kept...)
	for _, h := range o.most.Sort() {
		f.most.Push(h)
	}
}

// settle offers c.Top the vectors of what the sieve kept, nearest bound first,
// until no other can get in, and returns how many it scored.
func (c *Scan) settle(s *Set, v *View, p *Probe, src index.Source) (int, error) {
	f := &c.sieve
	limit := f.most.Limit()
	f.kept = slices.DeleteFunc(f.kept, func(b bound) bool { return b.least > limit })
	slices.SortFunc(f.kept, func(a, b bound) int { return cmp.Compare(a.least, b.least) })
	batch := block
	if !s.Resident() {
		batch = 8 // each costs a read
	}
	scored := 0
	for rest := f.kept; len(rest) > 0 && rest[0].least*s.unit <= c.Top.Limit(); {
		m := min(len(rest), batch)
		for i, b := range rest[:m] {
			c.slots[i] = b.slot
		}
		if err := c.Slots(s, v, p, c.slots[:m], src); err != nil {
			return scored, err
		}
		scored += m
		rest = rest[m:]
	}
	return scored, nil
}

// strain is span by codes.
func (c *Scan) strain(ctx context.Context, s *Set, v *View, p *Probe, at uint64, from, to int) (int, error) {
	var live [block / 32]uint32
	var since, scored int
	f := &c.sieve
	for i := from; i < to; i += block {
		m := min(block, to-i)
		var any uint32
		for w := range (m + 31) / 32 {
			live[w] = s.visibleWord(v, i/32+w, at)
			any |= live[w]
		}
		if any == 0 {
			continue
		}
		out := c.out[:m]
		s.codec.Rows(&p.code, v.Code[i*s.codeSize:(i+m)*s.codeSize], out)
		scored += m
		cut := f.cut
		for j, d := range out {
			if d <= cut && live[j/32]&(1<<(j%32)) != 0 {
				f.offer(s, v, p, uint32(i+j), d)
				cut = f.cut
			}
		}
		if since += m * s.codeSize; since >= checked {
			since = 0
			if done(ctx) {
				return scored, ctx.Err()
			}
		}
	}
	return scored, ctx.Err()
}

// strainSlots offers the sieve slots that the caller knows to be visible.
func (c *Scan) strainSlots(s *Set, v *View, p *Probe, slots []uint32) {
	out := c.out[:len(slots)]
	s.codec.Gather(&p.code, 0, v.Code, slots, out)
	f := &c.sieve
	for j, d := range out {
		if d <= f.cut {
			f.offer(s, v, p, slots[j], d)
		}
	}
}

// extent is the largest of each measure of the first blocks so far.
type extent struct{ err, norm, offset atomic.Uint32 }

// add takes the measures of a code's first block: numbers >= 0, whose bits are in
// their order.
func (x *extent) add(e quant.Extent) {
	raise(&x.err, e.Err)
	raise(&x.norm, e.Norm)
	raise(&x.offset, e.Offset)
}

func raise(to *atomic.Uint32, x float32) {
	b := math.Float32bits(x)
	for old := to.Load(); b > old && !to.CompareAndSwap(old, b); old = to.Load() {
	}
}

func (x *extent) get() quant.Extent {
	return quant.Extent{
		Err:    math.Float32frombits(x.err.Load()),
		Norm:   math.Float32frombits(x.norm.Load()),
		Offset: math.Float32frombits(x.offset.Load()),
	}
}

// scoreTrue writes the distances between the vectors to out: from memory, from
// codes that lost nothing, or from src. Errors: those of src.
func (s *Set) scoreTrue(v *View, p *Probe, slots []uint32, out []float32, src index.Source) error {
	if p.width > 0 {
		return s.scorePrefix(v, p, slots, out, src)
	}
	if s.Resident() {
		s.Score(v, p.Vec, slots, out)
		return nil
	}
	for i, slot := range slots {
		row, err := s.row(v, p, slot, src)
		if err != nil {
			return err
		}
		out[i] = s.Between(p.Vec, row)
	}
	return nil
}

// recall appends the vector of slot, which is not in memory, to dst.
func (s *Set) recall(v *View, slot uint32, dst []float32, src index.Source) ([]float32, error) {
	n := len(dst)
	code := s.code(v, slot)
	if s.codec.Exact(code) {
		dst = slices.Grow(dst, s.dim)[:n+s.dim]
		s.codec.Decode(dst[n:], code)
		return dst, nil
	}
	if src == nil {
		src = s.source
	}
	id := atomic.LoadUint32(&v.IDs[slot])
	dst, err := src.Read(id, dst)
	if err != nil {
		return dst, fmt.Errorf("read the vector of id %d: %w", id, err)
	}
	if len(dst) != n+s.dim {
		return dst, fmt.Errorf("%w: the vector of id %d has %d components, want %d", index.ErrCorrupt, id, len(dst)-n, s.dim)
	}
	if s.metric == index.Cosine {
		Normalise(dst[n:], dst[n:])
	}
	if s.half && s.rows != nil { // as the row will be
		b := s.halves.Get().(*[]uint16)
		simd.ToHalf(*b, dst[n:])
		simd.FromHalf(dst[n:], *b)
		s.halves.Put(b)
	}
	return dst, nil
}

// allowed calls f with the slots of allow that a search at can see, some at a time.
func (c *Scan) allowed(ctx context.Context, s *Set, v *View, at uint64, allow *roaring.Bitmap, f func(slots []uint32) error) (int, error) {
	var since, seen, n int
	it := allow.ManyIterator()
	for {
		m := it.NextMany(c.ids[:])
		if m == 0 {
			break
		}
		for _, id := range c.ids[:m] {
			slot, ok := s.Bound(id)
			if !ok || !s.Visible(slot, at) || int(slot) >= v.Cap {
				continue
			}
			c.slots[n] = slot
			if n++; n == block {
				if err := f(c.slots[:n]); err != nil {
					return seen, err
				}
				seen += n
				n = 0
			}
		}
		if since += m * s.dim; since >= checked {
			since = 0
			if done(ctx) {
				return seen, ctx.Err()
			}
		}
	}
	if err := f(c.slots[:n]); err != nil {
		return seen, err
	}
	return seen + n, ctx.Err()
}
