package simd

import (
	"fmt"
	"math/bits"
)

// Activation is what GemmBias does to each element last.
type Activation uint32

const (
	None Activation = iota // nothing
	ReLU                   // negative values become 0; NaN stays
)

// Gemm sets c = alpha*op(a)*op(b) + beta*c, where op(a) is m x k, op(b) is k x n
// and c is m x n, all row-major. op transposes if its flag is set: a is then
// stored k x m, b is stored n x k. lda, ldb and ldc are the strides: elements from
// one stored row to the next, no less than a row has.
//
// With beta 0, c is not read; with alpha 0 or k 0, neither are a and b. c must
// not overlap a or b.
//
// Each element is a sum in one fixed order, of blocks of products added one after
// the other or, where op(a) or op(b) is a vector and for up to four rows against a
// transposed b, of lanes as Dot adds them. Its bits depend on the implementation,
// on flags and on m, n and k, and on nothing else. The error is that of Dot, and
// of rounding the result.
//
// Where operands are packed, they are in buffers that calls share in a pool: none
// are allocated in steady state. It panics if a size is negative, or a matrix
// lies not wholly within its slice.
func Gemm(transA, transB bool, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
	p := &matmul{transA: transA, transB: transB, m: m, n: n, k: k, alpha: alpha, beta: beta,
		a: a, b: b, c: c, lda: lda, ldb: ldb, ldc: ldc}
	p.check("Gemm")
	p.run(active.Load())
}

// GemmBias sets c = act(alpha*op(a)*op(b) + bias), bias being added to every row,
// under the rules of Gemm with beta 0. bias has n elements, or is nil for none.
func GemmBias(transA, transB bool, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, bias []float32, act Activation, c []float32, ldc int) {
	p := &matmul{transA: transA, transB: transB, m: m, n: n, k: k, alpha: alpha,
		a: a, b: b, c: c, lda: lda, ldb: ldb, ldc: ldc, bias: bias, act: act}
	p.check("GemmBias")
	p.run(active.Load())
}

// GemmBatch is Gemm for count products of the same shape: product i is of the
// matrices that start at a[i*stepA], b[i*stepB] and c[i*stepC]. A step of 0 for a
// or b uses one matrix for all; steps must not be negative, and the matrices of c
// must not overlap.
func GemmBatch(transA, transB bool, m, n, k int, alpha float32, a []float32, lda, stepA int, b []float32, ldb, stepB int, beta float32, c []float32, ldc, stepC, count int) {
	p := matmul{transA: transA, transB: transB, m: m, n: n, k: k, alpha: alpha, beta: beta, lda: lda, ldb: ldb, ldc: ldc}
	if count <= 0 {
		return
	}
	at := func(which string, s []float32, step int) []float32 {
		hi, start := bits.Mul64(uint64(count-1), uint64(step))
		if step < 0 || hi != 0 || start > uint64(len(s)) {
			panic(fmt.Sprintf("simd: GemmBatch: %s: matrix %d, %d elements a step, starts beyond the %d elements of %s", which, count-1, step, len(s), which))
		}
		return s[start:]
	}
	// If the last lies within its slice, so do all.
	p.a, p.b, p.c = at("a", a, stepA), at("b", b, stepB), at("c", c, stepC)
	p.check("GemmBatch")
	k0 := active.Load()
	for i := range count {
		p.a, p.b, p.c = a[i*stepA:], b[i*stepB:], c[i*stepC:]
		p.run(k0)
	}
}

// Gemv sets y = alpha*op(a)*x + beta*y for a stored m x n: op(a) is a, and x has n
// elements and y m, or with trans its transpose, and x has m and y n. It follows
// the rules of Gemm, and panics if a vector has another length.
func Gemv(trans bool, m, n int, alpha float32, a []float32, lda int, x []float32, beta float32, y []float32) {
	in, out := n, m
	if trans {
		in, out = m, n
	}
	p := &matmul{transA: trans, transB: true, m: out, n: 1, k: in, alpha: alpha, beta: beta,
		a: a, b: x, c: y, lda: lda, ldb: max(in, 1), ldc: 1}
	p.check("Gemv")
	if len(x) != in || len(y) != out {
		panic(fmt.Sprintf("simd: Gemv: x has length %d and y %d; they must be %d and %d", len(x), len(y), in, out))
	}
	p.run(active.Load())
}

// matmul is one call of Gemm or of what is like it. Calls make it behind a pointer: a
// literal whose address is taken later is made elsewhere and copied.
type matmul struct {
	transA, transB bool
	m, n, k        int
	alpha, beta    float32
	a, b, c, bias  []float32
	lda, ldb, ldc  int
	act            Activation
	plan
}

// check panics unless every matrix lies within its slice.
func (p *matmul) check(name string) {
	if p.m < 0 || p.n < 0 || p.k < 0 {
		panic(fmt.Sprintf("simd: %s: sizes m %d, n %d and k %d; none may be negative", name, p.m, p.n, p.k))
	}
	stored(name, "a", p.transA, p.m, p.k, len(p.a), p.lda)
	stored(name, "b", p.transB, p.k, p.n, len(p.b), p.ldb)
	stored(name, "c", false, p.m, p.n, len(p.c), p.ldc)
	if p.bias != nil && len(p.bias) != p.n {
		panic(fmt.Sprintf("simd: %s: bias has length %d; it must be %d", name, len(p.bias), p.n))
	}
}

// stored panics unless a matrix that op makes rows x cols lies within size
// elements.
func stored(name, which string, trans bool, rows, cols, size, stride int) {
	if trans {
		rows, cols = cols, rows
	}
	if rows == 0 || cols == 0 {
		return
	}
	hi, last := bits.Mul64(uint64(rows-1), uint64(stride))
	if stride < cols || size < cols || hi != 0 || last > uint64(size-cols) {
		panic(fmt.Sprintf("simd: %s: %s: %d rows of %d elements, stride %d, do not lie within %d elements", name, which, rows, cols, stride, size))
	}
}

// part is the product for rows i0 to i1 and columns j0 to j1 of c, which must not
// be empty.
func (p *matmul) part(i0, i1, j0, j1 int) matmul {
	q := *p
	q.m, q.n = i1-i0, j1-j0
	if p.k > 0 {
		q.a, q.b = p.a[from(p.transA, i0, p.lda):], p.b[from(!p.transB, j0, p.ldb):]
	}
	q.c = p.c[i0*p.ldc+j0:]
	if p.bias != nil {
		q.bias = p.bias[j0:j1]
	}
	return q
}

// from is the first element of row i, or of column i.
func from(column bool, i, stride int) int {
	if column {
		return i
	}
	return i * stride
}

// finish makes a row of c of its sums: alpha times the sum, plus beta times what
// is there, plus the bias, through the activation. Without sums they are zero.
func (t *tile) finish(c, sums []float32) {
	if sums != nil && t.alpha == 1 && t.beta == 0 && t.bias == nil && t.act == None {
		copy(c, sums)
		return
	}
	for j := range c {
		var v float32
		if sums != nil {
			v = t.alpha * sums[j]
		}
		if t.beta != 0 {
			v += t.beta * c[j]
		}
		if t.bias != nil {
			v += t.bias[j]
		}
		if t.act == ReLU && v < 0 {
			v = 0
		}
		c[j] = v
	}
}
