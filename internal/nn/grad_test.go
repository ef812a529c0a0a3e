package nn_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/internal/nn/nntest"
)

type (
	vars = []*nn.Var
	nums = [][]float64
)

// random is a matrix of N(0, 1), kept off 0 where functions have a kink.
func random(rng *rand.Rand, rows, cols int) nn.Matrix {
	m := nn.NewMatrix(rows, cols)
	for i := range m.Data {
		x := rng.NormFloat64()
		m.Data[i] = float32(x + math.Copysign(0.05, x))
	}
	return m
}

func positive(m nn.Matrix) nn.Matrix {
	for i, x := range m.Data {
		m.Data[i] = float32(math.Abs(float64(x))) + 0.2
	}
	return m
}

// each is a reference that applies f to every number of the first operand.
func each(f func(x float64) float64) func(nums) []float64 {
	return func(in nums) []float64 {
		out := make([]float64, len(in[0]))
		for i, x := range in[0] {
			out[i] = f(x)
		}
		return out
	}
}

func sigma(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// product is op(a)·op(b) of m x k and k x n.
func product(a, b []float64, m, k, n int, transA, transB bool) []float64 {
	out := make([]float64, m*n)
	for i := range m {
		for j := range n {
			for l := range k {
				x, y := i*k+l, l*n+j
				if transA {
					x = l*m + i
				}
				if transB {
					y = j*k + l
				}
				out[i*n+j] += a[x] * b[y]
			}
		}
	}
	return out
}

func soft(x []float64, mask []float32) []float64 {
	out, sum := make([]float64, len(x)), 0.0
	for i, e := range x {
		if mask == nil || mask[i] != 0 {
			out[i] = math.Exp(e)
			sum += out[i]
		}
	}
	for i := range out {
		if sum > 0 {
			out[i] /= sum
		}
	}
	return out
}

func TestPointwiseGradientsAreThoseOfTheFunctions(t *testing.T) {
	for name, c := range map[string]struct {
		op  func(*nn.Tape, *nn.Var) *nn.Var
		ref func(float64) float64
	}{
		"relu":    {(*nn.Tape).ReLU, func(x float64) float64 { return max(x, 0) }},
		"sigmoid": {(*nn.Tape).Sigmoid, sigma},
		"tanh":    {(*nn.Tape).Tanh, math.Tanh},
		"exp":     {(*nn.Tape).Exp, math.Exp},
		"log":     {(*nn.Tape).Log, math.Log},
		"square":  {(*nn.Tape).Square, func(x float64) float64 { return x * x }},
		"sin":     {(*nn.Tape).Sin, math.Sin},
		"cos":     {(*nn.Tape).Cos, math.Cos},
		"scale":   {func(t *nn.Tape, x *nn.Var) *nn.Var { return t.Scale(x, -2.5) }, func(x float64) float64 { return x * -2.5 }},
		"selu": {(*nn.Tape).SELU, func(x float64) float64 {
			if x > 0 {
				return 1.0507009873554805 * x
			}
			return 1.0507009873554805 * 1.6732632423543772 * (math.Exp(x) - 1)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			x := random(rand.New(rand.NewPCG(1, 2)), 3, 5)
			if name == "log" {
				positive(x)
			}
			nntest.Check(t, nntest.Case{
				In:  []nn.Matrix{x},
				Op:  func(t *nn.Tape, in vars) *nn.Var { return c.op(t, in[0]) },
				Ref: each(c.ref),
			})
			// The same on a view of columns, between operations that make views.
			wide := random(rand.New(rand.NewPCG(1, 3)), 4, 6)
			if name == "log" {
				positive(wide)
			}
			nntest.Check(t, nntest.Case{
				In: []nn.Matrix{wide},
				Op: func(t *nn.Tape, in vars) *nn.Var {
					left, right := t.Columns(in[0], 0, 2), t.Columns(in[0], 2, 6)
					return t.Concat(c.op(t, left), c.op(t, right))
				},
				Ref: each(c.ref),
			})
		})
	}
}

func TestMatMulGradientsInAllTransposeForms(t *testing.T) {
	const m, k, n = 3, 4, 5
	for form := range 4 {
		ta, tb := form&1 != 0, form&2 != 0
		rng := rand.New(rand.NewPCG(2, uint64(form)))
		a, b := random(rng, m, k), random(rng, k, n)
		if ta {
			a = random(rng, k, m)
		}
		if tb {
			b = random(rng, n, k)
		}
		nntest.Check(t, nntest.Case{
			In:  []nn.Matrix{a, b},
			Op:  func(t *nn.Tape, in vars) *nn.Var { return t.MatMul(in[0], in[1], ta, tb) },
			Ref: func(in nums) []float64 { return product(in[0], in[1], m, k, n, ta, tb) },
		})
	}
}

func TestLinearIsXTimesWTransposedPlusBias(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 0))
	nntest.Check(t, nntest.Case{
		In: []nn.Matrix{random(rng, 6, 4), random(rng, 3, 4), random(rng, 1, 3)},
		Op: func(t *nn.Tape, in vars) *nn.Var { return t.Linear(in[0], in[1], in[2]) },
		Ref: func(in nums) []float64 {
			out := product(in[0], in[1], 6, 4, 3, false, true)
			for i := range out {
				out[i] += in[2][i%3]
			}
			return out
		},
	})
}

