package rotate

import (
	"context"
	"errors"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// errDiverged reports a matrix whose eigenvalues were not found: one with a
// component that is not finite.
var errDiverged = errors.New("eigenvalues did not converge")

const (
	stripe = 32      // columns that one pass of rotations goes over: n × stripe float64 fit a second-level cache
	batch  = 1 << 19 // rotations kept before they are applied
	sweeps = 60      // of QL for one eigenvalue at most; two are usual
)

// Eigen replaces the symmetric matrix a, n × n by rows, by its eigenvectors: row i
// belongs to values[i], values fall, and the rows are orthonormal up to rounding.
// Only the upper triangle of a is read.
//
// It makes a tridiagonal by Householder reflections and diagonal by the QL method
// with implicit shifts (Golub and Van Loan, Matrix Computations, 8.3). About 4n³
// multiply-adds, two thirds of them on all cores. Errors: the context's;
// errDiverged.
func Eigen(ctx context.Context, a []float64, n int) (values []float64, err error) {
	scale := 0.0
	for _, x := range a {
		scale = max(scale, math.Abs(x))
	}
	if !(scale <= math.MaxFloat64) {
		return nil, errDiverged
	}
	if scale == 0 {
		scale = 1
	}
	for i := range a {
		a[i] /= scale
	}
	s := &solver{ctx: ctx, n: n, a: a, d: make([]float64, n), e: make([]float64, n), beta: make([]float64, n)}
	for _, step := range []func() error{s.tridiagonal, s.reflect, s.diagonal} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	for i := range s.d {
		s.d[i] *= scale
	}
	s.sort()
	return s.d, nil
}

// solver is an eigenproblem under way: after tridiagonal row k of a has the vector
// of reflection k behind its diagonal, after reflect a is the transpose of their
// product.
type solver struct {
	ctx   context.Context
	n     int
	a     []float64
	d, e  []float64 // diagonal, and what is beside it
	beta  []float64 // reflection k is 1 - beta·v·vᵀ
	turns []turn
}

// turn mixes rows i and i+1 by an angle with this cosine and sine.
type turn struct {
	i    int
	c, s float64
}

func (s *solver) row(i int) []float64 { return s.a[i*s.n : (i+1)*s.n] }

func (s *solver) tridiagonal() error {
	n := s.n
	w := make([]float64, n)
	for k := 0; k < n; k++ {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		s.d[k] = s.row(k)[k]
		if k+1 == n {
			break
		}
		v := s.row(k)[k+1:]
		if s.e[k], s.beta[k] = householder(v); s.beta[k] != 0 {
			s.update(k+1, v, w[:len(v)], s.beta[k])
		}
	}
	return nil
}

// householder makes x the vector of the reflection that takes x to e times the
// first axis. beta is 0 if x lies on that axis.
func householder(x []float64) (e, beta float64) {
	var rest float64
	for _, y := range x[1:] {
		rest += y * y
	}
	if rest == 0 {
		return x[0], 0
	}
	e = -math.Copysign(math.Sqrt(x[0]*x[0]+rest), x[0])
	x[0] -= e
	return e, 2 / (x[0]*x[0] + rest)
}

// update reflects the symmetric matrix that begins at (from, from) on both sides:
// A - v·wᵀ - w·vᵀ with p = beta·A·v and w = p - ½·beta·(p·v)·v.
func (s *solver) update(from int, v, w []float64, beta float64) {
	clear(w)
	for i, x := range v {
		r := s.row(from + i)[from+i:]
		sum := r[0] * x
		t, p := v[i+1:], w[i+1:]
		r = r[1:]
		r, p = r[:len(t)], p[:len(t)]
		for j, y := range t {
			sum += r[j] * y
			p[j] += r[j] * x
		}
		w[i] += sum
	}
	var dot float64
	for i := range w {
		w[i] *= beta
		dot += w[i] * v[i]
	}
	for i := range w {
		w[i] -= beta / 2 * dot * v[i]
	}
	for i := range v {
		r := s.row(from + i)[from+i:]
		x, y, vs, ws := v[i], w[i], v[i:], w[i:]
		r, ws = r[:len(vs)], ws[:len(vs)]
		for j, z := range vs {
			r[j] -= x*ws[j] + y*z
		}
	}
}

// stripes calls do with a copy of each run of stripe columns, by rows and padded to
// stripe, on all cores, and puts back what do leaves of it to dst.
func (s *solver) stripes(dst []float64, do func(b []float64, from int)) error {
	n := s.n
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			b := make([]float64, n*stripe)
			for s.ctx.Err() == nil {
				from := int(next.Add(1)-1) * stripe
				if from >= n {
					return
				}
				to := min(n, from+stripe)
				for i := range n {
					copy(b[i*stripe:], dst[i*n+from:i*n+to])
				}
				do(b, from)
				for i := range n {
					copy(dst[i*n+from:i*n+to], b[i*stripe:])
				}
			}
		})
	}
	wg.Wait()
	return s.ctx.Err()
}

