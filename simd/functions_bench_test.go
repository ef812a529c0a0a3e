package simd

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

var adam = AdamStep{Rate: 1e-9, Beta1: 0.9, Beta2: 0.99, Eps: 1e-8, Decay: 0.1, Step: 9}

// BenchmarkFunctions reports the time of each function for an element, in the
// second cache, and for rows of 64, in the first.
func BenchmarkFunctions(b *testing.B) {
	for _, n := range []int{64, 16384} {
		r := seeded(n)
		var s [6][]float32
		for i := range s {
			s[i] = fill(make([]float32, n), r, func(r *rand.Rand) float32 { return 0.5 + r.Float32() })
		}
		at := make([]uint32, n)
		for _, c := range []struct {
			name string
			do   func()
		}{
			{"Exp", func() { Exp(s[0], s[1]) }},
			{"Log", func() { Log(s[0], s[1]) }},
			{"Sigmoid", func() { Sigmoid(s[0], s[1]) }},
			{"Tanh", func() { Tanh(s[0], s[1]) }},
			{"Gelu", func() { Gelu(s[0], s[1]) }},
			{"Softmax", func() { Softmax(s[0], s[1]) }},
			{"Moments", func() { Moments(s[1]) }},
			{"ColumnMoments", func() { ColumnMoments(s[1], s[0][:32], s[2][:32]) }},
			{"LayerNorm", func() { LayerNorm(s[0], s[1], s[2], s[3], 1) }},
			{"LayerNormGrad", func() { LayerNormGrad(s[0], s[1], s[2], 1, 1, s[3], s[4], s[5]) }},
			{"MulAdd", func() { MulAdd(s[0], s[1], s[2], s[3]) }},
			{"DropReLU", func() { DropReLU(s[0], s[1], 1e-9, 1, 1<<31) }},
			{"DropReLUGrad", func() { DropReLUGrad(s[0], s[1], 1, 1<<31) }},
			{"SinCosTurns", func() { SinCosTurns(s[0], s[1], s[2], 1.5) }},
			{"Below", func() { Below(s[1], 0.5, 0, at) }},
			{"Add", func() { Add(s[0], s[1]) }},
			{"SGD", func() { SGD(s[0], s[1], 1e-9, 0.1) }},
			{"Adam", func() { Adam(s[0], s[1], s[2], s[3], adam) }},
			{"Adagrad", func() { Adagrad(s[0], s[1], s[2], 1e-9, 1e-8) }},
		} {
			b.Run(fmt.Sprintf("%d/%s", n, c.name), func(b *testing.B) { perElement(b, n, c.do) })
		}
	}
}

// BenchmarkTables reports the time of each row of 32 elements that a list of 512
// ids takes from, adds to, or steps in a large table.
func BenchmarkTables(b *testing.B) {
	const dim, n = 32, 512
	mem := matrix(b, "huge")
	third := len(mem) / 3 / dim * dim
	w, m, v := mem[:third], mem[third:2*third], mem[2*third:3*third]
	rows := make([]float32, n*dim)
	next := cycle(n, third/dim)
	for _, c := range []struct {
		name string
		do   func(ids []uint32)
	}{
		{"Gather", func(ids []uint32) { Gather(rows, w, dim, ids) }},
		{"ScatterAdd", func(ids []uint32) { ScatterAdd(w, rows, dim, ids) }},
		{"AdamRows", func(ids []uint32) { AdamRows(w, rows, m, v, dim, ids, adam) }},
		{"AdagradRows", func(ids []uint32) { AdagradRows(w, rows, m, dim, ids, 1e-9, 1e-8) }},
		{"copy", func(ids []uint32) { gatherGeneric(rows, w, dim, ids) }},
	} {
		b.Run(c.name, func(b *testing.B) { perElement(b, n, func() { c.do(next()) }) })
	}
}

// perElement reports the time of call for each of its n elements.
func perElement(b *testing.B, n int, call func()) {
	for b.Loop() {
		call()
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(n), "ns/element")
}
