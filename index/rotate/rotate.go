// Package rotate learns an orthogonal rotation of vectors that puts as much of
// their products as any can into the first components, so that an index over
// vectors that were not trained nested may still go by a prefix.
//
// With the second moment C = Σ x·xᵀ/n (the mean is left inside: taking it away
// would change inner products) and its eigenvectors as rows by falling eigenvalue,
// R·x has the prefixes whose inner products are, for every width at once, nearest
// to those of the whole vectors in the sum of squares (Eckart and Young). R is
// orthogonal: distances between whole vectors stay what they are.
package rotate

import (
	"context"
	"errors"
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/eiderdb/eider/simd"
)

// ErrFew reports a moment of no vector at all.
var ErrFew = errors.New("too few vectors to learn a rotation from")

// block is how many vectors are summed up at once.
const block = 256

// Least and Sample are how many vectors of dim components a rotation should at least
// be learned from, and how many are enough.
func Least(dim int) int  { return max(4000, 8*dim) }
func Sample(dim int) int { return max(4000, 16*dim) }

// Moment is the second moment of vectors, about 10·dim² bytes. Its methods may be
// called from many goroutines at once.
type Moment struct {
	dim int

	mu   sync.Mutex
	n    int
	rows []float32 // block × dim, n%block of them filled
	cols []float32 // rows, transposed
	sum  []float64 // dim × dim, upper triangle
	out  []float32
}

// NewMoment returns the moment of no vectors of dim components.
func NewMoment(dim int) *Moment {
	return &Moment{dim: dim, rows: make([]float32, block*dim), cols: make([]float32, block*dim),
		sum: make([]float64, dim*dim), out: make([]float32, dim)}
}

// Add takes v, of dim components, in and keeps nothing of it. O(dim²/2), mostly in
// one call of a block's.
func (m *Moment) Add(v []float32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	copy(m.rows[m.n%block*m.dim:][:m.dim], v)
	if m.n++; m.n%block == 0 {
		m.fold(block)
	}
}

// Len is the number of vectors.
func (m *Moment) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.n
}

// fold adds the first n rows to sum.
func (m *Moment) fold(n int) {
	clear(m.cols)
	for i := range n {
		for j, x := range m.rows[i*m.dim : (i+1)*m.dim] {
			m.cols[j*block+i] = x
		}
	}
	for i := range m.dim {
		out := m.out[:m.dim-i]
		simd.DotRows(m.cols[i*block:(i+1)*block], m.cols[i*block:], block, out)
		sum := m.sum[i*m.dim+i:][:len(out)]
		for j, x := range out {
			sum[j] += float64(x)
		}
	}
}

// Rotation returns the rotation, dim × dim by rows, for an index whose blocks of
// components end after widths and at dim; it ends the moment's use. Within each
// block the components are mixed, which changes no distance over whole blocks:
// the first, for vectors whose mean is far from zero, is many times as long as the
// others, and codes have one step for all. Mixed by cosines it becomes a constant,
// which codes take for nothing. O(dim³): two seconds at 768 components and fifteen
// at 1536, on two cores that others use too. Errors: ErrFew, the context's.
func (m *Moment) Rotation(ctx context.Context, widths []int) ([]float32, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.n == 0 {
		return nil, ErrFew
	}
	if rest := m.n % block; rest > 0 {
		m.fold(rest)
	}
	m.rows, m.cols = nil, nil
	for i := range m.sum {
		m.sum[i] /= float64(m.n)
	}
	if _, err := Eigen(ctx, m.sum, m.dim); err != nil {
		return nil, err
	}
	out := make([]float32, m.dim*m.dim)
	from := 0
	for _, to := range append(append([]int(nil), widths...), m.dim) {
		if err := m.mix(ctx, out, from, to); err != nil {
			return nil, err
		}
		from = to
	}
	m.sum = nil
	return out, nil
}

// mix writes the eigenvectors from..to-1, mixed by the cosine transform, to out.
func (m *Moment) mix(ctx context.Context, out []float32, from, to int) error {
	w := to - from
	// cos(π·k·(2j+1)/2w) has period 4w in k·(2j+1).
	table := make([]float64, 4*w)
	for i := range table {
		table[i] = math.Sqrt(2/float64(w)) * math.Cos(math.Pi*float64(i)/float64(2*w))
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			sum := make([]float64, m.dim)
			for ctx.Err() == nil {
				j := int(next.Add(1)) - 1
				if j >= w {
					return
				}
				clear(sum)
				for k := range w {
					f := table[k*(2*j+1)%len(table)]
					if k == 0 {
						f = 1 / math.Sqrt(float64(w))
					}
					for i, x := range m.sum[(from+k)*m.dim : (from+k+1)*m.dim] {
						sum[i] += f * x
					}
				}
				for i, x := range sum {
					out[(from+j)*m.dim+i] = float32(x)
				}
			}
		})
	}
	wg.Wait()
	return ctx.Err()
}