// reflect makes a the transpose of the product of the reflections in it.
func (s *solver) reflect() error {
	n := s.n
	q := make([]float64, n*n)
	for i := range n {
		q[i*n+i] = 1
	}
	err := s.stripes(q, func(b []float64, _ int) {
		for k := range n - 1 {
			if s.beta[k] == 0 {
				continue
			}
			v := s.row(k)[k+1:]
			part := b[(k+1)*stripe:]
			var u [stripe]float64
			for i, x := range v {
				r := (*[stripe]float64)(part[i*stripe:])
				for j := range u {
					u[j] += x * r[j]
				}
			}
			for j := range u {
				u[j] *= s.beta[k]
			}
			for i, x := range v {
				r := (*[stripe]float64)(part[i*stripe:])
				for j := range u {
					r[j] -= x * u[j]
				}
			}
		}
	})
	copy(s.a, q)
	return err
}

// diagonal finds the eigenvalues, and turns the rows of a with them.
func (s *solver) diagonal() error {
	n, norm := s.n, 0.0
	for i := range n {
		norm = max(norm, math.Abs(s.d[i])+math.Abs(s.e[i]))
	}
	for l := range n {
		for sweep := 0; ; sweep++ {
			m := s.split(l, norm)
			if m == l {
				break
			}
			if sweep == sweeps || s.d[l] != s.d[l] {
				return errDiverged
			}
			s.sweep(l, m)
			if len(s.turns) >= batch {
				if err := s.apply(); err != nil {
					return err
				}
			}
		}
	}
	return s.apply()
}

// split is the first place from l on after which the matrix falls apart.
func (s *solver) split(l int, norm float64) int {
	const eps = 0x1p-52
	for m := l; m < s.n-1; m++ {
		if math.Abs(s.e[m]) <= eps*max(math.Abs(s.d[m])+math.Abs(s.d[m+1]), norm/64) {
			return m
		}
	}
	return s.n - 1
}

// sweep is one step of QL on rows l..m.
func (s *solver) sweep(l, m int) {
	d, e := s.d, s.e
	g := (d[l+1] - d[l]) / (2 * e[l])
	g = d[m] - d[l] + e[l]/(g+math.Copysign(math.Sqrt(g*g+1), g))
	sin, cos, p := 1.0, 1.0, 0.0
	for i := m - 1; i >= l; i-- {
		f, b := sin*e[i], cos*e[i]
		r := math.Sqrt(f*f + g*g)
		e[i+1] = r
		if r == 0 { // underflow: it falls apart here
			d[i+1] -= p
			e[m] = 0
			return
		}
		sin, cos = f/r, g/r
		g = d[i+1] - p
		r = (d[i]-g)*sin + 2*cos*b
		p = sin * r
		d[i+1] = g + p
		g = cos*r - b
		s.turns = append(s.turns, turn{i, cos, sin})
	}
	d[l] -= p
	e[l], e[m] = g, 0
}

// apply turns the rows of a by what is in turns.
func (s *solver) apply() error {
	err := s.stripes(s.a, func(b []float64, _ int) {
		for _, t := range s.turns {
			lo, hi := (*[stripe]float64)(b[t.i*stripe:]), (*[stripe]float64)(b[(t.i+1)*stripe:])
			for j := range lo {
				x, y := lo[j], hi[j]
				lo[j], hi[j] = t.c*x-t.s*y, t.s*x+t.c*y
			}
		}
	})
	s.turns = s.turns[:0]
	return err
}

// sort puts the largest eigenvalue first.
func (s *solver) sort() {
	n := s.n
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		switch {
		case s.d[i] > s.d[j]:
			return -1
		case s.d[i] < s.d[j]:
			return 1
		}
		return 0
	})
	values, rows := make([]float64, n), make([]float64, n*n)
	for i, from := range order {
		values[i] = s.d[from]
		copy(rows[i*n:(i+1)*n], s.row(from))
	}
	s.d = values
	copy(s.a, rows)
}
