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

// Adam is step number step, from 1, of Adam (D. Kingma and J. Ba, 2015), with
// decay*w added to the gradient and eps outside the root, as PyTorch has it:
//
//	d = g + decay*w
//	m = beta1*m + (1-beta1)*d
//	v = beta2*v + (1-beta2)*d²
//	w = w - lr * m/(1-beta1^step) / (√(v/(1-beta2^step)) + eps)
//
// m and v are zero before the first step. It panics if step < 1.
func Adam(w, g, m, v []float32, lr, beta1, beta2, eps, decay float32, step int) {
	k := newAdam("Adam", lr, beta1, beta2, eps, step)
	k[adamDecay] = decay
	adamStep("Adam", w, g, m, v, &k)
}

// AdamW is Adam with the decay apart from the gradient (I. Loshchilov and F.
// Hutter, 2019): w is multiplied by 1 - lr*decay first.
func AdamW(w, g, m, v []float32, lr, beta1, beta2, eps, decay float32, step int) {
	k := newAdam("AdamW", lr, beta1, beta2, eps, step)
	k[adamKeep] = float32(1 - float64(lr)*float64(decay))
	adamStep("AdamW", w, g, m, v, &k)
}

// AdamRows is Adam of rows ids[i] of w, m and v, which are tables of rows of dim
// elements, by row i of g. Other rows, moments too, stay as they are. An id should
// be there once: each time is a step. It panics if g does not hold len(ids) rows or
// a row ends beyond the tables.
func AdamRows(w, g, m, v []float32, dim int, ids []uint32, lr, beta1, beta2, eps, decay float32, step int) {
	pair("AdamRows", len(m), len(w))
	pair("AdamRows", len(v), len(w))
	k := newAdam("AdamRows", lr, beta1, beta2, eps, step)
	if !tabled("AdamRows", len(g), len(w), dim, ids) {
		return
	}
	k[adamDecay] = decay
	adam, c := active.Load().adam, hide(k[:])
	for i, id := range ids {
		at := int(id) * dim
		adam(hide(w[at:at+dim]), hide(g[i*dim:]), hide(m[at:]), hide(v[at:]), c)
	}
}

// Adagrad adds d², d = g + decay*w, to sum and takes lr*d/(√sum + eps) off w (J.
// Duchi, E. Hazan and Y. Singer, 2011).
func Adagrad(w, g, sum []float32, lr, eps, decay float32) {
	pair("Adagrad", len(g), len(w))
	pair("Adagrad", len(sum), len(w))
	if len(w) > 0 {
		active.Load().adagrad(hide(w), hide(g), hide(sum), lr, eps, decay)
	}
}

// AdagradRows is Adagrad of rows of w and sum, as AdamRows is Adam.
func AdagradRows(w, g, sum []float32, dim int, ids []uint32, lr, eps, decay float32) {
	pair("AdagradRows", len(sum), len(w))
	if !tabled("AdagradRows", len(g), len(w), dim, ids) {
		return
	}
	adagrad := active.Load().adagrad
	for i, id := range ids {
		at := int(id) * dim
		adagrad(hide(w[at:at+dim]), hide(g[i*dim:]), hide(sum[at:]), lr, eps, decay)
	}
}

// adamCoefficients are what a step of Adam multiplies by.
type adamCoefficients [8]float32

// Their order. keep and decay are of w, in the result and in the gradient.
const (
	adamKeep   = iota
	adamDecay  // 0 unless it is in the gradient
	adamFirst  // 1-beta1
	adamSecond // beta2
	adamFresh  // 1-beta2
	adamRoot   // 1/√(1-beta2^step)
	adamEps
	adamRate // lr/(1-beta1^step)
)

func newAdam(name string, lr, beta1, beta2, eps float32, step int) adamCoefficients {
	if step < 1 {
		panicStep(name, step)
	}
	b1, b2, t := float64(beta1), float64(beta2), float64(step)
	return adamCoefficients{
		adamKeep:   1,
		adamFirst:  float32(1 - b1),
		adamSecond: beta2,
		adamFresh:  float32(1 - b2),
		adamRoot:   float32(1 / math.Sqrt(1-math.Pow(b2, t))),
		adamEps:    eps,
		adamRate:   float32(float64(lr) / (1 - math.Pow(b1, t))),
	}
}

func adamStep(name string, w, g, m, v []float32, k *adamCoefficients) {
	pair(name, len(g), len(w))
	pair(name, len(m), len(w))
	pair(name, len(v), len(w))
	if len(w) > 0 {
		active.Load().adam(hide(w), hide(g), hide(m), hide(v), hide(k[:]))
	}
}

func sgdGeneric(w, g []float32, lr, decay float32) {
	g = g[:len(w)]
	for i, x := range w {
		w[i] = x - lr*(g[i]+decay*x)
	}
}

func adamGeneric(w, g, m, v, k []float32) {
	g, m, v, k = g[:len(w)], m[:len(w)], v[:len(w)], k[:8]
	for i, x := range w {
		d := g[i] + k[adamDecay]*x
		a := m[i] + k[adamFirst]*(d-m[i])
		b := k[adamSecond]*v[i] + k[adamFresh]*(d*d)
		m[i], v[i] = a, b
		w[i] = k[adamKeep]*x - k[adamRate]*a/(sqrt(b)*k[adamRoot]+k[adamEps])
	}
}

func adagradGeneric(w, g, sum []float32, lr, eps, decay float32) {
	g, sum = g[:len(w)], sum[:len(w)]
	for i, x := range w {
		d := g[i] + decay*x
		sum[i] += d * d
		w[i] = x - lr*d/(sqrt(sum[i])+eps)
	}
}

func sqrt(x float32) float32 { return float32(math.Sqrt(float64(x))) }
