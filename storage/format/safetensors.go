package format

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// Tensor is one tensor of a safetensors file.
type Tensor struct {
	DType string // see TensorInfo
	Shape []int  // no dimension is negative; an empty shape is a scalar
	Data  []byte // little-endian, row-major
}

// TensorInfo says what a tensor is and where it lies in the payload, the bytes
// after the header.
type TensorInfo struct {
	Name   string // 1..MaxTensorName bytes of UTF-8 without control characters
	DType  string // F64 F32 F16 BF16 I64 I32 I16 I8 U64 U32 U16 U8 BOOL
	Shape  []int  // at most MaxTensorRank dimensions, none negative
	Offset int64  // of the first byte
	Size   int64  // in bytes, what DType and Shape give
}

// tensorTypes lists the element types from the first in a file to the last, so
// that in a canonical file every tensor is aligned to its elements. The order is
// that of the Python package: equal tensors give equal files.
var tensorTypes = []struct {
	name  string
	bytes int64
}{{"U64", 8}, {"I64", 8}, {"F64", 8}, {"F32", 4}, {"U32", 4}, {"I32", 4}, {"BF16", 2}, {"F16", 2}, {"U16", 2}, {"I16", 2}, {"I8", 1}, {"U8", 1}, {"BOOL", 1}}

// tensorType is the place of an element type in tensorTypes, -1 for an unknown
// one.
func tensorType(name string) int {
	for i := range tensorTypes {
		if tensorTypes[i].name == name {
			return i
		}
	}
	return -1
}

// ElementBytes is the size of an element of a type, 0 for a type that is not read.
func ElementBytes(dtype string) int {
	if i := tensorType(dtype); i >= 0 {
		return int(tensorTypes[i].bytes)
	}
	return 0
}

// String is the tensor's type and shape, as in F32[2 3].
func (t TensorInfo) String() string { return fmt.Sprintf("%.16s%v", t.DType, t.Shape) }

// size multiplies type and shape out, refusing what does not fit MaxWeights.
func (t *TensorInfo) size() (int64, error) {
	size := int64(ElementBytes(t.DType))
	if size == 0 {
		return 0, fmt.Errorf("element type %.16q is not one of F64 F32 F16 BF16 I64 I32 I16 I8 U64 U32 U16 U8 BOOL", t.DType)
	}
	if len(t.Shape) > MaxTensorRank {
		return 0, fmt.Errorf("%d dimensions, at most %d", len(t.Shape), MaxTensorRank)
	}
	for _, d := range t.Shape {
		if d < 0 || int64(d) > MaxWeights || d > 0 && size > MaxWeights/int64(d) {
			return 0, fmt.Errorf("shape %v is negative or of more than %d bytes", t.Shape, int64(MaxWeights))
		}
		size *= int64(d)
	}
	return size, nil
}

// check reports what is wrong with a tensor by itself.
func (t *TensorInfo) check() error {
	if t.Name == "" || len(t.Name) > MaxTensorName || t.Name == metadataName || !plain(t.Name) {
		return errors.New("the name is empty, too long, reserved, or not plain UTF-8")
	}
	size, err := t.size()
	if err == nil && size != t.Size {
		err = fmt.Errorf("%d bytes where %v takes %d", t.Size, t, size)
	}
	return err
}

// plain reports UTF-8 text without control characters.
func plain(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) < 0
}

// ReadSafetensors decodes a safetensors file: a header length, a JSON header
// and the payload that the tensors tile exactly, without gaps or overlaps.
// Tensor data aliases b. The second result is the header's metadata, nil if it
// has none. Memory O(header), nothing is sized by a number that the file gives
// before its bytes are seen. Error: ErrCorrupt, naming the tensor.
func ReadSafetensors(b []byte) (map[string]Tensor, map[string]string, error) {
	infos, meta, payload, err := ReadSafetensorsHeader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, nil, err
	}
	out := make(map[string]Tensor, len(infos))
	for _, t := range infos {
		at, end := payload+t.Offset, payload+t.Offset+t.Size
		out[t.Name] = Tensor{DType: t.DType, Shape: t.Shape, Data: b[at:end:end]}
	}
	return out, meta, nil
}

