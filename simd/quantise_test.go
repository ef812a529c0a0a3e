package simd

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// steps are levels as codes of signed and unsigned bytes have them, and odd ones.
func steps(lo, hi float32) []Steps {
	var l []Steps
	for _, s := range []Steps{
		{Offset: (lo + hi) / 2, Scale: (hi - lo) / 255, Lo: -128, Hi: 127},
		{Offset: lo, Scale: (hi - lo) / 255, Lo: 0, Hi: 255},
		{Offset: lo, Scale: 1, Lo: 0, Hi: 255},
		{Offset: 3.5, Scale: 0.25, Lo: 0, Hi: 15},
		{Offset: lo, Lo: 0, Hi: 255},
	} {
		if s.Inv = 1 / s.Scale; !(s.Scale > 0) || s.Inv > math.MaxFloat32 {
			s.Scale, s.Inv = 0, 0
		}
		l = append(l, s)
	}
	return l
}

// level is the number of the level nearest to x, and the difference.
func (s *Steps) level(x float32) (i int32, d float32) {
	y := float64(float32(x-s.Offset) * s.Inv)
	i = int32(math.RoundToEven(min(max(y, float64(s.Lo)), float64(s.Hi))))
	product := float32(float64(s.Scale) * float64(i))
	return i, x - float32(s.Offset+product)
}

func quantised(v []float32, s *Steps) error {
	codes := make([]uint8, len(v)+2)
	codes[0], codes[len(v)+1] = 77, 77
	got := Quantise(codes[1:len(v)+1], v, s)
	want := Loss{Exact: true}
	var err float64
	for j, x := range v {
		i, d := s.level(x)
		if codes[1+j] != uint8(i) {
			return fmt.Errorf("code %d of %v by %+v is %d, want %d", j, x, *s, codes[1+j], uint8(i))
		}
		want.Sum += i
		want.Square += i * i
		err += float64(d) * float64(d)
		want.Exact = want.Exact && d == 0
	}
	want.Err = got.Err
	if got != want {
		return fmt.Errorf("%d elements by %+v: %+v, want %+v", len(v), *s, got, want)
	}
	if n := float64(len(v) + 2); math.Abs(float64(got.Err)-err) > n*0x1p-24*err+n*0x1p-149 {
		return fmt.Errorf("%d elements by %+v: squared error %v, want %v", len(v), *s, got.Err, err)
	}
	if codes[0] != 77 || codes[len(v)+1] != 77 {
		return fmt.Errorf("codes outside the slice were written")
	}
	return nil
}

func spanned(v []float32) error {
	lo, hi, whole := Span(v)
	least, most, all := math.Inf(1), math.Inf(-1), true
	for _, x := range v {
		least, most = min(least, float64(x)), max(most, float64(x))
		all = all && float64(x) == math.Trunc(float64(x)) && math.Abs(float64(x)) < 1<<31
	}
	if len(v) > 0 && (float64(lo) != least || float64(hi) != most || whole != all) {
		return fmt.Errorf("%d elements span %v..%v, whole: %v; want %v..%v, %v", len(v), lo, hi, whole, least, most, all)
	}
	if lo == 0 && math.Signbit(float64(lo)) || hi == 0 && math.Signbit(float64(hi)) {
		return fmt.Errorf("span ends in -0")
	}
	return nil
}

// kinds are elements of vectors that a code may meet.
var kinds = map[string]func(*rand.Rand) float32{
	"normal":   normal,
	"bytes":    func(r *rand.Rand) float32 { return float32(r.IntN(256)) },
	"signed":   func(r *rand.Rand) float32 { return float32(r.IntN(256) - 128) },
	"halves":   func(r *rand.Rand) float32 { return float32(r.IntN(512)) / 2 },
	"constant": func(*rand.Rand) float32 { return 0.1 },
	"zeros":    func(r *rand.Rand) float32 { return float32(math.Copysign(0, r.Float64()-0.5)) },
	"tiny":     func(r *rand.Rand) float32 { return float32(r.NormFloat64() * 1e-41) },
	"huge":     func(r *rand.Rand) float32 { return float32(r.NormFloat64() * 1e15) },
	"wide":     func(r *rand.Rand) float32 { return float32(r.IntN(3)-1) * (1 << 31) },
}

func TestCodesAreTheNearestLevels(t *testing.T) {
	implementations(t, func(t *testing.T) {
		for name, kind := range kinds {
			for _, n := range lengths() {
				r := seeded(n)
				v := fill(aligned[float32](n, n%4), r, kind)
				if err := spanned(v); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				lo, hi, _ := Span(v)
				for _, s := range steps(lo, hi) {
					if err := quantised(v, &s); err != nil {
						t.Fatalf("%s: %v", name, err)
					}
				}
			}
		}
	})
}

func TestOneFractionInAnyPlaceMakesAVectorNotWhole(t *testing.T) {
	implementations(t, func(t *testing.T) {
		v := make([]float32, 70)
		for n := 1; n <= len(v); n++ {
			for i := range n {
				v[i] = -2.5
				lo, hi, whole := Span(v[:n])
				if whole || lo != -2.5 || hi != 0 && n > 1 {
					t.Fatalf("element %d of %d: %v..%v, whole: %v", i, n, lo, hi, whole)
				}
				v[i] = 0
			}
		}
	})
}

func FuzzQuantise(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		v := floatsOf(b)
		implementations(t, func(t *testing.T) {
			if err := spanned(v); err != nil {
				t.Fatal(err)
			}
			lo, hi, _ := Span(v)
			all := steps(lo, hi)
			if len(b) >= 4 {
				all[0].Lo = float32(int8(binary.LittleEndian.Uint32(b)))
			}
			for _, s := range all {
				if err := quantised(v, &s); err != nil {
					t.Fatal(err)
				}
			}
		})
	})
}

func BenchmarkQuantise(b *testing.B) {
	for _, n := range []int{128, 784} {
		v := fill(make([]float32, n), seeded(n), normal)
		codes := make([]uint8, n)
		s := Steps{Scale: 0.02, Inv: 50, Lo: -128, Hi: 127}
		b.Run(fmt.Sprintf("%d/span", n), func(b *testing.B) {
			for b.Loop() {
				Span(v)
			}
		})
		b.Run(fmt.Sprintf("%d/codes", n), func(b *testing.B) {
			for b.Loop() {
				Quantise(codes, v, &s)
			}
		})
	}
}
