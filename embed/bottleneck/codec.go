package bottleneck

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/eiderdb/eider/storage/format"
)

// A snapshot is a safetensors file with the configuration, JSON, under "bottleneck" in
// its metadata. The first five tensors have the names of the authors' code.
//
//	rand_proj              F32   C × dim × KeyDim, unless vectors are cut into chunks
//	keys                   F32   C × K × KeyDim
//	values                 F32   C × K × W
//	cluster_size_counter   U32   C × K, learned rows that came by
//	unseen                 F32   C × K, if the model is open
//	classes                U8    W names, each a uvarint length and its bytes; an unlearned one is empty
//	rows.names             U8    n names, in order
//	rows.classes           U32   n columns, unless it is a regression
//	rows.counts            U32   n
//	rows.keys              U16   n × C·Top
//	rows.steps             F32   n × W, and one more if open
const metaName = "bottleneck"

var le = binary.LittleEndian

// Write writes a snapshot. Equal learners give equal bytes. Errors: w's own.
func (l *Learner) Write(w io.Writer) error {
	config, err := json.Marshal(l.Config)
	if err != nil {
		return fmt.Errorf("bottleneck: configuration: %w", err)
	}
	width, n := l.Width(), l.Rows()
	values := make([]byte, 0, 4*l.Heads*l.Keys*width)
	var used []byte
	for pair, u := range l.used {
		for _, x := range l.row(pair) {
			values = le.AppendUint32(values, math.Float32bits(x))
		}
		used = le.AppendUint32(used, u)
	}
	t := map[string]format.Tensor{
		"keys":                 format.Floats([]int{l.Heads, l.Keys, l.KeyDim}, l.keys),
		"values":               {DType: "F32", Shape: []int{l.Heads, l.Keys, width}, Data: values},
		"cluster_size_counter": {DType: "U32", Shape: []int{l.Heads, l.Keys}, Data: used},
	}
	if l.Split == Project {
		t["rand_proj"] = format.Floats([]int{l.Heads, l.Dim, l.KeyDim}, l.project)
	}
	if l.unseen != nil {
		t["unseen"] = format.Floats([]int{l.Heads, l.Keys}, l.unseen)
	}
	var names, rows, classes, counts, keys, steps []byte
	for _, name := range l.names {
		names = appendText(names, name)
	}
	for _, name := range l.sorted() {
		r := &l.rows[l.numbers[name]]
		rows = appendText(rows, name)
		classes = le.AppendUint32(classes, uint32(r.class))
		counts = le.AppendUint32(counts, r.count)
		for _, k := range r.keys {
			keys = le.AppendUint16(keys, k)
		}
		steps = append(steps, format.Floats(nil, l.widen(slices.Clip(r.step))).Data...)
	}
	if l.Targets == 0 {
		t["classes"] = format.Tensor{DType: "U8", Shape: []int{len(names)}, Data: names}
		t["rows.classes"] = format.Tensor{DType: "U32", Shape: []int{n}, Data: classes}
	}
	t["rows.names"] = format.Tensor{DType: "U8", Shape: []int{len(rows)}, Data: rows}
	t["rows.counts"] = format.Tensor{DType: "U32", Shape: []int{n}, Data: counts}
	t["rows.keys"] = format.Tensor{DType: "U16", Shape: []int{n, l.Heads * l.Top}, Data: keys}
	t["rows.steps"] = format.Tensor{DType: "F32", Shape: []int{n, l.stepWidth(width)}, Data: steps}
	return format.WriteSafetensors(w, t, map[string]string{metaName: string(config)})
}

func (m *Model) stepWidth(width int) int {
	if m.unseen != nil {
		return width + 1
	}
	return width
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// Read decodes a snapshot. Memory is a small multiple of len(b). Error: ErrState.
func Read(b []byte) (*Learner, error) {
	l, err := read(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrState, err)
	}
	return l, nil
}

func read(b []byte) (*Learner, error) {
	tensors, meta, err := format.ReadSafetensors(b)
	if err != nil {
		return nil, err
	}
	var c Config
	if err := json.Unmarshal([]byte(meta[metaName]), &c); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if err := c.Check(); err != nil {
		return nil, err
	}
	d := &decoder{tensors: tensors}
	names := c.Classes
	if c.Targets == 0 {
		names = d.texts("classes")
	}
	rows := d.texts("rows.names")
	width := max(c.Targets, len(names))
	if width > MaxClasses {
		return nil, fmt.Errorf("%d classes", width)
	}
	// All sizes are those of bytes that are there, before memory is taken.
	keys := d.data("keys", "F32", c.Heads, c.Keys, c.KeyDim)
	values := d.data("values", "F32", c.Heads, c.Keys, width)
	used := d.data("cluster_size_counter", "U32", c.Heads, c.Keys)
	var project, unseen []byte
	if c.Split == Project {
		project = d.data("rand_proj", "F32", c.Heads, c.Dim, c.KeyDim)
	}
	if c.open() {
		unseen = d.data("unseen", "F32", c.Heads, c.Keys)
	}
	steps := width
	if c.open() {
		steps++
	}
	counts := d.data("rows.counts", "U32", len(rows))
	lessonKeys := d.data("rows.keys", "U16", len(rows), c.Heads*c.Top)
	lessonSteps := d.data("rows.steps", "F32", len(rows), steps)
	var classes []byte
	if c.Targets == 0 {
		classes = d.data("rows.classes", "U32", len(rows))
	}
	if d.err != nil {
		return nil, d.err
	}
	if len(tensors) != d.met {
		return nil, fmt.Errorf("%d tensors, want %d", len(tensors), d.met)
	}
	shape := c
	shape.Classes = names
	m := shell(shape)
	m.Classes = c.Classes
	d.floats(m.keys, keys)
	d.floats(m.values, values)
	d.floats(m.project, project)
	d.floats(m.unseen, unseen)
	for i := range m.used {
		m.used[i] = le.Uint32(used[4*i:])
	}
	if d.err == nil {
		d.err = m.rename()
	}
	m.freeze()
	l := NewLearner(m)
	for i := range rows {
		if d.err != nil {
			break
		}
		t := lesson{name: rows[i], class: -1, count: le.Uint32(counts[4*i:]), keys: make([]uint16, c.Heads*c.Top), step: make([]float32, steps)}
		if c.Targets == 0 {
			t.class = int(le.Uint32(classes[4*i:]))
		}
		for j := range t.keys {
			t.keys[j] = le.Uint16(lessonKeys[2*(i*len(t.keys)+j):])
		}
		d.floats(t.step, lessonSteps[4*i*steps:])
		d.lesson(l, t)
	}
	return l, d.err
}

