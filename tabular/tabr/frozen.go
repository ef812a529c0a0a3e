package tabr

import (
	"slices"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/simd"
	"github.com/eiderdb/eider/tabular"
)

// Frozen is a model ready to serve. It does not change and may be used from many
// goroutines.
type Frozen struct {
	c Config
	m *Model // a copy of the weights

	reduce nn.Matrix // columns x columns: distances of reduce·u are those of keys; if affine
	first  nn.Matrix // transposed [W_T1 M, b_T1], columns+1 x hidden; if narrow
}

// Freeze copies what serving needs of m as it is.
func (m *Model) Freeze() *Frozen {
	own, err := New(m.c, 0)
	if err != nil {
		panic(err) // m has the same configuration
	}
	for i, p := range m.params {
		copy(own.params[i].Value.Data, p.Value.Data)
	}
	f := &Frozen{c: m.c, m: own}
	if !f.c.affine() {
		return f
	}
	n, h := f.c.width(), f.c.hidden()
	keys := nn.NewMatrix(f.c.Dim, n)
	product(keys, own.key.Weight.Value, own.in.Weight.Value)
	f.reduce = nn.Wrap(n, n, factor(keys))
	if f.c.narrow() {
		f.first = nn.NewMatrix(n+1, h)
		simd.Gemm(true, true, n, h, f.c.Dim, 1, keys.Data, n, own.hidden.Weight.Value.Data, f.c.Dim, 0, f.first.Data, h)
		copy(f.first.Row(n), own.hidden.Bias.Value.Data)
	}
	return f
}

// Config is the shape of the model.
func (f *Frozen) Config() Config { return f.c }

// KeyDim is the width of the vectors by which candidates are found: the nearest ones by
// Euclidean distance.
func (f *Frozen) KeyDim() int {
	if f.c.affine() {
		return f.c.width()
	}
	return f.c.Dim
}

// side is the width of what a candidate has beside its key and its label: its row, or
// W_T1 k.
func (f *Frozen) side() int {
	if f.c.narrow() {
		return f.c.width()
	}
	return f.c.hidden()
}

// work is scratch of one call, for up to searchGroup rows at a time.
type work struct {
	x, u, wave, e, k, z, a, h, norm, mixed []float32

	pairs, delta, base, p []float32
	search                search
	self, ctx             []uint32
	dist                  []float32
	hits                  []index.Hit
}

// affine is y = x·wᵀ + b for n rows.
func affine(n int, x []float32, l *nn.Linear, act simd.Activation, y []float32) []float32 {
	w := l.Weight.Value
	y = room(y, n*w.Rows)
	simd.GemmBias(false, true, n, w.Rows, w.Cols, 1, x, w.Cols, w.Data, w.Cols, l.Bias.Value.Data, act, y, w.Rows)
	return y
}

// linear is y = x·wᵀ for n rows.
func linear(n int, x []float32, w nn.Matrix, y []float32) []float32 {
	y = room(y, n*w.Rows)
	simd.Gemm(false, true, n, w.Rows, w.Cols, 1, x, w.Cols, w.Data, w.Cols, 0, y, w.Rows)
	return y
}

// encode makes e, z and a of n rows in w.x.
func (f *Frozen) encode(w *work, n int) {
	m, d := f.m, f.c.Dim
	w.e = affine(n, f.embed(w, n), m.in, simd.None, w.e)
	for _, b := range m.encoders {
		f.block(w, b, n)
	}
	if f.c.affine() {
		w.z = linear(n, w.x, f.reduce, w.z)
		if f.c.narrow() {
			return
		}
	}
	if e := w.e; m.keyNorm == nil {
		w.k = linear(n, e, m.key.Weight.Value, w.k)
	} else {
		w.norm = room(w.norm, n*d)
		layerNorm(w.norm, e, m.keyNorm)
		w.k = affine(n, w.norm, m.key, simd.None, w.k)
	}
	if !f.c.affine() {
		w.z = room(w.z, n*d)
		copy(w.z, w.k)
	}
	w.a = linear(n, w.k, m.hidden.Weight.Value, w.a)
}

