package nn

import "fmt"

// Tape records a computation and finds its gradients. Its zero value is ready;
// see the package comment for how a step goes and who owns what.
type Tape struct {
	// Train chooses batch statistics and dropout; without it batch-norm and Dice
	// use their running statistics and dropout does nothing.
	Train bool
	// NoGrad records no gradients: for serving.
	NoGrad bool
	// Seed and Step choose the dropout masks. The caller counts steps.
	Seed, Step uint64
	// Yield is called before each operation, forward and back, unless nil: a step of
	// milliseconds then lets others have the processor in between.
	Yield func()

	floats   slab[float32]
	doubles  slab[float64]
	vars     slab[Var]
	refs     slab[*Var]
	nodes    []*Var
	dropouts uint64 // dropouts recorded since Reset
}

// Var is a node of a tape: a value, and what is needed to hand its gradient to
// the nodes it was computed from.
type Var struct {
	Matrix
	grad  Matrix                // no Data until the first gradient arrives
	needs bool                  // a gradient is wanted
	back  func(t *Tape, v *Var) // nil: a leaf, a view, or nothing needs it
	in    []*Var

	// What a backward function needs beside the inputs; each says what it keeps.
	saved, more []float32
	mask        []float32
	ids         []uint32
	seg         Segments
	param       *Param
	op          Op
	a, b        bool
	n           uint64
	x           float32
}

// Op is an operation with a backward pass of its own.
//
// Backward adds to Grad(in[i]), for every in[i] that Needs it, the gradient that
// follows from Grad(out). It may overwrite Grad(out). One Op value serves one
// node of a step: it may keep scratch (Tape.Matrix) between its forward and
// backward pass.
type Op interface {
	Backward(t *Tape, out *Var, in []*Var)
}

func (t *Tape) yield() {
	if t.Yield != nil {
		t.Yield()
	}
}

// Reset forgets every node. Matrices of the tape are invalid from here on.
func (t *Tape) Reset() {
	t.floats.reset()
	t.doubles.reset()
	t.vars.reset()
	t.refs.reset()
	t.nodes = t.nodes[:0]
	t.dropouts = 0
}

// Matrix returns scratch that is valid until Reset and holds anything.
func (t *Tape) Matrix(rows, cols int) Matrix {
	n := rows * cols
	return Matrix{Rows: rows, Cols: cols, Stride: cols, Data: t.scratch(n)}
}

func (t *Tape) scratch(n int) []float32 { return t.floats.take(bytes64(n))[:n] }

// packed returns the rows of m whose mask is not 0, all without a mask, one after
// the other: m's own memory if they lie so, scratch otherwise.
func (t *Tape) packed(m Matrix, mask []float32) []float32 {
	if mask == nil && m.Packed() {
		return m.line().Data
	}
	rows := t.scratch(m.Rows * m.Cols)[:0]
	for i := range m.Rows {
		if mask == nil || mask[i] != 0 {
			rows = append(rows, m.Row(i)...)
		}
	}
	return rows
}

// zeros returns n zeros in float64, for sums over many rows.
func (t *Tape) zeros(n int) []float64 {
	z := t.doubles.take(n)
	clear(z)
	return z
}

// Input is a leaf without a gradient. The data stays the caller's.
func (t *Tape) Input(m Matrix) *Var { return t.leaf(m, false) }

// Leaf is a leaf whose gradient can be read with Grad after Backward.
func (t *Tape) Leaf(m Matrix) *Var { return t.leaf(m, !t.NoGrad) }

// Param is a leaf that shares the value and gradient of p. Use it for dense
// parameters only; rows of tables are looked up with Embed.
func (t *Tape) Param(p *Param) *Var {
	if p.slot != nil {
		panic(fmt.Sprintf("nn: table %s has gradients by row; look rows up with Embed", p.Name))
	}
	v := t.leaf(p.Value, !t.NoGrad && !p.Frozen)
	if v.needs {
		v.grad = p.Grad
	}
	return v
}

func (t *Tape) leaf(m Matrix, needs bool) *Var {
	v := &t.vars.take(1)[0]
	*v = Var{Matrix: m, needs: needs}
	t.nodes = append(t.nodes, v)
	return v
}

// node appends a node with a new value of rows x cols, which the caller fills.
// Its backward function runs only if one of the inputs needs a gradient.
func (t *Tape) node(rows, cols int, back func(*Tape, *Var), in ...*Var) *Var {
	t.yield()
	v := t.leaf(t.Matrix(rows, cols), false)
	t.join(v, back, in)
	return v
}

func (t *Tape) join(v *Var, back func(*Tape, *Var), in []*Var) {
	for _, u := range in {
		v.needs = v.needs || u != nil && u.needs
	}
	if v.needs {
		v.back = back
		v.in = t.refs.take(len(in))
		copy(v.in, in)
	}
}

// Record appends value, computed by the caller from in, with op for its
// backward pass. value lies in the tape's Matrix or in memory that does not
// change before Backward.
func (t *Tape) Record(op Op, value Matrix, in ...*Var) *Var {
	v := t.leaf(value, false)
	t.join(v, fusedBack, in)
	v.op = op
	return v
}

func fusedBack(t *Tape, v *Var) { v.op.Backward(t, v, v.in) }

// Needs reports whether a gradient of v is wanted.
func (v *Var) Needs() bool { return v.needs }

// Backward finds the gradient of loss, a 1x1 node, with respect to every node
// it was computed from, and adds it to the Grad of parameters. It may be called
// once between two Resets.
func (t *Tape) Backward(loss *Var) {
	if loss.Rows != 1 || loss.Cols != 1 {
		panic(fmt.Sprintf("nn: Backward: the loss is %s, not one number", loss))
	}
	if !loss.needs {
		return
	}
	t.Grad(loss).Data[0] = 1
	for i := len(t.nodes) - 1; i >= 0; i-- {
		if v := t.nodes[i]; v.back != nil && v.grad.Data != nil {
			t.yield()
			v.back(t, v)
		}
	}
}

// Grad returns the matrix that gradients of v are added to: zeros when none has
// arrived yet. v must need one.
func (t *Tape) Grad(v *Var) Matrix {
	g, beta := t.dest(v)
	if beta == 0 {
		g.zero()
	}
	return g
}

// dest is Grad for those who can write as well as add: with beta 0 the matrix
// holds anything and must be overwritten, with beta 1 it must be added to.
func (t *Tape) dest(v *Var) (g Matrix, beta float32) {
	if !v.needs {
		panic("nn: a gradient was asked of a node that needs none")
	}
	if v.grad.Data != nil {
		return v.grad, 1
	}
	v.grad = t.Matrix(v.Rows, v.Cols)
	return v.grad, 0
}

// add adds g to the gradient of v, if it needs one. g stays as it is.
func (t *Tape) add(v *Var, g Matrix) {
	if !v.needs {
		return
	}
	if d, beta := t.dest(v); beta == 0 {
		d.Set(g)
	} else {
		axpy(1, g, d)
	}
}

// give is add for a g that nobody reads or writes after it: v takes the memory
// if it has no gradient yet. It is how gradients go through most operations
// without a copy.
func (t *Tape) give(v *Var, g Matrix) {
	if v.needs && v.grad.Data == nil {
		v.grad = g
	} else {
		t.add(v, g)
	}
}
