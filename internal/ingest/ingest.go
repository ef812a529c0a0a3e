// Package ingest turns files into rows for import: NDJSON, CSV, Parquet, numpy
// and the vector files of package dataset, gzip-compressed or not.
//
// A row that cannot be read is reported and the stream goes on, so that one bad
// line in a million costs one line. Only what leaves no way to find the next
// row (a truncated file, a read error) ends the stream; such an error wraps
// [ErrStream]. Memory is bounded by one row, whatever the input: every count is
// capped before anything is allocated for it.
//
//	NDJSON   one JSON object a line: {"id", "fields", "vectors", "expire_at"}, or flat
//	CSV      with a header; types given or inferred from the first rows
//	Parquet  columns of scalars and of lists of scalars
//	npy, fvecs, bvecs, fbin ...  one vector a row, ids count from 0
package ingest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/eiderdb/eider/internal/dataset"
)

// Row is one row of the input, or the reason why it is not one. All of it
// belongs to the caller.
type Row struct {
	// Line counts from 1: the line a text row starts on, the row number
	// otherwise.
	Line int64
	// Offset is where the row starts, in bytes from the start of the input after
	// decompression; 0 for Parquet, whose rows lie in no one place, and for matrix
	// files, whose rows are all of one size.
	Offset int64
	// ID is the document's id: a string, or an integer in decimal.
	ID string
	// Fields hold nil, string, bool, int64, float64, time.Time, lists of one of
	// these ([]string, []bool, []int64, []float64, []time.Time), or any JSON value
	// as []any and map[string]any.
	Fields map[string]any
	// Vectors by name; finite.
	Vectors map[string][]float32
	// ExpireAt is zero unless the row says when it expires.
	ExpireAt time.Time
	// Err, if set, says what is wrong with this row; ID may still be known. If it
	// wraps ErrStream there are no more rows.
	Err error
}

// Errors of rows and streams, wrapped with what was wrong.
var (
	// ErrRow says that a row cannot be used.
	ErrRow = errors.New("bad row")
	// ErrStream says that reading cannot go on.
	ErrStream = errors.New("cannot read on")
	// ErrFormat says that the format of the input is unknown.
	ErrFormat = errors.New("unknown format")
	// ErrOptions says that the options do not fit the input.
	ErrOptions = errors.New("bad import options")
)

// Format names a kind of input.
type Format string

// The formats besides those of package dataset.
const (
	NDJSON  Format = "ndjson"
	CSV     Format = "csv"
	TSV     Format = "tsv"
	Parquet Format = "parquet"
)

// Formats lists the formats, matrix files last.
func Formats() []Format {
	all := []Format{NDJSON, CSV, TSV, Parquet}
	for _, f := range dataset.Formats() {
		all = append(all, Format(f))
	}
	return all
}

// Limits that hold unless Options say otherwise.
const (
	// MaxLine is the longest row of a text format, in bytes.
	MaxLine = 16 << 20
	// MaxBytes is how much a compressed input may unfold to.
	MaxBytes = 1 << 40
	// MaxSpool is the largest Parquet stream that is kept in a temporary file.
	MaxSpool = 64 << 30
	// MaxVector is the widest vector.
	MaxVector = 1 << 16
	// MaxDepth is how deep JSON may nest.
	MaxDepth = 32
	// maxColumns bounds the columns of a CSV or Parquet file.
	maxColumns = 1 << 14
)

// Options say how to read. The zero value finds out by itself.
type Options struct {
	// Format of the input; "" finds it by Name's extension, then by the first
	// bytes.
	Format Format
	// Name of the file, for Format "".
	Name string
	// ID is the column, or member of a flat object, with the id; "" means "id".
	ID string
	// NoID reads rows that have no id: every column is a field.
	NoID bool
	// Header names the columns of a CSV or TSV file without a row that does.
	Header []string
	// Vectors maps the name of a vector to the column it comes from ("" means the
	// same name): a list of numbers, in CSV a JSON array or columns named
	// column_0 to column_n. A matrix file fills the one vector named here, or
	// "vector" if none is.
	Vectors map[string]string
	// Columns, if not nil, are the fields to keep; others are dropped unread.
	Columns []string
	// Types of CSV columns: keyword, text, bool, int64, float64, time, geo
	// ("lat,lon") or json. Columns without one are inferred.
	Types map[string]string
	// Untyped leaves CSV cells without a type in Types as text, for those who find
	// types out from all rows.
	Untyped bool
	// Delimiter of CSV; 0 means a comma, for TSV a tab.
	Delimiter rune
	// List, if set, separates the elements of a CSV cell: "a|b" becomes two.
	List string
	// FirstID is the id of the first row of a matrix file.
	FirstID uint64
	// MaxLine, MaxBytes, MaxSpool replace the limits above if positive.
	MaxLine  int
	MaxBytes int64
	MaxSpool int64
	// TempDir is where a Parquet stream is kept; "" means the system's.
	TempDir string
	// Progress, if set, is called with the number of bytes read from the input,
	// before decompression, now and then.
	Progress func(bytes int64)
}

