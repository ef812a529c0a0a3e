package tabr

import (
	"math"
	"slices"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/simd"
)

// space is candidates by position, for exact search: points of dim numbers.
type space struct {
	dim, n int
	z      []float32 // n x dim
	norm   []float32 // n, squared lengths
	most   float32   // no norm is above it
	names  []uint32  // what decides between equal distances; nil: positions
	// turned is z transposed, dim x stride, in spaces of few dimensions: products with
	// it need no packing.
	turned []float32
	stride int
}

// turnedDim is the largest dim of a space that has turned.
const turnedDim = 32

// measure computes what follows from z.
func (s *space) measure() {
	s.norm, s.most = room(s.norm, s.n), 0
	for i := range s.n {
		s.norm[i] = simd.Norm(s.z[i*s.dim:][:s.dim])
		s.most = max(s.most, s.norm[i])
	}
	if s.dim > turnedDim {
		return
	}
	s.stride = s.n
	s.turned = room(s.turned, s.dim*s.n)
	for i := range s.n {
		for j, x := range s.z[i*s.dim:][:s.dim] {
			s.turned[j*s.stride+i] = x
		}
	}
}

// insert adds a point after the last one.
func (s *space) insert(z []float32) {
	s.z = append(s.z, z...)
	norm := simd.Norm(z)
	s.norm, s.most = append(s.norm, norm), max(s.most, norm)
	if s.n++; s.dim > turnedDim {
		return
	}
	if s.n > s.stride {
		old, was := s.turned, s.stride
		s.stride = s.n + s.n/2 + 64
		s.turned = make([]float32, s.dim*s.stride)
		for j := range s.dim {
			copy(s.turned[j*s.stride:], old[j*was:][:s.n-1])
		}
	}
	for j, x := range z {
		s.turned[j*s.stride+s.n-1] = x
	}
}

// remove puts the last point in the place of point i.
func (s *space) remove(i int) {
	s.n--
	s.norm[i] = s.norm[s.n]
	copy(s.z[i*s.dim:][:s.dim], s.z[s.n*s.dim:])
	s.norm, s.z = s.norm[:s.n], s.z[:s.n*s.dim]
	if s.dim <= turnedDim {
		for j := range s.dim {
			s.turned[j*s.stride+i] = s.turned[j*s.stride+s.n]
		}
	}
}

// approximate writes ‖z_i‖² - 2 q·z_i of queries, b x dim, and candidates lo to hi-1, to
// out, b x (hi-lo).
func (s *space) approximate(q []float32, b, lo, hi int, out []float32) {
	n := hi - lo
	if s.dim <= turnedDim {
		simd.GemmBias(false, false, b, n, s.dim, -2, q, s.dim, s.turned[lo:], s.stride, s.norm[lo:hi], simd.None, out, n)
		return
	}
	simd.GemmBias(false, true, b, n, s.dim, -2, q, s.dim, s.z[lo*s.dim:], s.dim, s.norm[lo:hi], simd.None, out, n)
}

// slack bounds the difference of an approximate distance from the direct one: twice
// what the sums of float32 may err by.
func (s *space) slack(q float32) float32 {
	const ulp = 1.0 / (1 << 24)
	return float32(8 * ulp * float64(s.dim+2) * (float64(q) + float64(s.most) + 2*math.Sqrt(float64(q)*float64(s.most))))
}

// nobody is the self of a query that is no candidate.
const nobody = math.MaxUint32

// search is scratch for nearest.
type search struct {
	yield  func() // called for each group of queries, unless nil
	scores []float32
	found  []uint32
	hits   [searchGroup][]uint64
	limit  [searchGroup]float32
	keys   []uint64
	ids    []uint32
	dist   []float32
}

const (
	searchGroup = 64   // queries that share a block of candidates
	searchBlock = 2048 // candidates of a block
	firstBlock  = 512  // of the first one, where no limit is known
)

// nearest writes the k nearest candidates of each query, in ascending order, to ctx, and
// their squared distances to dist, both b x k. They are exact: by the direct sum of
// squared differences, in float32, and of equal ones those of lower number. Query i is
// not given candidate self[i]. limit, unless nil, has for each query a distance within
// which k candidates other than itself are known to lie, or +Inf. k must not exceed the
// number of candidates, save itself. It reports false if distances are not numbers.
func (w *search) nearest(s *space, q []float32, self []uint32, limit []float32, k int, ctx []uint32, dist []float32) bool {
	b := len(self)
	w.found = room(w.found, searchBlock)
	w.scores = room(w.scores, searchGroup*searchBlock)
	for g := 0; g < b; g += searchGroup {
		if w.yield != nil {
			w.yield()
		}
		n := min(searchGroup, b-g)
		first := searchBlock
		for r := range n {
			norm := simd.Norm(q[(g+r)*s.dim:][:s.dim])
			w.hits[r] = w.hits[r][:0]
			w.limit[r] = float32(math.Inf(1))
			if limit != nil && !math.IsInf(float64(limit[g+r]), 1) {
				w.limit[r] = limit[g+r] - norm + s.slack(norm)
			} else {
				first = firstBlock
			}
		}
		for lo, size := 0, first; lo < s.n; lo, size = lo+size, searchBlock {
			size = min(size, s.n-lo)
			s.approximate(q[g*s.dim:], n, lo, lo+size, w.scores)
			for r := range n {
				w.take(s, r, w.scores[r*size:][:size], lo, k, simd.Norm(q[(g+r)*s.dim:][:s.dim]))
			}
		}
		for r := range n {
			i := g + r
			if !w.settle(s, r, q[i*s.dim:][:s.dim], self[i], k, ctx[i*k:][:k], dist[i*k:][:k]) {
				return false
			}
		}
	}
	return true
}

