package nn

import "github.com/eiderdb/eider/simd"

// The second operand of Add, Sub and Mul has the shape of the first or is
// broadcast: one row (1 x cols) to all rows, one column (rows x 1) to all
// columns, one number (1 x 1) to all elements.

// Add is a + b.
func (t *Tape) Add(a, b *Var) *Var { return t.plus(a, b, 1) }

// Sub is a - b.
func (t *Tape) Sub(a, b *Var) *Var { return t.plus(a, b, -1) }

func (t *Tape) plus(a, b *Var, sign float32) *Var {
	fits("Add or Sub", a, b)
	v := t.node(a.Rows, a.Cols, plusBack, a, b)
	v.x = sign
	v.Set(a.Matrix)
	if same(a, b) {
		axpy(sign, b.Matrix, v.Matrix)
		return v
	}
	for i := range v.Rows {
		row, x := v.Row(i), b.Row(min(i, b.Rows-1))
		if len(x) == len(row) {
			simd.Axpy(sign, x, row)
			continue
		}
		for j := range row {
			row[j] += sign * x[0]
		}
	}
	return v
}

func plusBack(t *Tape, v *Var) {
	a, b := v.in[0], v.in[1]
	switch {
	case !b.needs:
	case !same(a, b):
		d := t.Grad(b)
		for i := range v.Rows {
			g, row := v.grad.Row(i), d.Row(min(i, d.Rows-1))
			if len(row) == len(g) {
				simd.Axpy(v.x, g, row)
			} else {
				row[0] += v.x * simd.Sum(g)
			}
		}
	case v.x == 1:
		t.add(b, v.grad)
	default:
		axpy(v.x, v.grad, t.Grad(b))
	}
	t.give(a, v.grad)
}

// Mul is a ⊙ b, element by element.
func (t *Tape) Mul(a, b *Var) *Var {
	fits("Mul", a, b)
	v := t.node(a.Rows, a.Cols, mulBack, a, b)
	v.Set(a.Matrix)
	times(v.Matrix, b.Matrix)
	return v
}

// times multiplies y by x, broadcast to its shape.
func times(y, x Matrix) {
	if x.Rows == y.Rows && x.Cols == y.Cols {
		mul(y, x)
		return
	}
	for i := range y.Rows {
		if row := x.Row(min(i, x.Rows-1)); len(row) == y.Cols {
			simd.Mul(y.Row(i), row)
		} else {
			simd.Scale(y.Row(i), row[0])
		}
	}
}

func mulBack(t *Tape, v *Var) {
	a, b, g := v.in[0], v.in[1], v.grad
	if b.needs {
		d := t.Grad(b)
		for i := range v.Rows {
			row, x, y := d.Row(min(i, d.Rows-1)), g.Row(i), a.Row(i)
			if len(row) == len(x) {
				for j := range row {
					row[j] += x[j] * y[j]
				}
			} else {
				row[0] += simd.Dot(x, y)
			}
		}
	}
	if a.needs {
		times(g, b.Matrix)
		t.give(a, g)
	}
}

// Scale is alpha·x.
func (t *Tape) Scale(x *Var, alpha float32) *Var {
	v := t.node(x.Rows, x.Cols, scaleBack, x)
	v.x = alpha
	v.Set(x.Matrix)
	scale(v.Matrix, alpha)
	return v
}

func scaleBack(t *Tape, v *Var) {
	scale(v.grad, v.x)
	t.give(v.in[0], v.grad)
}

// Sum is the sum of all elements, 1x1.
func (t *Tape) Sum(x *Var) *Var { return t.total(x, 1) }

// Mean is the mean of all elements, 1x1; 0 of none.
func (t *Tape) Mean(x *Var) *Var { return t.total(x, 1/float32(max(1, x.Rows*x.Cols))) }

func (t *Tape) total(x *Var, weight float32) *Var {
	v := t.node(1, 1, totalBack, x)
	v.x = weight
	sum := 0.0
	for i := range x.Rows {
		for _, e := range x.Row(i) {
			sum += float64(e)
		}
	}
	v.Data[0] = float32(sum * float64(weight))
	return v
}

func totalBack(t *Tape, v *Var) {
	d := t.Grad(v.in[0])
	g := v.grad.Data[0] * v.x
	for i := range d.Rows {
		for j, row := 0, d.Row(i); j < len(row); j++ {
			row[j] += g
		}
	}
}

// SumRows adds up the rows: 1 x cols.
func (t *Tape) SumRows(x *Var) *Var {
	v := t.node(1, x.Cols, sumRowsBack, x)
	clear(v.Data)
	sumRows(v.Data, x.Matrix)
	return v
}

// sumRows adds every row of x to sum.
func sumRows(sum []float32, x Matrix) {
	for i := range x.Rows {
		simd.Add(sum, x.Row(i))
	}
}

func sumRowsBack(t *Tape, v *Var) {
	d := t.Grad(v.in[0])
	for i := range d.Rows {
		simd.Add(d.Row(i), v.grad.Row(0))
	}
}

// SumColumns adds up each row: rows x 1.
func (t *Tape) SumColumns(x *Var) *Var {
	v := t.node(x.Rows, 1, sumColumnsBack, x)
	for i := range x.Rows {
		v.Data[i] = simd.Sum(x.Row(i))
	}
	return v
}

func sumColumnsBack(t *Tape, v *Var) {
	d := t.Grad(v.in[0])
	for i := range d.Rows {
		g := v.grad.Row(i)[0]
		for j, row := 0, d.Row(i); j < len(row); j++ {
			row[j] += g
		}
	}
}

func same(a, b *Var) bool { return a.Rows == b.Rows && a.Cols == b.Cols }

func fits(op string, a, b *Var) {
	if (b.Rows != a.Rows && b.Rows != 1) || (b.Cols != a.Cols && b.Cols != 1) {
		panic(wrong(op, a, b))
	}
}