// ReadSafetensorsHeader decodes the header of a safetensors file of size bytes
// and returns its tensors in order of their bytes, its metadata, and where the
// payload begins. Errors: ErrCorrupt as of ReadSafetensors, r's own.
func ReadSafetensorsHeader(r io.ReaderAt, size int64) (infos []TensorInfo, meta map[string]string, payload int64, err error) {
	var head [8]byte
	if size < int64(len(head)) {
		return nil, nil, 0, corrupt("safetensors file of %d bytes", size)
	}
	if _, err := r.ReadAt(head[:], 0); err != nil {
		return nil, nil, 0, fmt.Errorf("safetensors header: %w", err)
	}
	n := binary.LittleEndian.Uint64(head[:])
	if n > MaxTensorHeader || n > uint64(size-8) {
		return nil, nil, 0, corrupt("safetensors header of %d bytes in a file of %d, at most %d", n, size, MaxTensorHeader)
	}
	header := make([]byte, n)
	if _, err := r.ReadAt(header, 8); err != nil && (n > 0 || err != io.EOF) {
		return nil, nil, 0, fmt.Errorf("safetensors header: %w", err)
	}
	infos, meta, err = tensorHeads(header)
	if err != nil {
		return nil, nil, 0, err
	}
	payload = 8 + int64(n)
	return infos, meta, payload, tile(infos, size-payload)
}

// tile orders tensors by their bytes and checks that these are exactly the
// payload.
func tile(infos []TensorInfo, payload int64) error {
	slices.SortFunc(infos, func(a, b TensorInfo) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Size, b.Size), strings.Compare(a.Name, b.Name))
	})
	at, before := int64(0), ""
	for i := range infos {
		t := &infos[i]
		if err := t.check(); err != nil {
			return corrupt("tensor %.80q: %v", t.Name, err)
		}
		switch {
		case t.Offset < at:
			return corrupt("tensor %.80q begins at byte %d, inside tensor %.80q that ends at %d", t.Name, t.Offset, before, at)
		case t.Offset > at:
			return corrupt("tensor %.80q begins at byte %d, bytes from %d on belong to none", t.Name, t.Offset, at)
		case t.Size > payload-at:
			return corrupt("tensor %.80q ends at byte %d of a payload of %d", t.Name, at+t.Size, payload)
		}
		at, before = at+t.Size, t.Name
	}
	if at != payload {
		return corrupt("tensors cover %d of %d payload bytes", at, payload)
	}
	return nil
}

// tensorHead is a tensor's entry in the header. Extra keys are refused.
type tensorHead struct {
	DType   string    `json:"dtype"`
	Shape   []uint64  `json:"shape"`
	Offsets [2]uint64 `json:"data_offsets"`
}

// info is h as a TensorInfo; Size is the length of its span.
func (h *tensorHead) info(name string) (TensorInfo, error) {
	t := TensorInfo{Name: name, DType: h.DType, Shape: make([]int, len(h.Shape))}
	for i, d := range h.Shape {
		if d > MaxWeights {
			return t, fmt.Errorf("shape %v is too large", h.Shape)
		}
		t.Shape[i] = int(d)
	}
	if h.Offsets[0] > h.Offsets[1] || h.Offsets[1] > MaxWeights {
		return t, fmt.Errorf("spans bytes %d to %d", h.Offsets[0], h.Offsets[1])
	}
	t.Offset, t.Size = int64(h.Offsets[0]), int64(h.Offsets[1]-h.Offsets[0])
	return t, nil
}

const metadataName = "__metadata__"

// tensorHeads decodes the JSON header member by member, because encoding/json
// would silently keep the last of two members of one name.
func tensorHeads(header []byte) ([]TensorInfo, map[string]string, error) {
	if !utf8.Valid(header) || len(header) == 0 || header[0] != '{' {
		return nil, nil, corrupt("safetensors header is not a JSON object")
	}
	d := json.NewDecoder(bytes.NewReader(header))
	d.DisallowUnknownFields()
	if _, err := d.Token(); err != nil {
		return nil, nil, corrupt("safetensors header: %v", err)
	}
	var infos []TensorInfo
	var meta map[string]string
	seen := map[string]bool{}
	for d.More() {
		token, err := d.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, nil, corrupt("safetensors header: %v", err)
		}
		if seen[name] || len(infos) == MaxTensors {
			return nil, nil, corrupt("safetensors header repeats %.80q or holds more than %d tensors", name, MaxTensors)
		}
		seen[name] = true
		if name == metadataName {
			meta = map[string]string{}
			err = d.Decode(&meta)
		} else {
			var h tensorHead
			var t TensorInfo
			if err = d.Decode(&h); err == nil {
				t, err = h.info(name)
			}
			infos = append(infos, t)
		}
		if err != nil {
			return nil, nil, corrupt("tensor %.80q: %v", name, err)
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, nil, corrupt("safetensors header: %v", err)
	}
	rest, err := io.ReadAll(d.Buffered())
	if err != nil || len(bytes.TrimRight(rest, " ")) > 0 {
		return nil, nil, corrupt("bytes after the safetensors header")
	}
	return infos, meta, nil
}

