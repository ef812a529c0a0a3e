package tabular

import (
	"math"
	"math/rand/v2"
	"slices"
	"sort"
)

// Method is how numbers are transformed.
type Method string

// The methods. Quantile maps each number to the normal quantile of its rank among the
// training rows, as scikit-learn's QuantileTransformer does with output normal;
// Standard subtracts the mean and divides by the population's standard deviation.
const (
	Quantile Method = "quantile"
	Standard Method = "standard"
	Identity Method = "none"
)

// Of the quantile transform: TabR's rule of how many quantiles, and the noise.
const (
	rowsPerQuantile = 30
	mostQuantiles   = 1000
	leastQuantiles  = 10
	noise           = 1e-3 // standard deviation, over the column's
	threshold       = 1e-7 // scikit-learn's BOUNDS_THRESHOLD
)

// transform is a fitted one of a column.
type transform struct {
	Mean      float64   `json:"mean"` // of training values: what a missing one is taken for
	Std       float64   `json:"std"`  // of the population, 1 where all values are equal
	Quantiles []float64 `json:"quantiles,omitempty"`
}

// newTransform fits values, of which there is at least one. seed and column choose the
// noise that the quantile transform is fitted with, so that ties have no steps: of
// deviation 1e-3/max(std, 1e-3), from a PCG of our own, not numpy's generator.
func newTransform(m Method, values []float64, seed, column uint64) transform {
	mean, std := moments(values)
	t := transform{Mean: mean, Std: std}
	if t.Std == 0 {
		t.Std = 1
	}
	if m != Quantile {
		return t
	}
	rng, dev := rand.New(rand.NewPCG(seed, column)), noise/max(std, noise)
	noisy := make([]float64, len(values))
	for i, x := range values {
		noisy[i] = x + dev*rng.NormFloat64()
	}
	t.Quantiles = Quantiles(noisy, min(len(values), max(min(len(values)/rowsPerQuantile, mostQuantiles), leastQuantiles)))
	return t
}

// moments are the mean and the population's standard deviation, of sums in order.
func moments(x []float64) (mean, std float64) {
	for _, v := range x {
		mean += v
	}
	mean /= float64(len(x))
	for _, v := range x {
		std += (v - mean) * (v - mean)
	}
	return mean, math.Sqrt(std / float64(len(x)))
}

// Quantiles are n of them, from least to greatest at equal steps of rank, linear between
// values as numpy's. It sorts x, which is not empty.
func Quantiles(x []float64, n int) []float64 {
	slices.Sort(x)
	q := make([]float64, n)
	for i := range q {
		at := float64(len(x)-1) * reference(i, n)
		lo := int(at)
		q[i] = x[lo]
		if lo+1 < len(x) {
			q[i] += (at - float64(lo)) * (x[lo+1] - x[lo])
		}
		if i > 0 {
			q[i] = max(q[i], q[i-1]) // rounding
		}
	}
	return q
}

// reference is number i of n from 0 to 1.
func reference(i, n int) float64 {
	if n == 1 {
		return 0
	}
	return float64(i) / float64(n-1)
}

// apply transforms a number.
func (t *transform) apply(m Method, x float64) float32 {
	switch m {
	case Identity:
		return float32(x)
	case Standard:
		return float32((x - t.Mean) / t.Std)
	}
	return float32(t.normal(x))
}

// normal is the quantile transform of x: the mean of the ranks from below and from
// above, which differ where quantiles are equal; then the normal quantile of it,
// between those of 1e-7 and 1-1e-7, ±5.1993.
func (t *transform) normal(x float64) float64 {
	q := t.Quantiles
	n := len(q)
	var p float64
	switch {
	case x-threshold < q[0]:
		p = 0
	case x+threshold > q[n-1]:
		p = 1
	default:
		// The first quantile over x and the first not under it; both from 1 to n-1.
		above := sort.Search(n, func(i int) bool { return q[i] > x })
		below := sort.SearchFloat64s(q, x)
		p = (between(q, above-1, x) + between(q, below-1, x)) / 2
	}
	const edge = threshold - 0x1p-52
	return probit(min(max(p, edge), 1-edge))
}

// between is the rank of x on the way from quantile i to the next.
func between(q []float64, i int, x float64) float64 {
	n := len(q)
	lo, hi := reference(i, n), reference(i+1, n)
	return lo + (hi-lo)/(q[i+1]-q[i])*(x-q[i])
}

// probit is the quantile of the normal distribution for p in (0, 1).
func probit(p float64) float64 {
	if p < 0.5 {
		return -math.Sqrt2 * math.Erfcinv(2*p)
	}
	return math.Sqrt2 * math.Erfcinv(2*(1-p))
}
