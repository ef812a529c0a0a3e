package simd

import (
	"fmt"
	"math/bits"
)

// pair panics unless two vectors have equal length.
func pair(name string, a, b int) {
	if a != b {
		panicPair(name, a, b)
	}
}

// dense panics unless n rows of dim elements, stride apart, lie within size
// elements.
func dense(name string, dim, size, stride, n int) {
	if n > 0 {
		inside(name, dim, size, stride, uint64(n-1))
	}
}

// listed panics unless out has room for every id and each id's row lies within
// size elements.
func listed(name string, dim, size, stride int, ids []uint32, out int) {
	if out < len(ids) {
		panicOut(name, out, len(ids))
	}
	switch {
	case len(ids) >= longList:
		inside(name, dim, size, stride, uint64(active.Load().largest(hide(ids))))
	case len(ids) > 0:
		inside(name, dim, size, stride, uint64(largestGeneric(ids)))
	}
}

// longList is the length of a list from which a call finds the largest id faster
// than the loop does.
const longList = 16

// planes panics unless n words are four planes of equal length.
func planes(name string, n int) {
	if n%4 != 0 {
		panic(fmt.Sprintf("simd: %s: query of %d words; it must be four planes of equal length", name, n))
	}
}

// inside panics unless row lies within size elements.
func inside(name string, dim, size, stride int, row uint64) {
	hi, start := bits.Mul64(row, uint64(stride))
	if stride < dim || size < dim || hi != 0 || start > uint64(size-dim) {
		panicRow(name, dim, size, stride, row)
	}
}

// Not inlined, so that what calls it needs no room on its stack.
//
//go:noinline
func panicPair(name string, a, b int) {
	panic(fmt.Sprintf("simd: %s: vectors of length %d and %d; they must be equal", name, a, b))
}

func panicOut(name string, out, ids int) {
	panic(fmt.Sprintf("simd: %s: out has length %d; it must hold a result for each of %d ids", name, out, ids))
}

func panicRow(name string, dim, size, stride int, row uint64) {
	if stride < dim {
		panic(fmt.Sprintf("simd: %s: stride %d is less than a row's length %d", name, stride, dim))
	}
	panic(fmt.Sprintf("simd: %s: row %d (stride %d, length %d) ends beyond the %d elements of rows", name, row, stride, dim, size))
}

func panicRows(name string, size, dim int) {
	panic(fmt.Sprintf("simd: %s: %d elements; they must be whole rows of %d", name, size, dim))
}

func panicTable(name string, size, ids, dim int) {
	panic(fmt.Sprintf("simd: %s: dense matrix of %d elements; it must hold a row of %d for each of %d ids", name, size, dim, ids))
}

func panicStep(name string, step int) {
	panic(fmt.Sprintf("simd: %s: step is %d; the first is 1", name, step))
}
