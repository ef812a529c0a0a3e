package dataset

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// Spectrum is the recipe of a synthetic set that resembles embeddings: unit
// vectors from overlapping clusters of clusters, whose covariance has a stated
// spectrum. Figures from it carry its name.
//
// A row is unit(R·Λ^½·y), and y = √0.25·t + √0.1·l + s·(√0.5·F·w + √0.15·e):
//
//	Λ  diagonal, Λ[j] = (1+j/Knee)^-Decay for j = 0..Dim-1
//	R  a rotation that spreads every eigenvector over all components (random
//	   signs, permutations and Hadamard blocks, three times); the identity when
//	   Nested is set, so that leading components hold the leading eigenvalues
//	t  one of Topics vectors, standard normal
//	l  one of Leaves vectors, standard normal; leaf i belongs to topic i mod
//	   Topics and is drawn with probability proportional to 1/√(1+i/8)
//	s  the leaf's spread, uniform in 0.3..1.7 and then divided by its root mean
//	   square, 1.078
//	F  the topic's Dim x Rank matrix, normal with variance 1/Rank
//	w  standard normal in Rank dimensions, e in Dim dimensions
//
// Each of t, l, s·F·w and s·e has covariance I over the choice of everything
// random, so the covariance before unit() is R·Λ·Rᵀ in expectation. What makes
// neighbours is the local part F·w of few dimensions: independent noise in
// hundreds of dimensions has no neighbours worth finding. Leaves of unequal spread
// and size make some queries harder than others, as they are in practice.
//
// Queries come from the same distribution and are not in the base, unless Gap is
// set: then a query is unit(√(1-Gap)·x + √(Gap/2)·g + √(Gap/2)·h), where x is a
// fresh row, g one fixed direction for all queries and h a row of another recipe
// of the same shape with other topics, leaves and factors: queries of another
// kind, as texts are to images.
type Spectrum struct {
	Kind    string  // name in reports
	Rows    int     // base vectors, 1..
	Queries int     // query vectors, 0..
	Dim     int     // components
	Knee    float64 // > 0
	Decay   float64 // >= 0; 0 is white
	Nested  bool    // components in the order of the eigenvalues
	Gap     float64 // share of a query that is not like the rows, in 0..1
	Topics  int     // default 100
	Leaves  int     // default 3000
	Rank    int     // default 48
	Seed    uint64
}

// The shares of variance: of topics, leaves, local factors and noise.
const (
	shareTopic = 0.25
	shareLeaf  = 0.1
	shareLocal = 0.5
	shareNoise = 0.15
)

// Name states the recipe in one word per parameter, for reports.
func (s Spectrum) Name() string {
	name := fmt.Sprintf("%s-%dx%d-knee%g-decay%g", s.Kind, s.Rows, s.Dim, s.Knee, s.Decay)
	if s.Gap > 0 {
		name += fmt.Sprintf("-gap%g", s.Gap)
	}
	return fmt.Sprintf("%s-seed%d", name, s.Seed)
}

// Eigenvalue is the j-th largest eigenvalue of the rows' covariance as a share of
// their sum, j in 0..Dim-1. O(Dim).
func (s Spectrum) Eigenvalue(j int) float64 {
	sum := 0.0
	for i := range s.Dim {
		sum += s.value(i)
	}
	return s.value(j) / sum
}

func (s Spectrum) value(j int) float64 { return math.Pow(1+float64(j)/s.Knee, -s.Decay) }

