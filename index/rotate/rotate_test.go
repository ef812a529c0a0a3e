package rotate

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"testing"
)

// symmetric is a matrix with a given spectrum in random directions, and directions.
func symmetric(r *rand.Rand, n int, value func(i int) float64) []float64 {
	q := make([]float64, n*n)
	for i := range n {
		row := q[i*n : (i+1)*n]
		for j := range row {
			row[j] = r.NormFloat64()
		}
		for range 2 {
			for k := range i {
				dot := 0.0
				for j := range row {
					dot += row[j] * q[k*n+j]
				}
				for j := range row {
					row[j] -= dot * q[k*n+j]
				}
			}
			norm := 0.0
			for _, x := range row {
				norm += x * x
			}
			for j := range row {
				row[j] /= math.Sqrt(norm)
			}
		}
	}
	a := make([]float64, n*n)
	for k := range n {
		for i := range n {
			for j := range n {
				a[i*n+j] += value(k) * q[k*n+i] * q[k*n+j]
			}
		}
	}
	return a
}

// check fails unless rows and values are the eigenvectors of a.
func check(t *testing.T, a, rows, values []float64, n int) {
	t.Helper()
	scale := 1e-300
	for _, x := range a {
		scale = max(scale, math.Abs(x))
	}
	scale *= float64(n)
	for i := range n {
		v := rows[i*n : (i+1)*n]
		if i > 0 && values[i] > values[i-1] {
			t.Fatalf("values rise from %v to %v at %d of %d", values[i-1], values[i], i, n)
		}
		for k := range n {
			var av, dot float64
			for j := range n {
				av += a[k*n+j] * v[j]
				dot += rows[k*n+j] * v[j]
			}
			if d := math.Abs(av - values[i]*v[k]); !(d <= 1e-13*scale) {
				t.Fatalf("row %d of %d: A·v differs from value·v by %.3g of %.3g", i, n, d, scale)
			}
			want := 0.0
			if k == i {
				want = 1
			}
			if !(math.Abs(dot-want) < 1e-12) {
				t.Fatalf("rows %d and %d of %d have product %v", i, k, n, dot)
			}
		}
	}
}

func TestEigenFindsTheVectorsOfEverySpectrum(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for name, value := range map[string]func(i int) float64{
		"falling":     func(i int) float64 { return math.Pow(0.8, float64(i)) },
		"equal":       func(int) float64 { return 3 },
		"rank two":    func(i int) float64 { return max(0, float64(2-i)) },
		"both signs":  func(i int) float64 { return float64(i%5 - 2) },
		"huge":        func(i int) float64 { return 1e300 / float64(1+i) },
		"tiny":        func(i int) float64 { return 1e-300 / float64(1+i) },
		"one is vast": func(i int) float64 { return []float64{1e12, 1, 1e-3}[min(i, 2)] },
		"zero":        func(int) float64 { return 0 },
	} {
		for _, n := range []int{1, 2, 3, 5, 31, 32, 33, 90} {
			a := symmetric(r, n, value)
			rows := append([]float64(nil), a...)
			values, err := Eigen(context.Background(), rows, n)
			if err != nil {
				t.Fatalf("%s, %d: %v", name, n, err)
			}
			check(t, a, rows, values, n)
		}
	}
}

func TestEigenOfADiagonalMatrixAndOfATridiagonalOne(t *testing.T) {
	n := 40
	a := make([]float64, n*n)
	for i := range n {
		a[i*n+i] = float64(i * 7 % n)
	}
	for range 2 {
		rows := append([]float64(nil), a...)
		values, err := Eigen(context.Background(), rows, n)
		if err != nil {
			t.Fatal(err)
		}
		check(t, a, rows, values, n)
		for i := range n - 1 {
			a[i*n+i+1], a[(i+1)*n+i] = 1, 1
		}
	}
}

