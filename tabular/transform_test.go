package tabular

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// quantile.json is what scikit-learn makes of columns (testdata/quantile.py).
func TestQuantileTransformIsScikitLearns(t *testing.T) {
	var dump struct {
		Cases []struct {
			Name                       string
			Fit, Quantiles, At, Normal []float64
		}
	}
	text, err := os.ReadFile("testdata/quantile.json")
	if err == nil {
		err = json.Unmarshal(text, &dump)
	}
	if err != nil || len(dump.Cases) == 0 {
		t.Fatal(err, len(dump.Cases))
	}
	for _, c := range dump.Cases {
		f := transform{Quantiles: Quantiles(append([]float64(nil), c.Fit...), len(c.Quantiles))}
		for i, q := range f.Quantiles {
			if math.Abs(q-c.Quantiles[i]) > 1e-12*max(1, math.Abs(q)) {
				t.Fatalf("%s: quantile %d is %v, want %v", c.Name, i, q, c.Quantiles[i])
			}
		}
		f.Quantiles = c.Quantiles // of the same bits, since jumps are at them
		for i, x := range c.At {
			if got := f.normal(x); math.Abs(got-c.Normal[i]) > 1e-8 {
				t.Errorf("%s: %v becomes %.10v, want %.10v", c.Name, x, got, c.Normal[i])
			}
		}
	}
}

func TestQuantileTransformIsClippedAtTheQuantilesOfATenMillionth(t *testing.T) {
	f := newTransform(Quantile, []float64{1, 2, 3, 4}, 0, 0)
	for x, want := range map[float64]float64{-100: -5.199337582187471, 100: 5.199337582187471} {
		if got := f.normal(x); math.Abs(got-want) > 1e-8 {
			t.Errorf("%v becomes %.10v, want %.10v", x, got, want)
		}
	}
}

func TestQuantilesAreOneForThirtyRowsWithinBounds(t *testing.T) {
	for rows, want := range map[int]int{4: 4, 100: 10, 300: 10, 900: 30, 40_000: 1000} {
		values := make([]float64, rows)
		for i := range values {
			values[i] = float64(i)
		}
		if f := newTransform(Quantile, values, 0, 0); len(f.Quantiles) != want {
			t.Errorf("%d rows have %d quantiles, want %d", rows, len(f.Quantiles), want)
		}
	}
}

func TestNoiseOfTheFitDependsOnSeedAndColumnAlone(t *testing.T) {
	values := make([]float64, 900) // all equal: the quantiles are those of the noise
	a, again := newTransform(Quantile, values, 1, 0), newTransform(Quantile, values, 1, 0)
	if a.Quantiles[3] != again.Quantiles[3] {
		t.Error("equal seeds give different fits")
	}
	for what, b := range map[string]transform{"seed": newTransform(Quantile, values, 2, 0), "column": newTransform(Quantile, values, 1, 1)} {
		if a.Quantiles[3] == b.Quantiles[3] {
			t.Errorf("the %s does not matter", what)
		}
	}
	if _, dev := moments(a.Quantiles); dev < 0.7 || dev > 1.6 {
		t.Errorf("a column without spread has noise of deviation %v, want about 1", dev)
	}
}
