package tabr

import (
	"fmt"
	"math"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/internal/train"
	"github.com/eiderdb/eider/simd"
)

// batch is rows of the training table.
type batch struct {
	epoch int
	rows  []uint32
}

// learner is a model and the training rows, which are its candidates. It implements
// train.Model.
type learner struct {
	*Model
	x nn.Matrix // rows x width
	y []float32
	k int // candidates of a context: Context, or all others of a small table

	// last is the context of each row when it was last searched for: it bounds the next
	// search, and decides nothing. known says which rows have one.
	last  []uint32
	known []bool
	// contexts holds, after the epochs before freeze, the contexts of all rows, which
	// stay: ids, bit by bit, as Mean, and in Var whether they are there. It is state of
	// the run, hence of its checkpoints. nil: never.
	contexts *nn.Stats
	freeze   int

	s      space
	search search
	aside  nn.Tape // for keys of all candidates
	centre []float32
	values *distinct // nil without an embedding of numbers
	table  []float32 // their embeddings, of all candidates
	slot   []int32   // of the table's rows among those of a step, plus 1
	unique []uint32
	ctx    []uint32
	dist   []float32
	limit  []float32
	query  []float32
	labels []float32
}

var _ train.Model[batch] = (*learner)(nil)

func newLearner(m *Model, x nn.Matrix, y []float32, freeze int) (*learner, error) {
	k := min(m.c.Context, x.Rows-1)
	if k < 1 {
		return nil, fmt.Errorf("%w: %d training rows, want at least 2", ErrData, x.Rows)
	}
	l := &learner{Model: m, x: x, y: y, k: k, freeze: freeze, last: make([]uint32, x.Rows*k), known: make([]bool, x.Rows)}
	if m.c.Embedding != Plain {
		l.values = newDistinct(x, m.c.Num)
	}
	if freeze >= 0 {
		l.contexts = &nn.Stats{Mean: make([]float32, x.Rows*k), Var: make([]float32, 1)}
	}
	return l, nil
}

// Params implements train.Model.
func (m *Model) Params() []*nn.Param { return m.params }

// Stats implements train.Model.
func (l *learner) Stats(f func(string, *nn.Stats)) {
	if l.contexts != nil {
		f("contexts", l.contexts)
	}
}

// Regularise implements train.Model.
func (l *learner) Regularise() {}

// Gradient implements train.Model.
func (l *learner) Gradient(t *nn.Tape, b batch) (float64, error) {
	t.Reset()
	t.Train = true
	frozen := l.contexts != nil && b.epoch >= l.freeze
	if frozen && l.contexts.Var[0] == 0 {
		if !l.hold(t.Yield) {
			return math.NaN(), nil
		}
	}
	l.ctx = room(l.ctx, len(b.rows)*l.k)
	l.dist = room(l.dist, len(b.rows)*l.k)
	if frozen {
		for i, row := range b.rows {
			for j, x := range l.contexts.Mean[int(row)*l.k:][:l.k] {
				l.ctx[i*l.k+j] = math.Float32bits(x)
			}
		}
	}
	l.labels = room(l.labels, len(b.rows))
	for i, row := range b.rows {
		l.labels[i] = l.y[row]
	}
	out, ok := l.forward(t, b.rows, frozen)
	if !ok {
		return math.NaN(), nil
	}
	loss := l.loss(t, out, l.labels)
	t.Backward(loss)
	return float64(loss.Data[0]), nil
}

