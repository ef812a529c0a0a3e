package vectors

import (
	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/index/quant"
	"github.com/eiderdb/eider/simd"
)

// Probe is a query as a walk wants it: against codes where the set keeps them, else
// against the vectors. Its memory is reused; one Probe serves one goroutine.
type Probe struct {
	Vec     []float32 // the query of Score; what Row returned, for a probe that Retrace made
	code    quant.Query
	buf     []float32
	partial Partial
	row     []float32 // a vector that was read
	rotated []float32 // Vec, as far as levels need it
	level   int       // up to which code is prepared
	depth   int       // up to which Near goes
	more    []float32 // what a block adds, for Near
	width   int       // of distances between vectors, 0 for all components
	prefix  []float32
	plain   bool // Near goes by vectors, whatever codes there are
}

// Coded reports whether walks go by codes.
func (s *Set) Coded() bool { return s.codec != nil }

// Trace makes p the query q, which must have passed CheckQuery and not
// change while p is in use; O(dim).
func (s *Set) Trace(p *Probe, q []float32) {
	p.width, p.depth, p.plain = 0, 0, false
	p.Vec, p.buf = s.Query(q, p.buf)
	if s.codec != nil {
		if s.rotation == nil {
			s.codec.Prepare(&p.code, s.walked, p.Vec)
			return
		}
		p.level = -1
		s.turn(p, 0)
	}
}

// Retrace makes p the vector of slot, for distances between stored vectors: by
// codes, but by the vectors where codes are too coarse to build on and there are
// vectors in memory.
func (s *Set) Retrace(p *Probe, v *View, slot uint32) {
	p.depth = 0
	p.plain = s.codec == nil || s.coarse() && s.Resident()
	if !p.plain {
		s.codec.PrepareRow(&p.code, s.walked, s.code(v, slot))
		p.level = s.codec.Levels() - 1 // or what there is of it
		return
	}
	if s.half && len(p.buf) < s.dim {
		p.buf = make([]float32, s.dim)
	}
	p.Vec = s.Row(v, slot, p.buf)
}

// Ask makes p the query that would find the vector of slot, for distances as Trace
// has them: by codes that are coarse a vector says more than its code, and is read
// for that. If it cannot be read the code takes its place.
func (s *Set) Ask(p *Probe, v *View, slot uint32) {
	if !s.coarse() {
		s.Retrace(p, v, slot)
		return
	}
	row, err := s.row(v, p, slot, nil)
	p.plain, p.depth = false, 0
	if err != nil {
		s.codec.PrepareRow(&p.code, s.walked, s.code(v, slot))
		return
	}
	s.codec.Prepare(&p.code, s.walked, row)
}

// Reach makes Near go by the blocks 0..level of the codes, for a probe of Trace.
func (s *Set) Reach(p *Probe, level int) {
	s.turn(p, level)
	p.depth = level
}

// Depth is the block up to which Near goes.
func (p *Probe) Depth() int { return p.depth }

// coarse reports whether codes say too little of a vector to tell which of two is
// nearer: then graphs are built by vectors, as far as they are in memory, and scans
// do without codes.
func (s *Set) coarse() bool { return s.codec != nil && s.codec.Code() == index.Bit }

// Near writes the distance from p to each of slots to out, by codes if there are
// any: by their first block, or as far as Reach said, where squared distance stands for cosine. Where it is limit or more it may write any value >= limit: without codes
// it is ScoreWithin.
func (s *Set) Near(p *Probe, v *View, slots []uint32, out []float32, limit float32) {
	if s.codec != nil && !p.plain {
		s.codec.Gather(&p.code, 0, v.Code, slots, out)
		for level := 1; level <= p.depth; level++ {
			if len(p.more) < len(slots) {
				p.more = make([]float32, 2*len(slots))
			}
			s.codec.Gather(&p.code, level, v.Code, slots, p.more)
			for i, d := range p.more[:len(slots)] {
				out[i] += d
			}
		}
		return
	}
	s.ScoreWithin(v, p.Vec, slots, out, limit, &p.partial)
}

// Fetch asks for the memory that Near will read for p of slots, save of those whose byte
// of seen is epoch; see simd.FetchRows.
func (s *Set) Fetch(p *Probe, v *View, slots []uint32, seen []uint8, epoch uint8, spare []uint32) {
	switch {
	case s.codec != nil && !p.plain:
		simd.FetchRows(slots, seen, epoch, v.Code, s.codec.Size(), s.codec.Head(p.depth), spare)
	case s.half:
		simd.FetchRows(slots, seen, epoch, v.F16[s.start():], s.stride, s.dim, spare)
	default:
		simd.FetchRows(slots, seen, epoch, v.F32[s.start():], s.stride, s.dim, spare)
	}
}

// Rounding is how far two distances by Near may differ that ought to be equal:
// codes are scored by float32 arithmetic on norms, vectors by their differences.
func (s *Set) Rounding(p *Probe, d float32) float32 {
	const slop = 1e-5 // relative error by which two orders of summation differ
	r := max(d, -d) * slop
	if s.codec != nil && !p.plain {
		r += p.code.Bounds(p.depth).Rounding()
	}
	return r
}

// Least is what the distance between the vectors is likely to be no less than,
// where d is the distance from p to slot by codes up to level, or by Near without
// codes; see quant.Bounds.Likely.
func (s *Set) Least(p *Probe, v *View, slot uint32, level int, d float32) float32 {
	if s.codec == nil {
		return d - s.Rounding(p, d)
	}
	return (d - p.code.Bounds(level).Likely(d, s.codec.Measure(s.code(v, slot), level))) * s.unit
}

// Width is the number of components that blocks 0..level of a code hold.
func (s *Set) Width(level int) int {
	if s.codec == nil {
		return s.dim
	}
	return s.codec.Width(level)
}

// Levels is the number of blocks of a code: 1 unless Config.Widths divide it.
func (s *Set) Levels() int {
	if s.codec == nil {
		return 1
	}
	return s.codec.Levels()
}

// Deepen writes what block level of the codes adds to the distances from p to
// slots to out.
func (s *Set) Deepen(p *Probe, v *View, level int, slots []uint32, out []float32) {
	s.turn(p, level)
	s.codec.Gather(&p.code, level, v.Code, slots, out)
}
