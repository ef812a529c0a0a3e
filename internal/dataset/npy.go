package dataset

import (
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// maxNpyHeader is longer than any header numpy writes for a plain array.
const maxNpyHeader = 1 << 16

// npy reads numpy's header (format versions 1 to 3): magic, version, a length
// and a Python dictionary literal with descr, fortran_order and shape. An array
// of one dimension is read as rows of one element.
func (d *Reader) npy() error {
	var head [8]byte
	if _, err := io.ReadFull(d.src, head[:]); err != nil {
		return err
	}
	if string(head[:6]) != "\x93NUMPY" {
		return fmt.Errorf("%w: it starts with % x", ErrFormat, head[:6])
	}
	size := make([]byte, 2)
	if head[6] >= 2 {
		size = make([]byte, 4)
	}
	if head[6] < 1 || head[6] > 3 {
		return fmt.Errorf("%w: npy version %d", ErrUnsupported, head[6])
	}
	if _, err := io.ReadFull(d.src, size); err != nil {
		return err
	}
	n := uint32(binary.LittleEndian.Uint16(size))
	if len(size) == 4 {
		n = binary.LittleEndian.Uint32(size)
	}
	if n > maxNpyHeader {
		return fmt.Errorf("%w: header of %d bytes", ErrTooLarge, n)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(d.src, text); err != nil {
		return err
	}
	return d.npyDict(string(text))
}

func (d *Reader) npyDict(text string) error {
	descr, ok := npyValue(text, "descr")
	if !ok {
		return fmt.Errorf("%w: header has no descr", ErrFormat)
	}
	e, err := npyElem(strings.Trim(descr, `'" `))
	if err != nil {
		return err
	}
	order, ok := npyValue(text, "fortran_order")
	if !ok {
		return fmt.Errorf("%w: header has no fortran_order", ErrFormat)
	}
	list, ok := npyValue(text, "shape")
	if !ok || !strings.HasPrefix(list, "(") || !strings.HasSuffix(list, ")") {
		return fmt.Errorf("%w: header has no shape", ErrFormat)
	}
	var dims []int64
	for part := range strings.SplitSeq(list[1:len(list)-1], ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		n, err := strconv.ParseInt(part, 10, 64)
		if err != nil || n < 0 {
			return fmt.Errorf("%w: shape %s", ErrFormat, list)
		}
		dims = append(dims, n)
	}
	switch {
	case len(dims) == 1:
		dims = append(dims, 1)
	case len(dims) != 2:
		return fmt.Errorf("%w: %d dimensions; save an array of two", ErrUnsupported, len(dims))
	case strings.TrimSpace(order) != "False":
		return fmt.Errorf("%w: Fortran order; save numpy.ascontiguousarray(a)", ErrUnsupported)
	}
	if err := shape(dims[0], dims[1]); err != nil {
		return err
	}
	d.elem, d.rows, d.cols = e, int(dims[0]), int(dims[1])
	return nil
}

// npyValue is the text of one value of the dictionary: a quoted string, a
// parenthesised tuple or a bare word.
func npyValue(text, key string) (string, bool) {
	_, rest, ok := strings.Cut(text, "'"+key+"':")
	if !ok {
		return "", false
	}
	rest = strings.TrimLeft(rest, " ")
	end := -1
	switch {
	case strings.HasPrefix(rest, "("):
		end = strings.IndexByte(rest, ')') + 1
	case strings.HasPrefix(rest, "'"):
		end = strings.IndexByte(rest[1:], '\'') + 2
	default:
		end = strings.IndexAny(rest, ",}")
	}
	if end <= 1 {
		return "", false
	}
	return rest[:end], true
}

// npyElem parses a type such as <f4, |u1 or >i8.
func npyElem(descr string) (elem, error) {
	if len(descr) == 3 && strings.ContainsRune("<>|=", rune(descr[0])) {
		e := elem{kind: descr[1], size: int(descr[2] - '0'), big: descr[0] == '>'}
		if e.valid() {
			return e, nil
		}
	}
	return elem{}, fmt.Errorf("%w: elements of type %q; save float32, float64, float16 or integers", ErrUnsupported, descr)
}