// stream is an input whose format is known.
type stream struct {
	Options
	src *source
}

// Open returns the rows of r. It reads no more than it needs to know the format,
// and does the rest while the rows are iterated, which can be done once.
// Breaking off the iteration releases everything; r is not closed. For Parquet
// without a copy give an r that is also an io.ReaderAt and io.Seeker (an
// *os.File).
//
// Errors wrap ErrFormat, ErrOptions or ErrStream.
func Open(r io.Reader, o Options) (iter.Seq[Row], error) {
	if err := o.defaults(); err != nil {
		return nil, err
	}
	s := &stream{Options: o, src: newSource(r, o)}
	if err := s.src.unpack(); err != nil {
		return nil, err
	}
	if s.Format == "" {
		f, err := s.detect()
		if err != nil {
			return nil, err
		}
		s.Format = f
	}
	read := map[Format]func(yield func(Row) bool){
		NDJSON: s.ndjson, CSV: s.csv, TSV: s.csv, Parquet: s.parquet,
	}[s.Format]
	if read == nil {
		if read = s.matrix; len(s.Vectors) > 1 {
			return nil, fmt.Errorf("ingest: %w: a file of format %s has one vector a row; name one, not %d", ErrOptions, s.Format, len(s.Vectors))
		}
	}
	used := false
	return func(yield func(Row) bool) {
		if used {
			yield(Row{Err: fmt.Errorf("%w: the rows were read already", ErrStream)})
			return
		}
		used = true
		read(yield)
	}, nil
}

// defaults fills what is not set and refuses what cannot be.
func (o *Options) defaults() error {
	if o.Format != "" && !slices.Contains(Formats(), o.Format) {
		return fmt.Errorf("ingest: %w %q: give one of %v", ErrFormat, o.Format, Formats())
	}
	if o.ID == "" && !o.NoID {
		o.ID = "id"
	}
	set := func(v *int64, limit int64) {
		if *v <= 0 {
			*v = limit
		}
	}
	set(&o.MaxBytes, MaxBytes)
	set(&o.MaxSpool, MaxSpool)
	if o.MaxLine <= 0 {
		o.MaxLine = MaxLine
	}
	columns := make(map[string]string, len(o.Vectors))
	for name, column := range o.Vectors {
		if column == "" {
			column = name
		}
		if column == o.ID {
			return fmt.Errorf("ingest: %w: column %q is the id and vector %q at once", ErrOptions, column, name)
		}
		columns[name] = column
	}
	o.Vectors = columns
	for column, t := range o.Types {
		if _, ok := parsers[t]; !ok {
			return fmt.Errorf("ingest: %w: type %q of column %q: give one of %s", ErrOptions, t, column, strings.Join(typeNames(), ", "))
		}
	}
	return nil
}

// keeps reports whether a field is wanted.
func (o *Options) keeps(name string) bool {
	return o.Columns == nil || slices.Contains(o.Columns, name)
}

// formatOf finds a format by the extension of a file name.
func formatOf(name string) (Format, bool) {
	base := strings.TrimSuffix(strings.ToLower(path.Base(strings.ReplaceAll(name, `\`, "/"))), ".gz")
	switch path.Ext(base) {
	case ".ndjson", ".jsonl", ".jsonlines", ".ldjson":
		return NDJSON, true
	case ".csv":
		return CSV, true
	case ".tsv", ".tab":
		return TSV, true
	case ".parquet", ".pq":
		return Parquet, true
	}
	if f, ok := dataset.FormatOf(base); ok {
		return Format(f), true
	}
	return "", false
}

// detect finds the format by name, else by the first bytes.
func (s *stream) detect() (Format, error) {
	if f, ok := formatOf(s.Name); ok {
		return f, nil
	}
	head, err := s.src.Peek(512)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
		return "", fmt.Errorf("ingest: %w: %w", ErrStream, err)
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(head, bom), " \t\r\n")
	switch {
	case bytes.HasPrefix(head, []byte("PAR1")):
		return Parquet, nil
	case bytes.HasPrefix(head, []byte("\x93NUMPY")):
		return Format(dataset.Npy), nil
	case len(text) > 0 && text[0] == '{', len(head) == 0:
		return NDJSON, nil
	case len(text) > 0 && text[0] == '[':
		return "", fmt.Errorf("ingest: %w: a JSON array is not a stream of rows: put one object on each line (jq -c '.[]')", ErrFormat)
	}
	return "", fmt.Errorf("ingest: %w: neither the name %q nor the first bytes tell it: give one of %v", ErrFormat, s.Name, Formats())
}

// bom is the byte order mark that some programs put before UTF-8.
var bom = []byte("\xef\xbb\xbf")
