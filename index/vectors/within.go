package vectors

import (
	"math"
	"slices"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/simd"
)

const (
	partMin = 128 // elements of a part at least
	parts   = 3   // of a row at most
	sample  = 256 // rows that Learn looks at
)

// part is a run of components, from..to-1.
type part struct{ from, to int }

// divide cuts dim components into parts at whole cache lines; nil if they are
// too few for it to pay.
func divide(dim, width int) []part {
	n := min(parts, dim/partMin)
	if n < 2 {
		return nil
	}
	line := 64 / width
	out := make([]part, n)
	from := 0
	for i := range out {
		to := dim * (i + 1) / n
		if i < n-1 {
			to = to / line * line
		}
		out[i] = part{from, to}
		from = to
	}
	return out
}

// Learn orders the parts of a row so that those where vectors differ most come
// first, judging by some rows. It changes only the speed of ScoreWithin.
func (s *Set) Learn() {
	p := divide(s.dim, s.width())
	if p == nil || !s.Resident() || s.metric == index.IP || s.metric == index.Cosine && s.half {
		return
	}
	v := s.View()
	slots := min(s.Slots(), v.Cap)
	n := min(slots, sample)
	sum, square := make([]float64, s.dim), make([]float64, s.dim)
	row := make([]float32, s.dim)
	for k := range n { // evenly, since neighbours may lie together
		for i, x := range s.Row(v, uint32(k*slots/n), row) {
			sum[i] += float64(x)
			square[i] += float64(x) * float64(x)
		}
	}
	spread := func(p part) (total float64) {
		for i := p.from; i < p.to; i++ {
			total += square[i] - sum[i]*sum[i]/float64(n)
		}
		return total
	}
	slices.SortStableFunc(p, func(a, b part) int {
		switch x, y := spread(a), spread(b); {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	s.plan.Store(&p)
}

// start is the component from which Fetch asks for a row: the one with which
// ScoreWithin begins, where the row is not fetched whole.
func (s *Set) start() int {
	if p := s.plan.Load(); p != nil && s.dim*s.width() > simd.WideRow {
		return (*p)[0].from
	}
	return 0
}

// Partial is scratch memory of ScoreWithin.
type Partial struct {
	slots []uint32
	place []int32
	out   []float32
}

// ScoreWithin is Score for a caller that does not care about distances of limit
// or more: for those it may write any value >= limit. Squared distances only grow
// as components are added, so it scores rows part by part and drops a row as soon
// as its sum is beyond limit. Most rows that a walk meets are too far, and what
// bounds a walk is reading them from memory.
//
// Distances below limit carry the rounding of another order of summation than
// those of Score: equal up to a few ulps.
func (s *Set) ScoreWithin(v *View, query []float32, slots []uint32, out []float32, limit float32, t *Partial) {
	plan := s.plan.Load()
	if plan == nil || limit > math.MaxFloat32 {
		s.Score(v, query, slots, out)
		return
	}
	if cap(t.slots) < len(slots) {
		t.slots = make([]uint32, len(slots))
		t.place = make([]int32, len(slots))
		t.out = make([]float32, len(slots))
	}
	bound := limit
	if s.metric == index.Cosine {
		bound = 2 * limit // |a-b|² = 2(1-a·b) for unit vectors
	}
	s.l2Part(v, query, (*plan)[0], slots, out)
	left, place := t.slots[:0], t.place[:0]
	for i, d := range out[:len(slots)] {
		if d < bound {
			left, place = append(left, slots[i]), append(place, int32(i))
		}
	}
	for _, p := range (*plan)[1:] {
		if len(left) == 0 {
			break
		}
		s.l2Part(v, query, p, left, t.out[:len(left)])
		m := 0
		for j, d := range t.out[:len(left)] {
			i := place[j]
			if out[i] += d; out[i] < bound {
				left[m], place[m] = left[j], i
				m++
			}
		}
		left, place = left[:m], place[:m]
	}
	if s.metric == index.Cosine {
		for i := range out[:len(slots)] {
			out[i] /= 2
		}
	}
}

// l2Part writes the squared distances over the components of p.
func (s *Set) l2Part(v *View, query []float32, p part, slots []uint32, out []float32) {
	if s.half {
		simd.L2GatherHalf(query[p.from:p.to], v.F16[p.from:], s.stride, slots, out)
	} else {
		simd.L2Gather(query[p.from:p.to], v.F32[p.from:], s.stride, slots, out)
	}
}
