package storage

import (
	"bytes"
	"context"
	"slices"

	"github.com/eiderdb/eider/storage/format"
)

const (
	vacuumAfter = 1 << 20 // postings removed since the last vacuum that start one
	vacuumKeys  = 4096    // keys one vacuum commit deletes
)

// emptyOperand is a posting without members, see postingMerger.Finish.
var emptyOperand = format.AppendOperand(nil, nil, nil)

// maybeVacuum starts a vacuum in the background when enough postings were
// removed that empty ones may have piled up. The committer calls it.
func (s *Store) maybeVacuum() {
	if s.removed < vacuumAfter || !s.vacuuming.CompareAndSwap(false, true) {
		return
	}
	s.removed = 0
	go func() {
		defer s.vacuuming.Store(false)
		if err := s.vacuum(s.ctx); err != nil && s.ctx.Err() == nil {
			s.opts.Logger.Warn("storage: vacuum of empty postings", "error", err)
		}
	}()
}

// vacuum deletes the keys of postings that have no members. It finds them in a
// view and looks again in the committer, which is the only writer, so a posting
// that gained a member meanwhile stays.
func (s *Store) vacuum(ctx context.Context) error {
	v, err := s.Acquire()
	if err != nil {
		return err
	}
	defer v.Release()
	var keys [][]byte
	flush := func() error {
		if len(keys) == 0 {
			return nil
		}
		err := s.submit(ctx, &call{frees: true, fn: func(g *group) error { return g.vacuum(keys) }})
		keys = keys[:0]
		return err
	}
	err = scan(v.snap, []byte{prefixTerm}, []byte{prefixTerm + 1}, func(key, value []byte) error {
		if !bytes.Equal(value, emptyOperand) {
			return nil
		}
		if keys = append(keys, bytes.Clone(key)); len(keys) == vacuumKeys {
			return flush()
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	return flush()
}

// vacuum deletes keys that are still empty, in a call of its own LSN.
func (g *group) vacuum(keys [][]byte) error {
	for _, k := range keys {
		if g.postings[string(k)] != nil || slices.Contains(g.posted, string(k)) {
			continue // this group adds to it
		}
		value, err := g.s.get(k)
		if err != nil || !bytes.Equal(value, emptyOperand) {
			continue
		}
		if err := g.batch.Delete(k, nil); err != nil {
			return g.s.fail(err)
		}
	}
	return g.next()
}
