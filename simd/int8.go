package simd

// DotI8 returns Σ a[i]*b[i] of signed bytes. Sums are exact for up to 131,071
// elements; beyond, they wrap modulo 2³². It panics if the lengths differ.
func DotI8(a, b []int8) int32 {
	pair("DotI8", len(a), len(b))
	if len(a) == 0 {
		return 0
	}
	return active.Load().dotI8(hide(a), hide(b))
}

// L2I8 returns Σ (a[i]-b[i])² of signed bytes. Sums are exact for up to 33,025
// elements; beyond, they wrap modulo 2³². It panics if the lengths differ.
func L2I8(a, b []int8) int32 {
	pair("L2I8", len(a), len(b))
	if len(a) == 0 {
		return 0
	}
	return active.Load().l2I8(hide(a), hide(b))
}

// DotRowsI8 is DotI8 of q and row i, written to out[i], for every i < len(out). It
// panics as DotRows does.
func DotRowsI8(q, rows []int8, stride int, out []int32) {
	dense("DotRowsI8", len(q), len(rows), stride, len(out))
	if len(q) == 0 {
		clear(out)
	} else if len(out) > 0 {
		active.Load().dotRowsI8(hide(q), hide(rows), stride, hide(out))
	}
}

// L2RowsI8 is L2I8 of q and row i, written to out[i], for every i < len(out). It
// panics as L2Rows does.
func L2RowsI8(q, rows []int8, stride int, out []int32) {
	dense("L2RowsI8", len(q), len(rows), stride, len(out))
	if len(q) == 0 {
		clear(out)
	} else if len(out) > 0 {
		active.Load().l2RowsI8(hide(q), hide(rows), stride, hide(out))
	}
}

// DotGatherI8 is DotI8 of q and row ids[i], written to out[i], under the same rules
// as DotGather.
func DotGatherI8(q, rows []int8, stride int, ids []uint32, out []int32) {
	listed("DotGatherI8", len(q), len(rows), stride, ids, len(out))
	if len(q) == 0 {
		clear(out[:len(ids)])
	} else if len(ids) > 0 {
		active.Load().dotGatherI8(hide(q), hide(rows), stride, hide(ids), hide(out))
	}
}

// L2GatherI8 is L2I8 of q and row ids[i], written to out[i], under the same rules
// as L2Gather.
func L2GatherI8(q, rows []int8, stride int, ids []uint32, out []int32) {
	listed("L2GatherI8", len(q), len(rows), stride, ids, len(out))
	if len(q) == 0 {
		clear(out[:len(ids)])
	} else if len(ids) > 0 {
		active.Load().l2GatherI8(hide(q), hide(rows), stride, hide(ids), hide(out))
	}
}