// rename makes slots anew, of names of which some are unlearned.
func (m *Model) rename() error {
	clear(m.slots)
	m.alive = 0
	for i, name := range m.names {
		if name == "" {
			continue
		}
		if _, twice := m.slots[name]; twice || checkName(name) != nil {
			return fmt.Errorf("class %.80q is given twice or is none", name)
		}
		m.slots[name] = i
		m.alive++
	}
	return nil
}

// decoder remembers the first error.
type decoder struct {
	tensors map[string]format.Tensor
	met     int
	err     error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf(format, args...)
	}
}

// data is the bytes of a tensor of a type and shape.
func (d *decoder) data(name, dtype string, shape ...int) []byte {
	t, ok := d.tensors[name]
	size := format.ElementBytes(dtype)
	same := ok && t.DType == dtype && len(t.Shape) == len(shape)
	for i := range shape {
		same = same && t.Shape[i] == shape[i]
		size *= shape[i]
	}
	if !same || len(t.Data) != size {
		d.fail("tensor %s is %s%v, want %s%v", name, t.DType, t.Shape, dtype, shape)
		return nil
	}
	d.met++
	return t.Data
}

// texts is the names in a tensor.
func (d *decoder) texts(name string) (texts []string) {
	t := d.tensors[name]
	b := d.data(name, "U8", len(t.Data))
	for len(b) > 0 {
		n, k := binary.Uvarint(b)
		if k <= 0 || n > MaxName || n > uint64(len(b)-k) {
			d.fail("tensor %s is not of names", name)
			return nil
		}
		texts = append(texts, string(b[k:k+int(n)]))
		b = b[k+int(n):]
	}
	return texts
}

func (d *decoder) floats(dst []float32, b []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(le.Uint32(b[4*i:]))
	}
	if !finite(dst) {
		d.fail("a tensor has numbers that are not finite")
	}
}

// lesson enters a row that fits.
func (d *decoder) lesson(l *Learner, t lesson) {
	_, twice := l.numbers[t.name]
	switch {
	case twice || t.name == "" || l.teachable(t.name, t.keys) != nil || t.count == 0:
		d.fail("row %.80q is given twice, has no name, or keys that are none", t.name)
	case l.Targets == 0 && (t.class >= len(l.names) || l.names[t.class] == ""):
		d.fail("row %.80q is of a class that is none", t.name)
	default:
		l.enter(t)
	}
}

// AppendRecord appends r to dst: operation u8, row and label (uvarint length, bytes,
// each), n uvarint and n u16 of keys, n uvarint and n float32 of the step.
func AppendRecord(dst []byte, r *Record) []byte {
	dst = appendText(appendText(append(dst, byte(r.Op)), r.Row), r.Label)
	dst = binary.AppendUvarint(dst, uint64(len(r.Keys)))
	for _, k := range r.Keys {
		dst = le.AppendUint16(dst, k)
	}
	dst = binary.AppendUvarint(dst, uint64(len(r.Step)))
	for _, x := range r.Step {
		dst = le.AppendUint32(dst, math.Float32bits(x))
	}
	return dst
}

// ParseRecord decodes what AppendRecord wrote, and nothing after it. Whether it fits a
// model is for Apply to say. Error: ErrState.
func ParseRecord(b []byte) (Record, error) {
	bad := fmt.Errorf("%w: a record is cut or damaged", ErrState)
	if len(b) == 0 {
		return Record{}, bad
	}
	r := Record{Op: Op(b[0])}
	b = b[1:]
	take := func(size int) []byte {
		n, k := binary.Uvarint(b)
		if k <= 0 || n > uint64(len(b)-k)/uint64(size) {
			b = nil
			return nil
		}
		part := b[k : k+int(n)*size]
		b = b[k+int(n)*size:]
		return part
	}
	r.Row = string(take(1))
	r.Label = string(take(1))
	keys := take(2)
	if len(b) == 0 {
		return Record{}, bad
	}
	steps := take(4)
	if b == nil || len(b) > 0 {
		return Record{}, bad
	}
	for ; len(keys) > 0; keys = keys[2:] {
		r.Keys = append(r.Keys, le.Uint16(keys))
	}
	for ; len(steps) > 0; steps = steps[4:] {
		r.Step = append(r.Step, math.Float32frombits(le.Uint32(steps)))
	}
	return r, nil
}
