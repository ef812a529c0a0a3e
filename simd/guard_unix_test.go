//go:build linux || darwin

package simd

import (
	"math"
	"runtime/debug"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// guarded is a run of pages between two that fault.
type guarded struct{ mem []byte }

func newGuarded(t *testing.T, size int) guarded {
	page := unix.Getpagesize()
	size = (size + page - 1) / page * page
	all, err := unix.Mmap(-1, 0, size+2*page, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(all) })
	mem := all[page : page+size]
	if err := unix.Mprotect(mem, unix.PROT_READ|unix.PROT_WRITE); err != nil {
		t.Fatal(err)
	}
	return guarded{mem}
}

// first and last are n elements at the very start, or end, of the pages.
func first[T any](g guarded, n int) []T {
	return unsafe.Slice((*T)(unsafe.Pointer(&g.mem[0])), n)
}

func last[T any](g guarded, n int) []T {
	var zero T
	size := n * int(unsafe.Sizeof(zero))
	if size == 0 {
		return nil
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&g.mem[len(g.mem)-size])), n)
}

// edges are the lengths of the guard tests: all small ones, and wide rows.
func edges() []int {
	var l []int
	for n := range 140 {
		l = append(l, n)
	}
	return append(l, 255, 256, 511, 784, 1025)
}

func TestNoKernelReadsOutsideItsSlices(t *testing.T) {
	every(t, staysInside, staysInside, staysInside, staysInside, staysInside)
}

func staysInside[Q, R, S any](t *testing.T, f family[Q, R, S]) {
	debug.SetPanicOnFault(true) // of this test's goroutine
	defer faults(t)
	const count = 6
	var q0 Q
	var r0 R
	a := newGuarded(t, 1100*int(unsafe.Sizeof(q0)))
	b := newGuarded(t, count*1100*int(unsafe.Sizeof(r0)))
	o, l := newGuarded(t, 4096), newGuarded(t, 4096)
	for _, n := range edges() {
		for _, at := range []func(guarded, int) ([]Q, []R, []R){
			func(_ guarded, n int) ([]Q, []R, []R) { return first[Q](a, n), first[R](b, n), first[R](b, count*n) },
			func(_ guarded, n int) ([]Q, []R, []R) { return last[Q](a, n), last[R](b, n), last[R](b, count*n) },
		} {
			q, row, rows := at(a, n)
			f.pair(q, row)
			ids, out := last[uint32](l, count), last[S](o, count)
			for i := range ids {
				ids[i] = uint32(count - 1 - i)
			}
			for k := range count + 1 {
				f.rows(q, rows, n, out[count-k:])
				f.gather(q, rows, n, ids[count-k:], out[count-k:])
				f.gather(q, rows, n, ids[:k], out[:k])
			}
		}
	}
}

func TestNoAffineKernelReadsOutsideItsRows(t *testing.T) {
	affines(t, affineInside, affineInside, affineInside)
}

func affineInside[Q any](t *testing.T, f affineFamily[Q]) {
	debug.SetPanicOnFault(true) // of this test's goroutine
	defer faults(t)
	const count = 6
	lengths := append(slices.Clone(f.lengths()[:min(140, len(f.lengths()))]), 256, 784, 2048, 2112)
	slices.Sort(lengths)
	most := lengths[len(lengths)-1]
	var zero Q
	size := AffineHeader + f.codes(most)
	a, b := newGuarded(t, most*int(unsafe.Sizeof(zero))), newGuarded(t, count*size)
	o, l := newGuarded(t, 4096), newGuarded(t, 4096)
	k := (*[5]float32)(last[float32](newGuarded(t, 4096), 5))
	for _, n := range lengths {
		stride := AffineHeader + f.codes(n)
		for _, end := range []bool{false, true} {
			q, rows := first[Q](a, n), first[uint8](b, count*stride)
			if end {
				q, rows = last[Q](a, n), last[uint8](b, count*stride)
			}
			ids, out := last[uint32](l, count), last[float32](o, count)
			for i := range ids {
				ids[i] = uint32(count - 1 - i)
			}
			for c := range count + 1 {
				f.rows(q, k, rows, stride, out[count-c:])
				f.gather(q, k, rows, stride, ids[count-c:], out[count-c:])
				f.gather(q, k, rows, stride, ids[:c], out[:c])
			}
		}
	}
}

// faults turns a memory fault into a failure that names the test.
func faults(t *testing.T) {
	if x := recover(); x != nil {
		t.Fatalf("%v\n%s", x, debug.Stack())
	}
}

