// Package nntest compares operations of a training tape with a reference in
// float64: values with values, gradients with central differences of the
// reference.
package nntest

import (
	"math"
	"testing"

	"github.com/eiderdb/eider/internal/nn"
)

// Case is an operation and its meaning.
type Case struct {
	// In are the operands, each a leaf that gets a gradient.
	In []nn.Matrix
	// Op computes the result on a tape.
	Op func(t *nn.Tape, in []*nn.Var) *nn.Var
	// Ref computes the same numbers, row-major, from the operands' numbers.
	Ref func(in [][]float64) []float64
	// Setup prepares the tape (Train, Seed); it may be nil.
	Setup func(t *nn.Tape)
	// Forward and Backward are the greatest differences allowed, relative to the
	// larger of 1 and the number; 0 stands for 1e-5 and 1e-4.
	Forward, Backward float64
}

// step of the central differences.
const step = 1e-5

// Check runs the case. The gradient compared is that of Σ c_i·out_i with fixed c
// between -1 and 1, so it depends on every number of the result.
func Check(tb testing.TB, c Case) {
	tb.Helper()
	var t nn.Tape
	if c.Setup != nil {
		c.Setup(&t)
	}
	leaves := make([]*nn.Var, len(c.In))
	numbers := make([][]float64, len(c.In))
	for i, m := range c.In {
		leaves[i] = t.Leaf(m)
		numbers[i] = Numbers(m)
	}
	out := c.Op(&t, leaves)
	want := c.Ref(numbers)
	Near(tb, "value", Numbers(out.Matrix), want, or(c.Forward, 1e-5))

	weights := nn.NewMatrix(out.Rows, out.Cols)
	for i := range weights.Data {
		weights.Data[i] = float32(math.Cos(1 + float64(i)))
	}
	t.Backward(t.Sum(t.Mul(out, t.Input(weights))))
	loss := func() float64 {
		sum := 0.0
		for i, x := range c.Ref(numbers) {
			sum += x * float64(weights.Data[i])
		}
		return sum
	}
	for i, x := range numbers {
		slope := make([]float64, len(x))
		for j := range x {
			at := x[j]
			x[j] = at + step
			up := loss()
			x[j] = at - step
			slope[j] = (up - loss()) / (2 * step)
			x[j] = at
		}
		tb.Logf("operand %d", i)
		Near(tb, "gradient", Numbers(t.Grad(leaves[i])), slope, or(c.Backward, 1e-4))
	}
}

// Near fails the test unless got has the numbers of want, to within tolerance
// times the larger of 1 and the number wanted.
func Near(tb testing.TB, what string, got, want []float64, tolerance float64) {
	tb.Helper()
	if len(got) != len(want) {
		tb.Fatalf("%s: %d numbers, want %d", what, len(got), len(want))
	}
	for i, w := range want {
		if d := math.Abs(got[i] - w); !(d <= tolerance*max(1, math.Abs(w))) {
			tb.Fatalf("%s: number %d is %.9g, want %.9g (difference %.2g)", what, i, got[i], w, d)
		}
	}
}

// Numbers copies the elements of m, row by row.
func Numbers(m nn.Matrix) []float64 {
	var all []float64
	for i := range m.Rows {
		for _, x := range m.Row(i) {
			all = append(all, float64(x))
		}
	}
	return all
}

func or(x, standard float64) float64 {
	if x == 0 {
		return standard
	}
	return x
}
