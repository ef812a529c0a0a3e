package simd

// Dot returns Σ a[i]*b[i]. It panics if the lengths differ. O(n).
func Dot(a, b []float32) float32 { return dot(a, b) }

// L2 returns the squared Euclidean distance Σ (a[i]-b[i])². It panics if the
// lengths differ. O(n).
func L2(a, b []float32) float32 { return l2(a, b) }

// Cosine returns, in one pass, the three sums that a cosine is made of: Σ a·b,
// Σ a² and Σ b². The cosine is dot/√(aa·bb), undefined if either vector is
// zero. It panics if the lengths differ.
func Cosine(a, b []float32) (dot, aa, bb float32) {
	pair("Cosine", len(a), len(b))
	if len(a) == 0 {
		return 0, 0, 0
	}
	return active.Load().cosine(hide(a), hide(b))
}

// Norm returns the squared Euclidean norm Σ a[i]², bit for bit Dot(a, a).
func Norm(a []float32) float32 {
	return dot(a, a)
}

// Axpy adds alpha*x[i] to y[i], with one or two roundings an element. x and y
// must be the same slice or not overlap. It panics if the lengths differ.
func Axpy(alpha float32, x, y []float32) {
	pair("Axpy", len(x), len(y))
	if len(x) > 0 {
		active.Load().axpy(alpha, hide(x), hide(y))
	}
}

// Probe reads x once, as fast as the CPU can, and returns the exclusive or of
// all its bits as a float32. It is the yardstick for memory bandwidth: no scan
// of the same bytes can be faster.
func Probe(x []float32) float32 {
	if len(x) == 0 {
		return 0
	}
	return active.Load().probe(hide(x))
}

// DotRows writes the dot product of q and row i to out[i], for every i <
// len(out). It panics if stride < len(q) or the last row ends beyond rows.
func DotRows(q, rows []float32, stride int, out []float32) {
	dense("DotRows", len(q), len(rows), stride, len(out))
	if len(q) == 0 {
		clear(out)
	} else if len(out) > 0 {
		active.Load().dotRows(hide(q), hide(rows), stride, hide(out))
	}
}

// L2Rows writes the squared Euclidean distance of q and row i to out[i], for
// every i < len(out). It panics as DotRows does.
func L2Rows(q, rows []float32, stride int, out []float32) {
	dense("L2Rows", len(q), len(rows), stride, len(out))
	if len(q) == 0 {
		clear(out)
	} else if len(out) > 0 {
		active.Load().l2Rows(hide(q), hide(rows), stride, hide(out))
	}
}

// DotGather writes the dot product of q and row ids[i] to out[i]; ids may
// repeat and need no order, and q may itself be a row. out may be longer than
// ids; the rest is left alone. It panics if stride < len(q), out is shorter
// than ids, or a row ends beyond rows.
func DotGather(q, rows []float32, stride int, ids []uint32, out []float32) {
	listed("DotGather", len(q), len(rows), stride, ids, len(out))
	if len(q) == 0 {
		clear(out[:len(ids)])
	} else if len(ids) > 0 {
		active.Load().dotGather(hide(q), hide(rows), stride, hide(ids), hide(out))
	}
}

// L2Gather writes the squared Euclidean distance of q and row ids[i] to out[i],
// under the same rules as DotGather.
func L2Gather(q, rows []float32, stride int, ids []uint32, out []float32) {
	listed("L2Gather", len(q), len(rows), stride, ids, len(out))
	if len(q) == 0 {
		clear(out[:len(ids)])
	} else if len(ids) > 0 {
		active.Load().l2Gather(hide(q), hide(rows), stride, hide(ids), hide(out))
	}
}
