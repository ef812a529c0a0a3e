package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/eiderdb/eider/storage/format"
)

func rotationKey(coll uint32, field uint16) []byte {
	return be.AppendUint16(collKey(prefixRotation, coll), field)
}

// SetRotation replaces the rotation of a vector field, or removes it where r has no
// rows, and announces that as a change of the schema, whose bytes stay: the two are
// one commit. Errors: ErrNotFound for
// the collection or a field that was dropped, ErrLimit, and those of Commit.
func (s *Store) SetRotation(ctx context.Context, coll uint32, field uint16, r format.Rotation) error {
	var b []byte
	if r.Rows != nil {
		var err error
		if b, err = format.AppendRotation(nil, r); err != nil {
			return err
		}
	}
	return s.submit(ctx, &call{bytes: len(b), fn: func(g *group) error {
		c := s.state.colls[coll]
		if c == nil || slices.Contains(c.info.Dropped, field) {
			return fmt.Errorf("%w: vector field %d of collection %d", ErrNotFound, field, coll)
		}
		var err error
		if key := rotationKey(coll, field); b != nil {
			err = g.batch.Set(key, b, nil)
		} else {
			err = g.batch.Delete(key, nil)
		}
		if err != nil {
			return s.fail(err)
		}
		return g.setSchema(c, bytes.Clone(c.info.Schema))
	}})
}

// Rotation is the rotation of a vector field. Errors: ErrNotFound if there is none;
// ErrCorrupt, ErrVersion: learn it again.
func (v *View) Rotation(coll uint32, field uint16) (format.Rotation, error) {
	b, err := v.get(rotationKey(coll, field))
	if errors.Is(err, ErrNotFound) {
		return format.Rotation{}, fmt.Errorf("%w: rotation of vector field %d", ErrNotFound, field)
	} else if err != nil {
		return format.Rotation{}, err
	}
	r, err := format.ParseRotation(b)
	if err != nil {
		err = fmt.Errorf("rotation of vector field %d: %w", field, err)
	}
	return r, err
}