func TestEigenRefusesWhatIsNotFiniteAndEndsWithItsContext(t *testing.T) {
	for _, x := range []float64{math.NaN(), math.Inf(1)} {
		if _, err := Eigen(context.Background(), []float64{1, x, x, 1}, 2); !errors.Is(err, errDiverged) {
			t.Errorf("%v: %v", x, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Eigen(ctx, make([]float64, 100), 10); !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: %v", err)
	}
}

// sample is vectors whose components matter less and less after a hidden rotation,
// with a mean far from zero.
func sample(r *rand.Rand, n, dim int) [][]float32 {
	basis := symmetric(r, dim, func(i int) float64 { return math.Pow(0.7, float64(i)) })
	out := make([][]float32, n)
	for i := range out {
		z := make([]float64, dim)
		for j := range z {
			z[j] = r.NormFloat64()
		}
		out[i] = make([]float32, dim)
		for j := range dim {
			x := 1.5
			for k := range dim {
				x += basis[j*dim+k] * z[k]
			}
			out[i][j] = float32(x)
		}
	}
	return out
}

func apply(rotation, v []float32) []float32 {
	out := make([]float32, len(v))
	for i := range out {
		sum := 0.0
		for j, x := range v {
			sum += float64(rotation[i*len(v)+j]) * float64(x)
		}
		out[i] = float32(sum)
	}
	return out
}

func TestRotationKeepsProductsAndGathersThemInPrefixes(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	const dim, n = 48, 700
	rows := sample(r, n, dim)
	m := NewMoment(dim)
	for _, v := range rows {
		m.Add(v)
	}
	rotation, err := m.Rotation(context.Background(), []int{8, 20})
	if err != nil {
		t.Fatal(err)
	}
	dot := func(a, b []float32) (s float64) {
		for i := range a {
			s += float64(a[i]) * float64(b[i])
		}
		return s
	}
	var before, after float64
	for i := 0; i+1 < n; i += 2 {
		a, b := rows[i], rows[i+1]
		ra, rb := apply(rotation, a), apply(rotation, b)
		if d := math.Abs(dot(a, b) - dot(ra, rb)); d > 1e-4*math.Sqrt(dot(a, a)*dot(b, b)) {
			t.Fatalf("the product %v became %v", dot(a, b), dot(ra, rb))
		}
		before += math.Abs(dot(a, b) - dot(a[:8], b[:8]))
		after += math.Abs(dot(a, b) - dot(ra[:8], rb[:8]))
	}
	if after > before/20 {
		t.Errorf("8 of %d components miss %.3g of the products, %.3g before", dim, after, before)
	}
	for i := range dim {
		for k := range dim {
			want := 0.0
			if i == k {
				want = 1
			}
			if d := math.Abs(dot(rotation[i*dim:(i+1)*dim], rotation[k*dim:(k+1)*dim]) - want); d > 1e-5 {
				t.Fatalf("rows %d and %d of the rotation are off by %v", i, k, d)
			}
		}
	}
}

func TestTheMeanBecomesAConstantOfTheFirstBlock(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	const dim = 32
	m := NewMoment(dim)
	for range 600 {
		v := make([]float32, dim)
		for j := range v {
			v[j] = 10 + float32(r.NormFloat64())
		}
		m.Add(v)
	}
	rotation, err := m.Rotation(context.Background(), []int{16})
	if err != nil {
		t.Fatal(err)
	}
	mean := make([]float32, dim)
	for j := range mean {
		mean[j] = 10
	}
	got := apply(rotation, mean)
	for i, x := range got[:16] {
		if math.Abs(float64(x-got[0])) > 0.5 {
			t.Errorf("component %d of the mean is %v, the first %v", i, x, got[0])
		}
	}
}

func TestARotationOfNothingIsRefused(t *testing.T) {
	if _, err := NewMoment(4).Rotation(context.Background(), nil); !errors.Is(err, ErrFew) {
		t.Errorf("got %v", err)
	}
}

func BenchmarkEigen(b *testing.B) {
	for _, n := range []int{256, 768, 1536} {
		b.Run(string(rune('0'+n/256))+"x256", func(b *testing.B) {
			r := rand.New(rand.NewPCG(7, 8))
			a := make([]float64, n*n)
			for i := range a {
				a[i] = r.NormFloat64()
			}
			for b.Loop() {
				if _, err := Eigen(context.Background(), append([]float64(nil), a...), n); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
