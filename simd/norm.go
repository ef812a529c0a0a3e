package simd

import "math"

// Moments returns the mean of x and the mean square of the differences from it,
// found in two passes: a mean far from zero takes no bits from the variance, which
// is never below 0. Both are 0 if x is empty. The variance is not finite if x holds
// NaN or Inf, or if a sum, of float32, overflows.
func Moments(x []float32) (mean, variance float32) {
	if len(x) == 0 {
		return 0, 0
	}
	return active.Load().moments(hide(x))
}

// ColumnMoments writes the Moments of column i of a matrix to mean[i] and
// variance[i]. x has rows of len(mean) elements one after the other. It panics if
// mean and variance differ in length or x is not whole rows.
func ColumnMoments(x, mean, variance []float32) {
	pair("ColumnMoments", len(mean), len(variance))
	if len(mean) == 0 || len(x)%len(mean) != 0 {
		if len(x) > 0 {
			panicRows("ColumnMoments", len(x), len(mean))
		}
		return
	}
	if len(x) == 0 {
		clear(mean)
		clear(variance)
		return
	}
	active.Load().columnMoments(hide(x), len(x)/len(mean), hide(mean), hide(variance))
}

// Normalise writes (src[i]-mean)*rstd*gamma[i] + beta[i] to dst[i]. dst may be
// src. It panics if the lengths differ.
func Normalise(dst, src []float32, mean, rstd float32, gamma, beta []float32) {
	n := len(src)
	pair("Normalise", len(dst), n)
	pair("Normalise", len(gamma), n)
	pair("Normalise", len(beta), n)
	if n > 0 {
		active.Load().normalise(hide(dst), hide(src), mean, rstd, hide(gamma), hide(beta))
	}
}

// LayerNorm is Normalise with the row's own mean and rstd = 1/√(variance+eps),
// which it returns.
func LayerNorm(dst, src, gamma, beta []float32, eps float32) (mean, rstd float32) {
	mean, variance := Moments(src)
	rstd = float32(1 / math.Sqrt(float64(variance)+float64(eps)))
	Normalise(dst, src, mean, rstd, gamma, beta)
	return mean, rstd
}

// LayerNormGrad is LayerNorm backwards, for a row x of n elements with the mean and
// rstd it had, and the gradient dy of its result. With h = (x-mean)*rstd and
// g = dy*gamma, it writes
//
//	dx[i] = rstd * (g[i] - Σg/n - h[i]*Σgh/n)
//
// and adds dy[i]*h[i] to dgamma[i] and dy[i] to dbeta[i]. dx may be dy or x. It
// panics if the lengths differ.
func LayerNormGrad(dx, dy, x []float32, mean, rstd float32, gamma, dgamma, dbeta []float32) {
	n := len(x)
	pair("LayerNormGrad", len(dx), n)
	pair("LayerNormGrad", len(dy), n)
	pair("LayerNormGrad", len(gamma), n)
	pair("LayerNormGrad", len(dgamma), n)
	pair("LayerNormGrad", len(dbeta), n)
	if n > 0 {
		active.Load().normaliseGrad(hide(dx), hide(dy), hide(x), mean, rstd, hide(gamma), hide(dgamma), hide(dbeta))
	}
}

// MulAdd writes a[i]*b[i] + c[i] to dst[i], with one or two roundings. Any of them
// may be the same slice; they must not overlap otherwise. It panics if the lengths
// differ.
func MulAdd(dst, a, b, c []float32) {
	n := len(dst)
	pair("MulAdd", len(a), n)
	pair("MulAdd", len(b), n)
	pair("MulAdd", len(c), n)
	if n > 0 {
		active.Load().mulAdd(hide(dst), hide(a), hide(b), hide(c))
	}
}

func momentsGeneric(x []float32) (mean, variance float32) { return columnGeneric(x, 0, 1) }

// columnGeneric is the moments of every dim-th element of x from i on.
func columnGeneric(x []float32, i, dim int) (mean, variance float32) {
	var sum, square float64
	for j := i; j < len(x); j += dim {
		sum += float64(x[j])
	}
	n := float64(len(x) / dim)
	m := sum / n
	for j := i; j < len(x); j += dim {
		d := float64(x[j]) - m
		square += d * d
	}
	return float32(m), float32(square / n)
}

func columnMomentsGeneric(x []float32, _ int, mean, variance []float32) {
	for i := range mean {
		mean[i], variance[i] = columnGeneric(x, i, len(mean))
	}
}

func normaliseGeneric(dst, src []float32, mean, rstd float32, gamma, beta []float32) {
	dst, gamma, beta = dst[:len(src)], gamma[:len(src)], beta[:len(src)]
	for i, x := range src {
		dst[i] = (x-mean)*rstd*gamma[i] + beta[i]
	}
}

func normaliseGradGeneric(dx, dy, x []float32, mean, rstd float32, gamma, dgamma, dbeta []float32) {
	dx, dy, gamma = dx[:len(x)], dy[:len(x)], gamma[:len(x)]
	var sum, product float64
	for i, v := range x {
		h, g := (v-mean)*rstd, dy[i]*gamma[i]
		sum += float64(g)
		product += float64(g) * float64(h)
		dgamma[i] += dy[i] * h
		dbeta[i] += dy[i]
	}
	n := float64(len(x))
	a, b := float32(sum/n), float32(product/n)
	for i, v := range x {
		dx[i] = rstd * (dy[i]*gamma[i] - a - (v-mean)*rstd*b)
	}
}

func mulAddGeneric(dst, a, b, c []float32) {
	a, b, c = a[:len(dst)], b[:len(dst)], c[:len(dst)]
	for i := range dst {
		dst[i] = a[i]*b[i] + c[i]
	}
}