func (s Spectrum) defaults() Spectrum {
	for _, d := range []struct {
		field *int
		value int
	}{{&s.Topics, 100}, {&s.Leaves, 3000}, {&s.Rank, 48}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if s.Knee == 0 {
		s.Knee = 1
	}
	return s
}

// Generate makes the base and the queries. Equal recipes give equal vectors on
// one architecture, whatever the number of CPUs. O((Rows+Queries)·Dim·Rank), on
// all CPUs.
func (s Spectrum) Generate() (base, queries Matrix) {
	s = s.defaults()
	own := newTopics(s, s.Seed)
	base = own.draw(s.Rows, 1, unit)
	if s.Gap <= 0 {
		return base, own.draw(s.Queries, 2, unit)
	}
	queries = own.draw(s.Queries, 2, unit)
	other := newTopics(s, s.Seed+1<<32).draw(s.Queries, 3, unit)
	gap := make([]float32, s.Dim)
	normal(rand.New(rand.NewPCG(s.Seed, 4)), gap)
	unit(gap)
	keep, far := float32(math.Sqrt(1-s.Gap)), float32(math.Sqrt(s.Gap/2))
	for i := range queries.Rows {
		q, h := queries.Row(i), other.Row(i)
		for j := range q {
			q[j] = keep*q[j] + far*(gap[j]+h[j])
		}
		unit(q)
	}
	return base, queries
}

// topics is a recipe with its random choices made.
type topics struct {
	Spectrum
	seed    uint64
	scale   []float32 // roots of the eigenvalues
	topic   []float32 // Topics x Dim, times the root of its share
	leaf    []float32 // Leaves x Dim, likewise
	factors []float32 // Topics x Rank x Dim, likewise
	spread  []float32 // of each leaf
	weight  []float64 // of leaves, cumulative
	turn    *rotation // nil when nested
}

func newTopics(s Spectrum, seed uint64) *topics {
	r := rand.New(rand.NewPCG(seed, 0))
	t := &topics{Spectrum: s, seed: seed,
		scale: make([]float32, s.Dim), topic: make([]float32, s.Topics*s.Dim), leaf: make([]float32, s.Leaves*s.Dim),
		factors: make([]float32, s.Topics*s.Rank*s.Dim), spread: make([]float32, s.Leaves), weight: make([]float64, s.Leaves)}
	for j := range t.scale {
		t.scale[j] = float32(math.Sqrt(s.value(j)))
	}
	const low, high = 0.3, 1.7
	root := math.Sqrt((high*high + high*low + low*low) / 3)
	for _, part := range []struct {
		to    []float32
		share float64
	}{{t.topic, shareTopic}, {t.leaf, shareLeaf}, {t.factors, shareLocal / float64(s.Rank)}} {
		normal(r, part.to)
		for i := range part.to {
			part.to[i] *= float32(math.Sqrt(part.share)) * t.scale[i%s.Dim]
		}
	}
	sum := 0.0
	for i := range t.spread {
		t.spread[i] = float32((low + (high-low)*r.Float64()) / root)
		sum += 1 / math.Sqrt(1+float64(i)/8)
		t.weight[i] = sum
	}
	for i := range t.weight {
		t.weight[i] /= sum
	}
	if !s.Nested {
		t.turn = newRotation(s.Dim, r)
	}
	return t
}

// draw makes rows of one stream and finishes each.
func (t *topics) draw(rows int, stream uint64, finish func([]float32)) Matrix {
	m := Matrix{Rows: rows, Cols: t.Dim, Data: make([]float32, rows*t.Dim)}
	parallel(rows, func(block, lo, hi int) {
		r := rand.New(rand.NewPCG(t.seed, stream<<32+uint64(block)))
		scratch := make([]float32, t.Dim)
		for i := lo; i < hi; i++ {
			t.point(r, scratch, m.Row(i))
			finish(m.Row(i))
		}
	})
	return m
}

func (t *topics) point(r *rand.Rand, scratch, out []float32) {
	leaf := search(t.weight, r.Float64())
	topic := leaf % t.Topics
	spread := t.spread[leaf]
	noise := spread * float32(math.Sqrt(shareNoise))
	centre, about := t.topic[topic*t.Dim:], t.leaf[leaf*t.Dim:]
	for j := range out {
		out[j] = centre[j] + about[j] + noise*t.scale[j]*float32(r.NormFloat64())
	}
	for k := range t.Rank {
		w := spread * float32(r.NormFloat64())
		f := t.factors[(topic*t.Rank+k)*t.Dim:][:len(out)]
		for j := range out {
			out[j] += w * f[j]
		}
	}
	if t.turn != nil {
		t.turn.apply(out, scratch)
	}
}

// search is the first index of ascending weights that is not below u, the last one
// when none is.
func search(weights []float64, u float64) int {
	lo, hi := 0, len(weights)-1
	for lo < hi {
		if mid := (lo + hi) / 2; weights[mid] < u {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

func normal(r *rand.Rand, out []float32) {
	for i := range out {
		out[i] = float32(r.NormFloat64())
	}
}

// unit scales x to length one; a zero vector stays.
func unit(x []float32) {
	sum := 0.0
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	if sum == 0 {
		return
	}
	scale := float32(1 / math.Sqrt(sum))
	for j := range x {
		x[j] *= scale
	}
}

// rotation is an orthogonal map that costs O(Dim·log Dim): three rounds of signs,
// a permutation and Hadamard transforms of blocks.
type rotation struct {
	block int         // largest power of two that divides the dimension
	sign  [][]float32 // of each round, with the transform's scale in it
	from  [][]int32
}

func newRotation(dim int, r *rand.Rand) *rotation {
	t := &rotation{block: dim & -dim}
	for range 3 {
		sign, from := make([]float32, dim), make([]int32, dim)
		for j, p := range r.Perm(dim) {
			from[j] = int32(p)
			sign[j] = float32(1 / math.Sqrt(float64(t.block)))
			if r.IntN(2) == 0 {
				sign[j] = -sign[j]
			}
		}
		t.sign, t.from = append(t.sign, sign), append(t.from, from)
	}
	return t
}

func (t *rotation) apply(x, scratch []float32) {
	for round, from := range t.from {
		for j, p := range from {
			scratch[j] = x[p] * t.sign[round][j]
		}
		copy(x, scratch)
		for at := 0; at < len(x); at += t.block {
			hadamard(x[at : at+t.block])
		}
	}
}

// hadamard is the transform of a power of two of values, unscaled.
func hadamard(x []float32) {
	for half := 1; half < len(x); half *= 2 {
		for i := 0; i < len(x); i += 2 * half {
			a, b := x[i:i+half], x[i+half:i+2*half]
			for j, v := range a {
				a[j], b[j] = v+b[j], v-b[j]
			}
		}
	}
}
