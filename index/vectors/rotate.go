package vectors

import (
	"fmt"
	"math"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/simd"
)

// rotation is what codes see vectors through.
type rotation struct {
	dim  int
	rows []float32 // dim × dim
	loss float32   // of the norm of a vector: how far apply may be from a rotation
}

// newRotation takes rows, which are orthonormal but for having been rounded to
// float32: the rounding of a row is no more than 2⁻²⁴ of its length. A product of
// dim terms in at least four sums adds dim/4+3 such errors, and the product of the
// magnitudes of all rows with a vector is at most √dim times as long as it.
func newRotation(rows []float32, dim int) *rotation {
	n := float64(dim)
	return &rotation{dim: dim, rows: rows, loss: float32(0x1p-24 * math.Sqrt(n) * (n/4 + 8))}
}

// apply writes the rotated v to dst.
func (r *rotation) apply(dst, v []float32) { simd.DotRows(v, r.rows, r.dim, dst) }

// part writes components from..to-1 of the rotated v to their place in dst.
func (r *rotation) part(dst, v []float32, from, to int) {
	simd.DotRows(v, r.rows[from*r.dim:], r.dim, dst[from:to])
}

// slack is how far the rotated v may be from that of exact arithmetic.
func (r *rotation) slack(v []float32) float32 {
	return r.loss * float32(math.Sqrt(float64(simd.Norm(v))))
}

// turn prepares p up to level, which is all if there is no rotation: a walk needs
// the first, and a row of the rotation for each component costs a pass over the
// query.
func (s *Set) turn(p *Probe, level int) {
	if s.rotation == nil || p.level >= level {
		return
	}
	if cap(p.rotated) < s.dim {
		p.rotated = make([]float32, s.dim)
	}
	p.rotated = p.rotated[:s.dim]
	from := 0
	if p.level >= 0 {
		from = s.codec.Width(p.level)
	}
	s.rotation.part(p.rotated, p.Vec, from, s.codec.Width(level))
	slack := s.rotation.slack(p.Vec)
	for l := p.level + 1; l <= level; l++ {
		s.codec.PrepareLevel(&p.code, l, s.walked, p.rotated, slack)
	}
	p.level = level
}

// Toll is the number of slots for which it costs no more to score their vectors than
// to look at level of their codes first: the rows of the rotation that a query has
// to pass for it, twice as many since half of the slots will be scored all the same.
// 0 without a rotation, or where vectors have to be read.
func (s *Set) Toll(level int) int {
	if s.rotation == nil || !s.Resident() {
		return 0
	}
	return 2 * (s.codec.Width(level) - s.codec.Width(level-1))
}

// Rotation is the matrix that codes are made through, nil for none.
func (s *Set) Rotation() []float32 {
	if s.rotation == nil {
		return nil
	}
	return s.rotation.rows
}

// Rotate makes rows, dim × dim, the rotation of a set that holds nothing yet. Error:
// index.ErrCorrupt if it is not one, as far as its rows and two vectors tell.
func (s *Set) Rotate(rows []float32) error {
	r := newRotation(rows, s.dim)
	unit := func(v []float32, want float64) bool {
		n := float64(simd.Norm(v))
		return math.Abs(n-want) <= 1e-3*want // false for a NaN
	}
	for i := range s.dim {
		if !unit(rows[i*s.dim:(i+1)*s.dim], 1) {
			return fmt.Errorf("%w: row %d of the rotation is not of length one", index.ErrCorrupt, i)
		}
	}
	v, out := make([]float32, s.dim), make([]float32, s.dim)
	for turn := range 2 {
		for i := range v {
			v[i] = float32(1 - (i*(turn+1)+turn)%3)
		}
		v[0] = 2
		if r.apply(out, v); !unit(out, float64(simd.Norm(v))) {
			return fmt.Errorf("%w: the rotation changes lengths", index.ErrCorrupt)
		}
	}
	s.rotation = r
	return nil
}