// forward is the predictions for training rows. With frozen their contexts are in ctx,
// else they are searched for. It is false if keys are not numbers.
func (l *learner) forward(t *nn.Tape, rows []uint32, frozen bool) (*nn.Var, bool) {
	o := mixture{c: &l.c, k: l.k, ctx: l.ctx[:len(rows)*l.k], dist: l.dist[:len(rows)*l.k], y: l.y, rows: rows,
		units: dropping(t, l.c.DropoutP), contexts: dropping(t, l.c.ContextP), masks: newStream(t, maskContext)}
	if !l.c.narrow() {
		if !frozen && !l.find(t, rows) {
			return nil, false
		}
		return l.wide(t, o), true
	}
	m := t.MatMul(t.Param(l.key.Weight), t.Param(l.in.Weight), false, false)
	a := t.MatMul(t.Param(l.hidden.Weight), m, false, false)
	u := t.Matrix(len(rows), l.x.Cols)
	simd.Gather(u.Data, l.x.Data, l.x.Cols, rows)
	if frozen {
		l.measure(m.Matrix, u)
	} else if !l.find(t, rows) {
		return nil, false
	}
	mixed := (&narrow{mixture: o, u: u, all: l.x}).mix(t, m, a, t.Param(l.hidden.Bias))
	return l.finish(t, l.in.Forward(t, t.Input(u)), mixed, rows), true
}

// measure writes the distances of contexts to dist.
func (l *learner) measure(m, u nn.Matrix) {
	n := u.Cols
	r := factor(m)
	z, delta := room(l.query, l.k*n), room(l.centre, l.k*n)
	l.query, l.centre = z, delta
	for i := range u.Rows {
		for j, id := range l.ctx[i*l.k:][:l.k] {
			to, from := delta[j*n:][:n], l.x.Row(int(id))
			for c, x := range u.Row(i) {
				to[c] = x - from[c]
			}
		}
		simd.Gemm(false, true, l.k, n, n, 1, delta, n, r, n, 0, z, n)
		for j := range l.k {
			l.dist[i*l.k+j] = simd.Norm(z[j*n:][:n])
		}
	}
}

// wide encodes the rows and their contexts, each once.
func (l *learner) wide(t *nn.Tape, o mixture) *nn.Var {
	if l.slot == nil {
		l.slot = make([]int32, l.x.Rows)
	}
	l.unique = append(l.unique[:0], o.rows...)
	for i, row := range o.rows {
		l.slot[row] = int32(i + 1)
	}
	for i, id := range o.ctx {
		if l.slot[id] == 0 {
			l.unique = append(l.unique, id)
			l.slot[id] = int32(len(l.unique))
		}
		o.ctx[i] = uint32(l.slot[id] - 1)
	}
	x := t.Matrix(len(l.unique), l.x.Cols)
	simd.Gather(x.Data, l.x.Data, l.x.Cols, l.unique)
	var numbers *nn.Var
	if l.values != nil {
		some := l.values.of(l.unique)
		numbers = look(t, l.embed(t, some.x, some.col), some.ids, l.c.Num)
	}
	e := l.encode(t, x, numbers, l.unique)
	keys := l.keys(t, e)
	a := t.Linear(keys, t.Param(l.hidden.Weight), nil)
	y := t.Matrix(1, len(l.unique)).Data
	for i, id := range l.unique {
		l.slot[id] = 0
		y[i] = l.y[id]
	}
	o.names, o.y = l.unique, y
	mixed := (&wide{mixture: o}).mix(t, keys, a, t.Param(l.hidden.Bias))
	return l.finish(t, t.Slice(e, 0, len(o.rows)), mixed, o.rows)
}

// find searches for the contexts of rows among all candidates, as they are now, and
// writes them to ctx and dist.
func (l *learner) find(t *nn.Tape, rows []uint32) bool {
	l.place(t)
	l.search.yield = t.Yield
	n := l.s.dim
	l.query, l.limit = room(l.query, len(rows)*n), room(l.limit, len(rows))
	for i, row := range rows {
		q := l.query[i*n:][:n]
		copy(q, l.s.z[int(row)*n:])
		l.limit[i] = float32(math.Inf(1))
		if l.known[row] {
			d := l.dist[i*l.k:][:l.k]
			simd.L2Gather(q, l.s.z, n, l.last[int(row)*l.k:][:l.k], d)
			l.limit[i] = simd.Max(d)
		}
	}
	if !l.search.nearest(&l.s, l.query, rows, l.limit, l.k, l.ctx, l.dist) {
		return false
	}
	for i, row := range rows {
		copy(l.last[int(row)*l.k:], l.ctx[i*l.k:][:l.k])
		l.known[row] = true
	}
	return true
}

