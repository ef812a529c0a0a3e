package simd

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"
)

// floatsOf reads values from fuzz input; those whose products could overflow
// are scaled down, since an overflow depends on the order of additions.
func floatsOf(b []byte) []float32 {
	f := make([]float32, len(b)/4)
	for i := range f {
		v := math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		if a := math.Abs(float64(v)); !(a < 0x1p55) {
			v = float32(i)
		} else if a < 0x1p-55 {
			v = 0 // products below the normal range have an absolute error
		}
		f[i] = v
	}
	return f
}

// seeds adds inputs around the block lengths.
func seeds(f *testing.F) {
	for _, n := range []int{0, 1, 15, 64, 128, 260, 1030} {
		b := make([]byte, n)
		r := seeded(n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		f.Add(b)
		f.Add(bytes.Repeat([]byte{0x80, 0xff, 0x7f, 0x3f}, n/4+1))
	}
}

// fuzz halves the input and checks a kernel on it under each implementation.
func fuzz[Q, R, S any](f *testing.F, list []family[Q, R, S], q func([]byte) []Q, r func([]byte) []R) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		x, y := q(b), r(b[len(b)/2:])
		n := min(len(x), len(y))
		x, y = x[:n], y[:n]
		implementations(t, func(t *testing.T) {
			for _, k := range list {
				got := k.pair(x, y)
				if err := k.check(x, y, got); err != nil {
					t.Fatal(err)
				}
				out := make([]S, 5)
				k.gather(x, y, n, make([]uint32, 5), out)
				for _, v := range out {
					if !same(v, got) {
						t.Fatalf("%s: gather gives %v, pair %v", k.name, v, got)
					}
				}
			}
		})
	})
}

func FuzzDot(f *testing.F) { fuzz(f, floatFamilies()[:1], floatsOf, floatsOf) }
func FuzzL2(f *testing.F)  { fuzz(f, floatFamilies()[1:], floatsOf, floatsOf) }

func FuzzHalf(f *testing.F) {
	fuzz(f, halfFamilies(), floatsOf, func(b []byte) []uint16 {
		h := make([]uint16, len(b)/2)
		for i := range h {
			h[i] = binary.LittleEndian.Uint16(b[2*i:])
			if h[i]>>10&31 == 31 {
				h[i] &= 0x83ff
			}
		}
		return h
	})
}

func FuzzI8(f *testing.F) {
	signed := func(b []byte) []int8 {
		s := make([]int8, len(b))
		for i := range b {
			s[i] = int8(b[i])
		}
		return s
	}
	fuzz(f, int8Families(), signed, signed)
}

func FuzzU8(f *testing.F) {
	same := func(b []byte) []uint8 { return b }
	fuzz(f, uint8Families(), same, same)
}

func FuzzHamming(f *testing.F) {
	words := func(b []byte) []uint64 {
		w := make([]uint64, len(b)/8)
		for i := range w {
			w[i] = binary.LittleEndian.Uint64(b[8*i:])
		}
		return w
	}
	fuzz(f, wordFamilies(), words, words)
}