// embed is u of n rows.
func (f *Frozen) embed(w *work, n int) []float32 {
	if f.c.Embedding == Plain {
		return w.x
	}
	m, num, width, size := f.m, f.c.Num, f.c.width(), f.c.EmbedDim
	wide := f.c.inputs()
	w.u = room(w.u, n*wide)
	if f.c.Embedding == Periodic {
		w.wave = room(w.wave, 2*num*f.c.Frequencies)
	}
	for i := range n {
		x, to := w.x[i*width:][:width], w.u[i*wide:][:wide]
		if f.c.Embedding == Periodic {
			for j, v := range x[:num] {
				wave(w.wave[2*j*f.c.Frequencies:], v, m.freq.Value.Row(j))
			}
			l := m.embedW.Value
			simd.GemmBias(false, true, num, l.Rows, l.Cols, 1, w.wave, l.Cols, l.Data, l.Cols, m.embedB.Value.Data, simd.ReLU, to, size)
		} else {
			for j, v := range x[:num] {
				for c, s := range m.embedW.Value.Row(j) {
					to[j*size+c] = max(0, v*s+m.embedB.Value.Row(j)[c])
				}
			}
		}
		copy(to[num*size:], x[num:])
	}
	return w.u
}

func layerNorm(dst, src []float32, l *nn.Norm) {
	g, b := l.Weight.Value.Data, l.Bias.Value.Data
	for i := 0; i < len(dst); i += len(g) {
		simd.LayerNorm(dst[i:i+len(g)], src[i:i+len(g)], g, b, l.Eps)
	}
}

// block applies a block to n rows of w.e.
func (f *Frozen) block(w *work, b block, n int) {
	d, x := f.c.Dim, w.e
	if b.norm != nil {
		w.norm = room(w.norm, n*d)
		layerNorm(w.norm, w.e[:n*d], b.norm)
		x = w.norm
	}
	w.h = affine(n, x, b.w1, simd.ReLU, w.h)
	l := b.w2.Weight.Value
	simd.Gemm(false, true, n, d, l.Cols, 1, w.h, l.Cols, l.Data, l.Cols, 1, w.e, d)
	for i := range n {
		simd.Add(w.e[i*d:][:d], b.w2.Bias.Value.Data)
	}
}

// finish makes predictions of n rows of e and of mixed, of standardised targets or
// logits.
func (f *Frozen) finish(w *work, n int, out []float32) {
	m, d, h := f.m, f.c.Dim, f.c.hidden()
	wide := h + f.c.labels()
	l := m.mixed.Value
	simd.Gemm(false, true, n, d, h, 1, w.mixed, wide, l.Data, h, 1, w.e, d)
	for i := range n {
		e, labels := w.e[i*d:][:d], w.mixed[i*wide+h:][:f.c.labels()]
		if f.c.Kind == tabular.Regression {
			simd.Axpy(labels[0], m.labelW.Value.Data, e)
			simd.Axpy(labels[1], m.labelB.Value.Data, e)
			continue
		}
		for c, share := range labels {
			if share != 0 {
				simd.Axpy(share, m.table.Value.Row(c), e)
			}
		}
	}
	for _, b := range m.predictors {
		f.block(w, b, n)
	}
	w.norm = room(w.norm, n*d)
	layerNorm(w.norm, w.e[:n*d], m.headNorm)
	for i, x := range w.norm {
		w.norm[i] = max(x, 0)
	}
	copy(out, affine(n, w.norm, m.head, simd.None, w.h))
}

// scaleUp makes predictions of standardised targets or logits: targets, the probability
// of class 1, or those of all classes.
func (f *Frozen) scaleUp(out []float32) {
	switch f.c.Kind {
	case tabular.Regression:
		for i, y := range out {
			out[i] = float32(float64(y)*f.c.Std + f.c.Mean)
		}
	case tabular.Binary:
		simd.Sigmoid(out, out)
	default:
		for row := range slices.Chunk(out, f.c.out()) {
			simd.Softmax(row, row)
		}
	}
}
