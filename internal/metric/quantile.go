package metric

import (
	"math"
	"slices"
)

// Quantile is the q-quantile of x, q in [0, 1], with linear interpolation between
// order statistics (Hyndman and Fan's type 7, as in R and numpy). x is neither
// changed nor kept. NaN when x is empty. O(n log n).
func Quantile(x []float64, q float64) float64 {
	s := slices.Sorted(slices.Values(x))
	if len(s) == 0 {
		return math.NaN()
	}
	at := math.Min(math.Max(q, 0), 1) * float64(len(s)-1)
	lo := int(at)
	if lo+1 >= len(s) {
		return s[lo]
	}
	return s[lo] + (at-float64(lo))*(s[lo+1]-s[lo])
}

// Median is Quantile(x, 0.5).
func Median(x []float64) float64 { return Quantile(x, 0.5) }

// Mean is the arithmetic mean of x, NaN when x is empty.
func Mean(x []float64) float64 {
	if len(x) == 0 {
		return math.NaN()
	}
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}
