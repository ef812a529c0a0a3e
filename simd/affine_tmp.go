package simd

import (
	"encoding/binary"
	"math"
)

func tmpf(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) }
func tmpfin(row []byte, k *[5]float32, u int32) float32 {
	o := math.Float32frombits(binary.LittleEndian.Uint32(row[4:]) &^ 0xffff)
	return k[0] + k[1]*tmpf(row)*float32(u) + k[2]*o + k[3]*tmpf(row[8:]) + k[4]*tmpf(row[12:])
}
func tmp4(q []int8, k *[5]float32, row []byte) float32 {
	var u int32
	h := (len(q) + 1) / 2
	for j, x := range q {
		if j < h {
			u += int32(x) * int32(row[16+j]&15)
		} else {
			u += int32(x) * int32(row[16+j-h]>>4)
		}
	}
	return tmpfin(row, k, u)
}
func AffineRowsI4(q []int8, k *[5]float32, rows []uint8, stride int, out []float32) {
	for i := range out {
		out[i] = tmp4(q, k, rows[i*stride:])
	}
}
func AffineGatherI4(q []int8, k *[5]float32, rows []uint8, stride int, ids []uint32, out []float32) {
	for i, id := range ids {
		out[i] = tmp4(q, k, rows[int(id)*stride:])
	}
}
