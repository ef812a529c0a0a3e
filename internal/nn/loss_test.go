package nn_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/internal/nn/nntest"
)

func one(x float64) []float64 { return []float64{x} }

func logLoss(gap float64) float64 { return math.Log(1 + math.Exp(-gap)) }

// entropy is the mean over rows of x of -Σ q·log softmax(x).
func entropy(x []float64, cols int, q func(i, j int) float64) float64 {
	sum, rows := 0.0, len(x)/cols
	for i := range rows {
		for j, p := range soft(x[i*cols:(i+1)*cols], nil) {
			sum -= q(i, j) * math.Log(p)
		}
	}
	return sum / float64(rows)
}

func TestLossesHaveTheirGradients(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 0))
	y, w := []float32{1, 0, 1, 0.25}, []float32{1, 2, 0, 0.5}
	labels := []uint32{2, 0, 1, 2}
	hit := func(i, j int) float64 {
		if int(labels[i]) == j {
			return 0.9 + 0.1/3
		}
		return 0.1 / 3
	}
	column, other, wide := random(rng, 4, 1), random(rng, 4, 1), random(rng, 4, 3)
	for name, c := range map[string]nntest.Case{
		"bce": {In: []nn.Matrix{column},
			Op: func(t *nn.Tape, in vars) *nn.Var { return t.BCE(in[0], y, w) },
			Ref: func(in nums) []float64 {
				sum := 0.0
				for i, x := range in[0] {
					sum += float64(w[i]) * (float64(y[i])*logLoss(x) + (1-float64(y[i]))*logLoss(-x))
				}
				return one(sum / 4)
			}},
		"ce": {In: []nn.Matrix{wide},
			Op:  func(t *nn.Tape, in vars) *nn.Var { return t.CE(in[0], labels, 0.1) },
			Ref: func(in nums) []float64 { return one(entropy(in[0], 3, hit)) }},
		"mse": {In: []nn.Matrix{column},
			Op: func(t *nn.Tape, in vars) *nn.Var { return t.MSE(in[0], y) },
			Ref: func(in nums) []float64 {
				sum := 0.0
				for i, x := range in[0] {
					sum += (x - float64(y[i])) * (x - float64(y[i])) / 4
				}
				return one(sum)
			}},
		"hinge": {In: []nn.Matrix{column, other},
			Op: func(t *nn.Tape, in vars) *nn.Var { return t.Hinge(in[0], in[1], 1) },
			Ref: func(in nums) []float64 {
				sum := 0.0
				for i, x := range in[0] {
					sum += max(0, 1-x+in[1][i]) / 4
				}
				return one(sum)
			}},
		"logistic": {In: []nn.Matrix{column, other},
			Op: func(t *nn.Tape, in vars) *nn.Var { return t.Logistic(in[0], in[1]) },
			Ref: func(in nums) []float64 {
				sum := 0.0
				for i, x := range in[0] {
					sum += logLoss(x-in[1][i]) / 4
				}
				return one(sum)
			}},
		"listwise": {In: []nn.Matrix{random(rng, 6, 1)},
			Op: func(t *nn.Tape, in vars) *nn.Var {
				return t.Listwise(in[0], []float32{1, 0, 3, 0, 0, 2}, nn.Segments{0, 3, 5, 6})
			},
			Ref: func(in nums) []float64 { // the middle list has no relevance, the last is sure
				p := soft(in[0][:3], nil)
				return one((-0.25*math.Log(p[0]) - 0.75*math.Log(p[2])) / 2)
			}},
		"infonce": {In: []nn.Matrix{random(rng, 3, 4), random(rng, 5, 4)},
			Op: func(t *nn.Tape, in vars) *nn.Var { return t.InfoNCE(in[0], in[1], 3) },
			Ref: func(in nums) []float64 {
				s := product(in[0], in[1], 3, 4, 5, false, true)
				for i := range s {
					a, b := in[0][i/5*4:i/5*4+4], in[1][i%5*4:i%5*4+4]
					s[i] *= 3 / math.Sqrt(product(a, a, 1, 4, 1, false, false)[0]*product(b, b, 1, 4, 1, false, false)[0])
				}
				return one(entropy(s, 5, func(i, j int) float64 {
					if i == j {
						return 1
					}
					return 0
				}))
			}},
	} {
		t.Run(name, func(t *testing.T) { nntest.Check(t, c) })
	}
}

func TestLossesOfExtremeLogitsAreFinite(t *testing.T) {
	var tape nn.Tape
	x := tape.Leaf(nn.Wrap(2, 1, []float32{1e4, -1e4}))
	loss := tape.BCE(x, []float32{0, 1}, nil)
	tape.Backward(loss)
	nntest.Near(t, "loss", nntest.Numbers(loss.Matrix), one(1e4), 1e-6)
	nntest.Near(t, "gradient", nntest.Numbers(tape.Grad(x)), []float64{0.5, -0.5}, 1e-6)
}
