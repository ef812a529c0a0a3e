package dataset

import (
	"fmt"
	"math"
)

// Sift is the recipe of a synthetic set whose components are distributed like
// those of SIFT descriptors: 128 integers in 0..255, none negative, a few per cent
// zero, a long tail, length 512, with clusters of unequal size and spread. It is
// not SIFT, and figures from it carry its name.
//
// A row is round(512·unit(max(0, 1.2+z)^1.5)), component by component, with z a
// row of Spectrum{Dim: 128, Knee: 7, Decay: 2} before unit(), scaled so that a
// component of z has variance 1.
type Sift struct {
	Rows    int // base vectors, 1..
	Queries int // query vectors, 0..
	Seed    uint64
}

func (s Sift) latent() Spectrum {
	return Spectrum{Kind: "sift", Rows: s.Rows, Queries: s.Queries, Dim: 128, Knee: 7, Decay: 2, Seed: s.Seed}.defaults()
}

// Name states the recipe in one word per parameter, for reports.
func (s Sift) Name() string { return fmt.Sprintf("sift-like-%dx128-u8-seed%d", s.Rows, s.Seed) }

// Generate makes the base and the queries; see Spectrum.Generate.
func (s Sift) Generate() (base, queries Matrix) {
	l := s.latent()
	t := newTopics(l, s.Seed)
	sum := 0.0
	for j := range l.Dim {
		sum += l.value(j)
	}
	scale := float32(math.Sqrt(float64(l.Dim) / sum))
	finish := func(x []float32) {
		for j, v := range x {
			v = max(0, 1.2+scale*v)
			x[j] = v * float32(math.Sqrt(float64(v)))
		}
		unit(x)
		for j, v := range x {
			x[j] = float32(math.Round(math.Min(255, 512*float64(v))))
		}
	}
	return t.draw(s.Rows, 1, finish), t.draw(s.Queries, 2, finish)
}
