package metric

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Figures of a model that gives the chance of a click, from its logits and what
// happened: labels above 0.5 are clicks. Logits, since chances saturate in float32
// and then tie. None of them depends on the order of the examples.

// AUC estimates the chance that an example with a click scores above one without,
// ties counting half; the interval is that of DeLong, DeLong and Clarke-Pearson
// (1988). NaN if either kind is missing or a score is NaN. O(n log n).
func AUC(logits, labels []float32) Estimate {
	pair("AUC", logits, labels)
	var clicks, others []float32
	for i, z := range logits {
		if z != z {
			return interval(math.NaN(), 0, 0, 1, len(logits))
		}
		if labels[i] > 0.5 {
			clicks = append(clicks, z)
		} else {
			others = append(others, z)
		}
	}
	if len(clicks) == 0 || len(others) == 0 {
		return interval(math.NaN(), 0, 0, 1, len(logits))
	}
	above, below := shares(clicks, others), shares(others, clicks)
	auc := Mean(above)
	v := variance(above, auc)/float64(len(above)) + variance(below, 1-auc)/float64(len(below))
	return interval(auc, v, 0, 1, len(logits))
}

// shares is, for each of x, the share of y that is less, ties counting half. It
// sorts both.
func shares(x, y []float32) []float64 {
	slices.Sort(x)
	slices.Sort(y)
	out := make([]float64, len(x))
	less, upto := 0, 0 // of y: less than v, not more than v
	for i, v := range x {
		for less < len(y) && y[less] < v {
			less++
		}
		upto = max(upto, less)
		for upto < len(y) && y[upto] == v {
			upto++
		}
		out[i] = float64(less+upto) / 2 / float64(len(y))
	}
	return out
}

// GAUC is the AUC within each group of examples (a user, a page), averaged with the
// number of examples as weights; groups with clicks only, or with none, do not
// count. Group g is examples start[g] to start[g+1]-1. The interval is that of a
// ratio of sums over groups. Count is the groups that counted.
func GAUC(logits, labels []float32, start []int32) Estimate {
	pair("GAUC", logits, labels)
	var weights, aucs []float64
	sum, total := 0.0, 0.0
	for g := range max(len(start)-1, 0) {
		lo, hi := start[g], start[g+1]
		auc := AUC(logits[lo:hi], labels[lo:hi]).Value
		if math.IsNaN(auc) {
			if slices.ContainsFunc(logits[lo:hi], func(z float32) bool { return z != z }) {
				return interval(math.NaN(), 0, 0, 1, 0)
			}
			continue
		}
		w := float64(hi - lo)
		weights, aucs = append(weights, w), append(aucs, auc)
		sum += w * auc
		total += w
	}
	gauc, spread := sum/total, 0.0
	for i, w := range weights {
		spread += w * w * (aucs[i] - gauc) * (aucs[i] - gauc)
	}
	n := float64(len(aucs))
	return interval(gauc, spread/(total*total)*n/(n-1), 0, 1, len(aucs))
}

// LogLoss is the mean of log(1+e^z) - y·z, in nats, with labels y as they are. O(n).
func LogLoss(logits, labels []float32) Estimate {
	pair("LogLoss", logits, labels)
	losses := make([]float64, len(logits))
	for i, z := range logits {
		x := float64(z)
		losses[i] = max(x, 0) - x*float64(labels[i]) + math.Log1p(math.Exp(-math.Abs(x)))
	}
	return MeanOf(losses, 0, math.Inf(1))
}

// Calibration is the clicks that were predicted over those that came: 1 is right,
// above it promises too much. NaN without clicks. O(n).
func Calibration(logits, labels []float32) Estimate {
	pair("Calibration", logits, labels)
	predicted, came := 0.0, 0.0
	p := make([]float64, len(logits))
	for i, z := range logits {
		p[i] = chance(z)
		predicted += p[i]
		came += float64(labels[i])
	}
	if came == 0 {
		return interval(math.NaN(), 0, 0, math.Inf(1), len(logits))
	}
	ratio, n := predicted/came, float64(len(logits))
	for i := range p {
		p[i] -= ratio * float64(labels[i])
	}
	return interval(ratio, variance(p, 0)*n/(came*came), 0, math.Inf(1), len(logits))
}

// CalibrationError is the mean distance between predicted and observed share of
// clicks over bins of equally many examples, ordered by prediction, in [0, 1].
// Examples of one prediction are of one bin. NaN without examples. O(n log n).
func CalibrationError(logits, labels []float32, bins int) float64 {
	pair("CalibrationError", logits, labels)
	order := make([]int, len(logits))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(logits[a], logits[b]) })
	sum, size := 0.0, max(1, (len(order)+bins-1)/max(bins, 1))
	for lo := 0; lo < len(order); {
		hi := min(lo+size, len(order))
		for hi < len(order) && logits[order[hi]] == logits[order[hi-1]] {
			hi++
		}
		gap := 0.0
		for _, i := range order[lo:hi] {
			gap += chance(logits[i]) - float64(labels[i])
		}
		sum += math.Abs(gap)
		lo = hi
	}
	return sum / float64(len(order))
}

// RelaImpr is how much further from chance an AUC is than that of a base model:
// (auc-½)/(base-½) - 1.
func RelaImpr(auc, base float64) float64 { return (auc-0.5)/(base-0.5) - 1 }

func chance(z float32) float64 { return 1 / (1 + math.Exp(-float64(z))) }

func pair(name string, logits, labels []float32) {
	if len(logits) != len(labels) {
		panic(fmt.Sprintf("metric: %s: %d logits, %d labels", name, len(logits), len(labels)))
	}
}
