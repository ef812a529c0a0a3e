//go:build !purego

package simd

//go:noescape
func dotNEON(a, b []float32) float32

//go:noescape
func l2NEON(a, b []float32) float32

//go:noescape
func dotGatherNEON(q, rows []float32, stride int, ids []uint32, out []float32)

//go:noescape
func l2GatherNEON(q, rows []float32, stride int, ids []uint32, out []float32)

//go:noescape
func dotI8NEON(a, b []int8) int32

//go:noescape
func l2I8NEON(a, b []int8) int32

//go:noescape
func dotU8NEON(a, b []uint8) int32

//go:noescape
func l2U8NEON(a, b []uint8) int32

//go:noescape
func dotGatherI8NEON(q, rows []int8, stride int, ids []uint32, out []int32)

//go:noescape
func l2GatherI8NEON(q, rows []int8, stride int, ids []uint32, out []int32)

//go:noescape
func dotGatherU8NEON(q, rows []uint8, stride int, ids []uint32, out []int32)

//go:noescape
func l2GatherU8NEON(q, rows []uint8, stride int, ids []uint32, out []int32)

//go:noescape
func dotI8OldNEON(a, b []int8) int32

//go:noescape
func l2I8OldNEON(a, b []int8) int32

//go:noescape
func dotU8OldNEON(a, b []uint8) int32

//go:noescape
func l2U8OldNEON(a, b []uint8) int32

//go:noescape
func dotGatherI8OldNEON(q, rows []int8, stride int, ids []uint32, out []int32)

//go:noescape
func l2GatherI8OldNEON(q, rows []int8, stride int, ids []uint32, out []int32)

//go:noescape
func dotGatherU8OldNEON(q, rows []uint8, stride int, ids []uint32, out []int32)

//go:noescape
func l2GatherU8OldNEON(q, rows []uint8, stride int, ids []uint32, out []int32)

//go:noescape
func hammingNEON(a, b []uint64) int32

//go:noescape
func hammingGatherNEON(q, rows []uint64, stride int, ids []uint32, out []int32)

//go:noescape
func affineGatherI8NEON(q []uint8, tail *[16]uint8, k *[5]float32, rows []uint8, stride int, ids []uint32, out []float32)

//go:noescape
func affineGatherI8OldNEON(q []uint8, tail *[16]uint8, k *[5]float32, rows []uint8, stride int, ids []uint32, out []float32)

//go:noescape
func affineGatherI4NEON(q []int8, tail *[32]int8, k *[5]float32, rows []uint8, stride int, ids []uint32, out []float32)

//go:noescape
func affineGatherI4OldNEON(q []int8, tail *[32]int8, k *[5]float32, rows []uint8, stride int, ids []uint32, out []float32)

//go:noescape
func affineGatherI1NEON(q []uint64, tail *[8]uint64, k *[5]float32, rows []uint8, stride int, ids []uint32, out []float32)
