package tabr

import (
	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/tabular"
)

// Layers of dropout, as newStream numbers them.
const (
	maskContext = iota
	maskEncoder
	maskPredictor = maskEncoder + maxBlocks
)

// embed is the embedding of numbers x of columns col: numbers x EmbedDim.
func (m *Model) embed(t *nn.Tape, x []float32, col []uint32) *nn.Var {
	if m.c.Embedding == Periodic {
		return t.ReLU(t.Linear(waves(t, x, col, t.Param(m.freq)), t.Param(m.embedW), t.Param(m.embedB)))
	}
	return t.ReLU(scale(t, x, col, t.Param(m.embedW), t.Param(m.embedB)))
}

// encode is E of rows of the table, whose numbers are x, and their numeric columns,
// embedded, numbers; nil if they are not to be.
func (m *Model) encode(t *nn.Tape, x nn.Matrix, numbers *nn.Var, rows []uint32) *nn.Var {
	u := t.Input(x)
	if numbers != nil {
		rest := t.Columns(u, m.c.Num, x.Cols)
		if u = numbers; rest.Cols > 0 {
			u = t.Concat(numbers, rest)
		}
	}
	e := m.in.Forward(t, u)
	for i, b := range m.encoders {
		e = m.block(t, b, e, maskEncoder+i, rows)
	}
	return e
}

func (m *Model) block(t *nn.Tape, b block, x *nn.Var, layer int, rows []uint32) *nn.Var {
	h := x
	if b.norm != nil {
		h = b.norm.Forward(t, h, nil)
	}
	h = rectify(t, b.w1.Forward(t, h), m.c.DropoutP, newStream(t, uint64(layer)), rows)
	return t.Add(x, b.w2.Forward(t, h))
}

// keys is K of what encode gives. Without encoder blocks b_K is left out: it cancels in
// every difference.
func (m *Model) keys(t *nn.Tape, e *nn.Var) *nn.Var {
	if m.keyNorm == nil {
		return t.Linear(e, t.Param(m.key.Weight), nil)
	}
	return m.key.Forward(t, m.keyNorm.Forward(t, e, nil))
}

// finish is the prediction for rows of e, whose mixtures are mixed.
func (m *Model) finish(t *nn.Tape, e, mixed *nn.Var, rows []uint32) *nn.Var {
	h := m.c.hidden()
	values := t.Linear(t.Columns(mixed, 0, h), t.Param(m.mixed), nil)
	e = t.Add(e, values)
	if m.c.Kind == tabular.Regression {
		e = t.Add(e, t.MatMul(t.Columns(mixed, h, h+1), t.Param(m.labelW), false, false))
		e = t.Add(e, t.MatMul(t.Columns(mixed, h+1, h+2), t.Param(m.labelB), false, false))
	} else {
		e = t.Add(e, t.MatMul(t.Columns(mixed, h, h+m.c.labels()), t.Param(m.table), false, false))
	}
	for i, b := range m.predictors {
		e = m.block(t, b, e, maskPredictor+i, rows)
	}
	return m.head.Forward(t, t.ReLU(m.headNorm.Forward(t, e, nil)))
}

// loss is the mean loss of predictions.
func (m *Model) loss(t *nn.Tape, out *nn.Var, y []float32) *nn.Var {
	switch m.c.Kind {
	case tabular.Regression:
		return t.MSE(out, y)
	case tabular.Binary:
		return t.BCE(out, y, nil)
	}
	labels := make([]uint32, len(y))
	for i, v := range y {
		labels[i] = uint32(v)
	}
	return t.CE(out, labels, 0)
}
