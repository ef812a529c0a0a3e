package nn

import "fmt"

// Views share memory with their operand, values and gradient: they have no
// backward function. The operand's gradient must therefore exist, as zeros,
// before the first gradient arrives at a view.

func (t *Tape) view(x *Var, m Matrix) *Var {
	v := t.leaf(m, x.needs)
	if x.needs {
		t.Grad(x)
	}
	return v
}

// Slice views rows lo to hi-1 of x.
func (t *Tape) Slice(x *Var, lo, hi int) *Var {
	v := t.view(x, x.Matrix.Slice(lo, hi))
	if v.needs {
		v.grad = x.grad.Slice(lo, hi)
	}
	return v
}

// Columns views columns lo to hi-1 of x.
func (t *Tape) Columns(x *Var, lo, hi int) *Var {
	v := t.view(x, x.Matrix.Columns(lo, hi))
	if v.needs {
		v.grad = x.grad.Columns(lo, hi)
	}
	return v
}

// Reshape views x, which must be packed, as rows x cols in the same order.
func (t *Tape) Reshape(x *Var, rows, cols int) *Var {
	if !x.Packed() || rows*cols != x.Rows*x.Cols {
		panic(fmt.Sprintf("nn: Reshape: %s (packed: %t) to %dx%d", x, x.Packed(), rows, cols))
	}
	v := t.view(x, Wrap(rows, cols, x.Data[:rows*cols]))
	if v.needs {
		v.grad = Wrap(rows, cols, x.grad.Data[:rows*cols])
	}
	return v
}

// Stop is x as a constant: no gradient goes back through it.
func (t *Tape) Stop(x *Var) *Var { return t.leaf(x.Matrix, false) }

// Concat copies its inputs, which have the same number of rows, side by side.
func (t *Tape) Concat(in ...*Var) *Var {
	cols := 0
	for _, x := range in {
		if x.Rows != in[0].Rows {
			panic(fmt.Sprintf("nn: Concat: %s beside %s", x, in[0]))
		}
		cols += x.Cols
	}
	v := t.leaf(t.Matrix(in[0].Rows, cols), false)
	t.join(v, concatBack, in)
	at := 0
	for _, x := range in {
		v.Matrix.Columns(at, at+x.Cols).Set(x.Matrix)
		at += x.Cols
	}
	return v
}

func concatBack(t *Tape, v *Var) {
	at := 0
	for _, x := range v.in {
		t.give(x, v.grad.Columns(at, at+x.Cols))
		at += x.Cols
	}
}

// Stack copies its inputs, which have the same number of columns, below each
// other.
func (t *Tape) Stack(in ...*Var) *Var {
	rows := 0
	for _, x := range in {
		if x.Cols != in[0].Cols {
			panic(fmt.Sprintf("nn: Stack: %s below %s", x, in[0]))
		}
		rows += x.Rows
	}
	v := t.leaf(t.Matrix(rows, in[0].Cols), false)
	t.join(v, stackBack, in)
	at := 0
	for _, x := range in {
		v.Matrix.Slice(at, at+x.Rows).Set(x.Matrix)
		at += x.Rows
	}
	return v
}

func stackBack(t *Tape, v *Var) {
	at := 0
	for _, x := range v.in {
		t.give(x, v.grad.Slice(at, at+x.Rows))
		at += x.Rows
	}
}
