package ingest

import (
	"errors"
	"io"
	"math"
	"slices"
	"strconv"

	"github.com/eiderdb/eider/internal/dataset"
)

// matrix reads a file of vectors: row i becomes the document with id FirstID+i.
func (s *stream) matrix(yield func(Row) bool) {
	name := "vector"
	for v := range s.Vectors {
		name = v
	}
	in, err := dataset.NewReader(dataset.Format(s.Format), s.src)
	if err != nil {
		yield(broken(1, 0, err))
		return
	}
	for line := int64(1); ; line++ {
		v, err := in.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			yield(broken(line, 0, err))
			return
		}
		n := uint64(line - 1)
		if n > math.MaxUint64-s.FirstID {
			yield(broken(line, 0, badRow("ids beyond 64 bits")))
			return
		}
		row := Row{Line: line, ID: strconv.FormatUint(s.FirstID+n, 10)}
		if i := slices.IndexFunc(v, notFinite); i >= 0 {
			row.Err = badRow("element %d of the vector is %v", i, v[i])
		} else {
			row.Vectors = map[string][]float32{name: slices.Clone(v)}
		}
		if !yield(row) {
			return
		}
	}
}

func notFinite(f float32) bool { return f != f || math.IsInf(float64(f), 0) }
