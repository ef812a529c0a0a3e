package format

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// Tensor is one tensor of a safetensors file.
type Tensor struct {
	DType string // F64 F32 F16 BF16 I64 I32 I16 I8 U64 U32 U16 U8 BOOL
	Shape []int  // no dimension is negative; an empty shape is a scalar
	Data  []byte // little-endian, row-major
}

// tensorBytes maps element types to their size.
var tensorBytes = map[string]int{
	"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1,
	"U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1,
}

// tensorHead is a tensor's entry in the header. Extra keys are refused.
type tensorHead struct {
	DType   string    `json:"dtype"`
	Shape   []uint64  `json:"shape"`
	Offsets [2]uint64 `json:"data_offsets"`
}

const metadataName = "__metadata__"

// ReadSafetensors decodes a safetensors file: a header length, a JSON header
// and the payload that the tensors tile exactly, in order, without gaps or
// overlaps. Tensor data aliases b. The second result is the header's metadata,
// nil if it has none. Error: ErrCorrupt.
func ReadSafetensors(b []byte) (map[string]Tensor, map[string]string, error) {
	if len(b) < 8 {
		return nil, nil, corrupt("safetensors file of %d bytes", len(b))
	}
	n := binary.LittleEndian.Uint64(b)
	if n > MaxTensorHeader || n > uint64(len(b)-8) {
		return nil, nil, corrupt("safetensors header of %d bytes", n)
	}
	heads, meta, err := tensorHeads(b[8 : 8+n])
	if err != nil {
		return nil, nil, err
	}
	payload := b[8+n:]
	names := slices.SortedFunc(maps.Keys(heads), func(x, y string) int {
		a, b := heads[x].Offsets, heads[y].Offsets
		return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]), strings.Compare(x, y))
	})
	out := make(map[string]Tensor, len(heads))
	at := uint64(0)
	for _, name := range names {
		h := heads[name]
		size, err := h.size()
		if err != nil {
			return nil, nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		if h.Offsets[0] != at || h.Offsets[1] < at || h.Offsets[1]-at != size || h.Offsets[1] > uint64(len(payload)) {
			return nil, nil, corrupt("tensor %q spans bytes %d to %d, %d bytes from %d belong to it", name, h.Offsets[0], h.Offsets[1], size, at)
		}
		t := Tensor{DType: h.DType, Shape: make([]int, len(h.Shape)), Data: payload[at:h.Offsets[1]:h.Offsets[1]]}
		for i, d := range h.Shape {
			t.Shape[i] = int(d)
		}
		out[name] = t
		at = h.Offsets[1]
	}
	if at != uint64(len(payload)) {
		return nil, nil, corrupt("tensors cover %d of %d payload bytes", at, len(payload))
	}
	return out, meta, nil
}

// size multiplies the shape out, refusing overflow.
func (h tensorHead) size() (uint64, error) {
	size, ok := uint64(tensorBytes[h.DType]), false
	if size == 0 {
		return 0, corrupt("element type %.16q", h.DType)
	}
	if len(h.Shape) > MaxTensorRank {
		return 0, corrupt("%d dimensions", len(h.Shape))
	}
	for _, d := range h.Shape {
		if size, ok = mul(size, d); !ok || d > 1<<40 {
			return 0, corrupt("shape %v is too large", h.Shape)
		}
	}
	return size, nil
}

func mul(a, b uint64) (uint64, bool) {
	if a == 0 || b == 0 {
		return 0, true
	}
	c := a * b
	return c, c/a == b && c < 1<<48
}

// tensorHeads decodes the JSON header member by member, because encoding/json
// would silently keep the last of two members of one name.
func tensorHeads(header []byte) (map[string]tensorHead, map[string]string, error) {
	if !utf8.Valid(header) || len(header) == 0 || header[0] != '{' {
		return nil, nil, corrupt("safetensors header is not a JSON object")
	}
	d := json.NewDecoder(bytes.NewReader(header))
	d.DisallowUnknownFields()
	if _, err := d.Token(); err != nil {
		return nil, nil, corrupt("safetensors header: %v", err)
	}
	heads := map[string]tensorHead{}
	var meta map[string]string
	for d.More() {
		token, err := d.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, nil, corrupt("safetensors header: %v", err)
		}
		if _, twice := heads[name]; twice || name == metadataName && meta != nil || len(heads) == MaxTensors {
			return nil, nil, corrupt("safetensors header repeats %.80q or holds too many tensors", name)
		}
		if name == metadataName {
			meta = map[string]string{}
			err = d.Decode(&meta)
		} else {
			var h tensorHead
			err = d.Decode(&h)
			heads[name] = h
		}
		if err != nil {
			return nil, nil, corrupt("safetensors header, %.80q: %v", name, err)
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, nil, corrupt("safetensors header: %v", err)
	}
	rest, err := io.ReadAll(d.Buffered())
	if err != nil || len(bytes.TrimRight(rest, " ")) > 0 {
		return nil, nil, corrupt("bytes after the safetensors header")
	}
	return heads, meta, nil
}

// WriteSafetensors writes tensors in name order, with meta if it is not nil.
// Equal input gives equal bytes. Errors: ErrValue for a tensor whose data does
// not fill its shape, ErrLimit, w's own.
func WriteSafetensors(w io.Writer, tensors map[string]Tensor, meta map[string]string) error {
	if len(tensors) > MaxTensors {
		return fmt.Errorf("%w: %d tensors, at most %d", ErrLimit, len(tensors), MaxTensors)
	}
	names := slices.Sorted(maps.Keys(tensors))
	header := map[string]any{}
	if meta != nil {
		header[metadataName] = meta
	}
	at := uint64(0)
	for _, name := range names {
		t := tensors[name]
		h := tensorHead{DType: t.DType, Shape: []uint64{}}
		for _, d := range t.Shape {
			if d < 0 {
				return fmt.Errorf("%w: tensor %q has shape %v", ErrValue, name, t.Shape)
			}
			h.Shape = append(h.Shape, uint64(d))
		}
		size, err := h.size()
		if err != nil || size != uint64(len(t.Data)) || name == metadataName || !utf8.ValidString(name) {
			return fmt.Errorf("%w: tensor %q of %d bytes does not fill %s%v", ErrValue, name, len(t.Data), t.DType, t.Shape)
		}
		h.Offsets = [2]uint64{at, at + size}
		at += size
		header[name] = h
	}
	b, err := json.Marshal(header) // map keys are written in order
	if err != nil {
		return fmt.Errorf("%w: safetensors header: %v", ErrValue, err)
	}
	for len(b)%8 != 0 {
		b = append(b, ' ') // so that the payload is aligned
	}
	if len(b) > MaxTensorHeader {
		return fmt.Errorf("%w: safetensors header of %d bytes, at most %d", ErrLimit, len(b), MaxTensorHeader)
	}
	if _, err := w.Write(append(binary.LittleEndian.AppendUint64(nil, uint64(len(b))), b...)); err != nil {
		return err
	}
	for _, name := range names {
		if _, err := w.Write(tensors[name].Data); err != nil {
			return err
		}
	}
	return nil
}
