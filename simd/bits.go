package simd

// Popcount returns the number of one bits in a. O(n).
func Popcount(a []uint64) int {
	if len(a) == 0 {
		return 0
	}
	return active.Load().popcount(hide(a))
}

// Hamming returns the number of bits in which a and b differ. It panics if the
// lengths differ. O(n).
func Hamming(a, b []uint64) int {
	pair("Hamming", len(a), len(b))
	if len(a) == 0 {
		return 0
	}
	return active.Load().hamming(hide(a), hide(b))
}

// HammingRows writes the Hamming distance of q and row i to out[i], for every i
// < len(out); stride counts words. It panics as DotRows does.
func HammingRows(q, rows []uint64, stride int, out []int32) {
	dense("HammingRows", len(q), len(rows), stride, len(out))
	if len(q) == 0 {
		clear(out)
	} else if len(out) > 0 {
		active.Load().hammingRows(hide(q), hide(rows), stride, hide(out))
	}
}

// HammingGather writes the Hamming distance of q and row ids[i] to out[i], under
// the same rules as DotGather; stride counts words.
func HammingGather(q, rows []uint64, stride int, ids []uint32, out []int32) {
	listed("HammingGather", len(q), len(rows), stride, ids, len(out))
	if len(q) == 0 {
		clear(out[:len(ids)])
	} else if len(ids) > 0 {
		active.Load().hammingGather(hide(q), hide(rows), stride, hide(ids), hide(out))
	}
}
