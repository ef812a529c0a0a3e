package dataset

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

var typed = []error{ErrFormat, ErrTruncated, ErrUnsupported, ErrTooLarge}

func isTyped(err error) bool {
	return slices.ContainsFunc(typed, func(e error) bool { return errors.Is(err, e) })
}

// FuzzReader feeds arbitrary bytes to every stream format: a typed error or rows
// of the announced width, never a panic.
func FuzzReader(f *testing.F) {
	for _, g := range goldens {
		for i := range Formats() {
			f.Add(i, golden(f, g.name))
		}
	}
	f.Fuzz(func(t *testing.T, which int, b []byte) {
		all := Formats()
		if which < 0 {
			which = -(which + 1)
		}
		format := all[which%len(all)]
		r, err := NewReader(format, bytes.NewReader(b))
		if err == nil {
			var m Matrix
			if m, err = r.Matrix(1000); err == nil && len(m.Data) != m.Rows*r.Cols() {
				t.Fatalf("%d elements in %d x %d", len(m.Data), m.Rows, r.Cols())
			}
		}
		if err != nil && !isTyped(err) && len(b) > 0 && b[0] != 0x1f {
			t.Fatalf("%s: untyped error %v", format, err)
		}
	})
}

// FuzzHDF5 feeds arbitrary bytes to the HDF5 reader.
func FuzzHDF5(f *testing.F) {
	for _, name := range []string{"old", "new", "old-gzip", "old-sum", "new-gzip", "new-plain", "new-single", "userblock", "resizable"} {
		f.Add(golden(f, name+".hdf5"))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := readAll(b); err != nil && !isTyped(err) {
			t.Fatalf("untyped error %v", err)
		}
	})
}
