package nn

import (
	"math"

	"github.com/eiderdb/eider/simd"
)

// Pointwise functions. Each back function turns the gradient of its node into
// that of the operand, in place, and gives it away.

// pointwise computes f of every row of x into a new node.
func (t *Tape) pointwise(x *Var, f func(y, x []float32), back func(*Tape, *Var)) *Var {
	v := t.node(x.Rows, x.Cols, back, x)
	y, m := merge(v.Matrix, x.Matrix)
	for i := range y.Rows {
		f(y.Row(i), m.Row(i))
	}
	return v
}

// chain multiplies the gradient of v by d(y, x), the derivative for one element
// with value y and operand x, and gives it to the operand.
func (t *Tape) chain(v *Var, d func(g, y, x []float32)) {
	g, y, x := merge3(v.grad, v.Matrix, v.in[0].Matrix)
	for i := range g.Rows {
		d(g.Row(i), y.Row(i), x.Row(i))
	}
	t.give(v.in[0], v.grad)
}

// ReLU is max(x, 0).
func (t *Tape) ReLU(x *Var) *Var { return t.pointwise(x, relu, reluBack) }

func relu(y, x []float32) {
	for i, v := range x {
		y[i] = max(v, 0)
	}
}

func reluBack(t *Tape, v *Var) {
	t.chain(v, func(g, y, _ []float32) {
		for i := range g {
			if y[i] <= 0 {
				g[i] = 0
			}
		}
	})
}

// Sigmoid is 1/(1+e^-x).
func (t *Tape) Sigmoid(x *Var) *Var { return t.pointwise(x, simd.Sigmoid, sigmoidBack) }

func sigmoidBack(t *Tape, v *Var) {
	t.chain(v, func(g, y, _ []float32) {
		for i := range g {
			g[i] *= y[i] * (1 - y[i])
		}
	})
}

// Tanh is tanh x.
func (t *Tape) Tanh(x *Var) *Var { return t.pointwise(x, simd.Tanh, tanhBack) }

func tanhBack(t *Tape, v *Var) {
	t.chain(v, func(g, y, _ []float32) {
		for i := range g {
			g[i] *= 1 - y[i]*y[i]
		}
	})
}

// Exp is e^x.
func (t *Tape) Exp(x *Var) *Var { return t.pointwise(x, simd.Exp, expBack) }

func expBack(t *Tape, v *Var) {
	mul(v.grad, v.Matrix)
	t.give(v.in[0], v.grad)
}

// Log is the natural logarithm.
func (t *Tape) Log(x *Var) *Var { return t.pointwise(x, simd.Log, logBack) }

func logBack(t *Tape, v *Var) {
	t.chain(v, func(g, _, x []float32) {
		for i := range g {
			g[i] /= x[i]
		}
	})
}

// Square is x².
func (t *Tape) Square(x *Var) *Var { return t.pointwise(x, square, squareBack) }

func square(y, x []float32) {
	for i, v := range x {
		y[i] = v * v
	}
}

func squareBack(t *Tape, v *Var) {
	t.chain(v, func(g, _, x []float32) {
		for i := range g {
			g[i] *= 2 * x[i]
		}
	})
}

// Constants of SELU (Klambauer et al. 2017): activations keep mean 0 and
// variance 1 through layers with weights of N(0, 1/fan in).
const (
	seluScale = 1.0507009873554805
	seluAlpha = 1.6732632423543772
)

// SELU is λx for x > 0, λα(e^x - 1) otherwise.
func (t *Tape) SELU(x *Var) *Var { return t.pointwise(x, selu, seluBack) }

func selu(y, x []float32) {
	for i, v := range x {
		if v > 0 {
			y[i] = seluScale * v
		} else {
			y[i] = float32(seluScale * seluAlpha * math.Expm1(float64(v)))
		}
	}
}

func seluBack(t *Tape, v *Var) {
	t.chain(v, func(g, y, x []float32) {
		for i := range g {
			if x[i] > 0 {
				g[i] *= seluScale
			} else {
				g[i] *= y[i] + seluScale*seluAlpha
			}
		}
	})
}

// Cos is cos x, as of periodic features.
func (t *Tape) Cos(x *Var) *Var { return t.pointwise(x, cos, cosBack) }

// Sin is sin x.
func (t *Tape) Sin(x *Var) *Var { return t.pointwise(x, sin, sinBack) }

func cos(y, x []float32) {
	for i, v := range x {
		y[i] = float32(math.Cos(float64(v)))
	}
}

func sin(y, x []float32) {
	for i, v := range x {
		y[i] = float32(math.Sin(float64(v)))
	}
}

func cosBack(t *Tape, v *Var) {
	t.chain(v, func(g, _, x []float32) {
		for i := range g {
			g[i] *= -float32(math.Sin(float64(x[i])))
		}
	})
}

func sinBack(t *Tape, v *Var) {
	t.chain(v, func(g, _, x []float32) {
		for i := range g {
			g[i] *= float32(math.Cos(float64(x[i])))
		}
	})
}

// PReLU is x for x > 0 and alpha·x otherwise; alpha is 1 x cols or 1x1.
func (t *Tape) PReLU(x, alpha *Var) *Var {
	if alpha.Rows != 1 || (alpha.Cols != x.Cols && alpha.Cols != 1) {
		panic(wrong("PReLU", x, alpha))
	}
	v := t.node(x.Rows, x.Cols, preluBack, x, alpha)
	for i := range x.Rows {
		y, row := v.Row(i), x.Row(i)
		for j, e := range row {
			if e <= 0 {
				e *= alpha.Data[min(j, alpha.Cols-1)]
			}
			y[j] = e
		}
	}
	return v
}

func preluBack(t *Tape, v *Var) {
	x, alpha := v.in[0], v.in[1]
	var sum []float64
	if alpha.needs {
		sum = t.zeros(alpha.Cols)
	}
	for i := range x.Rows {
		g := v.grad.Row(i)
		for j, e := range x.Row(i) {
			if e > 0 {
				continue
			}
			k := min(j, alpha.Cols-1)
			if sum != nil {
				sum[k] += float64(g[j] * e)
			}
			g[j] *= alpha.Data[k]
		}
	}
	if sum != nil {
		add64(t.Grad(alpha).Row(0), sum)
	}
	t.give(x, v.grad)
}

// add64 adds sums of float64 to y.
func add64(y []float32, sum []float64) {
	for i, s := range sum {
		y[i] += float32(s)
	}
}
