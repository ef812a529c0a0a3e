package simd

import (
	"fmt"
	"sync/atomic"
)

// Admit writes to dst, in their order, the elements n of row for which a filtered
// walk may have a use: n < len(seen), seen[n] is not epoch, and the bit ids[n] of
// allow is set. It returns their number. Elements of row from len(seen) on, as a
// list has them at its end, are passed over. Bit i of allow is bit i%64 of word i/64.
//
// Others may store to row and ids meanwhile, each element at once. It panics if ids
// is shorter than seen or dst shorter than row, and if the capacity of seen is not
// enough to read it four bytes at a time.
func Admit(row []uint32, seen []uint8, epoch uint8, ids []uint32, allow []uint64, dst []uint32) int {
	if len(ids) < len(seen) || len(dst) < len(row) || cap(seen) < (len(seen)+3)&^3 {
		panic(fmt.Sprintf("simd: Admit: %d ids for %d seen with capacity %d; dst has length %d for a row of %d",
			len(ids), len(seen), cap(seen), len(dst), len(row)))
	}
	return active.Load().admit(hide(row), seen, epoch, ids, allow, hide(dst))
}

func admitGeneric(row []uint32, seen []uint8, epoch uint8, ids []uint32, allow []uint64, dst []uint32) int {
	m := 0
	for i := range row {
		n := atomic.LoadUint32(&row[i])
		if uint(n) >= uint(len(seen)) || seen[n] == epoch {
			continue
		}
		id := atomic.LoadUint32(&ids[n])
		if w := uint(id / 64); w < uint(len(allow)) && allow[w]>>(id%64)&1 != 0 {
			dst[m] = n
			m++
		}
	}
	return m
}