func TestArithmeticBroadcastsRowsColumnsAndNumbers(t *testing.T) {
	ops := map[string]struct {
		op  func(t *nn.Tape, a, b *nn.Var) *nn.Var
		ref func(a, b float64) float64
	}{
		"add": {(*nn.Tape).Add, func(a, b float64) float64 { return a + b }},
		"sub": {(*nn.Tape).Sub, func(a, b float64) float64 { return a - b }},
		"mul": {(*nn.Tape).Mul, func(a, b float64) float64 { return a * b }},
	}
	for name, c := range ops {
		for _, shape := range [][2]int{{3, 4}, {1, 4}, {3, 1}, {1, 1}} {
			rng := rand.New(rand.NewPCG(4, 0))
			nntest.Check(t, nntest.Case{
				In: []nn.Matrix{random(rng, 3, 4), random(rng, shape[0], shape[1])},
				Op: func(t *nn.Tape, in vars) *nn.Var { return c.op(t, in[0], in[1]) },
				Ref: func(in nums) []float64 {
					out := make([]float64, 12)
					for i := range out {
						out[i] = c.ref(in[0][i], in[1][min(i/4, shape[0]-1)*shape[1]+min(i%4, shape[1]-1)])
					}
					return out
				},
			})
		}
		nntest.Check(t, nntest.Case{ // an operand with itself
			In:  []nn.Matrix{random(rand.New(rand.NewPCG(4, 1)), 3, 4)},
			Op:  func(t *nn.Tape, in vars) *nn.Var { return c.op(t, in[0], in[0]) },
			Ref: each(func(x float64) float64 { return c.ref(x, x) }),
		})
		_ = name
	}
}

func TestReductionsAndViewsPassGradientsOn(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 0))
	sums := func(in nums, rows, cols int, at func(i, j int) int, n int) []float64 {
		out := make([]float64, n)
		for i := range rows {
			for j := range cols {
				out[at(i, j)] += in[0][i*cols+j]
			}
		}
		return out
	}
	for _, c := range []nntest.Case{
		{Op: func(t *nn.Tape, in vars) *nn.Var { return t.Sum(in[0]) },
			Ref: func(in nums) []float64 { return sums(in, 4, 6, func(_, _ int) int { return 0 }, 1) }},
		{Op: func(t *nn.Tape, in vars) *nn.Var { return t.Mean(t.Scale(in[0], 24)) },
			Ref: func(in nums) []float64 { return sums(in, 4, 6, func(_, _ int) int { return 0 }, 1) }},
		{Op: func(t *nn.Tape, in vars) *nn.Var { return t.SumRows(in[0]) },
			Ref: func(in nums) []float64 { return sums(in, 4, 6, func(_, j int) int { return j }, 6) }},
		{Op: func(t *nn.Tape, in vars) *nn.Var { return t.SumColumns(in[0]) },
			Ref: func(in nums) []float64 { return sums(in, 4, 6, func(i, _ int) int { return i }, 4) }},
		// Overlapping views of one operand, stacked, beside the operand itself.
		{Op: func(t *nn.Tape, in vars) *nn.Var {
			x := t.Tanh(in[0])
			y := t.Stack(t.Slice(x, 0, 3), t.Slice(x, 2, 4), x)
			return t.Reshape(t.Concat(y, t.Square(y), y), 3*18, 3)
		},
			Ref: func(in nums) []float64 {
				var out []float64
				for _, i := range []int{0, 1, 2, 2, 3, 0, 1, 2, 3} {
					for part := range 3 {
						for j := range 6 {
							x := math.Tanh(in[0][i*6+j])
							if part == 1 {
								x *= x
							}
							out = append(out, x)
						}
					}
				}
				return out
			}},
	} {
		c.In = []nn.Matrix{random(rng, 4, 6)}
		nntest.Check(t, c)
	}
}

