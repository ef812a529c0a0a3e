package dataset

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// small is a recipe whose random centres are many for its dimension, so that its
// sample covariance is near the stated one.
var small = Spectrum{Kind: "t", Rows: 12000, Queries: 50, Dim: 48, Knee: 4, Decay: 1.5, Topics: 600, Leaves: 3000, Rank: 8, Seed: 7}

// covariance of the rows, Dim x Dim.
func covariance(m Matrix) [][]float64 {
	mean := make([]float64, m.Cols)
	for i := range m.Rows {
		for j, v := range m.Row(i) {
			mean[j] += float64(v) / float64(m.Rows)
		}
	}
	c := make([][]float64, m.Cols)
	for i := range c {
		c[i] = make([]float64, m.Cols)
	}
	for i := range m.Rows {
		row := m.Row(i)
		for a := range row {
			x := (float64(row[a]) - mean[a]) / float64(m.Rows)
			for b := range row[:a+1] {
				c[a][b] += x * (float64(row[b]) - mean[b])
			}
		}
	}
	for a := range c {
		for b := range a {
			c[b][a] = c[a][b]
		}
	}
	return c
}

// eigenvalues of a symmetric matrix, largest first, as shares of their sum: by
// Jacobi's rotations.
func eigenvalues(c [][]float64) []float64 {
	n := len(c)
	for range 12 {
		for p := range n {
			for q := p + 1; q < n; q++ {
				if c[p][q] == 0 {
					continue
				}
				theta := 0.5 * math.Atan2(2*c[p][q], c[q][q]-c[p][p])
				cos, sin := math.Cos(theta), math.Sin(theta)
				for k := range n {
					c[k][p], c[k][q] = cos*c[k][p]-sin*c[k][q], sin*c[k][p]+cos*c[k][q]
				}
				for k := range n {
					c[p][k], c[q][k] = cos*c[p][k]-sin*c[q][k], sin*c[p][k]+cos*c[q][k]
				}
			}
		}
	}
	var out []float64
	sum := 0.0
	for i := range c {
		out = append(out, c[i][i])
		sum += c[i][i]
	}
	slices.Sort(out)
	slices.Reverse(out)
	for i := range out {
		out[i] /= sum
	}
	return out
}

func TestSpectrumHasTheStatedEigenvalues(t *testing.T) {
	base, _ := small.Generate()
	got := eigenvalues(covariance(base))
	for _, j := range []int{0, 1, 3, 7, 15, 31, 47} {
		if want := small.Eigenvalue(j); got[j] < 0.75*want || got[j] > 1.3*want {
			t.Errorf("eigenvalue %d is %.5f of the sum, stated %.5f", j, got[j], want)
		}
	}
}

func TestNestedSpectrumOrdersComponentsAndFlatOneSpreadsThem(t *testing.T) {
	share := func(nested bool) float64 {
		s := small
		s.Nested = nested
		base, _ := s.Generate()
		c, lead, all := covariance(base), 0.0, 0.0
		for j := range c {
			all += c[j][j]
			if j < 12 {
				lead += c[j][j]
			}
		}
		return lead / all
	}
	want := 0.0
	for j := range 12 {
		want += small.Eigenvalue(j)
	}
	if got := share(true); math.Abs(got-want) > 0.05 {
		t.Errorf("12 of 48 nested components hold %.3f of the variance, stated %.3f", got, want)
	}
	if got := share(false); math.Abs(got-0.25) > 0.08 {
		t.Errorf("12 of 48 rotated components hold %.3f of the variance, not about a quarter", got)
	}
}

func TestEqualRecipesGiveEqualVectorsOfLengthOne(t *testing.T) {
	s := Spectrum{Kind: "t", Rows: 1500, Queries: 20, Dim: 96, Knee: 1, Decay: 0.6, Gap: 0.5, Topics: 10, Leaves: 40, Seed: 3}
	a, qa := s.Generate()
	b, qb := s.Generate()
	if !slices.Equal(a.Data, b.Data) || !slices.Equal(qa.Data, qb.Data) {
		t.Error("the same recipe gave other vectors")
	}
	s.Seed++
	if c, _ := s.Generate(); slices.Equal(a.Data, c.Data) {
		t.Error("another seed gave the same vectors")
	}
	for _, m := range []Matrix{a, qa} {
		for i := range m.Rows {
			if n := length(m.Row(i)); math.Abs(n-1) > 1e-5 {
				t.Fatalf("row %d has length %v", i, n)
			}
		}
	}
}

func length(x []float32) float64 {
	sum := 0.0
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	return math.Sqrt(sum)
}

func TestQueriesAcrossAGapLieFarFromTheRowsMean(t *testing.T) {
	s := Spectrum{Kind: "t", Rows: 2000, Queries: 200, Dim: 64, Knee: 1, Decay: 0.6, Topics: 50, Leaves: 200, Seed: 5}
	nearest := func(gap float64) float64 {
		s.Gap = gap
		base, queries := s.Generate()
		sum := 0.0
		for i := range queries.Rows {
			top := -1.0
			for j := range base.Rows {
				dot := 0.0
				for k, v := range base.Row(j) {
					dot += float64(v) * float64(queries.Row(i)[k])
				}
				top = max(top, dot)
			}
			sum += top / float64(queries.Rows)
		}
		return sum
	}
	like, unlike := nearest(0), nearest(0.7)
	if unlike > like-0.1 {
		t.Errorf("the nearest row has cosine %.3f to a query across the gap and %.3f to one of the same kind", unlike, like)
	}
}

func TestRotationKeepsDistances(t *testing.T) {
	m := Sphere(40, 48, 1)
	turn := newRotation(48, rand.New(rand.NewPCG(1, 1)))
	before := make([]float32, len(m.Data))
	copy(before, m.Data)
	scratch := make([]float32, 48)
	for i := range m.Rows {
		turn.apply(m.Row(i), scratch)
	}
	dot := func(a, b []float32) (sum float64) {
		for i := range a {
			sum += float64(a[i]) * float64(b[i])
		}
		return sum
	}
	for i := 1; i < m.Rows; i++ {
		was := dot(before[:48], before[i*48:(i+1)*48])
		if now := dot(m.Row(0), m.Row(i)); math.Abs(now-was) > 1e-5 {
			t.Fatalf("inner product %v became %v", was, now)
		}
	}
	if slices.Equal(before, m.Data) {
		t.Error("nothing was turned")
	}
}

func TestSiftLikeComponentsAreDistributedLikeSIFTs(t *testing.T) {
	base, queries := Sift{Rows: 4000, Queries: 10, Seed: 1}.Generate()
	if base.Cols != 128 || queries.Rows != 10 {
		t.Fatalf("%d x %d, %d queries", base.Rows, base.Cols, queries.Rows)
	}
	zeros, large := 0, 0
	for _, v := range base.Data {
		if v < 0 || v > 255 || v != float32(math.Trunc(float64(v))) {
			t.Fatalf("component %v", v)
		}
		if v == 0 {
			zeros++
		}
		if v > 119 { // SIFT's 99th percentile
			large++
		}
	}
	n := float64(len(base.Data))
	if z := float64(zeros) / n; z < 0.02 || z > 0.3 {
		t.Errorf("%.3f of the components are zero", z)
	}
	if l := float64(large) / n; l < 0.002 || l > 0.05 {
		t.Errorf("%.4f of the components are above 119", l)
	}
	if l := length(base.Row(5)); l < 480 || l > 530 {
		t.Errorf("a row has length %v", l)
	}
}
