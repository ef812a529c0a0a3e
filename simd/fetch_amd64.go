//go:build !purego

package simd

//go:generate go -C _asm run . -isa hop -out ../hop_amd64.s -stubs ../hop_amd64.go -pkg simd

func fetch(s []uint32) { fetchAMD64(s) }

func fetchRows(ids []uint32, seen []uint8, epoch uint8, rows *uint8, stride, width int, spare []uint32) {
	fetchRowsAMD64(ids, seen, epoch, rows, stride, width, spare)
}
