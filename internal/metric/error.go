package metric

import (
	"fmt"
	"math"
)

// RMSE is the root of the mean squared difference between predictions and truth. Its
// interval is that of the mean, through the root. O(n).
func RMSE(predicted []float32, truth []float64) Estimate {
	if len(predicted) != len(truth) {
		panic(fmt.Sprintf("metric: RMSE: %d predictions and %d truths", len(predicted), len(truth)))
	}
	squares := make([]float64, len(truth))
	for i, y := range truth {
		d := float64(predicted[i]) - y
		squares[i] = d * d
	}
	e := MeanOf(squares, 0, math.Inf(1))
	e.Value, e.Low, e.High = math.Sqrt(e.Value), math.Sqrt(e.Low), math.Sqrt(e.High)
	return e
}
