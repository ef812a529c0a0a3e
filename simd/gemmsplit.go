package simd

import "sync"

// GemmSplit is Gemm, split over the given number of goroutines, the caller's being
// one of them: over rows of c if there are enough for each, else over columns. The
// bits are those of Gemm, however many there are. It returns when all have ended.
// It panics as Gemm does, and if workers is less than 1.
func GemmSplit(workers int, transA, transB bool, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
	p := &matmul{transA: transA, transB: transB, m: m, n: n, k: k, alpha: alpha, beta: beta,
		a: a, b: b, c: c, lda: lda, ldb: ldb, ldc: ldc}
	p.check("GemmSplit")
	p.split("GemmSplit", workers)
}

// GemmBiasSplit is to GemmBias as GemmSplit is to Gemm.
func GemmBiasSplit(workers int, transA, transB bool, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, bias []float32, act Activation, c []float32, ldc int) {
	p := &matmul{transA: transA, transB: transB, m: m, n: n, k: k, alpha: alpha,
		a: a, b: b, c: c, lda: lda, ldb: ldb, ldc: ldc, bias: bias, act: act}
	p.check("GemmBiasSplit")
	p.split("GemmBiasSplit", workers)
}

// share is one goroutine's part of a product. The function is made once, so that
// starting the goroutine allocates nothing.
type share struct {
	matmul
	k    *kernels
	done *sync.WaitGroup
	run  func()
}

func newShare() any {
	s := new(share)
	s.run = func() {
		s.matmul.follow(s.k)
		s.done.Done()
	}
	return s
}

// team is the shares of one call, kept for the next.
type team struct {
	shares []*share
	done   sync.WaitGroup
}

var (
	shares = sync.Pool{New: newShare}
	teams  = sync.Pool{New: func() any { return new(team) }}
)

// splitWork is the number of products of elements below which a goroutine is not
// worth its start.
const splitWork = 1 << 16

func (p *matmul) split(name string, workers int) {
	if workers < 1 {
		panic("simd: " + name + ": workers must be 1 or more")
	}
	k := active.Load()
	workers = min(workers, 1+p.m*p.n/splitWork*p.k+p.m*p.n%splitWork*p.k/splitWork)
	size, unit := p.m, k.gemm.rows
	byRow := p.m >= workers*unit || p.m >= p.n
	if !byRow {
		size, unit = p.n, k.gemm.lanes
	}
	units := (size + unit - 1) / unit
	workers = min(workers, units)
	if workers <= 1 {
		p.run(k)
		return
	}
	p.choose(k)
	at := func(w int) int { return min(size, units*w/workers*unit) }
	t := teams.Get().(*team)
	t.done.Add(workers - 1)
	for w := 1; w < workers; w++ {
		s := shares.Get().(*share)
		s.k, s.done = k, &t.done
		s.matmul = p.slice(byRow, at(w), at(w+1))
		t.shares = append(t.shares, s)
		go s.run()
	}
	own := p.slice(byRow, 0, at(1))
	own.follow(k)
	t.done.Wait()
	for i, s := range t.shares {
		s.matmul = matmul{} // keeps no matrix alive
		shares.Put(s)
		t.shares[i] = nil
	}
	t.shares = t.shares[:0]
	teams.Put(t)
}

// slice is the product of some rows or columns of c.
func (p *matmul) slice(byRow bool, from, to int) matmul {
	if byRow {
		return p.part(from, to, 0, p.n)
	}
	return p.part(0, p.m, from, to)
}
