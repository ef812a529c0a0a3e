package nn

import (
	"math"

	"github.com/eiderdb/eider/simd"
)

// SCALE is gradient descent without state per element: the gradient of each
// output unit (a row of a matrix out x in) is divided by its root mean square,
// that of a table by its root mean square over the whole vocabulary, by column;
// neither is taken below 1e-8. The Last layer, if any, keeps a momentum of 0.9
// and is normalised after it. Parameters of one row move by AdamW (0.9, 0.999).
// Decay is decoupled.
type SCALE struct {
	Last  *Param
	Decay float32

	column []float64
}

// Step implements Optimizer.
func (o *SCALE) Step(params []*Param, rate float32) {
	vectors := Adam{Decay: o.Decay}
	for i, p := range params {
		if p.slot == nil && p.Value.Rows == 1 {
			vectors.Step(params[i:i+1], rate)
			continue
		}
		if !p.begin() {
			continue
		}
		g := p.Grad
		if p == o.Last && p.slot == nil {
			m := Wrap(g.Rows, g.Cols, p.state(0))
			scale(m, 0.9)
			axpy(0.1, g, m)
			g.Set(m)
		}
		if p.slot == nil {
			unitRows(g)
		} else {
			o.unitColumns(g, p.Value.Rows)
		}
		decay := p.decay(o.Decay)
		for i := range p.spans() {
			w, g, _ := p.span(i)
			if decay != 0 {
				simd.Scale(w, 1-rate*decay)
			}
			simd.Axpy(-rate, g, w)
		}
		p.Clear()
	}
}

// unitRows divides each row by its root mean square.
func unitRows(g Matrix) {
	for i := range g.Rows {
		row := g.Row(i)
		rms := float64(length(row)) / math.Sqrt(float64(max(1, len(row))))
		simd.Scale(row, float32(1/max(rms, 1e-8)))
	}
}

// unitColumns divides each column by its root mean square over n rows, of which
// those that g does not hold are zero.
func (o *SCALE) unitColumns(g Matrix, n int) {
	if cap(o.column) < g.Cols {
		o.column = make([]float64, g.Cols)
	}
	sq := o.column[:g.Cols]
	clear(sq)
	for i := range g.Rows {
		for j, e := range g.Row(i) {
			sq[j] += float64(e) * float64(e)
		}
	}
	for i := range g.Rows {
		for j, row := 0, g.Row(i); j < len(row); j++ {
			row[j] /= float32(max(math.Sqrt(sq[j]/float64(n)), 1e-8))
		}
	}
}
