package nn

// GRU is one step of a gated recurrent unit from state h, n x d, on x, n x in: PyTorch's
// GRUCell. wx is 3d x in and wh 3d x d, with biases of 1 x 3d or nil, in the order reset
// gate r, update gate z, candidate:
//
//	c = tanh(wx_c·x + b_c + r⊙(wh_c·h + b'_c)),  h' = (1-z)⊙c + z⊙h
func (t *Tape) GRU(x, h, wx, wh, bx, bh *Var) *Var {
	d := h.Cols
	if wx.Rows != 3*d || x.Rows != h.Rows {
		panic(wrong("GRU", h, wx))
	}
	a, b := t.Linear(x, wx, bx), t.Linear(h, wh, bh)
	part := func(v *Var, i int) *Var { return t.Columns(v, i*d, (i+1)*d) }
	r := t.Sigmoid(t.Add(part(a, 0), part(b, 0)))
	z := t.Sigmoid(t.Add(part(a, 1), part(b, 1)))
	c := t.Tanh(t.Add(part(a, 2), t.Mul(r, part(b, 2))))
	return t.Add(c, t.Mul(z, t.Sub(h, c)))
}
