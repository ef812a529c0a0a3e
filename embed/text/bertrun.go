package text

import (
	"context"
	"math"
	"slices"

	"github.com/eiderdb/eider/simd"
)

// activations are the functions of the inner width by their names in config.json.
var activations = map[string]func([]float32){
	"gelu":              func(x []float32) { simd.Gelu(x, x) },
	"gelu_new":          geluTanh,
	"gelu_pytorch_tanh": geluTanh,
	"relu":              relu,
}

// geluTanh is the form of Gelu with tanh: x/2·(1+tanh u) = x·σ(2u).
func geluTanh(x []float32) {
	const scale, cube = 2 * math.Sqrt2 / math.SqrtPi, 0.044715
	var u [256]float32
	for len(x) > 0 {
		part := x[:min(len(x), len(u))]
		for i, v := range part {
			u[i] = scale * (v + cube*v*v*v)
		}
		simd.Sigmoid(u[:len(part)], u[:len(part)])
		for i := range part {
			part[i] *= u[i]
		}
		x = x[len(part):]
	}
}

func relu(x []float32) {
	for i, v := range x {
		x[i] = max(v, 0)
	}
}

// pass is one run of the network over some texts, whose tokens lie end to end: no
// text is padded. Matrices have a row for each token. It is scratch, for one
// goroutine.
type pass struct {
	ids    []uint32
	starts []int // text i is ids[starts[i]:starts[i+1]]

	x      []float32 // hidden states
	qkv    []float32 // queries, keys and values, side by side
	mix    []float32 // values as attention weighs them
	delta  []float32 // what a half of a layer adds to x
	inner  []float32
	scores []float32 // of one head of one text: queries x keys
}

func (p *pass) reset() { p.ids, p.starts = p.ids[:0], append(p.starts[:0], 0) }

// add appends the tokens of a text.
func (p *pass) add(ids []uint32) {
	p.ids = append(p.ids, ids...)
	p.starts = append(p.starts, len(p.ids))
}

// sized returns s with n elements of any value.
func sized(s []float32, n int) []float32 { return slices.Grow(s[:0], n)[:n] }

// run computes the hidden states after the first layers of the network into p.x.
// Error: ctx's, which is looked at before every layer.
func (e *BERT) run(ctx context.Context, p *pass, layers int) error {
	n, c := len(p.ids), e.config
	p.x = sized(p.x, n*c.Hidden)
	p.qkv, p.mix = sized(p.qkv, 3*n*c.Hidden), sized(p.mix, n*c.Hidden)
	p.delta, p.inner = sized(p.delta, n*c.Hidden), sized(p.inner, n*c.Inner)
	e.embed(p)
	for _, b := range e.blocks[:layers] {
		if err := ctx.Err(); err != nil {
			return err
		}
		b.qkv.apply(p.qkv, p.x)
		e.attend(p)
		b.merge.apply(p.delta, p.mix)
		b.attended.addNorm(p.x, p.delta, float32(c.Eps))
		b.up.apply(p.inner, p.x)
		activations[c.Activation](p.inner)
		b.down.apply(p.delta, p.inner)
		b.o.addNorm(p.x, p.delta, float32(c.Eps))
	}
	return nil
}

// apply sets y to x·w + b, row by row.
func (l *linear) apply(y, x []float32) {
	simd.GemmBias(false, false, len(x)/l.in, l.out, l.in, 1, x, l.in, l.w, l.out, l.b, simd.None, y, l.out)
}

// addNorm sets each row of x to the LayerNorm of its sum with that of delta.
func (a *affine) addNorm(x, delta []float32, eps float32) {
	width := len(a.gamma)
	for at := 0; at < len(x); at += width {
		row := x[at : at+width]
		simd.Add(row, delta[at:at+width])
		simd.LayerNorm(row, row, a.gamma, a.beta, eps)
	}
}

// embed makes the first hidden states: of a token, its own embedding and that of
// its place in the text.
func (e *BERT) embed(p *pass) {
	h := e.config.Hidden
	simd.Gather(p.x, e.words, h, p.ids)
	for i, from := range p.starts[:len(p.starts)-1] {
		n := p.starts[i+1] - from
		copy(p.delta[from*h:], e.places[:n*h])
	}
	e.entry.addNorm(p.x, p.delta, float32(e.config.Eps))
}

// attend weighs the values of each text by its queries and keys, head by head.
func (e *BERT) attend(p *pass) {
	h := e.config.Hidden
	size := h / e.config.Heads
	scale := float32(1 / math.Sqrt(float64(size)))
	for i, from := range p.starts[:len(p.starts)-1] {
		n := p.starts[i+1] - from
		p.scores = sized(p.scores, n*n)
		text := p.qkv[3*h*from : 3*h*(from+n)]
		for at := 0; at < h; at += size {
			q, k, v := text[at:], text[h+at:], text[2*h+at:]
			simd.Gemm(false, true, n, n, size, scale, q, 3*h, k, 3*h, 0, p.scores, n)
			for j := range n {
				row := p.scores[j*n : (j+1)*n]
				simd.Softmax(row, row)
			}
			simd.Gemm(false, false, n, size, n, 1, p.scores, n, v, 3*h, 0, p.mix[from*h+at:], h)
		}
	}
}

// pool writes the vector of text i of the pass, and reports whether it has one:
// weights that no training gives may take it beyond float32.
func (e *BERT) pool(p *pass, i int, dst []float32) bool {
	h := e.config.Hidden
	from, to := p.starts[i], p.starts[i+1]
	copy(dst, p.x[from*h:from*h+e.dim])
	if !e.cls {
		for t := from + 1; t < to; t++ {
			simd.Add(dst, p.x[t*h:t*h+e.dim])
		}
		simd.Scale(dst, 1/float32(to-from))
	}
	sum := 0.0
	for _, v := range dst {
		sum += float64(v) * float64(v)
	}
	if !(sum > 0) || math.IsInf(sum, 1) {
		return false
	}
	if e.unit {
		scale := 1 / math.Sqrt(sum)
		for j, v := range dst {
			dst[j] = float32(float64(v) * scale)
		}
	}
	return true
}
