package simd

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// affineFamily is an affine kernel in its two shapes, and its meaning.
type affineFamily[Q any] struct {
	name   string
	rows   func(q []Q, k *[5]float32, rows []uint8, stride int, out []float32)
	gather func(q []Q, k *[5]float32, rows []uint8, stride int, ids []uint32, out []float32)
	sum    func(q []Q, codes []uint8) int64
	codes  func(n int) int // bytes of codes for a query of n elements
	unit   int             // elements of a query come in multiples of it
	query  func(*rand.Rand) Q
	pad    func(n int, codes []uint8) // clears what must be zero
}

func (f affineFamily[Q]) title() string { return f.name }

func affineI8() []affineFamily[uint8] {
	return []affineFamily[uint8]{{"AffineI8", AffineRowsI8, AffineGatherI8,
		func(q, codes []uint8) (u int64) {
			for j, x := range q {
				u += int64(x) * int64(int8(codes[j]))
			}
			return u
		},
		func(n int) int { return n }, 1, extreme[uint8], func(int, []uint8) {}}}
}

func affineI4() []affineFamily[int8] {
	return []affineFamily[int8]{{"AffineI4", AffineRowsI4, AffineGatherI4,
		func(q []int8, codes []uint8) (u int64) {
			h := (len(q) + 1) / 2
			for j, x := range q {
				u += int64(x) * int64(codes[j%h]>>(j/h*4)&15)
			}
			return u
		},
		func(n int) int { return (n + 1) / 2 }, 1, extreme[int8], func(n int, codes []uint8) {
			if n%2 != 0 {
				codes[n/2] &= 15
			}
		}}}
}

func affineI1() []affineFamily[uint64] {
	return []affineFamily[uint64]{{"AffineI1", AffineRowsI1, AffineGatherI1,
		func(q []uint64, codes []uint8) (u int64) {
			for p := range 4 {
				plane := q[p*len(q)/4:][:len(q)/4]
				for j := range len(codes[:2*len(q)]) * 8 {
					u += int64(plane[j/64]>>(j%64)&1) * int64(codes[j/8]>>(j%8)&1) << p
				}
			}
			return u
		},
		func(n int) int { return 2 * n }, 4, (*rand.Rand).Uint64, func(int, []uint8) {}}}
}

// affines runs a generic check, of which it takes the three instances, for each
// family under each implementation.
func affines(t *testing.T,
	bytes func(*testing.T, affineFamily[uint8]),
	nibbles func(*testing.T, affineFamily[int8]),
	bits func(*testing.T, affineFamily[uint64]),
) {
	implementations(t, func(t *testing.T) {
		run(t, affineI8(), bytes)
		run(t, affineI4(), nibbles)
		run(t, affineI1(), bits)
	})
}

// score is the formula of AffineRowsI8, one rounding at a time: float64 holds
// the product of two float32 exactly, and their sum nearly enough to round to
// the same float32.
func (f affineFamily[Q]) score(q []Q, k *[5]float32, row []uint8) float32 {
	header := func(i int) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(row[4*i:])) }
	times := func(a, b float32) float32 { return float32(float64(a) * float64(b)) }
	plus := func(a, b float32) float32 { return float32(float64(a) + float64(b)) }
	offset := math.Float32frombits(binary.LittleEndian.Uint32(row[4:]) >> 16 << 16)
	rest := plus(plus(k[0], times(k[2], offset)), plus(times(k[3], header(2)), times(k[4], header(3))))
	return plus(rest, times(times(k[1], header(0)), float32(f.sum(q, row[16:]))))
}

// matrix is count rows, stride apart, that start off bytes after a line.
func (f affineFamily[Q]) matrix(r *rand.Rand, n, count, stride, off int) []uint8 {
	size := AffineHeader + f.codes(n)
	rows := fill(aligned[uint8](max(count-1, 0)*stride+size, off), r, extreme[uint8])
	for i := range count {
		row := rows[i*stride:][:size]
		for _, at := range []int{0, 8, 12} {
			binary.LittleEndian.PutUint32(row[at:], math.Float32bits(normal(r)))
		}
		binary.LittleEndian.PutUint32(row[4:], math.Float32bits(normal(r))&^0xffff|r.Uint32()>>16)
		f.pad(n, row[AffineHeader:])
	}
	return rows
}

func (f affineFamily[Q]) lengths() []int {
	var l []int
	for n := range 301 {
		l = append(l, n*f.unit)
	}
	if f.unit > 1 {
		return append(l[:40], 96*f.unit, 300*f.unit)
	}
	return append(l, 384, 400, 784, 1024, 1536, 2100, 4200)
}

func TestAffineScoresAreThoseOfTheirFormulaBitForBit(t *testing.T) {
	affines(t, affineMatches, affineMatches, affineMatches)
}

