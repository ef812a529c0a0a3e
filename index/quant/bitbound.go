package quant

import "math"

// lack is how much the mean in a header may be short of the mean: half a unit in
// the last of 8 places, and a little.
const lack = 1. / 255

// spare is what a bound on the error of an inner product by bits allows for all but
// the error of the code, and ε what that of the query adds to the latter's angle.
func (q *Bounds) spare(e Extent) (w, eps float64) {
	x, o := math.Sqrt(float64(e.Norm))*(1+1e-6), lack*float64(e.Offset)
	hat := q.norm + q.err
	w = x*q.err + q.sum*o + x*hat/(q.dim-1) + q.round(e)
	return w, q.err + q.root*o
}

// apart are the least and the largest square of a distance whose estimate by bits
// is d. With E the error of the code, the true inner product differs from the
// estimate by E times the part of the query at a right angle to the vector, which
// is no more than the distance D sought: |D² − d| <= 2·E·(D + ε) + 2·w.
func (q *Bounds) apart(d float64, e Extent) (least, most float64) {
	w, eps := q.spare(e)
	E := float64(e.Err)
	slack := 2 * (E*eps + w)
	if lo := d - slack; lo > 0 {
		r := math.Sqrt(E*E+lo) - E
		least = r * r * (1 - 1e-6)
	}
	r := E + math.Sqrt(max(0, E*E+d+slack))
	return least, r * r * (1 + 1e-6)
}

// within is the estimate above which the square of the distance is above limit.
func (q *Bounds) within(limit float64, e Extent) float64 {
	w, eps := q.spare(e)
	r := math.Sqrt(max(0, limit)) * (1 + 1e-6)
	return (r*r + 2*float64(e.Err)*(r+eps) + 2*w) * (1 + 1e-6)
}

// probable are the least and the largest square D² that a distance estimated as d
// is likely to have: its standard deviation is 2·D·√(E² + ‖z−ẑ‖²)/√n, and four of
// them are allowed for.
func (q *Bounds) probable(d float64, e Extent) (least, most float64) {
	half := 4 * math.Hypot(float64(e.Err), q.err) / math.Sqrt(q.dim)
	slack := q.round(e)
	r := math.Sqrt(max(0, d) + half*half)
	return (r-half)*(r-half) - slack, (r+half)*(r+half) + slack
}
