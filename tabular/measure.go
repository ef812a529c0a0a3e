package tabular

import (
	"fmt"
	"math"

	"github.com/eiderdb/eider/internal/metric"
)

// Width is how many numbers a prediction of a row has: of a regression the target, in
// its own units, of a binary target the probability of class 1, else that of each class.
func (d *Data) Width() int {
	if d.Kind == Multiclass {
		return d.Classes
	}
	return 1
}

// Measure judges predictions, Rows x Width, of rows with labels: "rmse" of a
// regression, in the target's units; "accuracy", "logloss" and, of two classes, "auc".
// Probabilities of 0 count as 1e-7 in a log loss. Error: ErrValue if there are
// no labels or too few predictions.
func (d *Data) Measure(predicted []float32) (map[string]metric.Estimate, error) {
	if len(d.Y) != d.Rows || len(predicted) != d.Rows*d.Width() || d.Rows == 0 {
		return nil, fmt.Errorf("%w: %d predictions and %d labels of %d rows", ErrValue, len(predicted), len(d.Y), d.Rows)
	}
	switch d.Kind {
	case Regression:
		truth := make([]float64, d.Rows)
		for i, y := range d.Y {
			truth[i] = float64(y)*d.Std + d.Mean
		}
		return map[string]metric.Estimate{"rmse": metric.RMSE(predicted, truth)}, nil
	case Binary:
		logits, hits := make([]float32, d.Rows), make([]float64, d.Rows)
		for i, p := range predicted {
			p := min(max(float64(p), 1e-7), 1-1e-7)
			logits[i] = float32(math.Log(p / (1 - p)))
			hits[i] = hit((p > 0.5) == (d.Y[i] == 1))
		}
		return map[string]metric.Estimate{
			"accuracy": metric.MeanOf(hits, 0, 1), "auc": metric.AUC(logits, d.Y), "logloss": metric.LogLoss(logits, d.Y),
		}, nil
	}
	losses, hits := make([]float64, d.Rows), make([]float64, d.Rows)
	for i, y := range d.Y {
		row := predicted[i*d.Classes : (i+1)*d.Classes]
		best := 0
		for k, p := range row {
			if p > row[best] {
				best = k
			}
		}
		hits[i], losses[i] = hit(best == int(y)), -math.Log(max(float64(row[int(y)]), 1e-7))
	}
	return map[string]metric.Estimate{
		"accuracy": metric.MeanOf(hits, 0, 1), "logloss": metric.MeanOf(losses, 0, math.Inf(1)),
	}, nil
}

func hit(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// Score is the figure of Measure that chooses between models of this kind, and whether
// less of it is better.
func (k Kind) Score() (name string, lower bool) {
	if k == Regression {
		return "rmse", true
	}
	return "accuracy", false
}
