package nn

import (
	"fmt"

	"github.com/eiderdb/eider/simd"
)

// Segments divides the rows of a matrix into consecutive parts, one for each
// sequence of a batch: part i is rows Segments[i] to Segments[i+1]-1, and the
// last element is the number of rows. Parts may be empty.
type Segments []int32

// Uniform is count segments of size rows each: sequences padded to one length.
func Uniform(count, size int) Segments {
	s := make(Segments, count+1)
	for i := range s {
		s[i] = int32(i * size)
	}
	return s
}

// Len is the number of segments.
func (s Segments) Len() int { return len(s) - 1 }

func (s Segments) at(i int) (lo, hi int) { return int(s[i]), int(s[i+1]) }

// check panics unless s divides the given number of rows and mask, if there is
// one, has a number for each.
func (s Segments) check(op string, rows int, mask []float32) {
	if len(s) == 0 || s[0] != 0 || int(s[len(s)-1]) != rows {
		panic(fmt.Sprintf("nn: %s: segments do not divide %d rows", op, rows))
	}
	for i := 1; i < len(s); i++ {
		if s[i] < s[i-1] {
			panic(fmt.Sprintf("nn: %s: segment %d ends before it starts", op, i-1))
		}
	}
	if mask != nil && len(mask) != rows {
		panic(fmt.Sprintf("nn: %s: a mask of %d numbers for %d rows", op, len(mask), rows))
	}
}

// SegmentSum adds up the rows of each segment of x, each weighted by its number
// in mask if that is not nil: segments x cols. An empty segment gives zeros.
func (t *Tape) SegmentSum(x *Var, s Segments, mask []float32) *Var {
	return t.pool("SegmentSum", x, s, mask, false)
}

// SegmentMean is SegmentSum divided by the sum of the mask, or by the number of
// rows without one; where that is 0, zeros.
func (t *Tape) SegmentMean(x *Var, s Segments, mask []float32) *Var {
	return t.pool("SegmentMean", x, s, mask, true)
}

func (t *Tape) pool(op string, x *Var, s Segments, mask []float32, mean bool) *Var {
	s.check(op, x.Rows, mask)
	v := t.node(s.Len(), x.Cols, poolBack, x)
	v.seg, v.mask, v.a = s, mask, mean
	for i := range s.Len() {
		y := v.Row(i)
		clear(y)
		lo, hi := s.at(i)
		for j := lo; j < hi; j++ {
			if mask == nil {
				simd.Add(y, x.Row(j))
			} else if mask[j] != 0 {
				simd.Axpy(mask[j], x.Row(j), y)
			}
		}
		if mean {
			simd.Scale(y, s.share(i, mask))
		}
	}
	return v
}

// share is 1 over the weight of segment i, 0 if it has none.
func (s Segments) share(i int, mask []float32) float32 {
	lo, hi := s.at(i)
	weight := float32(hi - lo)
	if mask != nil {
		weight = simd.Sum(mask[lo:hi])
	}
	if weight == 0 {
		return 0
	}
	return 1 / weight
}

func poolBack(t *Tape, v *Var) {
	d := t.Grad(v.in[0])
	for i := range v.seg.Len() {
		g, share := v.grad.Row(i), float32(1)
		if v.a {
			share = v.seg.share(i, v.mask)
		}
		lo, hi := v.seg.at(i)
		for j := lo; j < hi; j++ {
			w := share
			if v.mask != nil {
				w *= v.mask[j]
			}
			if w != 0 {
				simd.Axpy(w, g, d.Row(j))
			}
		}
	}
}

// Expand repeats row i of x for every row of segment i: the opposite of
// SegmentSum.
func (t *Tape) Expand(x *Var, s Segments) *Var {
	if s.Len() != x.Rows {
		panic(fmt.Sprintf("nn: Expand: %d segments for %s", s.Len(), x))
	}
	v := t.node(int(s[s.Len()]), x.Cols, expandBack, x)
	s.check("Expand", v.Rows, nil)
	v.seg = s
	for i := range x.Rows {
		lo, hi := s.at(i)
		for j := lo; j < hi; j++ {
			copy(v.Row(j), x.Row(i))
		}
	}
	return v
}

func expandBack(t *Tape, v *Var) {
	d := t.Grad(v.in[0])
	for i := range d.Rows {
		lo, hi := v.seg.at(i)
		for j := lo; j < hi; j++ {
			simd.Add(d.Row(i), v.grad.Row(j))
		}
	}
}

// WeightedSum is Σ_j w_j·x_j over the rows j of each segment, for w of n x 1 and
// x of n x cols: attention pooling, segments x cols.
func (t *Tape) WeightedSum(w, x *Var, s Segments) *Var {
	if w.Rows != x.Rows || w.Cols != 1 {
		panic(wrong("WeightedSum", w, x))
	}
	s.check("WeightedSum", x.Rows, nil)
	v := t.node(s.Len(), x.Cols, weightedSumBack, w, x)
	v.seg = s
	for i := range s.Len() {
		y := v.Row(i)
		clear(y)
		lo, hi := s.at(i)
		for j := lo; j < hi; j++ {
			if e := w.Row(j)[0]; e != 0 {
				simd.Axpy(e, x.Row(j), y)
			}
		}
	}
	return v
}

func weightedSumBack(t *Tape, v *Var) {
	w, x := v.in[0], v.in[1]
	var dw, dx Matrix
	if w.needs {
		dw = t.Grad(w)
	}
	if x.needs {
		dx = t.Grad(x)
	}
	for i := range v.seg.Len() {
		g := v.grad.Row(i)
		lo, hi := v.seg.at(i)
		for j := lo; j < hi; j++ {
			if w.needs {
				dw.Row(j)[0] += simd.Dot(g, x.Row(j))
			}
			if e := w.Row(j)[0]; x.needs && e != 0 {
				simd.Axpy(e, g, dx.Row(j))
			}
		}
	}
}

// SegmentDot is the dot product of each row of k, n x cols, with the row of q,
// segments x cols, that its segment has: n x 1.
func (t *Tape) SegmentDot(q, k *Var, s Segments) *Var {
	if q.Cols != k.Cols || q.Rows != s.Len() {
		panic(wrong("SegmentDot", q, k))
	}
	s.check("SegmentDot", k.Rows, nil)
	v := t.node(k.Rows, 1, segmentDotBack, q, k)
	v.seg = s
	for i := range s.Len() {
		lo, hi := s.at(i)
		for j := lo; j < hi; j++ {
			v.Data[j] = simd.Dot(q.Row(i), k.Row(j))
		}
	}
	return v
}

func segmentDotBack(t *Tape, v *Var) {
	q, k := v.in[0], v.in[1]
	var dq, dk Matrix
	if q.needs {
		dq = t.Grad(q)
	}
	if k.needs {
		dk = t.Grad(k)
	}
	for i := range v.seg.Len() {
		lo, hi := v.seg.at(i)
		for j := lo; j < hi; j++ {
			g := v.grad.Row(j)[0]
			if q.needs {
				simd.Axpy(g, k.Row(j), dq.Row(i))
			}
			if k.needs {
				simd.Axpy(g, q.Row(i), dk.Row(j))
			}
		}
	}
}
