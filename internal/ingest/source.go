package ingest

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
)

// source is the input with its bytes counted, unpacked and capped.
type source struct {
	*bufio.Reader
	raw      io.Reader // what Open was given
	packed   bool
	read     int64 // bytes read from raw
	unpacked int64 // bytes handed out
	limit    int64 // of unpacked
	progress func(int64)
}

func newSource(r io.Reader, o Options) *source {
	s := &source{raw: r, limit: o.MaxBytes, progress: o.Progress}
	s.Reader = bufio.NewReaderSize(counted{s}, 1<<16)
	return s
}

// counted reads from raw.
type counted struct{ *source }

func (c counted) Read(p []byte) (int, error) {
	n, err := c.raw.Read(p)
	c.read += int64(n)
	if n > 0 && c.progress != nil {
		c.progress(c.read)
	}
	return n, err
}

// capped reads what was unpacked and stops at the limit.
type capped struct {
	*source
	r io.Reader
}

func (c capped) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.unpacked += int64(n)
	if c.unpacked > c.limit {
		return 0, fmt.Errorf("it unpacks to more than %d bytes", c.limit)
	}
	return n, err
}

// unpack looks for gzip's first bytes and puts the decoder in between.
func (s *source) unpack() error {
	head, err := s.Peek(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("ingest: %w: %w", ErrStream, err)
	}
	if len(head) < 2 || head[0] != 0x1f || head[1] != 0x8b {
		return nil
	}
	z, err := gzip.NewReader(s.Reader)
	if err != nil {
		return fmt.Errorf("ingest: %w: gzip: %w", ErrStream, err)
	}
	s.packed = true
	s.Reader = bufio.NewReaderSize(capped{s, z}, 1<<16)
	return nil
}

// broken is the last row of a stream that ends too early.
func broken(line, offset int64, err error) Row {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the input is cut short")
	}
	return Row{Line: line, Offset: offset, Err: fmt.Errorf("%w after row %d: %w", ErrStream, max(line-1, 0), err)}
}

// rowError is why a row is bad.
type rowError struct{ why string }

func (e *rowError) Error() string { return e.why }
func (e *rowError) Unwrap() error { return ErrRow }

// badRow makes the error of one row. It wraps ErrRow.
func badRow(format string, args ...any) error {
	return &rowError{fmt.Sprintf(format, args...)}
}
