package simd

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"os"
	"testing"
	"unsafe"
)

// family is a distance kernel in its three shapes, and its meaning.
type family[Q, R, S any] struct {
	name   string
	pair   func([]Q, []R) S
	rows   func([]Q, []R, int, []S)
	gather func([]Q, []R, int, []uint32, []S)
	term   func(Q, R) float64 // of one element; sums of terms are exact in float64, or nearly
	query  func(*rand.Rand) Q // a random element
	row    func(*rand.Rand) R
	exact  bool // integer: the sum must match to the unit
}

func normal(r *rand.Rand) float32  { return float32(r.NormFloat64()) }
func half(r *rand.Rand) uint16     { return narrow(normal(r)) }
func product(a, b float64) float64 { return a * b }
func square(a, b float64) float64  { return (a - b) * (a - b) }

func floatFamilies() []family[float32, float32, float32] {
	term := func(f func(a, b float64) float64) func(a, b float32) float64 {
		return func(a, b float32) float64 { return f(float64(a), float64(b)) }
	}
	return []family[float32, float32, float32]{
		{"Dot", Dot, DotRows, DotGather, term(product), normal, normal, false},
		{"L2", L2, L2Rows, L2Gather, term(square), normal, normal, false},
	}
}

func halfFamilies() []family[float32, uint16, float32] {
	term := func(f func(a, b float64) float64) func(a float32, b uint16) float64 {
		return func(a float32, b uint16) float64 { return f(float64(a), float64(widen(b))) }
	}
	return []family[float32, uint16, float32]{
		{"DotHalf", DotHalf, DotRowsHalf, DotGatherHalf, term(product), normal, half, false},
		{"L2Half", L2Half, L2RowsHalf, L2GatherHalf, term(square), normal, half, false},
	}
}

// extreme is a random byte, often one that overflows a kernel that is wrong.
func extreme[T int8 | uint8](r *rand.Rand) T {
	x := []uint8{0, 127, 128, 255, uint8(r.Uint32()), uint8(r.Uint32())}[r.IntN(6)]
	return T(x)
}

func int8Families() []family[int8, int8, int32] {
	return []family[int8, int8, int32]{
		{"DotI8", DotI8, DotRowsI8, DotGatherI8,
			func(a, b int8) float64 { return product(float64(a), float64(b)) }, extreme[int8], extreme[int8], true},
		{"L2I8", L2I8, L2RowsI8, L2GatherI8,
			func(a, b int8) float64 { return square(float64(a), float64(b)) }, extreme[int8], extreme[int8], true},
	}
}

func uint8Families() []family[uint8, uint8, int32] {
	return []family[uint8, uint8, int32]{
		{"DotU8", DotU8, DotRowsU8, DotGatherU8,
			func(a, b uint8) float64 { return product(float64(a), float64(b)) }, extreme[uint8], extreme[uint8], true},
		{"L2U8", L2U8, L2RowsU8, L2GatherU8,
			func(a, b uint8) float64 { return square(float64(a), float64(b)) }, extreme[uint8], extreme[uint8], true},
	}
}

func wordFamilies() []family[uint64, uint64, int32] {
	word := func(r *rand.Rand) uint64 { return r.Uint64() }
	return []family[uint64, uint64, int32]{
		{"Hamming", func(a, b []uint64) int32 { return int32(Hamming(a, b)) }, HammingRows, HammingGather,
			func(a, b uint64) float64 { return float64(bits.OnesCount64(a ^ b)) }, word, word, true},
	}
}

// every runs a generic check, of which it takes the five instances, for each
// family under each implementation.
func every(t *testing.T,
	floats func(*testing.T, family[float32, float32, float32]),
	halves func(*testing.T, family[float32, uint16, float32]),
	int8s func(*testing.T, family[int8, int8, int32]),
	uint8s func(*testing.T, family[uint8, uint8, int32]),
	words func(*testing.T, family[uint64, uint64, int32]),
) {
	implementations(t, func(t *testing.T) {
		run(t, floatFamilies(), floats)
		run(t, halfFamilies(), halves)
		run(t, int8Families(), int8s)
		run(t, uint8Families(), uint8s)
		run(t, wordFamilies(), words)
	})
}