// place puts all candidates where the model of now has them: in the space of rows if
// distances can be had there, else at their keys, which have the masks of the step.
func (l *learner) place(t *nn.Tape) {
	s := &l.s
	s.n = l.x.Rows
	if l.c.affine() {
		m := nn.NewMatrix(l.c.Dim, l.x.Cols)
		product(m, l.key.Weight.Value, l.in.Weight.Value)
		s.dim = l.x.Cols
		s.z = room(s.z, s.n*s.dim)
		simd.Gemm(false, true, s.n, s.dim, s.dim, 1, l.x.Data, s.dim, factor(m), s.dim, 0, s.z, s.dim)
	} else {
		s.dim = l.c.Dim
		s.z = room(s.z, s.n*s.dim)
		l.encodeAll(t)
	}
	l.centre = centre(l.centre, s.z, s.dim)
	s.measure()
}

// encodeAll makes the points of all candidates their keys, some at a time.
func (l *learner) encodeAll(t *nn.Tape) {
	const some = 1024
	s, a := &l.s, &l.aside
	a.Train, a.NoGrad, a.Seed, a.Step, a.Yield = t.Train, true, t.Seed, t.Step, t.Yield
	wide := l.c.Num * l.c.EmbedDim
	if v := l.values; v != nil {
		l.table = room(l.table, len(v.x)*l.c.EmbedDim)
		for lo := 0; lo < len(v.x); lo += 4 * some {
			hi := min(lo+4*some, len(v.x))
			a.Reset()
			copy(l.table[lo*l.c.EmbedDim:], l.embed(a, v.x[lo:hi], v.col[lo:hi]).Data[:(hi-lo)*l.c.EmbedDim])
		}
	}
	ids := make([]uint32, 0, some)
	for lo := 0; lo < s.n; lo += some {
		hi := min(lo+some, s.n)
		ids = ids[:0]
		for i := lo; i < hi; i++ {
			ids = append(ids, uint32(i))
		}
		a.Reset()
		var numbers *nn.Var
		if v := l.values; v != nil {
			m := a.Matrix(hi-lo, wide)
			simd.Gather(m.Data, l.table, l.c.EmbedDim, v.code[lo*l.c.Num:hi*l.c.Num])
			numbers = a.Input(m)
		}
		k := l.keys(a, l.encode(a, l.x.Slice(lo, hi), numbers, ids))
		copy(s.z[lo*s.dim:], k.Data[:(hi-lo)*s.dim])
	}
}

// product is c = a·b.
func product(c, a, b nn.Matrix) {
	simd.Gemm(false, false, c.Rows, c.Cols, a.Cols, 1, a.Data, a.Stride, b.Data, b.Stride, 0, c.Data, c.Stride)
}

// centre takes the mean of the rows off each, so that less is lost in differences of
// products, and returns it, in mean's memory.
func centre(mean, z []float32, dim int) []float32 {
	sums := make([]float64, dim)
	for i := 0; i < len(z); i += dim {
		for j, x := range z[i : i+dim] {
			sums[j] += float64(x)
		}
	}
	mean = room(mean, dim)
	for j, x := range sums {
		mean[j] = float32(x / float64(max(1, len(z)/dim)))
	}
	for i := 0; i < len(z); i += dim {
		simd.Sub(z[i:i+dim], mean)
	}
	return mean
}

// hold fixes the contexts of all rows, by the model without dropout.
func (l *learner) hold(yield func()) bool {
	t := nn.Tape{NoGrad: true, Yield: yield}
	n := l.x.Rows
	rows := make([]uint32, n)
	for i := range rows {
		rows[i] = uint32(i)
	}
	l.ctx, l.dist = room(l.ctx, n*l.k), room(l.dist, n*l.k)
	if !l.find(&t, rows) {
		return false
	}
	for i, id := range l.ctx[:n*l.k] {
		l.contexts.Mean[i] = math.Float32frombits(id)
	}
	l.contexts.Var[0] = 1
	return true
}