func TestSegmentOperationsHaveTheirGradients(t *testing.T) {
	seg := nn.Segments{0, 3, 3, 4, 7}
	mask := []float32{1, 0, 1, 0, 1, 1, 0} // segment 2 has nothing that counts
	each := func(f func(i, j int)) {
		for i := range seg.Len() {
			for j := int(seg[i]); j < int(seg[i+1]); j++ {
				f(i, j)
			}
		}
	}
	pool := func(x []float64, mask []float32, mean bool) []float64 {
		out, weight := make([]float64, 8), make([]float64, 4)
		each(func(i, j int) {
			w := 1.0
			if mask != nil {
				w = float64(mask[j])
			}
			weight[i] += w
			out[2*i] += w * x[2*j]
			out[2*i+1] += w * x[2*j+1]
		})
		for i := range out {
			if mean && weight[i/2] != 0 {
				out[i] /= weight[i/2]
			}
		}
		return out
	}
	rng := rand.New(rand.NewPCG(6, 0))
	x, w, q := random(rng, 7, 2), random(rng, 7, 1), random(rng, 4, 2)
	for _, m := range [][]float32{nil, mask} {
		nntest.Check(t, nntest.Case{In: []nn.Matrix{x},
			Op:  func(t *nn.Tape, in vars) *nn.Var { return t.SegmentSum(in[0], seg, m) },
			Ref: func(in nums) []float64 { return pool(in[0], m, false) }})
		nntest.Check(t, nntest.Case{In: []nn.Matrix{x},
			Op:  func(t *nn.Tape, in vars) *nn.Var { return t.SegmentMean(in[0], seg, m) },
			Ref: func(in nums) []float64 { return pool(in[0], m, true) }})
		nntest.Check(t, nntest.Case{In: []nn.Matrix{w},
			Op: func(t *nn.Tape, in vars) *nn.Var { return t.SegmentSoftmax(in[0], seg, m) },
			Ref: func(in nums) []float64 {
				var out []float64
				for i := range seg.Len() {
					lo, hi := seg[i], seg[i+1]
					if m == nil {
						out = append(out, soft(in[0][lo:hi], nil)...)
					} else {
						out = append(out, soft(in[0][lo:hi], m[lo:hi])...)
					}
				}
				return out
			}})
	}
	nntest.Check(t, nntest.Case{In: []nn.Matrix{q},
		Op: func(t *nn.Tape, in vars) *nn.Var { return t.Expand(in[0], seg) },
		Ref: func(in nums) []float64 {
			out := make([]float64, 14)
			each(func(i, j int) { copy(out[2*j:2*j+2], in[0][2*i:2*i+2]) })
			return out
		}})
	nntest.Check(t, nntest.Case{In: []nn.Matrix{w, x},
		Op: func(t *nn.Tape, in vars) *nn.Var { return t.WeightedSum(in[0], in[1], seg) },
		Ref: func(in nums) []float64 {
			out := make([]float64, 8)
			each(func(i, j int) {
				out[2*i] += in[0][j] * in[1][2*j]
				out[2*i+1] += in[0][j] * in[1][2*j+1]
			})
			return out
		}})
	nntest.Check(t, nntest.Case{In: []nn.Matrix{q, x},
		Op: func(t *nn.Tape, in vars) *nn.Var { return t.SegmentDot(in[0], in[1], seg) },
		Ref: func(in nums) []float64 {
			out := make([]float64, 7)
			each(func(i, j int) { out[j] = in[0][2*i]*in[1][2*j] + in[0][2*i+1]*in[1][2*j+1] })
			return out
		}})
}

func TestMaskedSoftmaxGivesMaskedElementsNothing(t *testing.T) {
	mask := []float32{1, 1, 0, 1, 0, 0, 0, 0, 0, 1, 0, 1}
	nntest.Check(t, nntest.Case{
		In: []nn.Matrix{random(rand.New(rand.NewPCG(7, 0)), 3, 4)},
		Op: func(t *nn.Tape, in vars) *nn.Var { return t.Softmax(in[0], mask) },
		Ref: func(in nums) (out []float64) {
			for i := range 3 {
				out = append(out, soft(in[0][4*i:4*i+4], mask[4*i:4*i+4])...)
			}
			return out
		},
	})
}