func run[F interface{ title() string }](t *testing.T, list []F, f func(*testing.T, F)) {
	for _, k := range list {
		t.Run(k.title(), func(t *testing.T) { f(t, k) })
	}
}

func (f family[Q, R, S]) title() string { return f.name }

// implementations runs f under each implementation of this CPU.
func implementations(t *testing.T, f func(*testing.T)) {
	t.Helper()
	before := Active()
	defer func() {
		if err := Select(before); err != nil {
			t.Error(err)
		}
	}()
	for _, name := range Available() {
		if err := Select(name); err != nil {
			t.Fatal(err)
		}
		t.Run(name, f)
	}
}

// lengths are those around every block and step of every kernel, and some real
// ones.
func lengths() []int {
	var l []int
	for n := range 258 {
		l = append(l, n)
	}
	return append(l, 384, 512, 768, 1024, 4098)
}

// aligned is a slice of n elements that starts off elements after a multiple of
// 64 bytes.
func aligned[T any](n, off int) []T {
	var zero T
	size := int(unsafe.Sizeof(zero))
	s := make([]T, n+off+64/size)
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(s)))%64) / size
	return s[skip+off:][:n:n]
}

func fill[T any](s []T, r *rand.Rand, f func(*rand.Rand) T) []T {
	for i := range s {
		s[i] = f(r)
	}
	return s
}

// check fails unless got is the sum of terms, within the forward error bound.
// A difference is rounded before it is squared, hence the two extra; the last
// term is for products below the normal range.
func (f family[Q, R, S]) check(q []Q, row []R, got S) error {
	var sum, size float64
	for i := range q {
		x := f.term(q[i], row[i])
		sum += x
		size += math.Abs(x)
	}
	bound := 0.0
	if !f.exact {
		bound = float64(2*len(q)+2)*0x1p-24*size + float64(len(q))*0x1p-149
	}
	if d := math.Abs(number(got) - sum); !(d <= bound) {
		return fmt.Errorf("%s of %d elements is %v, want %v within %g", f.name, len(q), got, sum, bound)
	}
	return nil
}

func number[S any](s S) float64 {
	switch x := any(s).(type) {
	case float32:
		return float64(x)
	case int32:
		return float64(x)
	}
	panic("no number")
}

// same reports equal bits.
func same[S any](a, b S) bool {
	if x, ok := any(a).(float32); ok {
		return math.Float32bits(x) == math.Float32bits(any(b).(float32))
	}
	return any(a) == any(b)
}

func seeded(n int) *rand.Rand { return rand.New(rand.NewPCG(uint64(n), 20)) }

func TestEveryKernelMatchesItsMeaning(t *testing.T) {
	every(t, matches, matches, matches, matches, matches)
}

func matches[Q, R, S any](t *testing.T, f family[Q, R, S]) {
	for _, n := range lengths() {
		for off := range 4 {
			r := seeded(n)
			q, row := fill(aligned[Q](n, off), r, f.query), fill(aligned[R](n, (off*3+n)%4), r, f.row)
			if err := f.check(q, row, f.pair(q, row)); err != nil {
				t.Fatalf("offset %d: %v", off, err)
			}
		}
	}
}

func TestRowsAndGatherScoreAsThePairDoes(t *testing.T) {
	every(t, shapesAgree, shapesAgree, shapesAgree, shapesAgree, shapesAgree)
}

