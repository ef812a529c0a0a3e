package dataset

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
)

// Clusters is the recipe of a synthetic set whose difficulty resembles SIFT's:
// clustered, of low intrinsic dimension, with overlapping clusters of unequal
// size. It is not SIFT, and figures from it carry its name.
//
// A point is A·(c + s·z) + Noise·e, rounded to the integers 0..255 when Bytes is
// set: A is a fixed Dim x Rank matrix whose column j is normal times
// 1/sqrt(1+j/4), c the centre of a cluster (normal, in Rank dimensions), s the
// cluster's spread (uniform in 0.4..0.9), z and e standard normal. Clusters are
// drawn with probability proportional to 1/sqrt(1+rank of the cluster). Queries
// come from the same distribution and are not in the base.
type Clusters struct {
	Rows    int     // base vectors, 1..
	Queries int     // query vectors, 0..
	Dim     int     // components, default 128
	Centres int     // clusters, default 1000
	Rank    int     // intrinsic dimension, default 24
	Noise   float64 // full-rank noise, default 0.15
	Floats  bool    // leave components as floats instead of integers 0..255
	Seed    uint64
}

// Name states the recipe in one word per parameter, for reports.
func (c Clusters) Name() string {
	c = c.defaults()
	kind := "u8"
	if c.Floats {
		kind = "f32"
	}
	return fmt.Sprintf("clusters-%dx%d-%s-c%d-r%d-n%g-seed%d", c.Rows, c.Dim, kind, c.Centres, c.Rank, c.Noise, c.Seed)
}

func (c Clusters) defaults() Clusters {
	if c.Dim == 0 {
		c.Dim = 128
	}
	if c.Centres == 0 {
		c.Centres = 1000
	}
	if c.Rank == 0 {
		c.Rank = 24
	}
	if c.Noise == 0 {
		c.Noise = 0.15
	}
	return c
}

// Generate makes the base and the queries. Equal recipes give equal vectors on
// one architecture, whatever the number of CPUs. O((Rows+Queries)·Dim·Rank), on
// all CPUs.
func (c Clusters) Generate() (base, queries Matrix) {
	c = c.defaults()
	r := rand.New(rand.NewPCG(c.Seed, 0))
	g := &mixture{Clusters: c,
		basis:   make([]float32, c.Dim*c.Rank),
		centres: make([]float32, c.Centres*c.Rank),
		spread:  make([]float32, c.Centres),
		weight:  make([]float64, c.Centres),
	}
	for i := range g.basis {
		g.basis[i] = float32(r.NormFloat64() / math.Sqrt(1+float64(i%c.Rank)/4))
	}
	for i := range g.centres {
		g.centres[i] = float32(r.NormFloat64())
	}
	sum := 0.0
	for i := range g.spread {
		g.spread[i] = float32(0.4 + 0.5*r.Float64())
		sum += 1 / math.Sqrt(1+float64(i))
		g.weight[i] = sum
	}
	for i := range g.weight {
		g.weight[i] /= sum
	}
	return g.draw(c.Rows, 1), g.draw(c.Queries, 2)
}

type mixture struct {
	Clusters
	basis   []float32 // Dim x Rank
	centres []float32 // Centres x Rank
	spread  []float32
	weight  []float64 // cumulative
}

func (g *mixture) draw(rows int, stream uint64) Matrix {
	m := Matrix{Rows: rows, Cols: g.Dim, Data: make([]float32, rows*g.Dim)}
	parallel(rows, func(block, lo, hi int) {
		r := rand.New(rand.NewPCG(g.Seed, stream<<32+uint64(block)))
		z := make([]float32, g.Rank)
		for i := lo; i < hi; i++ {
			g.point(r, z, m.Row(i))
		}
	})
	return m
}

func (g *mixture) point(r *rand.Rand, z, out []float32) {
	lo := search(g.weight, r.Float64())
	centre := g.centres[lo*g.Rank:]
	for j := range z {
		z[j] = centre[j] + g.spread[lo]*float32(r.NormFloat64())
	}
	for d := range out {
		sum := float32(g.Noise * r.NormFloat64())
		for j, a := range g.basis[d*g.Rank : (d+1)*g.Rank] {
			sum += a * z[j]
		}
		if !g.Floats {
			// A component has a standard deviation near 3.5.
			sum = float32(math.Round(math.Min(255, math.Max(0, 100+18*float64(sum)))))
		}
		out[d] = sum
	}
}

// Sphere makes rows vectors uniform on the unit sphere of dim dimensions: no
// structure at all, the hardest case for a graph.
func Sphere(rows, dim int, seed uint64) Matrix {
	m := Matrix{Rows: rows, Cols: dim, Data: make([]float32, rows*dim)}
	parallel(rows, func(block, lo, hi int) {
		r := rand.New(rand.NewPCG(seed, 3<<32+uint64(block)))
		for i := lo; i < hi; i++ {
			row, sum := m.Row(i), 0.0
			for j := range row {
				x := r.NormFloat64()
				row[j] = float32(x)
				sum += x * x
			}
			for j := range row {
				row[j] = float32(float64(row[j]) / math.Sqrt(sum))
			}
		}
	})
	return m
}

// parallel cuts n rows into blocks of fixed size, so that what a block holds
// depends on its number and not on the number of CPUs.
func parallel(n int, do func(block, lo, hi int)) {
	const size = 1024
	var wg sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		wg.Go(func() {
			for b := w; b*size < n; b += workers {
				do(b, b*size, min(n, (b+1)*size))
			}
		})
	}
	wg.Wait()
}
