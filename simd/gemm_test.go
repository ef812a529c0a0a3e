package simd

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// gemmCase is a product with its operands, and room in every row that must stay
// as it is.
type gemmCase struct {
	transA, transB, withBias bool
	m, n, k                  int
	lda, ldb, ldc            int
	alpha, beta              float32
	act                      Activation
	a, b, c, bias            []float32
}

func (g *gemmCase) String() string {
	return fmt.Sprintf("%dx%dx%d, transposed %v %v, strides %d %d %d, alpha %v, beta %v, bias %v, act %d",
		g.m, g.n, g.k, g.transA, g.transB, g.lda, g.ldb, g.ldc, g.alpha, g.beta, g.withBias, g.act)
}

// newGemmCase draws flags, factors, strides and elements for a shape.
func newGemmCase(r *rand.Rand, m, n, k int) *gemmCase {
	factors := []float32{0, 1, -0.75}
	g := &gemmCase{m: m, n: n, k: k, transA: r.IntN(2) == 0, transB: r.IntN(2) == 0, withBias: r.IntN(3) == 0,
		alpha: factors[[]int{0, 1, 1, 1, 2, 2}[r.IntN(6)]], beta: factors[r.IntN(3)], act: Activation(r.IntN(2))}
	if g.withBias {
		g.beta = 0
		g.bias = fill(make([]float32, n), r, normal)
	} else {
		g.act = None
	}
	size := func(rows, cols, extra int) (stride, n int) {
		stride = cols + extra
		return stride, max(0, (rows-1)*stride+cols)
	}
	ra, ca, rb, cb := m, k, k, n
	if g.transA {
		ra, ca = ca, ra
	}
	if g.transB {
		rb, cb = cb, rb
	}
	var na, nb, nc int
	g.lda, na = size(ra, ca, r.IntN(4))
	g.ldb, nb = size(rb, cb, r.IntN(4))
	g.ldc, nc = size(m, n, r.IntN(4))
	g.a, g.b, g.c = fill(aligned[float32](na, r.IntN(4)), r, normal), fill(aligned[float32](nb, r.IntN(4)), r, normal), fill(make([]float32, nc), r, normal)
	if g.beta == 0 && r.IntN(2) == 0 {
		nan := float32(math.NaN())
		for i := range g.c {
			if g.ldc == 0 || i%g.ldc < n {
				g.c[i] = nan
			}
		}
	}
	return g
}

func (g *gemmCase) call(workers int, c []float32) {
	switch {
	case g.withBias && workers == 0:
		GemmBias(g.transA, g.transB, g.m, g.n, g.k, g.alpha, g.a, g.lda, g.b, g.ldb, g.bias, g.act, c, g.ldc)
	case g.withBias:
		GemmBiasSplit(workers, g.transA, g.transB, g.m, g.n, g.k, g.alpha, g.a, g.lda, g.b, g.ldb, g.bias, g.act, c, g.ldc)
	case workers == 0:
		Gemm(g.transA, g.transB, g.m, g.n, g.k, g.alpha, g.a, g.lda, g.b, g.ldb, g.beta, c, g.ldc)
	default:
		GemmSplit(workers, g.transA, g.transB, g.m, g.n, g.k, g.alpha, g.a, g.lda, g.b, g.ldb, g.beta, c, g.ldc)
	}
}

// element is element i, j of a matrix that op transposes.
func element(s []float32, stride int, trans bool, i, j int) float64 {
	if trans {
		i, j = j, i
	}
	return float64(s[i*stride+j])
}

// check compares c, which was g.c, with the product in float64, and the room
// between its rows with what was there.
func (g *gemmCase) check(c []float32) error {
	for i, v := range c {
		if i%g.ldc >= g.n && !same(v, g.c[i]) {
			return fmt.Errorf("%v: wrote between rows, at element %d", g, i)
		}
	}
	for i := range g.m {
		for j := range g.n {
			var sum, size float64
			for l := range g.k {
				x := element(g.a, g.lda, g.transA, i, l) * element(g.b, g.ldb, g.transB, l, j)
				sum, size = sum+x, size+math.Abs(x)
			}
			alpha := float64(g.alpha)
			sum, size = alpha*sum, math.Abs(alpha)*size
			at := i*g.ldc + j
			if g.beta != 0 {
				x := float64(g.beta) * float64(g.c[at])
				sum, size = sum+x, size+math.Abs(x)
			}
			if g.withBias {
				sum, size = sum+float64(g.bias[j]), size+math.Abs(float64(g.bias[j]))
			}
			if g.act == ReLU {
				sum = max(sum, 0)
			}
			if d := math.Abs(float64(c[at]) - sum); !(d <= float64(2*g.k+8)*0x1p-24*size) {
				return fmt.Errorf("%v: element %d, %d is %v, want %v, off by %g", g, i, j, c[at], sum, d)
			}
		}
	}
	return nil
}