func TestNoOtherKernelTouchesMemoryOutsideItsSlices(t *testing.T) {
	implementations(t, func(t *testing.T) {
		debug.SetPanicOnFault(true) // of this test's goroutine
		defer faults(t)
		a, b := newGuarded(t, 8192), newGuarded(t, 8192)
		for _, n := range edges() {
			for _, end := range []bool{false, true} {
				f, g, h, w := first[float32](a, n), first[float32](b, n), first[uint16](b, n), first[uint64](a, min(n, 1024))
				if end {
					f, g, h, w = last[float32](a, n), last[float32](b, n), last[uint16](b, n), last[uint64](a, min(n, 1024))
				}
				Axpy(0.5, f, g)
				Cosine(f, g)
				Norm(f)
				Probe(f)
				ToHalf(h, f)
				FromHalf(f, h)
				Popcount(w)
				ids := first[uint32](a, n)
				if end {
					ids = last[uint32](a, n)
				}
				active.Load().largest(ids)
			}
		}
	})
}

func TestFetchingStaysInsideItsListsWhateverTheRows(t *testing.T) {
	debug.SetPanicOnFault(true) // of this test's goroutine
	defer faults(t)
	a, b, c := newGuarded(t, 4096), newGuarded(t, 4096), newGuarded(t, 4096)
	rows := make([]float32, 16)
	for n := range 70 {
		for _, at := range []func(guarded, int) []uint32{first[uint32], last[uint32]} {
			ids, spare := at(a, n), at(b, n)
			seen := last[uint8](c, n)
			for i := range ids {
				ids[i] = []uint32{uint32(i), uint32(n), math.MaxUint32}[i%3]
				seen[i] = uint8(i % 2)
			}
			before := slices.Clone(ids)
			Fetch(ids)
			FetchRows(ids, seen, 1, rows, 1<<20, 300, spare)
			FetchRows(ids, nil, 1, rows[:0], 0, 0, spare)
			if !slices.Equal(ids, before) {
				t.Fatalf("ids became %v, were %v", ids, before)
			}
		}
	}
}

func TestQuantisingTouchesNothingOutsideItsSlices(t *testing.T) {
	implementations(t, func(t *testing.T) {
		debug.SetPanicOnFault(true) // of this test's goroutine
		defer faults(t)
		a, b := newGuarded(t, 8192), newGuarded(t, 2048)
		for _, n := range edges() {
			v, codes := first[float32](a, n), first[uint8](b, n)
			Span(v)
			Quantise(codes, v, &Steps{Scale: 1, Inv: 1, Hi: 255})
			v, codes = last[float32](a, n), last[uint8](b, n)
			Span(v)
			Quantise(codes, v, &Steps{Scale: 1, Inv: 1, Hi: 255})
		}
	})
}

func TestPlacingReadsNothingOutsideItsList(t *testing.T) {
	implementations(t, func(t *testing.T) {
		debug.SetPanicOnFault(true) // of this test's goroutine
		defer faults(t)
		g := newGuarded(t, 8192)
		for _, n := range edges() {
			Place(first[mark](g, min(n, 1024)), 1)
			Place(last[mark](g, min(n, 1024)), 1)
		}
	})
}

func TestNoTrainingKernelTouchesMemoryOutsideItsSlices(t *testing.T) {
	implementations(t, func(t *testing.T) {
		debug.SetPanicOnFault(true) // of this test's goroutine
		defer faults(t)
		var pages [6]guarded
		for i := range pages {
			pages[i] = newGuarded(t, 8192)
		}
		for _, n := range edges() {
			for _, at := range []func(guarded, int) []float32{first[float32], last[float32]} {
				var s [6][]float32
				for i, p := range pages {
					s[i] = at(p, n)
				}
				for _, f := range elementFunctions() {
					f.do(s[0], s[1])
				}
				Softmax(s[0], s[1])
				ColumnMoments(s[0], s[1], s[2])
				LayerNorm(s[0], s[1], s[2], s[3], 1)
				LayerNormGrad(s[0], s[1], s[2], 0, 1, s[3], s[4], s[5])
				MulAdd(s[0], s[1], s[2], s[3])
				SGD(s[0], s[1], 1, 1)
				Adam(s[0], s[1], s[2], s[3], AdamStep{Rate: 1, Beta1: .9, Beta2: .9, Eps: 1, Step: 1})
				Adagrad(s[0], s[1], s[2], 1, 1)
				DropReLU(s[0], s[1], 1, 2, 3)
				DropReLUGrad(s[0], s[1], 2, 3)
				SinCosTurns(s[0], s[1], s[2], 1)
				Below(s[0], 0, 0, last[uint32](pages[4], n))
				for _, dim := range []int{1, 5, 16, 19} {
					rows := n / dim
					ids := last[uint32](pages[5], rows)
					for i := range ids {
						ids[i] = uint32(rows - 1 - i)
					}
					table := at(pages[0], rows*dim)
					Gather(at(pages[1], rows*dim), table, dim, ids)
					ScatterAdd(table, at(pages[1], rows*dim), dim, ids)
				}
			}
		}
	})
}
