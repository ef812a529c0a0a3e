package simd

// ToHalf rounds each float32 to the nearest IEEE 754 binary16, ties to even.
// Beyond ±65519.99 is ±Inf; NaN stays NaN, made quiet, with the top ten bits of
// its payload. It panics if the lengths differ.
func ToHalf(dst []uint16, src []float32) {
	pair("ToHalf", len(dst), len(src))
	if len(src) > 0 {
		active.Load().toHalf(hide(dst), hide(src))
	}
}

// FromHalf widens each binary16 to the float32 of equal value; signalling NaN
// is made quiet. It panics if the lengths differ.
func FromHalf(dst []float32, src []uint16) {
	pair("FromHalf", len(dst), len(src))
	if len(src) > 0 {
		active.Load().fromHalf(hide(dst), hide(src))
	}
}

// DotHalf is Dot of a float32 query and a binary16 vector; arithmetic is in
// float32. It panics if the lengths differ.
func DotHalf(q []float32, b []uint16) float32 {
	pair("DotHalf", len(q), len(b))
	if len(q) == 0 {
		return 0
	}
	return active.Load().dotHalf(hide(q), hide(b))
}

// L2Half is L2 of a float32 query and a binary16 vector; arithmetic is in
// float32. It panics if the lengths differ.
func L2Half(q []float32, b []uint16) float32 {
	pair("L2Half", len(q), len(b))
	if len(q) == 0 {
		return 0
	}
	return active.Load().l2Half(hide(q), hide(b))
}

// DotRowsHalf is DotRows over binary16 rows.
func DotRowsHalf(q []float32, rows []uint16, stride int, out []float32) {
	dense("DotRowsHalf", len(q), len(rows), stride, len(out))
	if len(q) == 0 {
		clear(out)
	} else if len(out) > 0 {
		active.Load().dotRowsHalf(hide(q), hide(rows), stride, hide(out))
	}
}

// L2RowsHalf is L2Rows over binary16 rows.
func L2RowsHalf(q []float32, rows []uint16, stride int, out []float32) {
	dense("L2RowsHalf", len(q), len(rows), stride, len(out))
	if len(q) == 0 {
		clear(out)
	} else if len(out) > 0 {
		active.Load().l2RowsHalf(hide(q), hide(rows), stride, hide(out))
	}
}

// DotGatherHalf is DotGather over binary16 rows.
func DotGatherHalf(q []float32, rows []uint16, stride int, ids []uint32, out []float32) {
	listed("DotGatherHalf", len(q), len(rows), stride, ids, len(out))
	if len(q) == 0 {
		clear(out[:len(ids)])
	} else if len(ids) > 0 {
		active.Load().dotGatherHalf(hide(q), hide(rows), stride, hide(ids), hide(out))
	}
}

// L2GatherHalf is L2Gather over binary16 rows.
func L2GatherHalf(q []float32, rows []uint16, stride int, ids []uint32, out []float32) {
	listed("L2GatherHalf", len(q), len(rows), stride, ids, len(out))
	if len(q) == 0 {
		clear(out[:len(ids)])
	} else if len(ids) > 0 {
		active.Load().l2GatherHalf(hide(q), hide(rows), stride, hide(ids), hide(out))
	}
}