// before reports whether a lies before b in a canonical file.
func (t *TensorInfo) before(b *TensorInfo) bool {
	return cmp.Or(cmp.Compare(tensorType(t.DType), tensorType(b.DType)), strings.Compare(t.Name, b.Name)) < 0
}

// ArrangeTensors puts tensors in the canonical order, by type and then name, and
// sets their offsets. Errors: ErrValue, naming the tensor whose bytes do not fill
// its shape; ErrLimit.
func ArrangeTensors(infos []TensorInfo) error {
	if len(infos) > MaxTensors {
		return fmt.Errorf("%w: %d tensors, at most %d", ErrLimit, len(infos), MaxTensors)
	}
	slices.SortFunc(infos, func(a, b TensorInfo) int {
		if a.before(&b) {
			return -1
		} else if b.before(&a) {
			return 1
		}
		return 0
	})
	at := int64(0)
	names := make(map[string]bool, len(infos))
	for i := range infos {
		t := &infos[i]
		if err := t.check(); err != nil {
			return fmt.Errorf("%w: tensor %.80q: %v", ErrValue, t.Name, err)
		}
		if names[t.Name] {
			return fmt.Errorf("%w: tensor %.80q is given twice", ErrValue, t.Name)
		}
		names[t.Name] = true
		if t.Offset = at; t.Size > MaxWeights-at {
			return fmt.Errorf("%w: tensors of more than %d bytes", ErrLimit, int64(MaxWeights))
		}
		at += t.Size
	}
	return nil
}

// InfoOf describes tensors of a map in the canonical order. Errors: those of
// ArrangeTensors.
func InfoOf(tensors map[string]Tensor) ([]TensorInfo, error) {
	infos := make([]TensorInfo, 0, min(len(tensors), MaxTensors))
	for name, t := range tensors {
		infos = append(infos, TensorInfo{Name: name, DType: t.DType, Shape: t.Shape, Size: int64(len(t.Data))})
	}
	return infos, ArrangeTensors(infos)
}

// AppendSafetensorsHeader appends the header, with its length, of a file whose
// payload is laid out as infos say; meta may be nil. Error: ErrLimit.
func AppendSafetensorsHeader(dst []byte, infos []TensorInfo, meta map[string]string) ([]byte, error) {
	start := len(dst)
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	member := func(name string, value any) error {
		open := byte(',')
		if b.Len() == 0 {
			open = '{'
		}
		b.WriteByte(open)
		err := enc.Encode(name)
		b.Truncate(b.Len() - 1) // the encoder ends lines
		b.WriteByte(':')
		err = errors.Join(err, enc.Encode(value))
		b.Truncate(b.Len() - 1)
		return err
	}
	var err error
	if meta != nil {
		err = member(metadataName, meta)
	}
	for i := range infos {
		t := &infos[i]
		h := tensorHead{DType: t.DType, Shape: make([]uint64, len(t.Shape)), Offsets: [2]uint64{uint64(t.Offset), uint64(t.Offset + t.Size)}}
		for j, d := range t.Shape {
			h.Shape[j] = uint64(d)
		}
		err = errors.Join(err, member(t.Name, h))
		if b.Len() > MaxTensorHeader {
			break
		}
	}
	if b.Len() == 0 {
		b.WriteByte('{')
	}
	b.WriteByte('}')
	for b.Len()%8 != 0 {
		b.WriteByte(' ') // so that the payload is aligned
	}
	if err == nil && b.Len() > MaxTensorHeader {
		err = fmt.Errorf("%w: safetensors header of more than %d bytes; give fewer tensors or shorter names", ErrLimit, MaxTensorHeader)
	}
	if err != nil {
		return dst[:start], err
	}
	return append(binary.LittleEndian.AppendUint64(dst, uint64(b.Len())), b.Bytes()...), nil
}

// WriteSafetensors writes tensors in the canonical order, with meta if it is not
// nil. Equal input gives equal bytes, those that the Python package writes.
// Errors: those of ArrangeTensors, w's own.
func WriteSafetensors(w io.Writer, tensors map[string]Tensor, meta map[string]string) error {
	infos, err := InfoOf(tensors)
	if err != nil {
		return err
	}
	for k, v := range meta {
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return fmt.Errorf("%w: safetensors metadata %.80q is not UTF-8", ErrValue, k)
		}
	}
	b, err := AppendSafetensorsHeader(nil, infos, meta)
	if err != nil {
		return err
	}
	if _, err := w.Write(b); err != nil {
		return err
	}
	for i := range infos {
		if _, err := w.Write(tensors[infos[i].Name].Data); err != nil {
			return err
		}
	}
	return nil
}
