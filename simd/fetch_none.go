//go:build purego || !amd64

package simd

func fetch([]uint32) {}

func fetchRows([]uint32, []uint8, uint8, *uint8, int, int, []uint32) {}
