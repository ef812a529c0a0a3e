package eider

import (
	"sync"

	"github.com/eiderdb/eider/storage"
)

// onDisk reports whether the index keeps codes only, and reads vectors from the
// store.
func (l *live) onDisk() bool { return l.spec.Index.Originals == "disk" }

// remote reports whether vectors are read from the store: for good, or until those
// of an index that was opened from its codes are in memory.
func (l *live) remote() bool { return !l.resident.Load() }

// viewed reads vectors as of a view: every id that a search of that view may
// return is in it.
type viewed struct {
	*live
	view *storage.View
}

// raws are buffers of stored vectors.
var raws = sync.Pool{New: func() any { return new([]byte) }}

// Read appends the vector of a document version to dst; see index.Source.
func (s viewed) Read(ord uint32, dst []float32) ([]float32, error) {
	buf := raws.Get().(*[]byte)
	defer raws.Put(buf)
	raw, err := s.view.Vector(s.coll, s.live.id, ord, (*buf)[:0])
	if err != nil {
		return dst, err
	}
	*buf = raw
	return decodeVector(s.spec, raw, dst)
}

// latest reads vectors as of now, for calls that have no view.
type latest struct{ *live }

// Read appends the vector of a document version to dst; see index.Source.
func (s latest) Read(ord uint32, dst []float32) ([]float32, error) {
	view, err := s.db.viewAt(0)
	if err != nil {
		return dst, err
	}
	defer view.Release()
	return viewed{s.live, view}.Read(ord, dst)
}
