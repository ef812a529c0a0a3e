package simd

// Gather copies row ids[i] of table to row i of dst. Rows have dim elements and
// follow one another; ids may repeat and need no order, and rows further on in the
// list are fetched ahead. dst must not overlap table. It panics if dst does not
// hold len(ids) rows or a row ends beyond table.
func Gather(dst, table []float32, dim int, ids []uint32) {
	if tabled("Gather", len(dst), len(table), dim, ids) {
		active.Load().gather(hide(dst), hide(table), dim, hide(ids))
	}
}

// ScatterAdd adds row i of grad to row ids[i] of table, in the order of the list,
// so that a repeated id gets the same bits every time. It panics as Gather does.
func ScatterAdd(table, grad []float32, dim int, ids []uint32) {
	if tabled("ScatterAdd", len(grad), len(table), dim, ids) {
		active.Load().scatterAdd(hide(table), hide(grad), dim, hide(ids))
	}
}

// tabled panics unless dense elements are a row of dim for each id, and each id's
// row lies within table elements. It reports whether there are any.
func tabled(name string, dense, table, dim int, ids []uint32) bool {
	if dense != len(ids)*dim {
		panicTable(name, dense, len(ids), dim)
	}
	listed(name, dim, table, dim, ids, len(ids))
	return dense > 0
}

func gatherGeneric(dst, table []float32, dim int, ids []uint32) {
	for i, id := range ids {
		copy(dst[i*dim:][:dim], table[int(id)*dim:])
	}
}

func scatterAddGeneric(table, grad []float32, dim int, ids []uint32) {
	for i, id := range ids {
		row := table[int(id)*dim:][:dim]
		for j, g := range grad[i*dim:][:dim] {
			row[j] += g
		}
	}
}
