package din

import (
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/simd"
)

// Scorer serves a model: it never changes, and any number of goroutines may call
// it. It is a copy of the weights, laid out for serving: batch-norms are part of
// the linear layers before them, the parts of the unit's first layer are apart.
type Scorer struct {
	config Config
	items  *Items
	tables []rows // of Config.Item, then of Config.User
	bias   []float32

	wq, wk, wp nn.Matrix   // h x d: parts of the unit's first layer, see first
	unit       frozen      // nil layers for mean pooling
	project    frozenLayer // d x d, or none
	wu, wi     nn.Matrix   // first layer of the head: columns of the user, others
	head       frozen
	idle       sync.Pool // of *work
}

// Request asks for scores of items for one user.
type Request struct {
	User  []uint32 // an id per field of Config.User
	Past  []uint32 // the history: items, in any order
	Items []uint32 // offered
	// Catalogue says what the numbers in Past and Items mean where that is known only
	// now; nil is the model's own. It must have been made for Config.Item.
	Catalogue *Items
}

// Scorer returns a copy of m that serves. With int8, vectors of items and users
// are kept as bytes with a scale and an offset per row: near a quarter of the
// memory, at an error of at most 1/510 of the row's range.
func (m *Model) Scorer(int8 bool) *Scorer {
	s := &Scorer{config: m.config, items: m.items}
	for _, p := range m.tables {
		s.tables = append(s.tables, newRows(p.Value, int8))
	}
	if m.bias != nil {
		s.bias = append(s.bias, m.bias.Value.Data...)
	}
	if m.unit != nil {
		s.unit = m.unit.freeze()
		w := s.unit[0].w
		s.wq, s.wk, s.wp = nn.NewMatrix(w.Rows, w.Cols/4), nn.NewMatrix(w.Rows, w.Cols/4), nn.NewMatrix(w.Rows, w.Cols/4)
		fold(w, s.wq, s.wk)
		_, _, _, wp := parts(w)
		s.wp.Set(wp)
	}
	if m.linear != nil {
		s.project = frozenLayer{w: nn.NewMatrix(m.linear.Weight.Value.Rows, m.linear.Weight.Value.Cols), b: slices.Clone(m.linear.Bias.Value.Data)}
		s.project.w.Set(m.linear.Weight.Value)
		s.project.absorb(m.normed)
	}
	s.head = m.head.freeze()
	w, user := s.head[0].w, width(m.config.User)
	s.wu, s.wi = w.Columns(0, user), w.Columns(user, w.Cols)
	s.idle.New = func() any { return new(work) }
	return s
}

// work is the scratch of one call.
type work struct {
	ids    []uint32
	starts []int32

	q, k, user   []float32 // C x d, T x d, 1 x user fields
	byItem       []float32 // C x h
	byPast       []float32 // T x h
	pair         []float32 // block x d, or a matrix of h x d per item of a block
	scores       []float32 // T x block
	x, y, gate   []float32 // layers of a block, and their gates
	weight       []float32 // C x T
	pooled       []float32 // C x d, before it is projected
	joined, bias []float32 // input of the head, C x inputs; its first bias
}

// blockRows is how many pairs go through the unit at once: their layers stay in
// the second-level cache.
const blockRows = 512

// room makes s hold n numbers, whatever they are.
func room[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/4)
	}
	return s[:n]
}

// Score writes the logit of each item of r to logits; Probabilities turns them
// into chances of a click. What r's history weighs for item i, pooling v_U(A), is
// written to weights[i*len(r.Past):(i+1)*len(r.Past)] unless weights is nil. What
// the first layer of the unit and that of the head make of the user alone is
// computed once. Nothing is allocated once scratch has grown to the size of requests.
// Time O(C·T·(d·h + h·h₂)) for C items, T of history and layers of h and h₂. Error:
// ErrBatch, and nothing is written.
func (s *Scorer) Score(r Request, logits, weights []float32) error {
	if err := s.check(r, logits, weights); err != nil {
		return err
	}
	w := s.idle.Get().(*work)
	defer s.idle.Put(w)
	w.q = s.gather(w, w.q, s.catalogue(&r), r.Items)
	w.k = s.gather(w, w.k, s.catalogue(&r), r.Past)
	w.weight = room(w.weight, len(r.Items)*len(r.Past))
	if s.unit == nil {
		for i := range w.weight {
			w.weight[i] = 1 / float32(len(r.Past))
		}
	} else {
		s.weigh(w, len(r.Items), len(r.Past))
	}
	copy(weights, w.weight)
	s.finish(w, r, logits)
	return nil
}