// shapesAgree scores matrices of all small heights, so that every mix of passes
// of four and single rows occurs, and of one that counts as long, with rows on
// either side that would show.
func shapesAgree[Q, R, S any](t *testing.T, f family[Q, R, S]) {
	for _, n := range append(lengths()[:70], 100, 128, 255, 384, 784, 1024, 1536) {
		for _, count := range []int{0, 1, 2, 3, 4, 5, 7, 8, 11, 23, 42, 67} {
			if n > 128 && count > 23 {
				continue
			}
			r := seeded(n*100 + count)
			stride := n + r.IntN(5)
			q, rows := fill(aligned[Q](n, count%4), r, f.query), fill(aligned[R](max(count*stride, n), n%4), r, f.row)
			ids := make([]uint32, count)
			for i := range ids {
				ids[i] = uint32(r.IntN(count))
			}
			dense, listed := make([]S, count), make([]S, count+1)
			guard := fill(listed[count:], r, func(*rand.Rand) S { var s S; return s })[0]
			f.rows(q, rows, stride, dense)
			f.gather(q, rows, stride, ids, listed)
			for i := range count {
				if want := f.pair(q, rows[i*stride:][:n]); !same(dense[i], want) {
					t.Fatalf("row %d of %d, %d elements, stride %d: rows give %v, pair %v", i, count, n, stride, dense[i], want)
				}
				if want := f.pair(q, rows[int(ids[i])*stride:][:n]); !same(listed[i], want) {
					t.Fatalf("id %d of %d, %d elements, stride %d: gather gives %v, pair %v", i, count, n, stride, listed[i], want)
				}
			}
			if !same(listed[count], guard) {
				t.Fatal("gather wrote beyond the results of its ids")
			}
		}
	}
}

func TestFloatKernelsKeepSpecialValues(t *testing.T) {
	implementations(t, func(t *testing.T) {
		run(t, floatFamilies(), func(t *testing.T, f family[float32, float32, float32]) {
			specials(t, f, func(x float32) float32 { return x })
		})
		run(t, halfFamilies(), func(t *testing.T, f family[float32, uint16, float32]) { specials(t, f, narrow) })
	})
}

// specials puts NaN, Inf and zero against them in each lane of either argument.
func specials[R any](t *testing.T, f family[float32, R, float32], row func(float32) R) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	cases := [][2]float32{{nan, 1}, {1, nan}, {inf, 1}, {1, inf}, {-inf, 1}, {1, -inf}, {inf, inf}, {inf, -inf}, {inf, 0}, {0, inf}, {nan, inf}}
	for n := 1; n < 70; n++ {
		a, b := aligned[float32](n, n%4), aligned[R](n, n/4%4)
		for i := range b {
			b[i] = row(0.5)
		}
		for lane := range n {
			for _, c := range cases {
				a[lane], b[lane] = c[0], row(c[1])
				var want float64
				for i := range a {
					want += f.term(a[i], b[i])
				}
				out := make([]float32, 6)
				f.gather(a, b, n, make([]uint32, 5), out)
				out[5] = f.pair(a, b)
				for _, got := range out {
					if got := float64(got); got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
						t.Fatalf("%v against %v in lane %d of %d: %v, want %v", c[0], c[1], lane, n, got, want)
					}
				}
			}
			a[lane], b[lane] = 0, row(0.5)
		}
	}
}

func TestWhatTheCPUHasIsExercised(t *testing.T) {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		t.Skip("no /proc/cpuinfo to compare with:", err)
	}
	for flag, name := range expected {
		if flagged(string(info), flag) && !contains(Available(), name) {
			t.Errorf("the CPU has %s but %s is not among %v", flag, name, Available())
		}
	}
}

// variants runs the meaning of the integer kernels on tables made for other
// CPUs.
func variants(t *testing.T, tables map[string]*kernels) {
	before := active.Load()
	defer active.Store(before)
	for name, k := range tables {
		active.Store(k)
		t.Run(name, func(t *testing.T) {
			run(t, int8Families(), matches)
			run(t, int8Families(), shapesAgree)
			run(t, uint8Families(), matches)
			run(t, uint8Families(), shapesAgree)
			run(t, wordFamilies(), matches)
			run(t, wordFamilies(), shapesAgree)
			run(t, affineI8(), affineMatches)
			run(t, affineI4(), affineMatches)
			run(t, affineI1(), affineMatches)
		})
	}
}
