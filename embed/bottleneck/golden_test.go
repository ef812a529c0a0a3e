package bottleneck

import (
	"math"
	"slices"
	"testing"
)

// counter gives the numbers that the reference values were computed from.
func counter() func() float32 {
	i := 0.0
	return func() float32 {
		defer func() { i++ }()
		return float32(0.8 * math.Sin(0.37+0.61*i+0.13*i*i))
	}
}

func ptr(x float64) *float64 { return &x }

// tiny is the model of the reference values.
func tiny(t *testing.T, classes ...string) *Model {
	t.Helper()
	c := Config{Dim: 3, Heads: 2, Keys: 3, KeyDim: 2, Rate: 1, Classes: classes, Closed: true}.Default()
	m := shell(c)
	next := counter()
	for i := range m.project {
		m.project[i] = next()
	}
	for h := range 2 {
		for j := range 2 {
			p := m.project[h*6+j:]
			norm := float32(math.Sqrt(float64(p[0]*p[0] + p[2]*p[2] + p[4]*p[4])))
			p[0], p[2], p[4] = p[0]/norm, p[2]/norm, p[4]/norm
		}
	}
	for i := range m.keys {
		m.keys[i] = next()
	}
	for i := range m.values {
		m.values[i] = next()
	}
	m.freeze()
	return m
}

func near(a, b float64) bool { return math.Abs(a-b) < 1e-5 }

func TestTheTinyModelGivesTheReferenceValues(t *testing.T) {
	m := tiny(t, "0", "1")
	z := []float32{0.2, -0.5, 0.7}
	heads, _ := m.split(z, 1, m.borrow())
	for i, want := range []float64{-0.7717747, 0.5575779, 0.0956748, -0.2850354} {
		if !near(float64(heads[i]), want) {
			t.Errorf("head %d is %v, want %v", i, heads[i], want)
		}
	}
	keys := make([]uint16, 2)
	if err := m.Encode(keys, z); err != nil || !slices.Equal(keys, []uint16{1, 0}) {
		t.Fatalf("keys %v, %v, want 1 0", keys, err)
	}
	logits := make([]float32, 2)
	if err := m.Predict(logits, keys); err != nil || !near(float64(logits[0]), -0.3891662) || !near(float64(logits[1]), -0.5180617) {
		t.Errorf("logits %v, %v", logits, err)
	}
	var r Record
	loss, err := m.Teach(&r, "", keys, "0")
	if err != nil || !near(loss, 0.6372195) {
		t.Errorf("loss %v, %v", loss, err)
	}
	if len(r.Step) != 2 || !near(float64(r.Step[0]), 0.2089103) || !near(float64(r.Step[1]), -0.2089103) {
		t.Errorf("step %v, want ±0.2089103", r.Step)
	}
}

func TestOnlyTheNormOfTheWholeGradientIsClipped(t *testing.T) {
	m := tiny(t, "0", "1")
	m.Clip = ptr(0.1)
	var r Record
	if _, err := m.Teach(&r, "", []uint16{1, 0}, "0"); err != nil {
		t.Fatal(err)
	}
	// The gradient is ∓0.2089103 four times: its norm is 0.4178206.
	if want := 0.2089103 * 0.1 / 0.4178206; !near(float64(r.Step[0]), want) || !near(float64(r.Step[1]), -want) {
		t.Errorf("step %v, want ±%v", r.Step, want)
	}
}
