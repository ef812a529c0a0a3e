package ingest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// ndjson reads an object from each line; empty lines are skipped. An object is
// read in the form that export writes, the envelope {"id", "fields", "vectors",
// "expire_at", "version"} (version is not used), if it has no other members and
// fields or vectors is an object in it; else it is flat: its members are the
// fields, but for the id and the columns that Options.Vectors names.
func (s *stream) ndjson(yield func(Row) bool) {
	line, offset := int64(1), int64(0)
	var buf []byte
	for ; ; line++ {
		text, size, err := s.line(&buf)
		if line == 1 {
			text = bytes.TrimPrefix(text, bom)
		}
		row := Row{Line: line, Offset: offset}
		switch {
		case errors.Is(err, errLong):
			row.Err = badRow("a line of %d bytes; at most %d are read", size, s.MaxLine)
			err = nil
		case err != nil && !errors.Is(err, io.EOF):
			yield(broken(line, offset, err))
			return
		case space(text, 0) < len(text):
			s.object(&row, text)
		case err != nil:
			return
		default:
			offset += size
			continue
		}
		if !yield(row) || err != nil {
			return
		}
		offset += size
	}
}

// errLong says that a line was longer than MaxLine and has been skipped.
var errLong = errors.New("line too long")

// line reads to the next line end. The text is valid until the next call; size
// counts its bytes with the line end. The last line may lack one: it comes with
// io.EOF.
func (s *stream) line(buf *[]byte) (text []byte, size int64, err error) {
	*buf = (*buf)[:0]
	for {
		part, err := s.src.ReadSlice('\n')
		size += int64(len(part))
		if size <= int64(s.MaxLine)+2 {
			*buf = append(*buf, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, size, err
		}
		end := int64(len(part) - len(bytes.TrimRight(part, "\r\n")))
		if size-end > int64(s.MaxLine) {
			return nil, size, errLong // an io.EOF comes again with the next call
		}
		return *buf, size, err
	}
}

// object fills row from one object, in the envelope's form or flat.
func (s *stream) object(row *Row, text []byte) {
	err := errFlat
	if !s.NoID {
		err = s.envelope(row, &parser{b: text})
	}
	if errors.Is(err, errFlat) {
		*row = Row{Line: row.Line, Offset: row.Offset}
		err = s.flat(row, &parser{b: text})
	}
	if err == nil && row.ID == "" && !s.NoID {
		err = badRow("there is no id; the member %q is looked for", s.ID)
	}
	if err != nil {
		row.Fields, row.Vectors, row.Err = nil, nil, err
	}
}

// errFlat says that an object has not the envelope's form: a member it does not
// have, or neither fields nor vectors as objects.
var errFlat = errors.New("a flat object")

func (s *stream) envelope(row *Row, p *parser) error {
	row.Fields = map[string]any{}
	inner := false
	err := p.object(1, func(name string) error {
		if (name == "fields" || name == "vectors") && p.peek() != '{' {
			return errFlat
		}
		switch name {
		case "id":
			return p.id(row)
		case "fields":
			inner = true
			return p.object(2, func(name string) error { return s.field(row, p, name, 3) })
		case "vectors":
			inner = true
			return p.object(2, func(name string) error { return p.vector(row, name) })
		case "expire_at":
			return p.expiry(row)
		case "version":
			return p.skip(2)
		}
		return errFlat
	})
	switch {
	case err != nil:
		return err
	case !inner:
		return errFlat
	}
	return p.end()
}

func (s *stream) flat(row *Row, p *parser) error {
	vector := make(map[string]string, len(s.Vectors))
	for name, column := range s.Vectors {
		vector[column] = name
	}
	row.Fields = make(map[string]any, 8)
	err := p.object(1, func(name string) error {
		if name == s.ID && !s.NoID {
			return p.id(row)
		}
		if v, ok := vector[name]; ok {
			return p.vector(row, v)
		}
		return s.field(row, p, name, 2)
	})
	if err != nil {
		return err
	}
	return p.end()
}

// field reads one field, or skips it if it is not wanted.
func (s *stream) field(row *Row, p *parser, name string, depth int) error {
	if !s.keeps(name) {
		return p.skip(depth)
	}
	v, err := p.value(depth)
	if err == nil {
		row.Fields[name] = v
	}
	return err
}

// id reads a string or an integer.
func (p *parser) id(row *Row) error {
	start := space(p.b, p.i)
	v, err := p.value(2)
	if err != nil {
		// Ids may use all 64 bits.
		n, end, bad := scanNumber(p.b, start)
		u, over := strconv.ParseUint(string(p.b[start:max(start, end)]), 10, 64)
		if bad != nil || !n.whole || over != nil {
			return err
		}
		p.i, row.ID = end, strconv.FormatUint(u, 10)
		return nil
	}
	switch v := v.(type) {
	case string:
		row.ID = v
		return nil
	case int64:
		if v >= 0 {
			row.ID = strconv.FormatInt(v, 10)
			return nil
		}
	}
	return badRow("an id is a string or a whole number from 0, not %.40s", p.b[start:p.i])
}

// vector reads a list of numbers, or null.
func (p *parser) vector(row *Row, name string) error {
	if p.peek() == 'n' && p.word("null") {
		return nil
	}
	v, n, err := ParseFloats(p.b[p.i:], nil)
	if err != nil {
		return fmt.Errorf("vector %q: %w", name, err)
	}
	p.i += n
	return row.setVector(name, v)
}

func (r *Row) setVector(name string, v []float32) error {
	if len(v) == 0 {
		return badRow("vector %q is empty", name)
	}
	if r.Vectors == nil {
		r.Vectors = map[string][]float32{}
	}
	r.Vectors[name] = v
	return nil
}

// expiry reads an RFC 3339 time, or null.
func (p *parser) expiry(row *Row) error {
	v, err := p.value(2)
	if err != nil || v == nil {
		return err
	}
	s, _ := v.(string)
	if row.ExpireAt, err = time.Parse(time.RFC3339Nano, s); err != nil {
		return badRow("expire_at is not an RFC 3339 time")
	}
	return nil
}
