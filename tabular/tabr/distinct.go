package tabr

import (
	"slices"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/simd"
)

// distinct is the different numbers in the columns of a table. An embedding of numbers
// depends on the column and the number alone, so a step embeds each number once.
type distinct struct {
	x    []float32
	col  []uint32 // of each number
	code []uint32 // rows x columns, which number it is
	num  int      // columns

	slot []uint32 // of numbers among those of some rows, plus 1
	some distinctRows
}

// distinctRows is the numbers of some rows.
type distinctRows struct {
	x   []float32
	col []uint32
	ids []uint32 // rows x columns
}

func newDistinct(x nn.Matrix, num int) *distinct {
	d := &distinct{num: num, code: make([]uint32, x.Rows*num)}
	order := make([]int, x.Rows)
	for j := range num {
		for i := range order {
			order[i] = i
		}
		slices.SortFunc(order, func(a, b int) int {
			if p, q := x.Row(a)[j], x.Row(b)[j]; p < q {
				return -1
			} else if p > q {
				return 1
			}
			return 0
		})
		for n, i := range order {
			if v := x.Row(i)[j]; n == 0 || v != x.Row(order[n-1])[j] {
				d.x, d.col = append(d.x, v), append(d.col, uint32(j))
			}
			d.code[i*num+j] = uint32(len(d.x) - 1)
		}
	}
	d.slot = make([]uint32, len(d.x))
	return d
}

// of is the numbers of rows, valid until the next call.
func (d *distinct) of(rows []uint32) distinctRows {
	s := &d.some
	s.x, s.col, s.ids = s.x[:0], s.col[:0], s.ids[:0]
	for _, row := range rows {
		for _, code := range d.code[int(row)*d.num:][:d.num] {
			if d.slot[code] == 0 {
				s.x, s.col = append(s.x, d.x[code]), append(s.col, d.col[code])
				d.slot[code] = uint32(len(s.x))
			}
			s.ids = append(s.ids, d.slot[code]-1)
		}
	}
	for _, row := range rows {
		for _, code := range d.code[int(row)*d.num:][:d.num] {
			d.slot[code] = 0
		}
	}
	return *s
}

// lookup puts rows of a matrix side by side: row i of the result is rows ids[i·n] to
// ids[i·n+n-1].
type lookup struct {
	ids []uint32
	n   int
}

func look(t *nn.Tape, table *nn.Var, ids []uint32, n int) *nn.Var {
	v := t.Matrix(len(ids)/n, n*table.Cols)
	simd.Gather(v.Data, table.Data, table.Cols, ids)
	return t.Record(&lookup{ids, n}, v, table)
}

func (o *lookup) Backward(t *nn.Tape, out *nn.Var, in []*nn.Var) {
	g, to := t.Grad(out), t.Grad(in[0])
	for i := range g.Rows {
		simd.ScatterAdd(to.Data, g.Row(i), to.Cols, o.ids[i*o.n:][:o.n])
	}
}