// Probabilities writes 1/(1+e^-z) of each logit to p, which may be logits.
func Probabilities(p, logits []float32) { simd.Sigmoid(p, logits) }

func (s *Scorer) check(r Request, logits, weights []float32) error {
	if len(logits) != len(r.Items) || weights != nil && len(weights) != len(r.Items)*len(r.Past) {
		return fmt.Errorf("%w: room for %d logits and %d weights of %d items and a history of %d", ErrBatch, len(logits), len(weights), len(r.Items), len(r.Past))
	}
	known := s.catalogue(&r)
	if !slices.Equal(known.fields, s.config.Item) {
		return fmt.Errorf("%w: a catalogue of other fields", ErrBatch)
	}
	if err := below("items", r.Items, known.count); err != nil {
		return err
	}
	if err := below("history", r.Past, known.count); err != nil {
		return err
	}
	if len(r.User) != len(s.config.User) {
		return fmt.Errorf("%w: %d ids of users, the model has %d fields", ErrBatch, len(r.User), len(s.config.User))
	}
	for i, f := range s.config.User {
		if int(r.User[i]) >= f.Rows {
			return fmt.Errorf("%w: field %s: id %d of %d rows", ErrBatch, f.Name, r.User[i], f.Rows)
		}
	}
	return nil
}

func (s *Scorer) catalogue(r *Request) *Items {
	if r.Catalogue != nil {
		return r.Catalogue
	}
	return s.items
}

// gather writes the vectors of items, the concatenation of their fields.
func (s *Scorer) gather(w *work, out []float32, known *Items, items []uint32) []float32 {
	d, at := s.config.Dim(), 0
	out = room(out, len(items)*d)
	for i := range s.config.Item {
		t := &s.tables[i]
		w.ids, w.starts = known.ids(i, items, w.ids[:0], w.starts[:0])
		if len(w.starts) == 0 {
			for j, id := range w.ids {
				t.read(out[j*d+at:][:t.dim], id)
			}
		} else {
			for j := range items {
				t.mean(out[j*d+at:][:t.dim], w.ids[w.starts[j]:w.starts[j+1]])
			}
		}
		at += t.dim
	}
	return out
}

// weigh computes a(e_j, v_A) of every pair, C x T, in w.weight.
func (s *Scorer) weigh(w *work, items, past int) {
	d, h := s.config.Dim(), s.wq.Rows
	if items == 0 || past == 0 {
		return
	}
	w.byItem = room(w.byItem, items*h)
	simd.GemmBias(false, true, items, h, d, 1, w.q, d, s.wq.Data, d, s.unit[0].b, simd.None, w.byItem, h)
	if 3*h*d < past*(2*d+3*h) { // numbers written and read per item offered
		s.byMatrix(w, items, past)
	} else {
		s.byPair(w, items, past)
	}
	if s.config.Scaled {
		simd.Scale(w.weight, float32(1/math.Sqrt(float64(d))))
	}
	if s.config.Softmax {
		for i := range items {
			row := w.weight[i*past : (i+1)*past]
			simd.Softmax(row, row)
		}
	}
}

// byPair multiplies W_p by v_A⊙e of every pair. The history's part of the layer is
// computed once.
func (s *Scorer) byPair(w *work, items, past int) {
	d, h := s.config.Dim(), s.wq.Rows
	w.byPast = room(w.byPast, past*h)
	simd.Gemm(false, true, past, h, d, 1, w.k, d, s.wk.Data, d, 0, w.byPast, h)
	block := max(1, blockRows/past)
	w.pair, w.x = room(w.pair, block*past*d), room(w.x, block*past*s.unit.width())
	for lo := 0; lo < items; lo += block {
		hi := min(lo+block, items)
		for c := lo; c < hi; c++ {
			at, end := (c-lo)*past, (c-lo+1)*past
			repeat(w.pair[at*d:end*d], w.q[c*d:(c+1)*d])
			simd.Mul(w.pair[at*d:end*d], w.k)
			repeat(w.x[at*h:end*h], w.byItem[c*h:(c+1)*h])
			simd.Add(w.x[at*h:end*h], w.byPast)
		}
		n := (hi - lo) * past
		simd.Gemm(false, true, n, h, d, 1, w.pair, d, s.wp.Data, d, 1, w.x, h)
		s.unit.after(w, n, w.weight[lo*past:hi*past])
	}
}

