package metric

import (
	"math"
	"testing"
)

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-12 {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

func TestRecallCountsEachIDOnce(t *testing.T) {
	near(t, "repeated answer", Recall([]int{1, 2, 3, 4}, []int{1, 1, 1, 9}, 4), 0.25)
	near(t, "all found in another order", Recall([]int{1, 2}, []int{2, 1}, 2), 1)
	near(t, "answers past k", Recall([]int{1, 2}, []int{9, 8, 1, 2}, 2), 0)
	near(t, "nothing to find", Recall(nil, []int{1}, 2), 1)
}

func TestRecallAtCountsTiesAsHits(t *testing.T) {
	distance := func(id int) float32 { return []float32{1, 2, 2, 2, 3}[id] }
	truth := []float32{1, 2, 2, 2, 3}
	near(t, "the other of two equally near ids", RecallAt(truth, []int{0, 3}, distance, 2), 1)
	near(t, "a farther id", RecallAt(truth, []int{0, 4}, distance, 2), 0.5)
	near(t, "the same tied id twice", RecallAt(truth, []int{3, 3}, distance, 2), 0.5)
}

func TestRecallAtAllowsRoundingUnderNegativeDistances(t *testing.T) {
	d := map[int]float32{0: -100, 1: -99.9995, 2: -99}
	truth := []float32{-100}
	at := func(id int) float32 { return d[id] }
	near(t, "within rounding", RecallAt(truth, []int{1}, at, 1), 1)
	near(t, "outside rounding", RecallAt(truth, []int{2}, at, 1), 0)
}

func TestNDCGMatchesAHandWorkedExample(t *testing.T) {
	// Grades 3 2 0 1 returned, of which 3 2 1 0 is ideal.
	got := NDCG([]float64{3, 2, 0, 1}, []float64{0, 1, 2, 3}, 4)
	want := (7 + 3/math.Log2(3) + 1/math.Log2(5)) / (7 + 3/math.Log2(3) + 1/math.Log2(4))
	near(t, "ndcg", got, want)
	near(t, "nothing relevant", NDCG([]float64{0}, []float64{0}, 1), 0)
	near(t, "reciprocal rank", ReciprocalRank([]bool{false, false, true}), 1.0/3)
}

func TestQuantileInterpolatesLikeNumpy(t *testing.T) {
	x := []float64{4, 1, 3, 2}
	near(t, "median", Median(x), 2.5)
	near(t, "p90", Quantile(x, 0.9), 3.7)
	near(t, "maximum", Quantile(x, 1), 4)
	if x[0] != 4 {
		t.Error("Quantile sorted its argument in place")
	}
	if !math.IsNaN(Median(nil)) {
		t.Error("the median of nothing should be NaN")
	}
}

func TestQPSAtIsLogLinearBetweenPointsAndNeverExtrapolates(t *testing.T) {
	curve := []Point{{Recall: 0.9, QPS: 1000}, {Recall: 0.98, QPS: 100}, {Recall: 0.85, QPS: 500}}
	qps, ok := QPSAt(curve, 0.94)
	if !ok || math.Abs(qps-math.Sqrt(1000*100)) > 1e-6 {
		t.Errorf("QPSAt(0.94) = %v, %v; want the geometric mean of the neighbours", qps, ok)
	}
	for _, r := range []float64{0.5, 0.89, 0.981, 1} {
		if qps, ok := QPSAt(curve, r); ok {
			t.Errorf("QPSAt(%v) = %v outside the measured range", r, qps)
		}
	}
}

func TestFrontierDropsPointsBeatenInBoth(t *testing.T) {
	f := Frontier([]Point{{Recall: 0.9, QPS: 10}, {Recall: 0.95, QPS: 20}, {Recall: 0.99, QPS: 5}})
	if len(f) != 2 || f[0].Recall != 0.95 || f[1].Recall != 0.99 {
		t.Errorf("frontier = %v", f)
	}
}
