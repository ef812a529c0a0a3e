package ingest

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// maxList bounds the elements of a list field.
const maxList = 1 << 20

// parquet reads a Parquet file, from r itself if it can be read at any place,
// else from a temporary copy.
func (s *stream) parquet(yield func(Row) bool) {
	r, size, done, err := s.randomAccess()
	if err != nil {
		yield(broken(1, 0, err))
		return
	}
	defer done()
	line := int64(1)
	stopped := false
	err = guarded(func() error {
		if err := checkFooter(r, size); err != nil {
			return err
		}
		f, err := parquet.OpenFile(r, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
		if err != nil {
			return err
		}
		if err := checkPages(r, size, f); err != nil {
			return err
		}
		leaves, err := s.leaves(f)
		if err != nil {
			return err
		}
		for _, group := range f.RowGroups() {
			more, err := s.rowGroup(group, leaves, &line, yield)
			if stopped = !more; stopped || err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && !stopped {
		yield(broken(line, 0, err))
	}
}

// guarded turns a panic of the Parquet library, which damaged files can cause,
// into an error. Panics of yield pass through it as panics: see yielded.
func guarded(fn func() error) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case yielded:
			panic(p.value)
		default:
			err = fmt.Errorf("damaged Parquet file: %v", p)
		}
	}()
	return fn()
}

// yielded marks a panic that came out of the consumer's loop.
type yielded struct{ value any }

// randomAccess returns the input as a ReaderAt; done releases it.
func (s *stream) randomAccess() (r io.ReaderAt, size int64, done func(), err error) {
	type file interface {
		io.ReaderAt
		io.Seeker
	}
	if f, ok := s.src.raw.(file); ok && !s.src.packed {
		size, err := f.Seek(0, io.SeekEnd)
		return f, size, func() {}, err
	}
	f, err := os.CreateTemp(s.TempDir, "eider-import-*.parquet")
	if err != nil {
		return nil, 0, nil, fmt.Errorf("no room for a temporary copy of the Parquet stream: %w", err)
	}
	done = func() {
		f.Close()
		os.Remove(f.Name())
	}
	size, err = io.Copy(f, io.LimitReader(s.src, s.MaxSpool+1))
	if err == nil && size > s.MaxSpool {
		err = badRow("a Parquet stream of more than %d bytes; import it as a file", s.MaxSpool)
	}
	if err != nil {
		done()
		return nil, 0, nil, err
	}
	return f, size, done, nil
}

// leaf is one column of a Parquet file: a scalar, or a list of scalars.
type leaf struct {
	name     string
	vector   string // the vector it is, "" for a field
	id       bool
	list     bool
	nullable bool // elements may be null
	depth    int  // definition level of a value that is there
	kind     parquet.Kind
	convert  func(parquet.Value) (any, error)
}

// leaves describes the wanted columns by column index; the rest are nil.
func (s *stream) leaves(f *parquet.File) ([]*leaf, error) {
	vectors := make(map[string]string, len(s.Vectors))
	for name, column := range s.Vectors {
		vectors[column] = name
	}
	all := make([]*leaf, len(f.Schema().Columns()))
	if len(all) > maxColumns {
		return nil, badRow("%d columns; at most %d are read", len(all), maxColumns)
	}
	found := s.NoID
	for _, top := range f.Root().Columns() {
		name := top.Name()
		vector, isVector := vectors[name]
		if !isVector && (s.NoID || name != s.ID) && !s.keeps(name) {
			continue
		}
		c := top
		for !c.Leaf() && len(c.Columns()) == 1 {
			c = c.Columns()[0]
		}
		if !c.Leaf() || c.MaxRepetitionLevel() > 1 || c != top && c.MaxRepetitionLevel() == 0 {
			return nil, badRow("column %q is nested; scalars and lists of scalars are read, so name the columns to keep", name)
		}
		l := &leaf{name: name, vector: vector, id: name == s.ID && !s.NoID, list: c.MaxRepetitionLevel() == 1,
			nullable: c.Optional(), depth: c.MaxDefinitionLevel(), kind: c.Type().Kind()}
		var err error
		if l.convert, err = converter(c.Type()); err != nil {
			return nil, badRow("column %q: %v", name, err)
		}
		if isVector && (!l.list || !isFloat(c.Type())) {
			return nil, badRow("column %q for vector %q is not a list of floats", name, vector)
		}
		if i := c.Index(); i >= 0 && i < len(all) {
			all[i] = l
		}
		found = found || l.id && !l.list
	}
	if !found {
		return nil, badRow("there is no column %q for the id", s.ID)
	}
	return all, nil
}

func isFloat(t parquet.Type) bool { return t.Kind() == parquet.Float || t.Kind() == parquet.Double }

// rowGroup yields the rows of a group; false means that the consumer is done.
func (s *stream) rowGroup(group parquet.RowGroup, leaves []*leaf, line *int64, yield func(Row) bool) (more bool, err error) {
	rows := group.Rows()
	defer rows.Close()
	buf := make([]parquet.Row, 64)
	for {
		n, err := rows.ReadRows(buf)
		for _, r := range buf[:n] {
			row := Row{Line: *line}
			row.Err = fill(&row, r, leaves)
			if row.Err == nil && row.ID == "" && !s.NoID {
				row.Err = badRow("the id (column %q) is empty", s.ID)
			}
			if row.Err != nil {
				row.Fields, row.Vectors = nil, nil
			}
			*line++
			if !safely(yield, row) {
				return false, nil
			}
		}
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil || n == 0 {
			return true, fmt.Errorf("damaged Parquet file: %w", errors.Join(err, io.ErrNoProgress))
		}
	}
}

// safely calls yield and marks its panics as the consumer's own.
func safely(yield func(Row) bool, row Row) bool {
	finished := false
	defer func() {
		if !finished {
			if p := recover(); p != nil {
				panic(yielded{p})
			}
		}
	}()
	more := yield(row)
	finished = true
	return more
}

// fill turns the values of a row into fields and vectors.
func fill(row *Row, values parquet.Row, leaves []*leaf) (err error) {
	row.Fields = make(map[string]any, len(leaves))
	values.Range(func(i int, vs []parquet.Value) bool {
		if i < len(leaves) && leaves[i] != nil {
			err = leaves[i].fill(row, vs)
		}
		return err == nil
	})
	return err
}

func (l *leaf) fill(row *Row, vs []parquet.Value) error {
	if len(vs) == 0 || len(vs) == 1 && l.absent(vs[0]) {
		return nil
	}
	switch {
	case l.vector != "":
		return l.fillVector(row, vs)
	case l.list:
		if len(vs) > maxList {
			return badRow("column %q: a list of %d elements; at most %d are read", l.name, len(vs), maxList)
		}
		list := make([]any, len(vs))
		for i, v := range vs {
			var err error
			if list[i], err = l.value(v); err != nil {
				return err
			}
		}
		row.Fields[l.name] = uniform(list)
		return nil
	}
	if isNaN(vs[0]) {
		return nil // how pandas writes a missing number
	}
	v, err := l.value(vs[0])
	if err != nil {
		return err
	}
	if !l.id {
		row.Fields[l.name] = v
		return nil
	}
	switch v := v.(type) {
	case string:
		row.ID = v
	case int64:
		if v < 0 {
			return badRow("column %q: the id %d is below 0", l.name, v)
		}
		row.ID = fmt.Sprint(v)
	default:
		return badRow("column %q: an id is a string or an integer, not %v", l.name, v)
	}
	return nil
}

func isNaN(v parquet.Value) bool {
	return v.Kind() == parquet.Double && math.IsNaN(v.Double()) || v.Kind() == parquet.Float && v.Float() != v.Float()
}

// absent reports whether a value stands for no value at all: null, or for a
// list, null or empty.
func (l *leaf) absent(v parquet.Value) bool {
	if !v.IsNull() {
		return false
	}
	return !l.list || !l.nullable || v.DefinitionLevel() < l.depth-1
}

func (l *leaf) value(v parquet.Value) (any, error) {
	if v.IsNull() {
		return nil, badRow("column %q: a list holds null", l.name)
	}
	if v.Kind() != l.kind { // reading it as l.kind would read memory that is not its own
		return nil, badRow("column %q: a value of kind %v in a column of kind %v; the file is damaged", l.name, v.Kind(), l.kind)
	}
	x, err := l.convert(v)
	if err != nil {
		return nil, badRow("column %q: %v", l.name, err)
	}
	return x, nil
}

func (l *leaf) fillVector(row *Row, vs []parquet.Value) error {
	if len(vs) > MaxVector {
		return badRow("vector %q: %d numbers; at most %d are read", l.vector, len(vs), MaxVector)
	}
	out := make([]float32, len(vs))
	for i, v := range vs {
		switch {
		case v.IsNull():
			return badRow("vector %q: element %d is null", l.vector, i)
		case v.Kind() == parquet.Float:
			out[i] = v.Float()
		case v.Kind() == parquet.Double:
			out[i] = float32(v.Double())
		default:
			return badRow("vector %q: element %d is of kind %v; the file is damaged", l.vector, i, v.Kind())
		}
	}
	if i := slices.IndexFunc(out, notFinite); i >= 0 {
		return badRow("vector %q: element %d is %v", l.vector, i, out[i])
	}
	return row.setVector(l.vector, out)
}

// converter finds how to read the values of a column type.
func converter(t parquet.Type) (func(parquet.Value) (any, error), error) {
	var kind any
	if l := t.LogicalType(); l != nil {
		kind = l.Value
	}
	switch k := kind.(type) {
	case *format.TimestampType:
		return timestamp(k)
	case *format.DateType:
		return func(v parquet.Value) (any, error) { return time.Unix(int64(v.Int32())*86400, 0).UTC(), nil }, nil
	case *format.DecimalType, *format.TimeType, *format.BsonType, *format.VariantType, *format.GeometryType, *format.GeographyType:
		return nil, fmt.Errorf("values of type %v are not read", t.LogicalType())
	case *format.JsonType:
		return func(v parquet.Value) (any, error) {
			x, ok := parseJSON(string(v.ByteArray()))
			if !ok {
				return nil, errors.New("a value is not valid JSON")
			}
			return x, nil
		}, nil
	case *format.UUIDType:
		return func(v parquet.Value) (any, error) {
			b := v.ByteArray()
			if len(b) != 16 {
				return nil, errors.New("a UUID is not 16 bytes")
			}
			return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
		}, nil
	case *format.IntType:
		if !k.IsSigned {
			return unsigned(t.Kind())
		}
	}
	return physical(t.Kind())
}

// physical reads a column by how it is stored.
func physical(kind parquet.Kind) (func(parquet.Value) (any, error), error) {
	switch kind {
	case parquet.Boolean:
		return func(v parquet.Value) (any, error) { return v.Boolean(), nil }, nil
	case parquet.Int32:
		return func(v parquet.Value) (any, error) { return int64(v.Int32()), nil }, nil
	case parquet.Int64:
		return func(v parquet.Value) (any, error) { return v.Int64(), nil }, nil
	case parquet.Float:
		return func(v parquet.Value) (any, error) { return finite(float64(v.Float())) }, nil
	case parquet.Double:
		return func(v parquet.Value) (any, error) { return finite(v.Double()) }, nil
	case parquet.ByteArray:
		return func(v parquet.Value) (any, error) {
			if b := v.ByteArray(); utf8.Valid(b) {
				return strings.Clone(string(b)), nil
			}
			return nil, errors.New("a value is not UTF-8 text")
		}, nil
	}
	return nil, fmt.Errorf("values stored as %v are not read", kind)
}

func finite(f float64) (any, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, fmt.Errorf("%v is not a finite number", f)
	}
	return f, nil
}

func unsigned(kind parquet.Kind) (func(parquet.Value) (any, error), error) {
	if kind == parquet.Int32 {
		return func(v parquet.Value) (any, error) { return int64(v.Uint32()), nil }, nil
	}
	return func(v parquet.Value) (any, error) {
		if u := v.Uint64(); u <= math.MaxInt64 {
			return int64(u), nil
		}
		return nil, fmt.Errorf("%d is beyond int64", v.Uint64())
	}, nil
}

// timestamp reads times by the unit of the column.
func timestamp(t *format.TimestampType) (func(parquet.Value) (any, error), error) {
	var from func(int64) time.Time
	switch u := t.Unit.Value.(type) {
	case *format.MilliSeconds:
		from = time.UnixMilli
	case *format.MicroSeconds:
		from = time.UnixMicro
	case *format.NanoSeconds:
		from = func(n int64) time.Time { return time.Unix(0, n) }
	default:
		return nil, fmt.Errorf("timestamps in the unit %v are not read", u)
	}
	return func(v parquet.Value) (any, error) { return from(v.Int64()).UTC(), nil }, nil
}
