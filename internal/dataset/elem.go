package dataset

import (
	"encoding/binary"
	"fmt"
	"math"
)

// elem is an element type as it lies in a file.
type elem struct {
	kind byte // 'f' IEEE float, 'i' signed, 'u' unsigned
	size int  // bytes: 1, 2, 4 or 8; floats 2, 4 or 8
	big  bool // big-endian
}

func (e elem) String() string { return fmt.Sprintf("%c%d", e.kind, e.size*8) }

func (e elem) valid() bool {
	switch e.kind {
	case 'f':
		return e.size == 2 || e.size == 4 || e.size == 8
	case 'i', 'u':
		return e.size == 1 || e.size == 2 || e.size == 4 || e.size == 8
	}
	return false
}

// bits is element i of b as raw bits, zero-extended.
func (e elem) bits(b []byte, i int) uint64 {
	b = b[i*e.size:]
	var order binary.ByteOrder = binary.LittleEndian
	if e.big {
		order = binary.BigEndian
	}
	switch e.size {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(order.Uint16(b))
	case 4:
		return uint64(order.Uint32(b))
	default:
		return order.Uint64(b)
	}
}

// integer is element i of b for the integer kinds. ok is false when an unsigned
// value does not fit.
func (e elem) integer(b []byte, i int) (v int64, ok bool) {
	u := e.bits(b, i)
	if e.kind == 'u' {
		return int64(u), u <= math.MaxInt64
	}
	shift := 64 - 8*e.size
	return int64(u<<shift) >> shift, true
}

// floats decodes len(dst) elements of b, which must hold as many. float64 and
// wide integers are rounded to float32.
func (e elem) floats(dst []float32, b []byte) {
	if e.kind == 'f' && e.size == 4 && !e.big {
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		}
		return
	}
	if e.size == 1 && e.kind == 'u' {
		for i := range dst {
			dst[i] = float32(b[i])
		}
		return
	}
	for i := range dst {
		switch u := e.bits(b, i); {
		case e.kind == 'u':
			dst[i] = float32(u)
		case e.kind == 'i':
			v, _ := e.integer(b, i)
			dst[i] = float32(v)
		case e.size == 2:
			dst[i] = half(uint16(u))
		case e.size == 4:
			dst[i] = math.Float32frombits(uint32(u))
		default:
			dst[i] = float32(math.Float64frombits(u))
		}
	}
}

// ints decodes len(dst) elements of b to int32, refusing floats and values that
// do not fit.
func (e elem) ints(dst []int32, b []byte) error {
	if e.kind == 'f' {
		return fmt.Errorf("%w: elements are %s, integers are wanted", ErrUnsupported, e)
	}
	for i := range dst {
		v, ok := e.integer(b, i)
		if !ok || v < math.MinInt32 || v > math.MaxInt32 {
			return fmt.Errorf("%w: element %d is %d and does not fit 32 bits", ErrTooLarge, i, v)
		}
		dst[i] = int32(v)
	}
	return nil
}

// half is an IEEE 754 binary16 value.
func half(h uint16) float32 {
	sign, exp, frac := uint32(h>>15)<<31, uint32(h>>10)&31, uint32(h)&1023
	switch exp {
	case 0: // zero or subnormal: frac * 2^-24
		f := float32(frac) * (1.0 / (1 << 24))
		return math.Float32frombits(sign | math.Float32bits(f))
	case 31:
		return math.Float32frombits(sign | 0x7f800000 | frac<<13)
	}
	return math.Float32frombits(sign | (exp+112)<<23 | frac<<13)
}