// take keeps what of a block of scores may be among the k nearest, and lowers the limit
// where there is much.
func (w *search) take(s *space, r int, scores []float32, lo, k int, norm float32) {
	n := simd.Below(scores, w.limit[r], 0, w.found)
	h := w.hits[r]
	for _, j := range w.found[:n] {
		h = append(h, ordered(scores[j])<<32|uint64(lo)+uint64(j))
	}
	if len(h) > 2*(k+1)+firstBlock/2 {
		w.keys = append(w.keys[:0], h...)
		bound := unordered(kth(w.keys, k) >> 32) // of k+1, one of which may be the query itself
		w.limit[r] = min(w.limit[r], bound+2*s.slack(norm))
		last, kept := ordered(w.limit[r]), h[:0]
		for _, x := range h {
			if x>>32 <= last {
				kept = append(kept, x)
			}
		}
		h = kept
	}
	w.hits[r] = h
}

// settle chooses among the hits by direct distances.
func (w *search) settle(s *space, r int, q []float32, self uint32, k int, ctx []uint32, dist []float32) bool {
	h := w.hits[r]
	w.dist = room(w.dist, len(h))
	ids := w.ids[:0]
	for _, x := range h {
		if id := uint32(x); id != self {
			ids = append(ids, id)
		}
	}
	w.ids = ids
	simd.L2Gather(q, s.z, s.dim, ids, w.dist)
	if len(ids) < k {
		return false
	}
	w.keys = w.keys[:0]
	for i, id := range ids {
		if s.names != nil {
			id = s.names[id]
		}
		w.keys = append(w.keys, uint64(math.Float32bits(w.dist[i]))<<32|uint64(id))
	}
	last := uint64(math.MaxUint64)
	if len(ids) > k {
		h = append(h[:0], w.keys...)
		last, w.hits[r] = kth(h, k-1), h
	}
	n := 0
	for i, x := range w.keys {
		if x <= last {
			ctx[n], dist[n] = ids[i], w.dist[i]
			n++
		}
	}
	return n == k
}

// ordered maps a number to 32 bits that compare as numbers do; unordered is its inverse.
func ordered(x float32) uint64 {
	b := math.Float32bits(x)
	if b>>31 != 0 {
		return uint64(^b)
	}
	return uint64(b | 1<<31)
}

func unordered(b uint64) float32 {
	if b>>31&1 != 0 {
		return math.Float32frombits(uint32(b) &^ (1 << 31))
	}
	return math.Float32frombits(^uint32(b))
}

// kth returns the element of rank k, from 0, and reorders x: quickselect, by the middle
// of three.
func kth(x []uint64, k int) uint64 {
	lo, hi := 0, len(x)-1
	for hi-lo > 16 {
		a, b, c := x[lo], x[lo+(hi-lo)/2], x[hi]
		pivot := max(min(a, b), min(max(a, b), c))
		i, j := lo, hi
		for i <= j {
			for x[i] < pivot {
				i++
			}
			for x[j] > pivot {
				j--
			}
			if i <= j {
				x[i], x[j] = x[j], x[i]
				i, j = i+1, j-1
			}
		}
		switch {
		case k <= j:
			hi = j
		case k >= i:
			lo = i
		default:
			return x[k]
		}
	}
	slices.Sort(x[lo : hi+1])
	return x[k]
}

// factor returns R, n x n, upper triangular, with RᵀR = MᵀM, for M of any number of rows
// and n columns: the Cholesky factor, in which a column that depends on those before it
// has no pivot.
func factor(m nn.Matrix) []float32 {
	n := m.Cols
	g := gram(m)
	for i := range n {
		pivot := g[i*n+i]
		for l := range i {
			pivot -= g[l*n+i] * g[l*n+i]
		}
		if !(pivot > 1e-13*g[n*n+i]) {
			clear(g[i*n+i : (i+1)*n])
			continue
		}
		pivot = math.Sqrt(pivot)
		g[i*n+i] = pivot
		for j := i + 1; j < n; j++ {
			sum := g[i*n+j]
			for l := range i {
				sum -= g[l*n+i] * g[l*n+j]
			}
			g[i*n+j] = sum / pivot
		}
	}
	r := make([]float32, n*n)
	for i := range n {
		for j := i; j < n; j++ {
			r[i*n+j] = float32(g[i*n+j])
		}
	}
	return r
}

// gram is MᵀM, of which the upper triangle is meant, then its diagonal.
func gram(m nn.Matrix) []float64 {
	n := m.Cols
	g := make([]float64, n*n+n)
	for i := range m.Rows {
		row := m.Row(i)
		for a, x := range row {
			to := g[a*n:][:n]
			for b := a; b < n; b++ {
				to[b] += float64(x) * float64(row[b])
			}
		}
	}
	for i := range n {
		g[n*n+i] = g[i*n+i]
	}
	return g
}

// room makes s hold n elements, whatever they are.
func room[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/4)
	}
	return s[:n]
}
