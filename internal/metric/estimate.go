package metric

import "math"

// Estimate is a figure and its 95 % confidence interval, from the spread of the
// examples it was taken from: normal, with 1.96 standard errors to each side. It
// says what other examples would give, not what another seed of training would.
type Estimate struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
	Count int     `json:"count"` // examples, or groups of them, that counted
}

// interval makes an estimate of a value within [low, high] and the variance of it.
// Without examples all is NaN; where they are too few to have a spread the interval
// is all that is possible.
func interval(value, variance, low, high float64, n int) Estimate {
	e := Estimate{value, low, high, n}
	if math.IsNaN(value) {
		e.Low, e.High = value, value
	} else if !math.IsNaN(variance) && !math.IsInf(variance, 0) {
		half := 1.959963984540054 * math.Sqrt(max(variance, 0))
		e.Low, e.High = max(low, value-half), min(high, value+half)
	}
	return e
}

// MeanOf estimates the mean of values, one per example, that lie in [low, high]: of
// recall, of nDCG, of whether an answer was right. O(n).
func MeanOf(values []float64, low, high float64) Estimate {
	mean := Mean(values)
	return interval(mean, variance(values, mean)/float64(len(values)), low, high, len(values))
}

// variance is the unbiased one around a mean; NaN of fewer than two values.
func variance(x []float64, mean float64) float64 {
	if len(x) < 2 {
		return math.NaN()
	}
	sum := 0.0
	for _, v := range x {
		sum += (v - mean) * (v - mean)
	}
	return sum / float64(len(x)-1)
}
