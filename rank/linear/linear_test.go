package linear

import (
	"math"
	"strings"
	"testing"
)

func model(t *testing.T, config string, weights []float32, bias float32) *Model {
	t.Helper()
	c, err := Parse([]byte(config))
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(c, weights, bias)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestScoreIsTheWeightedSum(t *testing.T) {
	m := model(t, `{"fields":["a","b"]}`, []float32{2, -0.5}, 1)
	if got := m.Score([]float64{3, 4}); got != 5 {
		t.Errorf("score %v, want 2*3 - 0.5*4 + 1", got)
	}
	terms := m.Terms(nil, []float64{3, 4})
	if len(terms) != 2 || terms[0] != 6 || terms[1] != -2 {
		t.Errorf("terms %v", terms)
	}
}

// The numbers are sigmoid(0.3*1.5 - 1.2*0.25 + 0.1) and the two limits.
func TestLogisticScoreIsAProbability(t *testing.T) {
	m := model(t, `{"fields":["a","b"],"link":"logistic"}`, []float32{0.3, -1.2}, 0.1)
	if got := m.Score([]float64{1.5, 0.25}); math.Abs(got-0.5621765008857981) > 1e-7 {
		t.Errorf("score %v", got)
	}
	if lo, hi := m.Score([]float64{-1e9, 0}), m.Score([]float64{1e9, 0}); lo != 0 || hi != 1 {
		t.Errorf("limits %v, %v", lo, hi)
	}
}

func TestMissingNumberIsWhatTheConfigurationSays(t *testing.T) {
	nan := math.NaN()
	if got := model(t, `{"fields":["a","b"]}`, []float32{2, 3}, 1).Score([]float64{nan, 1}); got != 4 {
		t.Errorf("score %v without a default, want 0 for the field", got)
	}
	if got := model(t, `{"fields":["a","b"],"missing":[10,0]}`, []float32{2, 3}, 1).Score([]float64{nan, 1}); got != 24 {
		t.Errorf("score %v, want 10 for the field", got)
	}
}

func TestConfigurationThatIsNotOneIsRefused(t *testing.T) {
	for config, says := range map[string]string{
		``:                                 "EOF",
		`{}`:                               "fields",
		`{"fields":["a","a"]}`:             "twice",
		`{"fields":[""]}`:                  "empty",
		`{"fields":["a"],"lnik":"x"}`:      "lnik",
		`{"fields":["a"],"link":"cube"}`:   "identity or logistic",
		`{"fields":["a"],"missing":[1,2]}`: "2 numbers",
	} {
		if _, err := Parse([]byte(config)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", config, err, says)
		}
	}
	c, err := Parse([]byte(`{"fields":["a"]}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(c, []float32{1, 2}, 0); err == nil {
		t.Error("two weights for one field were accepted")
	}
}

func FuzzConfigurationIsRefusedOrScores(f *testing.F) {
	f.Add([]byte(`{"fields":["a","b"],"link":"logistic","missing":[1,2]}`))
	f.Add([]byte(`{"fields":["a"]}`))
	f.Add([]byte(`{"fields":null,"missing":[]}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, config []byte) {
		c, err := Parse(config)
		if err != nil {
			return
		}
		m, err := New(c, make([]float32, len(c.Fields)), 0)
		if err != nil {
			t.Fatal(err)
		}
		row := make([]float64, len(c.Fields))
		for i := range row {
			row[i] = math.NaN()
		}
		want := 0.0
		if c.Link == Logistic {
			want = 0.5
		}
		if got := m.Score(row); got != want {
			t.Fatalf("%s scores %v without weights", config, got)
		}
	})
}
