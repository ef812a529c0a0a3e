//go:build !purego

package simd

//go:generate go -C _asm run . -isa functions -out ../functions_amd64.s -stubs ../functions_amd64.go -pkg simd

var avx2Functions = functions{
	exp:           expAVX2,
	log:           logAVX2,
	sigmoid:       sigmoidAVX2,
	tanh:          tanhAVX2,
	gelu:          geluAVX2,
	softmax:       softmaxAVX2,
	moments:       momentsAVX2,
	columnMoments: columnMomentsAVX2,
	normalise:     normaliseAVX2,
	normaliseGrad: normaliseGradAVX2,
	mulAdd:        mulAddAVX2,
	gather:        gatherAVX2,
	scatterAdd:    scatterAddAVX2,
	sgd:           sgdAVX2,
	adam:          adamAVX2,
	adagrad:       adagradAVX2,
	dropReLU:      dropReLUAVX2,
	dropReLUGrad:  dropReLUGradAVX2,
	below:         belowAVX2,
	turns:         turnsAVX2,
}

var avx512Functions = functions{
	exp:           expAVX512,
	log:           logAVX512,
	sigmoid:       sigmoidAVX512,
	tanh:          tanhAVX512,
	gelu:          geluAVX512,
	softmax:       softmaxAVX512,
	moments:       momentsAVX512,
	columnMoments: columnMomentsAVX512,
	normalise:     normaliseAVX512,
	normaliseGrad: normaliseGradAVX512,
	mulAdd:        mulAddAVX512,
	gather:        gatherAVX512,
	scatterAdd:    scatterAddAVX512,
	sgd:           sgdAVX512,
	adam:          adamAVX512,
	adagrad:       adagradAVX512,
	dropReLU:      dropReLUAVX512,
	dropReLUGrad:  dropReLUGradAVX512,
	below:         belowAVX512,
	turns:         turnsAVX512,
}
