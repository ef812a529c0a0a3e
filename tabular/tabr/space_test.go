package tabr

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/simd"
)

// cloud is n points of dim numbers, a third of them equal to another one.
func cloud(rng *rand.Rand, n, dim int) *space {
	s := &space{dim: dim, n: n, z: make([]float32, n*dim)}
	for i := range n {
		row := s.z[i*dim:][:dim]
		if i > 0 && rng.IntN(3) == 0 {
			copy(row, s.z[rng.IntN(i)*dim:][:dim])
			continue
		}
		for j := range row {
			row[j] = float32(rng.NormFloat64()) + 3
		}
	}
	s.measure()
	return s
}

// plainNearest sorts all distances, by number where they are equal.
func plainNearest(s *space, q []float32, self uint32, k int) []uint32 {
	var keys []uint64
	for i := range s.n {
		if uint32(i) != self {
			keys = append(keys, uint64(math.Float32bits(simd.L2(q, s.z[i*s.dim:][:s.dim])))<<32|uint64(i))
		}
	}
	slices.Sort(keys)
	var ids []uint32
	for _, x := range keys[:k] {
		ids = append(ids, uint32(x))
	}
	slices.Sort(ids)
	return ids
}

func TestNearestIsThatOfASortOfAllDistances(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var w search
	for _, c := range []struct{ n, dim, b, k int }{{100, 3, 7, 96}, {98, 1, 70, 97}, {5000, 8, 130, 96}, {3000, 40, 65, 20}, {6000, 8, 3, 2000}} {
		s := cloud(rng, c.n, c.dim)
		self := make([]uint32, c.b)
		q := make([]float32, c.b*c.dim)
		for i := range self {
			self[i] = uint32(rng.IntN(c.n))
			copy(q[i*c.dim:], s.z[int(self[i])*c.dim:][:c.dim])
			if i%3 == 0 {
				self[i] = nobody
			}
		}
		ctx, dist := make([]uint32, c.b*c.k), make([]float32, c.b*c.k)
		if !w.nearest(s, q, self, nil, c.k, ctx, dist) {
			t.Fatalf("%v: not found", c)
		}
		limit := make([]float32, c.b)
		for i := range self {
			want := plainNearest(s, q[i*c.dim:][:c.dim], self[i], c.k)
			if got := ctx[i*c.k:][:c.k]; !slices.Equal(got, want) {
				t.Fatalf("%v: query %d got %v, want %v", c, i, got, want)
			}
			if slices.Contains(want, self[i]) {
				t.Fatal("a query is in its own context")
			}
			limit[i] = slices.Max(dist[i*c.k:][:c.k])
			if i%2 == 0 {
				limit[i] *= 1.5
			}
		}
		again := make([]uint32, len(ctx))
		w.nearest(s, q, self, limit, c.k, again, dist)
		if !slices.Equal(again, ctx) {
			t.Fatalf("%v: a limit changed what is found", c)
		}
	}
}

func TestNearestRefusesPointsThatAreNoNumbers(t *testing.T) {
	s := cloud(rand.New(rand.NewPCG(1, 2)), 50, 3)
	for i := range s.z {
		s.z[i] = float32(math.NaN())
	}
	s.measure()
	var w search
	if w.nearest(s, s.z[:3], []uint32{nobody}, nil, 5, make([]uint32, 5), make([]float32, 5)) {
		t.Error("found neighbours among NaN")
	}
}

func TestFactorKeepsLengthsAlsoOfDependentColumns(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 2))
	m := nn.NewMatrix(20, 6)
	for i := range m.Rows {
		for j := range m.Cols {
			m.Row(i)[j] = float32(rng.NormFloat64())
		}
		m.Row(i)[2] = m.Row(i)[0] - 2*m.Row(i)[1]
		m.Row(i)[4] = 0
	}
	r := factor(m)
	for range 50 {
		x := make([]float32, 6)
		for j := range x {
			x[j] = float32(rng.NormFloat64())
		}
		y, z := make([]float32, 20), make([]float32, 6)
		simd.Gemv(false, 20, 6, 1, m.Data, 6, x, 0, y)
		simd.Gemv(false, 6, 6, 1, r, 6, x, 0, z)
		if a, b := simd.Norm(y), simd.Norm(z); math.Abs(float64(a-b)) > 1e-4*float64(a) {
			t.Errorf("length %v became %v", a, b)
		}
	}
}
