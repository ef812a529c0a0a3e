package simd

import "math"

// Steps of optimisers change the weights w and their state in place, by the
// gradient g, which they leave alone. lr is the learning rate. Every slice has the
// length of w, else they panic; none may overlap another.

// SGD takes lr*(g + decay*w) off w.
func SGD(w, g []float32, lr, decay float32) {
	pair("SGD", len(g), len(w))
	if len(w) > 0 {
		active.Load().sgd(hide(w), hide(g), lr, decay)
	}
}

// AdamStep is a step of Adam (D. Kingma and J. Ba, 2015), with eps outside the root,
// as PyTorch has it. L2 adds to the gradient; Decay is apart from it, as in AdamW (I.
// Loshchilov and F. Hutter, 2019):
//
//	d = g + L2*w
//	m = Beta1*m + (1-Beta1)*d
//	v = Beta2*v + (1-Beta2)*d²
//	w = (1-Rate*Decay)*w - Rate * m/(1-Beta1^Step) / (√(v/(1-Beta2^Step)) + Eps)
//
// m and v are zero before the first step.
type AdamStep struct {
	Rate, Beta1, Beta2, Eps, L2, Decay float32
	Step                               int // from 1
}

// Adam moves w by the step and its moments m and v. It panics if s.Step < 1.
func Adam(w, g, m, v []float32, s AdamStep) {
	pair("Adam", len(g), len(w))
	pair("Adam", len(m), len(w))
	pair("Adam", len(v), len(w))
	k := s.coefficients("Adam")
	if len(w) > 0 {
		active.Load().adam(hide(w), hide(g), hide(m), hide(v), hide(k[:]))
	}
}

// AdamRows is Adam of rows ids[i] of w, m and v, which are tables of rows of dim
// elements, by row i of g. Other rows, moments too, stay as they are. An id should
// be there once: each time is a step. It panics if g does not hold len(ids) rows or
// a row ends beyond the tables.
func AdamRows(w, g, m, v []float32, dim int, ids []uint32, s AdamStep) {
	pair("AdamRows", len(m), len(w))
	pair("AdamRows", len(v), len(w))
	k := s.coefficients("AdamRows")
	if !tabled("AdamRows", len(g), len(w), dim, ids) {
		return
	}
	adam, c := active.Load().adam, hide(k[:])
	for i, id := range ids {
		at := int(id) * dim
		adam(hide(w[at:at+dim]), hide(g[i*dim:]), hide(m[at:]), hide(v[at:]), c)
	}
}

// Adagrad adds g² to sum and takes lr*g/(√sum + eps) off w (J. Duchi, E. Hazan and
// Y. Singer, 2011).
func Adagrad(w, g, sum []float32, lr, eps float32) {
	pair("Adagrad", len(g), len(w))
	pair("Adagrad", len(sum), len(w))
	if len(w) > 0 {
		active.Load().adagrad(hide(w), hide(g), hide(sum), lr, eps)
	}
}

// AdagradRows is Adagrad of rows of w and sum, as AdamRows is Adam.
func AdagradRows(w, g, sum []float32, dim int, ids []uint32, lr, eps float32) {
	pair("AdagradRows", len(sum), len(w))
	if !tabled("AdagradRows", len(g), len(w), dim, ids) {
		return
	}
	adagrad := active.Load().adagrad
	for i, id := range ids {
		at := int(id) * dim
		adagrad(hide(w[at:at+dim]), hide(g[i*dim:]), hide(sum[at:]), lr, eps)
	}
}

// What a step of Adam multiplies by, in the order of the kernels.
const (
	adamKeep   = iota // of w, 1-Rate*Decay
	adamL2            // of w, in the gradient
	adamFirst         // 1-Beta1
	adamSecond        // Beta2
	adamFresh         // 1-Beta2
	adamRoot          // 1/√(1-Beta2^Step)
	adamEps
	adamRate // Rate/(1-Beta1^Step)
	adamCoefficients
)

func (s AdamStep) coefficients(name string) [adamCoefficients]float32 {
	if s.Step < 1 {
		panicStep(name, s.Step)
	}
	b1, b2, t := float64(s.Beta1), float64(s.Beta2), float64(s.Step)
	return [adamCoefficients]float32{
		adamKeep:   float32(1 - float64(s.Rate)*float64(s.Decay)),
		adamL2:     s.L2,
		adamFirst:  float32(1 - b1),
		adamSecond: s.Beta2,
		adamFresh:  float32(1 - b2),
		adamRoot:   float32(1 / math.Sqrt(1-math.Pow(b2, t))),
		adamEps:    s.Eps,
		adamRate:   float32(float64(s.Rate) / (1 - math.Pow(b1, t))),
	}
}

func sgdGeneric(w, g []float32, lr, decay float32) {
	g = g[:len(w)]
	for i, x := range w {
		w[i] = x - lr*(g[i]+decay*x)
	}
}

func adamGeneric(w, g, m, v, k []float32) {
	g, m, v, k = g[:len(w)], m[:len(w)], v[:len(w)], k[:adamCoefficients]
	for i, x := range w {
		d := g[i] + k[adamL2]*x
		a := m[i] + k[adamFirst]*(d-m[i])
		b := k[adamSecond]*v[i] + k[adamFresh]*(d*d)
		m[i], v[i] = a, b
		w[i] = k[adamKeep]*x - k[adamRate]*a/(sqrt(b)*k[adamRoot]+k[adamEps])
	}
}

func adagradGeneric(w, g, sum []float32, lr, eps float32) {
	g, sum = g[:len(w)], sum[:len(w)]
	for i, d := range g {
		sum[i] += d * d
		w[i] -= lr * d / (sqrt(sum[i]) + eps)
	}
}

func sqrt(x float32) float32 { return float32(math.Sqrt(float64(x))) }