// normal is (x-μ)/√(σ²+eps) of a list, with statistics of those that count.
func normal(x []float64, mask []float32, eps float64) []float64 {
	n, mean, sq := 0.0, 0.0, 0.0
	counts := func(i int) bool { return mask == nil || mask[i] != 0 }
	for i, e := range x {
		if counts(i) {
			n++
			mean += e
		}
	}
	mean /= n
	for i, e := range x {
		if counts(i) {
			sq += (e - mean) * (e - mean)
		}
	}
	out := make([]float64, len(x))
	for i, e := range x {
		out[i] = (e - mean) / math.Sqrt(sq/n+eps)
	}
	return out
}

// columns applies f to each column of x, n x cols.
func columns(x []float64, cols int, f func(j int, x []float64) []float64) []float64 {
	out := make([]float64, len(x))
	for j := range cols {
		var column []float64
		for i := j; i < len(x); i += cols {
			column = append(column, x[i])
		}
		for i, e := range f(j, column) {
			out[i*cols+j] = e
		}
	}
	return out
}

func TestNormsAndGatesHaveTheirGradients(t *testing.T) {
	train := func(t *nn.Tape) { t.Train = true }
	mask := []float32{1, 1, 0, 1, 1, 0}
	rng := rand.New(rand.NewPCG(8, 0))
	x, gamma, beta := random(rng, 6, 3), random(rng, 1, 3), random(rng, 1, 3)
	stats := func() *nn.Stats {
		s := nn.NewStats(3, 1e-5, 0.1)
		copy(s.Mean, []float32{0.1, -0.2, 0.3})
		copy(s.Var, []float32{0.5, 1.5, 2})
		return s
	}
	running := func(j int, x []float64) []float64 {
		s, out := stats(), make([]float64, len(x))
		for i, e := range x {
			out[i] = (e - float64(s.Mean[j])) / math.Sqrt(float64(s.Var[j])+1e-5)
		}
		return out
	}
	nntest.Check(t, nntest.Case{In: []nn.Matrix{x, gamma, beta},
		Op: func(t *nn.Tape, in vars) *nn.Var { return t.LayerNorm(in[0], in[1], in[2], 1e-5) },
		Ref: func(in nums) (out []float64) {
			for i := range 6 {
				for j, e := range normal(in[0][3*i:3*i+3], nil, 1e-5) {
					out = append(out, e*in[1][j]+in[2][j])
				}
			}
			return out
		}})
	for _, m := range [][]float32{nil, mask} {
		for _, setup := range []func(*nn.Tape){train, nil} {
			norm := func(j int, x []float64) []float64 {
				if setup == nil {
					return running(j, x)
				}
				return normal(x, m, 1e-5)
			}
			nntest.Check(t, nntest.Case{In: []nn.Matrix{x, gamma, beta}, Setup: setup,
				Op: func(t *nn.Tape, in vars) *nn.Var { return t.BatchNorm(in[0], in[1], in[2], stats(), m) },
				Ref: func(in nums) []float64 {
					return columns(in[0], 3, func(j int, x []float64) []float64 {
						out := norm(j, x)
						for i := range out {
							out[i] = out[i]*in[1][j] + in[2][j]
						}
						return out
					})
				}})
			nntest.Check(t, nntest.Case{In: []nn.Matrix{x, gamma}, Setup: setup,
				Op: func(t *nn.Tape, in vars) *nn.Var { return t.Dice(in[0], in[1], stats(), m) },
				Ref: func(in nums) []float64 {
					return columns(in[0], 3, func(j int, x []float64) []float64 {
						out := norm(j, x)
						for i, z := range out {
							p := sigma(z)
							out[i] = p*x[i] + (1-p)*in[1][j]*x[i]
						}
						return out
					})
				}})
		}
	}
	for _, slope := range []nn.Matrix{gamma, random(rng, 1, 1)} {
		nntest.Check(t, nntest.Case{In: []nn.Matrix{x, slope},
			Op: func(t *nn.Tape, in vars) *nn.Var { return t.PReLU(in[0], in[1]) },
			Ref: func(in nums) []float64 {
				return columns(in[0], 3, func(j int, x []float64) []float64 {
					for i, e := range x {
						if e <= 0 {
							x[i] = e * in[1][min(j, len(in[1])-1)]
						}
					}
					return x
				})
			}})
	}
	nntest.Check(t, nntest.Case{In: []nn.Matrix{x},
		Op: func(t *nn.Tape, in vars) *nn.Var { return t.Unit(in[0], 1e-12) },
		Ref: func(in nums) []float64 {
			out := make([]float64, 18)
			for i, e := range in[0] {
				r := in[0][i/3*3 : i/3*3+3]
				out[i] = e / math.Sqrt(r[0]*r[0]+r[1]*r[1]+r[2]*r[2])
			}
			return out
		}})
}