// byMatrix multiplies the history by W_k-W_d + W_p·diag(v_A), a matrix per item
// offered: less to write than byPair where histories are longer than the layer is
// wide, and products of full width where it is narrow.
func (s *Scorer) byMatrix(w *work, items, past int) {
	d, h := s.config.Dim(), s.wq.Rows
	block := max(1, 2*blockRows/past)
	w.pair, w.x = room(w.pair, block*h*d), room(w.x, block*past*s.unit.width())
	w.scores = room(w.scores, block*past)
	for lo := 0; lo < items; lo += block {
		hi := min(lo+block, items)
		for c := lo; c < hi; c++ {
			m := w.pair[(c-lo)*h*d : (c-lo+1)*h*d]
			repeat(m, w.q[c*d:(c+1)*d])
			simd.MulAdd(m, m, s.wp.Data, s.wk.Data)
		}
		n := hi - lo // rows of x are history by item
		simd.GemmBias(false, true, past, n*h, d, 1, w.k, d, w.pair, d, w.byItem[lo*h:hi*h], simd.None, w.x, n*h)
		s.unit.after(w, n*past, w.scores[:n*past])
		for c := lo; c < hi; c++ {
			row := w.weight[c*past : (c+1)*past]
			for j := range row {
				row[j] = w.scores[j*n+c-lo]
			}
		}
	}
}

// finish pools the history by the weights (3) and runs the head.
func (s *Scorer) finish(w *work, r Request, logits []float32) {
	d, n := s.config.Dim(), len(r.Items)
	if n == 0 {
		return
	}
	cols, h := s.wi.Cols, s.wi.Rows
	w.joined = room(w.joined, n*cols) // [v_A, v_U, v_U⊙v_A]
	for i := range n {
		copy(w.joined[i*cols:], w.q[i*d:(i+1)*d])
	}
	pooled, stride := w.joined[d:], cols
	if s.project.b != nil {
		w.pooled = room(w.pooled, n*d)
		pooled, stride = w.pooled, d
	}
	simd.Gemm(false, false, n, d, len(r.Past), 1, w.weight, len(r.Past), w.k, d, 0, pooled, stride)
	if p := s.project; p.b != nil {
		simd.GemmBias(false, true, n, d, d, 1, pooled, d, p.w.Data, d, p.b, simd.None, w.joined[d:], cols)
	}
	if s.config.Product {
		for i := range n {
			row := w.joined[i*cols:][:cols]
			copy(row[2*d:], row[d:2*d])
			simd.Mul(row[2*d:], row[:d])
		}
	}
	w.bias = append(w.bias[:0], s.head[0].b...)
	if len(s.config.User) > 0 {
		w.user = room(w.user, s.wu.Cols)
		at := 0
		for i, id := range r.User {
			t := &s.tables[len(s.config.Item)+i]
			t.read(w.user[at:][:t.dim], id)
			at += t.dim
		}
		simd.Gemv(false, h, s.wu.Cols, 1, s.wu.Data, s.wu.Stride, w.user, 1, w.bias)
	}
	w.x = room(w.x, n*s.head.width())
	simd.GemmBias(false, true, n, h, cols, 1, w.joined, cols, s.wi.Data, s.wi.Stride, w.bias, simd.None, w.x, h)
	s.head.after(w, n, logits)
	if s.bias != nil {
		w.ids, _ = s.catalogue(&r).ids(0, r.Items, w.ids[:0], nil)
		for i, id := range w.ids {
			logits[i] += s.bias[id]
		}
	}
}
