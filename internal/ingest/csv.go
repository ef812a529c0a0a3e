package ingest

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// inferRows is how many rows decide the types of CSV columns.
const inferRows = 1000

// inferBytes bounds the rows held back for that.
const inferBytes = 4 << 20

// table reads a CSV stream.
type table struct {
	*stream
	in      *csv.Reader
	guard   *guard
	start   int64 // bytes before the header
	header  []string
	id      int // -1 where there is none
	fields  []column
	vectors []vectorColumns
}

// column is a field of the table.
type column struct {
	at    int
	name  string
	kind  string
	parse func(string) (any, bool)
}

// vectorColumns is a vector of the table: one column with a JSON array, or one
// for each element.
type vectorColumns struct {
	name  string
	at    []int
	array bool
}

// guard stops a record that does not end from filling the memory.
type guard struct {
	src   *source
	left  int64 // bytes that may still be read for the current record
	limit int64
}

func (g *guard) Read(p []byte) (int, error) {
	if g.left <= 0 {
		return 0, badRow("a record of more than %d bytes (a quote that does not end?)", g.limit)
	}
	n, err := g.src.Read(p[:min(int64(len(p)), g.left)])
	g.left -= int64(n)
	return n, err
}

// record is a CSV record with its place.
type record struct {
	cells  []string
	line   int64
	offset int64
	err    error
}

func (s *stream) csv(yield func(Row) bool) {
	t := &table{stream: s, guard: &guard{src: s.src, limit: int64(s.MaxLine)}}
	if head, err := s.src.Peek(len(bom)); err == nil && bytes.Equal(head, bom) {
		n, _ := s.src.Discard(len(bom))
		t.start = int64(n)
	}
	t.in = csv.NewReader(t.guard)
	t.in.FieldsPerRecord = -1
	if t.in.Comma = s.Delimiter; s.Delimiter == 0 {
		if t.in.Comma = ','; s.Format == TSV {
			t.in.Comma = '\t'
		}
	}
	t.in.LazyQuotes = s.Format == TSV // where a quote inside a cell is a quote
	head, ok := record{cells: s.Header, line: 1}, true
	if s.Header == nil {
		head, ok = t.next()
	}
	if !ok {
		return
	}
	if head.err == nil {
		head.err = t.columns(head.cells)
	}
	if head.err != nil {
		yield(broken(head.line, head.offset, head.err))
		return
	}
	held, last := t.sample()
	for _, r := range held {
		if !yield(t.row(r)) {
			return
		}
	}
	for !last {
		r, ok := t.next()
		if !ok {
			return
		}
		row := t.row(r)
		if !yield(row) || errors.Is(row.Err, ErrStream) {
			return
		}
	}
}

// next reads a record; false means the end of the input.
func (t *table) next() (record, bool) {
	t.guard.left = t.guard.limit + 4096 // csv reads ahead by its buffer
	r := record{offset: t.start + t.in.InputOffset()}
	cells, err := t.in.Read()
	if errors.Is(err, io.EOF) {
		return r, false
	}
	var bad *csv.ParseError
	switch {
	case errors.As(err, &bad):
		r.line = int64(bad.StartLine)
		r.err = badRow("%v (column %d)", bad.Err, bad.Column)
		if errors.Is(bad.Err, csv.ErrQuote) && t.guard.left <= 0 {
			r.err = fmt.Errorf("%w: %w", ErrStream, r.err)
		}
	case err != nil:
		line, _ := t.in.FieldPos(0)
		r.line, r.err = int64(line), fmt.Errorf("%w: %w", ErrStream, err)
	default:
		line, _ := t.in.FieldPos(0)
		r.line, r.cells = int64(line), cells
	}
	return r, true
}

// columns reads the header.
func (t *table) columns(header []string) error {
	if len(header) > maxColumns {
		return badRow("%d columns; at most %d are read", len(header), maxColumns)
	}
	t.header = slices.Clone(header)
	at := make(map[string]int, len(header))
	for i, name := range t.header {
		if _, twice := at[name]; twice || name == "" {
			return badRow("the header names column %d %q; every column needs its own name", i+1, name)
		}
		at[name] = i
	}
	id, ok := at[t.ID]
	if t.NoID {
		id = -1
	} else if !ok {
		return badRow("there is no column %q for the id among %s", t.ID, strings.Join(t.header[:min(len(t.header), 20)], ", "))
	}
	t.id = id
	taken := map[int]bool{id: true}
	for name, c := range t.Vectors {
		v := vectorColumns{name: name}
		if i, ok := at[c]; ok {
			v.at, v.array = []int{i}, true
		} else {
			for i, ok := at[c+"_0"]; ok; i, ok = at[c+"_"+strconv.Itoa(len(v.at))] {
				v.at = append(v.at, i)
			}
		}
		if len(v.at) == 0 {
			continue // a file need not bring every vector
		}
		for _, i := range v.at {
			taken[i] = true
		}
		t.vectors = append(t.vectors, v)
	}
	for i, name := range t.header {
		if !taken[i] && t.keeps(name) {
			t.fields = append(t.fields, column{at: i, name: name, kind: t.Types[name]})
		}
	}
	return nil
}