func (g *gemmCase) copy() []float32 { return append([]float32(nil), g.c...) }

func TestProductsOfMatricesMatchTheirMeaning(t *testing.T) {
	implementations(t, func(t *testing.T) {
		r := seeded(31)
		try := func(m, n, k int) {
			g := newGemmCase(r, m, n, k)
			c := g.copy()
			g.call(0, c)
			if err := g.check(c); err != nil {
				t.Fatal(err)
			}
		}
		// Every tile there is, whole and in part.
		for m := range 16 {
			for _, n := range []int{0, 1, 3, 4, 5, 8, 9, 15, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65} {
				try(m, n, r.IntN(12))
				try(m, n, 8+r.IntN(30))
			}
		}
		for range 600 {
			try(r.IntN(80), r.IntN(80), r.IntN(80))
		}
		// More than a block of rows, of columns and of depth.
		for _, s := range [][3]int{{230, 40, 20}, {15, 1100, 9}, {30, 140, 600}, {1, 300, 400}, {300, 1, 530}, {3, 5, 1000}, {60, 200, 257}, {5, 1100, 300}} {
			for range 8 {
				try(s[0], s[1], s[2])
			}
		}
	})
}

func TestProductsHaveTheSameBitsHoweverManyGoroutines(t *testing.T) {
	implementations(t, func(t *testing.T) {
		r := seeded(32)
		for _, s := range [][3]int{{100, 90, 80}, {70, 200, 300}, {1, 900, 400}, {1, 3000, 300}, {900, 1, 400}, {4, 600, 300}, {2, 900, 270}, {33, 1000, 10}, {500, 17, 70}, {300, 5, 0}} {
			for range 6 {
				g := newGemmCase(r, s[0], s[1], s[2])
				want := g.copy()
				g.call(0, want)
				for _, workers := range []int{1, 2, 3, 7} {
					c := g.copy()
					g.call(workers, c)
					for i := range c {
						if !same(c[i], want[i]) && !(c[i] != c[i] && want[i] != want[i]) {
							t.Fatalf("%v: element %d is %v with %d goroutines, %v with one", g, i, c[i], workers, want[i])
						}
					}
				}
			}
		}
	})
}

