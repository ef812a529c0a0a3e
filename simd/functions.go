package simd

// functions are the kernels that a training core needs beside distances, of one
// implementation. Arguments have been checked, and no slice is empty.
type functions struct {
	exp, log, sigmoid, tanh, gelu func(dst, src []float32)

	softmax func(dst, src []float32) (most, sum float32)

	moments       func(x []float32) (mean, variance float32)
	columnMoments func(x []float32, rows int, mean, variance []float32)
	normalise     func(dst, src []float32, mean, rstd float32, gamma, beta []float32)
	normaliseGrad func(dx, dy, x []float32, mean, rstd float32, gamma, dgamma, dbeta []float32)
	mulAdd        func(dst, a, b, c []float32)

	gather     func(dst, table []float32, dim int, ids []uint32)
	scatterAdd func(table, grad []float32, dim int, ids []uint32)

	sgd     func(w, g []float32, lr, decay float32)
	adam    func(w, g, m, v, k []float32)
	adagrad func(w, g, sum []float32, lr, eps float32)

	dropReLU     func(y, x []float32, alpha float32, key, threshold uint32)
	dropReLUGrad func(x, g []float32, key, threshold uint32) float32
	below        func(x []float32, limit float32, first uint32, dst []uint32) int

	turns func(sin, cos, src []float32, x float32)
}

var genericFunctions = functions{
	exp:           expGeneric,
	log:           logGeneric,
	sigmoid:       sigmoidGeneric,
	tanh:          tanhGeneric,
	gelu:          geluGeneric,
	softmax:       softmaxGeneric,
	moments:       momentsGeneric,
	columnMoments: columnMomentsGeneric,
	normalise:     normaliseGeneric,
	normaliseGrad: normaliseGradGeneric,
	mulAdd:        mulAddGeneric,
	gather:        gatherGeneric,
	scatterAdd:    scatterAddGeneric,
	sgd:           sgdGeneric,
	adam:          adamGeneric,
	adagrad:       adagradGeneric,
	dropReLU:      dropReLUGeneric,
	dropReLUGrad:  dropReLUGradGeneric,
	below:         belowGeneric,
	turns:         turnsGeneric,
}
