package simd

import (
	"math"
	"testing"
)

func TestEveryHalfWidensToItsValueAndBack(t *testing.T) {
	implementations(t, func(t *testing.T) {
		all := make([]uint16, 1<<16)
		for i := range all {
			all[i] = uint16(i)
		}
		wide, back := make([]float32, len(all)), make([]uint16, len(all))
		FromHalf(wide, all)
		ToHalf(back, wide)
		for i, h := range all {
			sign, exp, frac := 1-2*int(h>>15), int(h>>10&31), float64(h&1023)
			want, round := float64(sign)*(1+frac/1024)*math.Ldexp(1, exp-15), h
			switch {
			case exp == 31 && frac != 0:
				want, round = math.NaN(), h|0x200
			case exp == 31:
				want = math.Inf(sign)
			case exp == 0:
				want = float64(sign) * frac * 0x1p-24
			}
			got := float64(wide[i])
			if got != want && !(math.IsNaN(got) && math.IsNaN(want)) || math.Signbit(got) != (sign < 0) {
				t.Fatalf("half %#04x widens to %v, want %v", h, got, want)
			}
			if bits := math.Float32bits(wide[i]); math.IsNaN(want) && bits>>13&0x3ff != uint32(round&0x3ff) {
				t.Fatalf("half %#04x widens to NaN %#08x, which lost its payload", h, bits)
			}
			if back[i] != round {
				t.Fatalf("half %#04x goes back as %#04x, want %#04x", h, back[i], round)
			}
		}
	})
}

// Halves in order of value are integers in order, so the half nearest to a value
// between two neighbours is known without arithmetic on bits.
func TestToHalfRoundsToNearestEven(t *testing.T) {
	implementations(t, func(t *testing.T) {
		var src []float32
		var want []uint16
		expect := func(f float32, h uint16) {
			src, want = append(src, f, -f), append(want, h, h|0x8000)
		}
		for h := uint16(0); h < 0x7c00; h++ {
			low, high := float64(widen(h)), float64(widen(h+1))
			if h == 0x7bff {
				high = 65536 // where the next would be; half-way is Inf
			}
			tie := float32((low + high) / 2)
			even := h + h&1
			expect(tie, even)
			expect(math.Nextafter32(tie, 0), h)
			expect(math.Nextafter32(tie, math.MaxFloat32), h+1)
		}
		expect(math.MaxFloat32, 0x7c00)
		expect(float32(math.Inf(1)), 0x7c00)
		expect(math.SmallestNonzeroFloat32, 0)
		got := make([]uint16, len(src))
		ToHalf(got, src)
		for i := range src {
			if got[i] != want[i] {
				t.Fatalf("%v rounds to %#04x, want %#04x", src[i], got[i], want[i])
			}
		}
	})
}

func TestConversionsCoverEveryLengthAndNothingMore(t *testing.T) {
	implementations(t, func(t *testing.T) {
		for _, n := range lengths() {
			r := seeded(n)
			f, h := fill(aligned[float32](n, n%4), r, normal), aligned[uint16](n+1, n%3)
			h[n] = 0xabcd
			ToHalf(h[:n], f)
			g := aligned[float32](n+1, n%2)
			g[n] = 42
			FromHalf(g[:n], h[:n])
			for i := range n {
				if h[i] != narrow(f[i]) || g[i] != widen(h[i]) {
					t.Fatalf("element %d of %d: %v, %#04x, %v", i, n, f[i], h[i], g[i])
				}
			}
			if h[n] != 0xabcd || g[n] != 42 {
				t.Fatalf("a conversion of %d elements wrote one more", n)
			}
		}
	})
}
