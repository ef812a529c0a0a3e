package simd

import (
	"math"
	"math/rand/v2"
	"testing"
)

// ulps is the distance of got from the exact want, in float32 numbers there.
func ulps(got float32, want float64) float64 {
	g := float64(got)
	switch {
	case math.IsNaN(want) || math.IsNaN(g):
		if math.IsNaN(want) && math.IsNaN(g) {
			return 0
		}
		return math.Inf(1)
	case math.Abs(want) >= 0x1.ffffffp127: // rounds to Inf
		if math.IsInf(g, int(math.Copysign(1, want))) {
			return 0
		}
		want = math.Copysign(0x1p128, want)
	case math.IsInf(g, 0):
		g = math.Copysign(0x1p128, g)
	}
	_, exp := math.Frexp(want)
	return math.Abs(g-want) / math.Ldexp(1, max(exp-24, -149))
}

type elementFunction struct {
	name  string
	do    func(dst, src []float32)
	want  func(float64) float64
	bound float64
}

func elementFunctions() []elementFunction {
	return []elementFunction{
		{"Exp", Exp, math.Exp, 1},
		{"Log", Log, math.Log, 1},
		{"Sigmoid", Sigmoid, func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }, 3},
		{"Tanh", Tanh, math.Tanh, 3},
	}
}

func (f elementFunction) title() string { return f.name }

func TestFunctionsOfElementsKeepTheirErrorBound(t *testing.T) {
	step := uint64(2003)
	if testing.Short() {
		step = 20011
	}
	implementations(t, func(t *testing.T) {
		run(t, elementFunctions(), func(t *testing.T, f elementFunction) {
			const n = 1 << 12
			src, dst := make([]float32, n), make([]float32, n)
			var worst float64
			var at float32
			for bits := uint64(0); bits < 1<<32; {
				for i := range src {
					src[i] = math.Float32frombits(uint32(min(bits, 1<<32-1)))
					bits += step
				}
				f.do(dst, src)
				for i, x := range src {
					if e := ulps(dst[i], f.want(float64(x))); e > worst {
						worst, at = e, x
					}
				}
			}
			if worst > f.bound {
				t.Errorf("%v at %v; the bound is %v ulp", worst, at, f.bound)
			}
			t.Logf("%.3f ulp at %v", worst, at)
		})
	})
}

func TestFunctionsOfElementsKeepSpecialValues(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	src := []float32{0, float32(math.Copysign(0, -1)), inf, -inf, nan, 1, -1, 88.72283, 88.72284, -87.4, -103.97, -103.98, -104.5,
		0x1p-149, -0x1p-149, 0x1p-126, 0x1.fffffcp-127, 0x1.fffffep127, -0x1.fffffep127, 9.01, -9.02, 0.75, 1.5, 0x1.7ffffep0, 0x1.fffffep-1}
	implementations(t, func(t *testing.T) {
		run(t, elementFunctions(), func(t *testing.T, f elementFunction) {
			for i, x := range src {
				for lane := range 17 {
					v := make([]float32, 17)
					v[lane] = x
					f.do(v, v)
					want := f.want(float64(x))
					if e := ulps(v[lane], want); e > f.bound || want == 0 && f.name == "Tanh" && math.Signbit(float64(v[lane])) != math.Signbit(want) {
						t.Fatalf("value %d, %v in lane %d: %v, want %v", i, x, lane, v[lane], want)
					}
				}
			}
		})
	})
}

func TestFunctionsOfElementsGiveALaneTheSameBitsInAnyPlace(t *testing.T) {
	all := append(elementFunctions(), elementFunction{name: "Gelu", do: Gelu})
	implementations(t, func(t *testing.T) {
		run(t, all, func(t *testing.T, f elementFunction) {
			one, got := make([]float32, 1), make([]float32, 71)
			for n := range 71 {
				src := fill(make([]float32, n), seeded(n), func(r *rand.Rand) float32 { return 10 * normal(r) })
				got[n] = 7
				copy(got, src)
				f.do(got[:n], got[:n])
				for i := range src {
					f.do(one, src[i:i+1])
					if math.Float32bits(one[0]) != math.Float32bits(got[i]) && !math.IsNaN(float64(one[0])) {
						t.Fatalf("%v: %v alone, %v in place %d of %d", src[i], one[0], got[i], i, n)
					}
				}
				if got[n] != 7 {
					t.Fatalf("%d elements: wrote one more", n)
				}
			}
		})
	})
}

