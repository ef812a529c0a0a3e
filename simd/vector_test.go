package simd

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"
	"math/rand/v2"
	"testing"
	"unsafe"
)

func TestCosineGivesTheThreeSums(t *testing.T) {
	implementations(t, func(t *testing.T) {
		dot := floatFamilies()[0]
		for _, n := range lengths() {
			r := seeded(n)
			a, b := fill(aligned[float32](n, n%4), r, normal), fill(aligned[float32](n, n%3), r, normal)
			ab, aa, bb := Cosine(a, b)
			for _, c := range []struct {
				x, y []float32
				got  float32
			}{{a, b, ab}, {a, a, aa}, {b, b, bb}, {a, a, Norm(a)}} {
				if err := dot.check(c.x, c.y, c.got); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

func TestAxpyAddsTheMultipleAndNothingMore(t *testing.T) {
	implementations(t, func(t *testing.T) {
		for _, n := range lengths() {
			r := seeded(n)
			x, y := fill(aligned[float32](n, n%4), r, normal), fill(aligned[float32](n+1, n%3), r, normal)
			before := append([]float32(nil), y...)
			Axpy(0.3, x, y[:n])
			for i := range n {
				p := float64(float32(0.3)) * float64(x[i])
				want := float64(before[i]) + p
				if d := math.Abs(float64(y[i]) - want); d > 0x1p-23*(math.Abs(p)+math.Abs(want)) {
					t.Fatalf("element %d of %d is %v, want %v", i, n, y[i], want)
				}
			}
			if y[n] != before[n] {
				t.Fatalf("Axpy of %d elements changed one more", n)
			}
		}
	})
}

func TestProbeReadsEveryElementOnce(t *testing.T) {
	implementations(t, func(t *testing.T) {
		for _, n := range lengths() {
			x := aligned[float32](n, n%4)
			var want uint32
			r := seeded(n)
			for i := range x {
				b := r.Uint32() &^ (1 << 30) // no NaN, whose bits may change when passed
				x[i] = math.Float32frombits(b)
				want ^= b
			}
			if got := math.Float32bits(Probe(x)); got != want {
				t.Fatalf("%d elements: %#x, want %#x", n, got, want)
			}
		}
	})
}

func TestTheLargestIDOfAListIsChecked(t *testing.T) {
	implementations(t, func(t *testing.T) {
		q, rows := make([]float32, 1), make([]float32, 50)
		for n := 1; n < 70; n++ {
			ids, out := make([]uint32, n), make([]float32, n)
			for at := range n {
				for _, id := range []uint32{49, 50, math.MaxUint32} {
					ids[at] = id
					failed := func() (failed bool) {
						defer func() { failed = recover() != nil }()
						DotGather(q, rows, 1, ids, out)
						return
					}()
					if failed != (id > 49) {
						t.Fatalf("id %d at %d of %d: panic is %v", id, at, n, failed)
					}
				}
				ids[at] = 7
			}
		}
	})
}

func TestPopcountCountsOnes(t *testing.T) {
	implementations(t, func(t *testing.T) {
		for _, n := range lengths() {
			want := 0
			a := fill(aligned[uint64](n, n%4), seeded(n), (*rand.Rand).Uint64)
			for _, w := range a {
				want += bits.OnesCount64(w)
			}
			if got := Popcount(a); got != want {
				t.Fatalf("%d words: %d, want %d", n, got, want)
			}
		}
	})
}

func TestElementwiseArithmeticChangesItsFirstArgumentOnly(t *testing.T) {
	for _, n := range []int{0, 1, 7, 8, 9, 31, 64, 100} {
		r := seeded(n)
		x, y := fill(make([]float32, n), r, normal), fill(make([]float32, n), r, normal)
		for name, c := range map[string]struct {
			do   func(y []float32)
			want func(y, x float32) float32
		}{
			"Add":   {func(y []float32) { Add(y, x) }, func(y, x float32) float32 { return y + x }},
			"Sub":   {func(y []float32) { Sub(y, x) }, func(y, x float32) float32 { return y - x }},
			"Mul":   {func(y []float32) { Mul(y, x) }, func(y, x float32) float32 { return y * x }},
			"Scale": {func(y []float32) { Scale(y, 3) }, func(y, _ float32) float32 { return 3 * y }},
		} {
			xs, ys := append([]float32(nil), x...), append([]float32(nil), y...)
			c.do(ys)
			for i := range ys {
				if ys[i] != c.want(y[i], x[i]) || x[i] != xs[i] {
					t.Fatalf("%s: element %d of %d is %v", name, i, n, ys[i])
				}
			}
		}
		var sum, size float64
		top := float32(math.Inf(-1))
		for _, v := range x {
			sum, size, top = sum+float64(v), size+math.Abs(float64(v)), max(top, v)
		}
		if d := math.Abs(float64(Sum(x)) - sum); d > float64(2*n)*0x1p-24*size {
			t.Fatalf("Sum of %d is off by %g", n, d)
		}
		if n > 0 && Max(x) != top {
			t.Fatalf("Max of %d is %v, want %v", n, Max(x), top)
		}
	}
}

func TestFloatsViewsOnlyAlignedWholeValues(t *testing.T) {
	f := []float32{1, -2.5, float32(math.Inf(1)), 0x1p-149}
	b := Bytes(f)
	want := make([]byte, 0, 16)
	for _, v := range f {
		want = binary.NativeEndian.AppendUint32(want, math.Float32bits(v))
	}
	if !bytes.Equal(b, want) {
		t.Fatalf("Bytes is %x, want %x", b, want)
	}
	native := binary.NativeEndian.Uint16([]byte{1, 0}) == 1
	if g, ok := Floats(b); ok != native || ok && unsafe.SliceData(g) != unsafe.SliceData(f) {
		t.Errorf("Floats of aligned bytes: %v, %v", g, ok)
	}
	for _, bad := range [][]byte{b[1:13], b[2:10], b[:15], b[3:]} {
		if g, ok := Floats(bad); ok {
			t.Errorf("Floats viewed %d bytes at a bad place as %v", len(bad), g)
		}
	}
	if g, ok := Floats(nil); ok != native || len(g) != 0 || Bytes(nil) != nil {
		t.Error("empty input has a view of something")
	}
}