// sample holds back the first rows, finds the types that were not given, and
// returns them; last says that there are no more.
func (t *table) sample() (held []record, last bool) {
	start := t.in.InputOffset()
	for len(held) < inferRows && t.in.InputOffset()-start < inferBytes {
		r, ok := t.next()
		if !ok {
			last = true
			break
		}
		held = append(held, r)
		if errors.Is(r.err, ErrStream) {
			last = true
			break
		}
	}
	for i := range t.fields {
		f := &t.fields[i]
		if f.kind == "" && t.Untyped {
			f.kind = "keyword"
		}
		if f.kind == "" {
			var cells []string
			for _, r := range held {
				if f.at < len(r.cells) {
					cells = append(cells, r.cells[f.at])
				}
			}
			f.kind = infer(cells)
		}
		f.parse = parsers[f.kind]
	}
	return held, last
}

// row turns a record into a row.
func (t *table) row(r record) Row {
	row := Row{Line: r.line, Offset: r.offset, Err: r.err}
	if row.Err == nil {
		row.Err = t.fill(&row, r.cells)
	}
	if row.Err != nil {
		row.Fields, row.Vectors = nil, nil
	}
	return row
}

func (t *table) fill(row *Row, cells []string) error {
	if len(cells) != len(t.header) {
		return badRow("%d cells, the header has %d", len(cells), len(t.header))
	}
	if t.id >= 0 {
		if row.ID = cells[t.id]; row.ID == "" {
			return badRow("the id (column %q) is empty", t.ID)
		}
	}
	row.Fields = make(map[string]any, len(t.fields))
	for _, f := range t.fields {
		cell := cells[f.at]
		if cell == "" {
			continue // absent
		}
		v, ok := t.cell(f, cell)
		if !ok {
			return badRow("column %q: %.60q is not of type %s", f.name, cell, f.kind)
		}
		row.Fields[f.name] = v
	}
	for _, v := range t.vectors {
		if err := t.vector(row, v, cells); err != nil {
			return err
		}
	}
	return nil
}

// cell parses a cell, which may be a list.
func (t *table) cell(f column, cell string) (any, bool) {
	if t.List == "" || f.kind == "text" || f.kind == "json" || !strings.Contains(cell, t.List) {
		return f.parse(cell)
	}
	var list []any
	for part := range strings.SplitSeq(cell, t.List) {
		v, ok := f.parse(part)
		if !ok {
			return nil, false
		}
		list = append(list, v)
	}
	return uniform(list), true
}

// vector reads a vector; without a value in any of its cells it is absent.
func (t *table) vector(row *Row, v vectorColumns, cells []string) error {
	if v.array {
		cell := cells[v.at[0]]
		if strings.TrimSpace(cell) == "" {
			return nil
		}
		list, n, err := ParseFloats([]byte(cell), nil)
		if err == nil && strings.TrimSpace(cell[n:]) != "" {
			err = badRow("%.20q after the list of numbers", cell[n:])
		}
		if err != nil {
			return fmt.Errorf("vector %q: %w", v.name, err)
		}
		return row.setVector(v.name, list)
	}
	list, empty := make([]float32, len(v.at)), 0
	for i, at := range v.at {
		cell := strings.TrimSpace(cells[at])
		if cell == "" {
			empty++
			continue
		}
		f, end, err := parseFloat32([]byte(cell), 0)
		if err != nil || end != len(cell) {
			return badRow("vector %q: %.40q in column %q is not a number", v.name, cell, t.header[at])
		}
		list[i] = f
	}
	switch empty {
	case 0:
		return row.setVector(v.name, list)
	case len(v.at):
		return nil
	}
	return badRow("vector %q: %d of its %d cells are empty", v.name, empty, len(v.at))
}
