package storage

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/eiderdb/eider/storage/format"
)

// bitmapReader unions posting operands into one bitmap. The first few members
// are kept as a list, because most terms have few; beyond that it keeps one
// bitmap per chunk of 65,536 ords it met.
type bitmapReader struct {
	few    []uint32
	chunks []*format.Set // by chunk number, nil where untouched
}

// fewOrds is the length of the list.
const fewOrds = 64

// add takes a key that ends in a chunk number and the operand under it.
func (r *bitmapReader) add(key, value []byte) error {
	if len(key) < 2 {
		return fmt.Errorf("%w: posting key of %d bytes", ErrCorrupt, len(key))
	}
	o, err := format.ParseOperand(value)
	if err != nil {
		return err
	}
	chunk := int(be.Uint16(key[len(key)-2:]))
	if n := o.Len(); len(r.chunks) == 0 && len(r.few)+n <= fewOrds {
		o.Each(func(x uint16) { r.few = append(r.few, uint32(chunk)<<16|uint32(x)) })
		return nil
	}
	o.Or(r.chunk(chunk))
	return nil
}

// chunk returns the bitmap of a chunk.
func (r *bitmapReader) chunk(chunk int) *format.Set {
	for len(r.chunks) <= chunk {
		r.chunks = append(r.chunks, nil)
	}
	if r.chunks[chunk] == nil {
		r.chunks[chunk] = new(format.Set)
	}
	return r.chunks[chunk]
}

// reset empties the reader.
func (r *bitmapReader) reset() { r.few, r.chunks = r.few[:0], r.chunks[:0] }

// Cookie of roaring's portable format without run containers.
const roaringCookie = 12346

// bitmap builds the union by writing roaring's portable serialisation, whose
// containers are ours: sorted uint16 up to 4096 members, else 1024 words.
func (r *bitmapReader) bitmap() (*roaring.Bitmap, error) {
	if len(r.chunks) == 0 {
		bm := roaring.New()
		bm.AddMany(r.few)
		return bm, nil
	}
	for _, ord := range r.few {
		r.chunk(int(ord >> 16)).Add(uint16(ord))
	}
	n, size := 0, 0
	cards := make([]int, len(r.chunks))
	for i, s := range r.chunks {
		if s == nil {
			continue
		}
		if cards[i] = s.Len(); cards[i] > 0 {
			n++
			size += min(2*cards[i], 8192)
		}
	}
	bm := roaring.New()
	if n == 0 {
		return bm, nil
	}
	le := binary.LittleEndian
	buf := make([]byte, 0, 8+8*n+size)
	buf = le.AppendUint32(le.AppendUint32(buf, roaringCookie), uint32(n))
	for i, c := range cards {
		if c > 0 {
			buf = le.AppendUint16(le.AppendUint16(buf, uint16(i)), uint16(c-1))
		}
	}
	offset := 8 + 8*n
	for _, c := range cards {
		if c > 0 {
			buf = le.AppendUint32(buf, uint32(offset))
			offset += containerBytes(c)
		}
	}
	for i, c := range cards {
		if c > 0 {
			buf = appendContainer(buf, r.chunks[i], c)
		}
	}
	if err := bm.UnmarshalBinary(buf); err != nil {
		return nil, fmt.Errorf("%w: bitmap: %v", ErrCorrupt, err)
	}
	return bm, nil
}

func containerBytes(card int) int {
	if card > 4096 {
		return 8192
	}
	return 2 * card
}

func appendContainer(dst []byte, s *format.Set, card int) []byte {
	for i, w := range s {
		if card > 4096 {
			dst = binary.LittleEndian.AppendUint64(dst, w)
			continue
		}
		for ; w != 0; w &= w - 1 {
			dst = binary.LittleEndian.AppendUint16(dst, uint16(i<<6|bits.TrailingZeros64(w)))
		}
	}
	return dst
}
