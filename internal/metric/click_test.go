package metric

import (
	"math"
	"math/rand/v2"
	"testing"
)

func is(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if d := math.Abs(got - want); !(d <= tolerance) && !(math.IsNaN(got) && math.IsNaN(want)) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

func TestAUCOfHandComputedCases(t *testing.T) {
	for _, c := range []struct {
		logits, labels []float32
		want           float64
	}{
		{[]float32{3, 2, 1, 0}, []float32{1, 1, 0, 0}, 1},
		{[]float32{0, 1, 2, 3}, []float32{1, 1, 0, 0}, 0},
		{[]float32{3, 2, 1, 0}, []float32{1, 0, 1, 0}, 0.75},
		{[]float32{1, 1, 1, 1}, []float32{1, 0, 1, 0}, 0.5},
		{[]float32{2, 1, 1, 0}, []float32{1, 1, 0, 0}, 0.875},
		{[]float32{1, 2}, []float32{1, 1}, math.NaN()},
		{[]float32{1, float32(math.NaN())}, []float32{1, 0}, math.NaN()},
		{nil, nil, math.NaN()},
	} {
		is(t, "AUC", AUC(c.logits, c.labels).Value, c.want, 1e-12)
	}
}

// DeLong's example of the structural components, by hand: clicks 2, 3, others 1, 2:
// shares of clicks ¾ and 1, of others 0 and ¼.
func TestAUCIntervalIsDeLongs(t *testing.T) {
	e := AUC([]float32{2, 3, 1, 2}, []float32{1, 1, 0, 0})
	is(t, "AUC", e.Value, 0.875, 1e-12)
	se := math.Sqrt(0.03125/2 + 0.03125/2)
	is(t, "low", e.Low, 0.875-1.959963984540054*se, 1e-12)
	is(t, "high", e.High, 1, 0)
}

func TestFiguresDoNotDependOnTheOrderOfExamples(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	logits, labels := make([]float32, 300), make([]float32, 300)
	for i := range logits {
		logits[i], labels[i] = float32(rng.IntN(20)), float32(rng.IntN(2)) // many ties, clicks first below
	}
	all := func() []float64 {
		return []float64{AUC(logits, labels).Value, AUC(logits, labels).Low, LogLoss(logits, labels).Value,
			Calibration(logits, labels).High, CalibrationError(logits, labels, 7), GAUC(logits, labels, []int32{0, 300}).Value}
	}
	before := all()
	at := 0
	for i := range labels { // all clicks to the front
		if labels[i] > 0.5 {
			logits[i], logits[at] = logits[at], logits[i]
			labels[i], labels[at] = labels[at], labels[i]
			at++
		}
	}
	for i, x := range all() {
		is(t, "figure", x, before[i], 1e-9)
	}
}

func TestGAUCWeighsUsersByExamplesAndSkipsOneSidedOnes(t *testing.T) {
	logits := []float32{1, 0 /**/, 3, 1, 2, 0 /**/, 5, 6}
	labels := []float32{1, 0 /**/, 1, 1, 0, 0 /**/, 1, 1}
	e := GAUC(logits, labels, []int32{0, 2, 6, 8})
	is(t, "GAUC", e.Value, (2*1+4*0.75)/6, 1e-12)
	is(t, "count", float64(e.Count), 2, 0)
	is(t, "none", GAUC(nil, nil, nil).Value, math.NaN(), 0)
}

func TestLogLossIsTakenFromLogits(t *testing.T) {
	e := LogLoss([]float32{0, 0, 200, -200}, []float32{1, 0, 1, 1})
	is(t, "log loss", e.Value, (2*math.Ln2+200)/4, 1e-6)
}

func TestCalibrationIsPredictedOverObserved(t *testing.T) {
	// Chances ½, ½, ¾, ¼: two clicks predicted, one came.
	logits := []float32{0, 0, float32(math.Log(3)), float32(-math.Log(3))}
	labels := []float32{0, 0, 1, 0}
	is(t, "calibration", Calibration(logits, labels).Value, 2, 1e-6)
	// Bins of two by chance: (¼, ½, and the ½ that ties) predict 1.25 of 0, then ¾ of 1.
	is(t, "error", CalibrationError(logits, labels, 2), (1.25+0.25)/4, 1e-6)
	is(t, "without clicks", Calibration(logits, make([]float32, 4)).Value, math.NaN(), 0)
}

// Of many samples the interval holds the true value about 95 times in a hundred.
func TestIntervalsCoverTheTruth(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	const runs, n = 400, 200
	covered := map[string]int{}
	for range runs {
		logits, labels := make([]float32, n), make([]float32, n)
		var start []int32
		for i := range logits {
			if i%8 == 0 {
				start = append(start, int32(i))
			}
			logits[i] = float32(rng.NormFloat64())
			if rng.Float64() < chance(logits[i]) {
				labels[i] = 1
			}
		}
		for name, c := range map[string]struct {
			e    Estimate
			want float64
		}{

			"auc": {AUC(logits, labels), trueAUC}, "loss": {LogLoss(logits, labels), trueLoss},
			"calibration": {Calibration(logits, labels), 1}, "gauc": {GAUC(logits, labels, append(start, n)), trueAUC},
		} {
			if c.e.Low <= c.want && c.want <= c.e.High {
				covered[name]++
			}
		}
	}
	for _, name := range []string{"auc", "loss", "calibration", "gauc"} {
		if k := covered[name]; k < runs*90/100 {
			t.Errorf("%s: %d of %d intervals hold the true value", name, k, runs)
		}
	}
}

// What logits of N(0, 1) with honest labels have, by sums over a fine grid.
var trueAUC, trueLoss = func() (auc, loss float64) {
	const step = 0.01
	below, clicks, others := 0.0, 0.0, 0.0
	for z := -8.0; z <= 8; z += step {
		w, p := math.Exp(-z*z/2)/math.Sqrt(2*math.Pi)*step, 1/(1+math.Exp(-z))
		auc += w * p * (below + w*(1-p)/2)
		below += w * (1 - p)
		clicks += w * p
		others += w * (1 - p)
		loss -= w * (p*math.Log(p) + (1-p)*math.Log(1-p))
	}
	return auc / (clicks * others), loss
}()