func TestGeluIsWithinItsBoundOfTheExactValue(t *testing.T) {
	implementations(t, func(t *testing.T) {
		src, dst := make([]float32, 1<<12), make([]float32, 1<<12)
		for lo := -12.0; lo < 12; lo += 0.5 {
			for i := range src {
				src[i] = float32(lo + float64(i)/(1<<13))
			}
			Gelu(dst, src)
			for i, x := range src {
				want := float64(x) / 2 * math.Erfc(-float64(x)/math.Sqrt2)
				bound := math.Abs(float64(x)) * 0x1p-22
				if x < -5.5 {
					bound = 0x1p-20
				}
				if e := math.Abs(float64(dst[i]) - want); e > bound {
					t.Fatalf("%v gives %v, %g from %v", x, dst[i], e, want)
				}
			}
		}
		inf, nan := float32(math.Inf(1)), float32(math.NaN())
		x := []float32{0, inf, 3e38, nan, -inf, -3e38}
		Gelu(x, x)
		if x[0] != 0 || x[1] != inf || !(math.Abs(float64(x[2])/3e38-1) < 0x1p-22) || x[3] == x[3] || !(math.Abs(float64(x[4])) < 0x1p-20) || !(math.Abs(float64(x[5])) < 0x1p-20) {
			t.Errorf("0, Inf, 3e38, NaN, -Inf and -3e38 give %v", x)
		}
	})
}

func TestSoftmaxIsSharesThatSumToOne(t *testing.T) {
	implementations(t, func(t *testing.T) {
		for n := 1; n < 300; n += 1 + n/40 {
			x := fill(make([]float32, n), seeded(n), func(r *rand.Rand) float32 { return 5 * normal(r) })
			var want float64
			for _, v := range x {
				want += math.Exp(float64(v))
			}
			y, shifted := make([]float32, n), make([]float32, n)
			lse := Softmax(y, x)
			var sum float64
			for i, v := range y {
				sum += float64(v)
				if e := math.Abs(float64(v)*want/math.Exp(float64(x[i])) - 1); e > 2e-6 {
					t.Fatalf("share %d of %d is off by %g", i, n, e)
				}
			}
			if math.Abs(sum-1) > 1e-6 || math.Abs(lse-math.Log(want)) > 1e-6 {
				t.Fatalf("%d elements: sum %v, log-sum %v, want %v", n, sum, lse, math.Log(want))
			}
			for i := range shifted {
				shifted[i] = x[i] + 512 // in whole steps of the float32 there
				x[i] = shifted[i] - 512
			}
			a, b := Softmax(y, x), Softmax(shifted, shifted)
			for i := range shifted {
				if shifted[i] != y[i] {
					t.Fatalf("share %d of %d is %v, %v when all are 512 more", i, n, y[i], shifted[i])
				}
			}
			if math.Abs(b-a-512) > 1e-12 {
				t.Fatalf("log-sum of %d is %v, %v when all are 512 more", n, a, b)
			}
		}
		inf := float32(math.Inf(1))
		for _, c := range []struct{ x, want []float32 }{
			{[]float32{-inf, 3, -inf, 3}, []float32{0, 0.5, 0, 0.5}},
			{[]float32{3e38, -3e38}, []float32{1, 0}},
		} {
			Softmax(c.x, c.x)
			for i := range c.x {
				if c.x[i] != c.want[i] {
					t.Errorf("got %v, want %v", c.x, c.want)
				}
			}
		}
		for _, x := range [][]float32{{-inf, -inf}, {1, inf}, {1, float32(math.NaN()), 2}} {
			if lse := Softmax(x, x); lse == lse || x[1] == x[1] {
				t.Errorf("a row without shares gave %v, %v", x, lse)
			}
		}
		if lse := Softmax(nil, nil); !math.IsInf(lse, -1) {
			t.Errorf("log-sum of nothing is %v", lse)
		}
	})
}