func TestVectorsTimesMatricesMatchTheirMeaning(t *testing.T) {
	implementations(t, func(t *testing.T) {
		r := seeded(33)
		for range 300 {
			m, n := r.IntN(70), r.IntN(70)
			trans, beta := r.IntN(2) == 0, []float32{0, 1, 2}[r.IntN(3)]
			in, out := n, m
			if trans {
				in, out = m, n
			}
			lda := n + r.IntN(3)
			g := &gemmCase{transA: trans, m: out, n: 1, k: in, lda: lda, ldb: 1, ldc: 1, alpha: 0.5, beta: beta,
				a: fill(make([]float32, m*lda), r, normal), b: fill(make([]float32, in), r, normal), c: fill(make([]float32, out), r, normal)}
			y := g.copy()
			Gemv(trans, m, n, 0.5, g.a, lda, g.b, beta, y)
			if err := g.check(y); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestABatchOfProductsIsEachOfThem(t *testing.T) {
	implementations(t, func(t *testing.T) {
		r := seeded(34)
		const count = 5
		for _, stepB := range []int{0, 200} {
			m, n, k := 7, 9, 11
			a, b := fill(make([]float32, 100*count), r, normal), fill(make([]float32, 200*count), r, normal)
			got := make([]float32, 80*count)
			GemmBatch(false, true, m, n, k, 1, a, k, 100, b, k, stepB, 0, got, n, 80, count)
			for i := range count {
				want := make([]float32, m*n)
				Gemm(false, true, m, n, k, 1, a[100*i:], k, b[stepB*i:], k, 0, want, n)
				for j, v := range want {
					if !same(got[80*i+j], v) {
						t.Fatalf("product %d, element %d is %v, alone %v", i, j, got[80*i+j], v)
					}
				}
			}
		}
	})
}

func TestReLUKeepsNaNAndClearsNegatives(t *testing.T) {
	implementations(t, func(t *testing.T) {
		for _, n := range []int{1, 7, 20, 40} {
			a, b, c := []float32{1, 2, 3, 4, 5, 1}, make([]float32, n), make([]float32, 6*n)
			for j := range b {
				b[j] = float32(j%3 - 1)
			}
			b[n/2] = float32(math.NaN())
			GemmBias(false, false, 6, n, 1, 1, a, 1, b, n, nil, ReLU, c, n)
			for i := range c {
				want := a[i/n] * b[i%n]
				if want < 0 {
					want = 0
				}
				if c[i] != want && !(c[i] != c[i] && want != want) {
					t.Fatalf("element %d of rows of %d is %v, want %v", i, n, c[i], want)
				}
			}
		}
	})
}

func TestProductsOfWrongSizesPanicByName(t *testing.T) {
	f := make([]float32, 12)
	for i, call := range []func(){
		func() { Gemm(false, false, 3, 4, 4, 1, f, 4, f, 4, 0, f, 4) },
		func() { Gemm(false, false, 3, 4, 3, 1, f, 2, f, 4, 0, f, 4) },
		func() { Gemm(true, false, 3, 4, 5, 1, f, 3, f, 4, 0, f, 4) },
		func() { Gemm(false, true, 3, 4, 2, 1, f, 2, f, 4, 0, f, 4) },
		func() { Gemm(false, false, 3, 4, 0, 1, nil, 0, nil, 0, 0, f[:11], 4) },
		func() { Gemm(false, false, -1, 4, 0, 1, nil, 0, nil, 0, 0, f, 4) },
		func() { Gemm(false, false, 3, 1, 1, 1, f, math.MaxInt, f, 1, 0, f, 1) },
		func() { GemmBias(false, false, 3, 4, 1, 1, f, 1, f, 4, f[:3], None, f, 4) },
		func() { GemmBatch(false, false, 2, 2, 1, 1, f, 1, 2, f, 2, 2, 0, f, 2, 4, 4) },
		func() { GemmBatch(false, false, 2, 2, 1, 1, f, 1, -2, f, 2, 2, 0, f, 2, 4, 2) },
		func() { GemmSplit(0, false, false, 3, 4, 1, 1, f, 1, f, 4, 0, f, 4) },
		func() { GemmBiasSplit(2, false, false, 3, 4, 1, 1, f, 1, f, 4, f[:3], None, f, 4) },
		func() { Gemv(false, 3, 4, 1, f, 4, f[:3], 0, f[:3]) },
		func() { Gemv(true, 3, 4, 1, f, 4, f[:3], 0, f[:3]) },
	} {
		names := []string{"Gemm", "Gemm", "Gemm", "Gemm", "Gemm", "Gemm", "Gemm", "GemmBias", "GemmBatch", "GemmBatch", "GemmSplit", "GemmBiasSplit", "Gemv", "Gemv"}
		func() {
			defer func() {
				msg, _ := recover().(string)
				if want := "simd: " + names[i] + ": "; len(msg) < len(want) || msg[:len(want)] != want {
					t.Errorf("call %d of %s panicked with %q", i, names[i], msg)
				}
			}()
			call()
		}()
	}
}

func FuzzGemm(f *testing.F) {
	for i, s := range [][3]uint8{{0, 3, 4}, {1, 70, 30}, {40, 1, 9}, {14, 32, 8}, {33, 65, 100}, {4, 50, 16}} {
		f.Add(uint64(i), s[0], s[1], s[2])
	}
	f.Fuzz(func(t *testing.T, seed uint64, m, n, k uint8) {
		implementations(t, func(t *testing.T) {
			g := newGemmCase(rand.New(rand.NewPCG(seed, 1)), int(m), int(n), int(k))
			c := g.copy()
			g.call(int(seed%3), c)
			if err := g.check(c); err != nil {
				t.Fatal(err)
			}
		})
	})
}
