package vectors

import (
	"slices"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/simd"
)

// Query returns q as Score wants it: q itself, or under cosine q normalised into
// buf, which is grown if need be and returned as the second value. q must have
// passed CheckQuery.
func (s *Set) Query(q, buf []float32) (query, grown []float32) {
	if s.metric != index.Cosine {
		return q, buf
	}
	if cap(buf) < s.dim {
		buf = make([]float32, s.dim)
	}
	buf = buf[:s.dim]
	Normalise(buf, q)
	return buf, buf
}

// Row is the vector of slot as a query: the row itself under Float32, else
// widened into buf, which must have the set's dimension.
func (s *Set) Row(v *View, slot uint32, buf []float32) []float32 {
	off := int(slot) * s.stride
	if !s.half {
		return v.F32[off : off+s.dim : off+s.dim]
	}
	simd.FromHalf(buf, v.F16[off:off+s.dim])
	return buf
}

// Score writes the distance from query to each of slots to out, in one kernel
// call. query is one that Query or Row returned.
func (s *Set) Score(v *View, query []float32, slots []uint32, out []float32) {
	switch {
	case s.metric == index.L2 && !s.half:
		simd.L2Gather(query, v.F32, s.stride, slots, out)
		return
	case s.metric == index.L2:
		simd.L2GatherHalf(query, v.F16, s.stride, slots, out)
		return
	case !s.half:
		simd.DotGather(query, v.F32, s.stride, slots, out)
	default:
		simd.DotGatherHalf(query, v.F16, s.stride, slots, out)
	}
	s.invert(out[:len(slots)])
}

// scoreRows is Score for the contiguous slots that start at first.
func (s *Set) scoreRows(v *View, query []float32, first int, out []float32) {
	from := first * s.stride
	to := from + len(out)*s.stride
	switch {
	case s.metric == index.L2 && !s.half:
		simd.L2Rows(query, v.F32[from:to], s.stride, out)
		return
	case s.metric == index.L2:
		simd.L2RowsHalf(query, v.F16[from:to], s.stride, out)
		return
	case !s.half:
		simd.DotRows(query, v.F32[from:to], s.stride, out)
	default:
		simd.DotRowsHalf(query, v.F16[from:to], s.stride, out)
	}
	s.invert(out)
}

// invert turns inner products into distances. Rounding may take a cosine a few
// ulps beyond 1; the distance stays in range.
func (s *Set) invert(out []float32) {
	if s.metric == index.IP {
		for i, d := range out {
			out[i] = -d
		}
		return
	}
	for i, d := range out {
		out[i] = max(0, 1-d)
	}
}

// Between is the distance between a query and a vector, as Score computes it.
func (s *Set) Between(query, vec []float32) float32 {
	if s.metric == index.L2 {
		return simd.L2(query, vec)
	}
	d := [1]float32{simd.Dot(query, vec)}
	s.invert(d[:])
	return d[0]
}

// Equal reports whether two slots hold the same vector, bit for bit but for the
// sign of zero; where the vectors are not in memory, the same code.
func (s *Set) Equal(v *View, a, b uint32) bool {
	if !s.Resident() {
		return string(s.code(v, a)) == string(s.code(v, b))
	}
	i, j := int(a)*s.stride, int(b)*s.stride
	if s.half {
		return slices.Equal(v.F16[i:i+s.dim], v.F16[j:j+s.dim])
	}
	return slices.Equal(v.F32[i:i+s.dim], v.F32[j:j+s.dim])
}