func affineMatches[Q any](t *testing.T, f affineFamily[Q]) {
	for i, n := range f.lengths() {
		r := seeded(n)
		count := []int{1, 2, 3, 4, 5, 7, 8, 11, 23, 130}[i%10]
		stride := AffineHeader + f.codes(n) + []int{0, 1, 3, 16, 7, 112}[i%6]
		q, rows := fill(aligned[Q](n, i%4), r, f.query), f.matrix(r, n, count, stride, i%64)
		var k [5]float32
		fill(k[:], r, normal)
		want, dense, listed := make([]float32, count), make([]float32, count+1), make([]float32, count+1)
		ids := make([]uint32, count)
		for j := range want {
			ids[j] = uint32(r.IntN(count))
			want[j] = f.score(q, &k, rows[j*stride:])
		}
		f.rows(q, &k, rows, stride, dense[:count])
		f.gather(q, &k, rows, stride, ids, listed)
		for j := range want {
			if !same(dense[j], want[j]) {
				t.Fatalf("row %d of %d, %d elements, stride %d: rows give %v, want %v", j, count, n, stride, dense[j], want[j])
			}
			if !same(listed[j], want[ids[j]]) {
				t.Fatalf("id %d of %d, %d elements, stride %d: gather gives %v, want %v", j, count, n, stride, listed[j], want[ids[j]])
			}
		}
		if dense[count] != 0 || listed[count] != 0 {
			t.Fatal("a kernel wrote beyond its results")
		}
	}
}

func TestAffineSumsDoNotSaturate(t *testing.T) {
	affines(t,
		func(t *testing.T, f affineFamily[uint8]) {
			f.extreme(t, 4200, 255, 0x80, 4200*255*-128)
			f.extreme(t, 4200, 255, 0x7f, 4200*255*127)
		},
		func(t *testing.T, f affineFamily[int8]) {
			f.extreme(t, 4200, -128, 0xff, 4200*-128*15)
			f.extreme(t, 4200, 127, 0xff, 4200*127*15)
		},
		func(t *testing.T, f affineFamily[uint64]) { f.extreme(t, 4*300, math.MaxUint64, 0xff, 300*64*15) })
}

// extreme scores four rows of one code against a query of one value, of which
// the sum is u.
func (f affineFamily[Q]) extreme(t *testing.T, n int, x Q, code uint8, u float32) {
	q, row := slices.Repeat([]Q{x}, n), slices.Repeat([]uint8{code}, AffineHeader+f.codes(n))
	clear(row[:AffineHeader])
	binary.LittleEndian.PutUint32(row, math.Float32bits(1))
	out := make([]float32, 4)
	f.gather(q, &[5]float32{1: 1}, row, len(row), make([]uint32, 4), out)
	if out[0] != u || out[3] != u {
		t.Errorf("%v against codes %#x: %v, want %v", x, code, out, u)
	}
}

func TestAffineCallersStayOnTheStack(t *testing.T) {
	rows := make([]uint8, 4*64)
	var sum float32
	call := func() {
		var q [48]uint8
		var nibbles [96]int8
		var bits [24]uint64
		var out [4]float32
		k, ids := [5]float32{1, 1}, [4]uint32{3, 2, 1, 0}
		AffineGatherI8(q[:], &k, rows, 64, ids[:], out[:])
		AffineRowsI8(q[:], &k, rows, 64, out[:])
		AffineGatherI4(nibbles[:], &k, rows, 64, ids[:], out[:])
		AffineRowsI4(nibbles[:], &k, rows, 64, out[:])
		AffineGatherI1(bits[:], &k, rows, 64, ids[:], out[:])
		AffineRowsI1(bits[:], &k, rows, 64, out[:])
		sum += out[0]
	}
	implementations(t, func(t *testing.T) {
		if n := testing.AllocsPerRun(100, call); n != 0 {
			t.Errorf("%v allocations a call", n)
		}
	})
}

func FuzzAffineI8(f *testing.F) {
	fuzzAffine(f, affineI8(), func(b []byte) []uint8 { return b })
}

func FuzzAffineI4(f *testing.F) {
	fuzzAffine(f, affineI4(), func(b []byte) []int8 {
		q := make([]int8, len(b))
		for i, x := range b {
			q[i] = int8(x)
		}
		return q
	})
}

func FuzzAffineI1(f *testing.F) {
	fuzzAffine(f, affineI1(), func(b []byte) []uint64 {
		q := make([]uint64, len(b)/8)
		for i := range q {
			q[i] = binary.LittleEndian.Uint64(b[8*i:])
		}
		return q
	})
}

// fuzzAffine takes coefficients, a row and a query from the input and checks
// four rows that are the same.
func fuzzAffine[Q any](f *testing.F, list []affineFamily[Q], query func([]byte) []Q) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		k := [5]float32{0.5, 1, -1, 2, 3}
		if len(b) < AffineHeader {
			return
		}
		row := append([]byte(nil), b...)
		for i := 0; i < AffineHeader; i += 4 {
			// Small integers have exact products and sums.
			binary.LittleEndian.PutUint32(row[i:], math.Float32bits(float32(int8(row[i]))))
		}
		implementations(t, func(t *testing.T) {
			for _, fam := range list {
				q := query(b[len(b)/2:])
				q = q[:len(q)/fam.unit*fam.unit]
				size := AffineHeader + fam.codes(len(q))
				for size > len(row) {
					q = q[:len(q)-fam.unit]
					size = AffineHeader + fam.codes(len(q))
				}
				row := row[:size:size]
				fam.pad(len(q), row[AffineHeader:])
				want, out, one := fam.score(q, &k, row), make([]float32, 5), make([]float32, 1)
				fam.gather(q, &k, row, size, make([]uint32, 5), out)
				fam.rows(q, &k, row, size, one)
				for _, got := range append(out, one...) {
					if !same(got, want) {
						t.Fatalf("%s of %d elements gives %v, want %v", fam.name, len(q), got, want)
					}
				}
			}
		})
	})
}
