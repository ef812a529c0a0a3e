package tabular

import (
	"errors"
	"math"
	"testing"
)

func TestMeasuresOfHandWorkedCases(t *testing.T) {
	for _, c := range []struct {
		data      Data
		predicted []float32
		want      map[string]float64
	}{
		{Data{Rows: 2, Kind: Regression, Y: []float32{-1, 1}, Mean: 10, Std: 2}, []float32{8, 15}, map[string]float64{"rmse": math.Sqrt(4.5)}},
		{Data{Rows: 4, Kind: Binary, Classes: 2, Y: []float32{0, 1, 1, 0}}, []float32{0.2, 0.4, 0.8, 0.1},
			map[string]float64{"accuracy": 0.75, "auc": 1, "logloss": -(math.Log(0.8) + math.Log(0.4) + math.Log(0.8) + math.Log(0.9)) / 4}},
		{Data{Rows: 2, Kind: Multiclass, Classes: 3, Y: []float32{2, 0}}, []float32{0.1, 0.3, 0.6, 0, 0.5, 0.5},
			map[string]float64{"accuracy": 0.5, "logloss": -(math.Log(0.6) + math.Log(1e-7)) / 2}},
	} {
		got, err := c.data.Measure(c.predicted)
		if err != nil || len(got) != len(c.want) {
			t.Fatal(got, err)
		}
		for name, want := range c.want {
			if math.Abs(got[name].Value-want) > 1e-6 {
				t.Errorf("%s: %s is %v, want %v", c.data.Kind, name, got[name].Value, want)
			}
		}
		if name, _ := c.data.Kind.Score(); c.want[name] == 0 {
			t.Errorf("%s is scored by %s, which is not measured", c.data.Kind, name)
		}
	}
	question := Data{Rows: 2, Kind: Regression}
	if _, err := question.Measure(make([]float32, 2)); !errors.Is(err, ErrValue) {
		t.Error(err)
	}
}
