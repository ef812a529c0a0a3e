package nn_test

import (
	"math"
	"slices"
	"testing"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/internal/nn/nntest"
)

func TestRunningStatisticsMoveTowardsTheUnbiasedOnesOfRowsThatCount(t *testing.T) {
	s := nn.NewStats(1, 1e-5, 0.25)
	tape := nn.Tape{Train: true}
	x := tape.Input(nn.Wrap(4, 1, []float32{1, 2, 6, 99}))
	tape.BatchNorm(x, nil, nil, s, []float32{1, 1, 1, 0}) // mean 3, variance 14/2
	if s.Mean[0] != 0.75 || s.Var[0] != 2.5 {
		t.Errorf("mean %v, variance %v, want 0.75 and 2.5", s.Mean, s.Var)
	}
	tape.Train = false
	tape.BatchNorm(x, nil, nil, s, nil)
	if s.Mean[0] != 0.75 || s.Var[0] != 2.5 {
		t.Error("they moved while the tape did not train")
	}
}

func TestClippingIsByTheNormOfAllGradientsTogether(t *testing.T) {
	p, table := nn.NewParam("p", 1, 2), nn.NewTable("t", 3, 1)
	p.Grad.Data[1] = 3
	var tape nn.Tape
	tape.Backward(tape.Sum(tape.Scale(tape.Embed(table, []uint32{2}), 4)))
	params := []*nn.Param{p, table}
	if norm := nn.ClipNorm(params, 6); norm != 5 || p.Grad.Data[1] != 3 {
		t.Errorf("norm %v, gradient %v: a norm within the limit was clipped", norm, p.Grad.Data)
	}
	nn.ClipNorm(params, 1)
	got := []float64{float64(p.Grad.Data[1]), float64(table.Grad.Data[0])}
	nntest.Near(t, "clipped", got, []float64{0.6, 0.8}, 1e-6)
}

func TestGradientNoiseHasItsVarianceAndReplays(t *testing.T) {
	draw := func(step uint64) []float32 {
		p := nn.NewParam("p", 100, 100)
		nn.Noise([]*nn.Param{p}, 0.3, 1, step)
		return p.Grad.Data
	}
	a := draw(9)
	if !slices.Equal(a, draw(9)) || slices.Equal(a, draw(10)) {
		t.Error("noise is not a function of the step")
	}
	for _, step := range []uint64{0, 9, 9999} {
		sum, sq := 0.0, 0.0
		for _, x := range draw(step) {
			sum += float64(x)
			sq += float64(x) * float64(x)
		}
		n, want := 1e4, 0.3/math.Pow(1+float64(step), 0.55)
		if math.Abs(sum/n) > 4*math.Sqrt(want/n) || math.Abs(sq/n/want-1) > 0.08 {
			t.Errorf("step %d: mean %v, variance %v, want 0 and %v", step, sum/n, sq/n, want)
		}
	}
}

func TestSchedulesGoThroughTheirPoints(t *testing.T) {
	for name, c := range map[string]struct {
		s    nn.Schedule
		step []int
		want []float64
	}{
		"constant":    {nn.Constant(2), []int{0, 9}, []float64{2, 2}},
		"exponential": {nn.Exponential(1, 0.5, 3), []int{0, 2, 3, 6}, []float64{1, 1, 0.5, 0.25}},
		"cosine":      {nn.Cosine(1, 0.2, 10), []int{0, 5, 10, 99}, []float64{1, 0.6, 0.2, 0.2}},
		"warmup":      {nn.Warmup(nn.Constant(1), 4), []int{0, 1, 3, 4}, []float64{0.25, 0.5, 1, 1}},
	} {
		var got []float64
		for _, step := range c.step {
			got = append(got, float64(c.s(step)))
		}
		nntest.Near(t, name, got, c.want, 1e-6)
	}
	p, got := nn.Plateau{Rate: 1, Factor: 0.5, Patience: 2, Least: 0.4}, []float64(nil)
	for _, score := range []float64{1, 1, 2, 2, 1, 0, 0, 3} { // falls after two that are no better
		got = append(got, float64(p.Report(score)))
	}
	nntest.Near(t, "plateau", got, []float64{1, 1, 1, 1, 0.5, 0.5, 0.4, 0.4}, 1e-6)
}

func TestDecayOfAWholeTableReachesRowsThatWereNotLookedUp(t *testing.T) {
	p, table := nn.NewParam("p", 1, 2), nn.NewTable("t", 3, 1)
	copy(p.Value.Data, []float32{1, 2})
	copy(table.Value.Data, []float32{4, 6, 8})
	var tape nn.Tape
	tape.Backward(tape.Sum(tape.Embed(table, []uint32{2})))
	p.L2(0.5)
	table.L2(0.5)
	if !slices.Equal(p.Grad.Data, []float32{0.5, 1}) {
		t.Errorf("dense: %v", p.Grad.Data)
	}
	for i, id := range table.Touched() {
		if want := []float32{2, 3, 5}[id]; table.Grad.Data[i] != want { // row 2 was looked up
			t.Errorf("row %d: %v, want %v", id, table.Grad.Data[i], want)
		}
	}
	if len(table.Touched()) != 3 {
		t.Errorf("rows %v", table.Touched())
	}
}
