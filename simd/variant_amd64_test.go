//go:build !purego

package simd

import (
	"slices"
	"testing"
)

func TestEarlyAVX512CPUsKeepAVX2ForWhatTheyLack(t *testing.T) {
	if !slices.Contains(Available(), "avx512") {
		t.Skip("this CPU has no AVX-512")
	}
	variants(t, map[string]*kernels{"neither": avx512(avx2(), false, false)})
}

func TestLongMatricesScoreAsThePairDoesHoweverTheyAreWalked(t *testing.T) {
	before := amd
	defer func() { amd = before }()
	amd = !before
	TestRowsAndGatherScoreAsThePairDoes(t)
	TestAffineScoresAreThoseOfTheirFormulaBitForBit(t)
}
