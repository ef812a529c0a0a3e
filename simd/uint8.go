package simd

// DotU8 returns Σ a[i]*b[i] of unsigned bytes. Sums are exact for up to 33,025
// elements; beyond, they wrap modulo 2³². It panics if the lengths differ.
func DotU8(a, b []uint8) int32 {
	pair("DotU8", len(a), len(b))
	if len(a) == 0 {
		return 0
	}
	return active.Load().dotU8(hide(a), hide(b))
}

// L2U8 returns Σ (a[i]-b[i])² of unsigned bytes. Sums are exact for up to 33,025
// elements; beyond, they wrap modulo 2³². It panics if the lengths differ.
func L2U8(a, b []uint8) int32 {
	pair("L2U8", len(a), len(b))
	if len(a) == 0 {
		return 0
	}
	return active.Load().l2U8(hide(a), hide(b))
}

// DotRowsU8 is DotU8 of q and row i, written to out[i], for every i < len(out). It
// panics as DotRows does.
func DotRowsU8(q, rows []uint8, stride int, out []int32) {
	dense("DotRowsU8", len(q), len(rows), stride, len(out))
	if len(q) == 0 {
		clear(out)
	} else if len(out) > 0 {
		active.Load().dotRowsU8(hide(q), hide(rows), stride, hide(out))
	}
}

// L2RowsU8 is L2U8 of q and row i, written to out[i], for every i < len(out). It
// panics as L2Rows does.
func L2RowsU8(q, rows []uint8, stride int, out []int32) {
	dense("L2RowsU8", len(q), len(rows), stride, len(out))
	if len(q) == 0 {
		clear(out)
	} else if len(out) > 0 {
		active.Load().l2RowsU8(hide(q), hide(rows), stride, hide(out))
	}
}

// DotGatherU8 is DotU8 of q and row ids[i], written to out[i], under the same rules
// as DotGather.
func DotGatherU8(q, rows []uint8, stride int, ids []uint32, out []int32) {
	listed("DotGatherU8", len(q), len(rows), stride, ids, len(out))
	if len(q) == 0 {
		clear(out[:len(ids)])
	} else if len(ids) > 0 {
		active.Load().dotGatherU8(hide(q), hide(rows), stride, hide(ids), hide(out))
	}
}

// L2GatherU8 is L2U8 of q and row ids[i], written to out[i], under the same rules
// as L2Gather.
func L2GatherU8(q, rows []uint8, stride int, ids []uint32, out []int32) {
	listed("L2GatherU8", len(q), len(rows), stride, ids, len(out))
	if len(q) == 0 {
		clear(out[:len(ids)])
	} else if len(ids) > 0 {
		active.Load().l2GatherU8(hide(q), hide(rows), stride, hide(ids), hide(out))
	}
}
