package bottleneck

import (
	"fmt"
	"math"

	"github.com/eiderdb/eider/simd"
)

// Absent stands in for a key where a search finds none: pairs that nobody used are
// masked.
const Absent = math.MaxUint16

// masked is above the score of any pair that is masked, whose own is twice that, and
// below any other.
const masked = -1e38

// block is how many rows a search takes at a time: their scores against the keys of one
// head stay in the first caches.
const block = 32

// scratch is what one search writes.
type scratch struct {
	heads  []float32 // block × C·KeyDim
	scores []float32 // block × K
	ids    []uint16  // of one row
}

func (m *Model) borrow() *scratch {
	if s, ok := m.scratch.Get().(*scratch); ok {
		return s
	}
	return &scratch{
		heads:  make([]float32, block*m.Heads*m.KeyDim),
		scores: make([]float32, block*m.Keys),
		ids:    make([]uint16, m.Heads*m.Top),
	}
}

// Encode finds the keys of rows, vectors of Dim components one after the other: Heads·Top
// for each, those of a head together, nearest first, the lower of two that are equally
// near. dst has room for all of them. Every key is searched, used or not: this is what a
// row is learned under, and it never changes.
//
// O(rows·C·KeyDim·(Dim+K)); nothing is allocated in steady state. Alone and among others
// a row gets the same keys, unless two are equally near within the rounding of float32.
// Error: ErrInput for lengths that do not fit and vectors that are not finite.
func (m *Model) Encode(dst []uint16, rows []float32) error { return m.encode(dst, rows, m.minus) }

// EncodeUsed is Encode among the pairs that learned rows came by, which is what a
// prediction reads. Where a head has none the key is Absent.
func (m *Model) EncodeUsed(dst []uint16, rows []float32) error {
	return m.encode(dst, rows, m.masked)
}

func (m *Model) encode(dst []uint16, rows []float32, bias []float32) error {
	n := len(rows) / m.Dim
	if len(rows) != n*m.Dim || len(dst) != n*m.Heads*m.Top {
		return fmt.Errorf("%w: %d numbers for vectors of %d, %d keys", ErrInput, len(rows), m.Dim, len(dst))
	}
	if x := simd.Dot(rows, rows); !(x < 1e30) {
		return fmt.Errorf("%w: a vector is not finite or too long", ErrInput)
	}
	s := m.borrow()
	defer m.scratch.Put(s)
	for at := 0; at < n; at += block {
		b := min(block, n-at)
		m.search(dst[at*m.Heads*m.Top:][:b*m.Heads*m.Top], rows[at*m.Dim:][:b*m.Dim], b, bias, s)
	}
	return nil
}

// project writes the heads of n rows and returns them with their stride: those of head
// c begin at column c·KeyDim.
func (m *Model) split(rows []float32, n int, s *scratch) (heads []float32, stride int) {
	if m.Split == Chunk {
		return rows, m.Dim
	}
	stride = m.Heads * m.KeyDim
	simd.Gemm(false, false, n, stride, m.Dim, 1, rows, m.Dim, m.mix, stride, 0, s.heads, stride)
	return s.heads, stride
}

// search finds the keys of at most block rows. The nearest key is the one of the largest
// h·key - ½‖key‖².
func (m *Model) search(dst []uint16, rows []float32, n int, bias []float32, s *scratch) {
	heads, stride := m.split(rows, n, s)
	size := m.Keys * m.KeyDim
	for c := range m.Heads {
		simd.GemmBias(false, false, n, m.Keys, m.KeyDim, 1, heads[c*m.KeyDim:], stride,
			m.columns[c*size:][:size], m.Keys, bias[c*m.Keys:][:m.Keys], simd.None, s.scores, m.Keys)
		for i := range n {
			nearest(dst[(i*m.Heads+c)*m.Top:][:m.Top], s.scores[i*m.Keys:][:m.Keys])
		}
	}
}

// nearest finds the largest scores, which it destroys if there is more than one to find.
func nearest(dst []uint16, scores []float32) {
	for t := range dst {
		best := simd.Max(scores)
		if dst[t] = Absent; best <= masked {
			continue
		}
		for i, x := range scores {
			if x == best {
				dst[t] = uint16(i)
				break
			}
		}
		if t+1 < len(dst) {
			scores[dst[t]] = 2 * masked
		}
	}
}
