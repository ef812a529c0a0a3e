package storage

import (
	"fmt"

	"github.com/eiderdb/eider/storage/format"
)

// Reader reads records one after another into memory of its own, so that
// reading many allocates for none. For one goroutine. The zero Reader is ready
// once Reset.
type Reader struct {
	view *View
	key  []byte
	body []byte // the record's envelope
	id   []byte
	rec  format.Record
}

// Reset makes r read from v, which the caller holds while r is used; nil lets
// the last view go.
func (r *Reader) Reset(v *View) { r.view = v }

// Record returns the document under a live ord and the text of its id, both
// valid until the next call; the record's ID is left empty and its Vector
// method must not be used. Errors: ErrNotFound, ErrCorrupt.
func (r *Reader) Record(coll, ord uint32) (Record, []byte, error) {
	c, err := r.view.coll(coll)
	if err != nil {
		return Record{}, nil, err
	}
	r.key = appendRecordKey(r.key[:0], coll, ord)
	b, closer, err := r.view.snap.Get(r.key)
	if err != nil {
		return Record{}, nil, fmt.Errorf("record of ord %d: %w", ord, readError(fmt.Sprintf("key %q", r.key[:1]), err))
	}
	r.body = append(r.body[:0], b...)
	if err := closer.Close(); err != nil {
		return Record{}, nil, err
	}
	if err := r.rec.Parse(r.body); err != nil {
		return Record{}, nil, fmt.Errorf("record of ord %d: %w", ord, err)
	}
	if r.id, err = format.AppendID(r.id[:0], c.info.Kind, r.rec.Key); err != nil {
		return Record{}, nil, fmt.Errorf("record of ord %d: %w", ord, err)
	}
	return Record{Ord: ord, Version: r.rec.LSN, ExpireAt: r.rec.ExpireAt, Fields: c.info.fields(r.rec.Fields), Body: r.rec.Body}, r.id, nil
}

// Shrink frees the memory of r beyond limit bytes.
func (r *Reader) Shrink(limit int) {
	if cap(r.body) > limit {
		r.body = nil
	}
}
