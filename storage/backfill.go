package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/eiderdb/eider/storage/format"
)

// backfillOrds is how many documents one backfill commit covers.
const backfillOrds = 2048

// Backfill derives the postings of one index for the documents that were there
// before SetSchema introduced it, while writes go on. Until it returns, the
// index misses documents. progress, if set, is told documents done and to do.
// Running it again is harmless. Errors: ErrNotFound, ErrCorrupt, ctx's, and
// those of Commit.
func (s *Store) Backfill(ctx context.Context, coll, index uint32, progress func(done, total int)) error {
	return s.backfill(ctx, coll, func(t Term) bool { return t.Index == index }, progress)
}

// Rebuild drops all postings of a collection and derives them again from its
// documents, while writes go on: the cure for postings that Check reports and
// for a collection that is Stale. Until it returns, the postings miss
// documents; a crash meanwhile is finished by the next Open.
func (s *Store) Rebuild(ctx context.Context, coll uint32, progress func(done, total int)) error {
	err := s.submit(ctx, &call{fn: func(g *group) error {
		c := s.state.colls[coll]
		if c == nil {
			return fmt.Errorf("%w: collection %d", ErrNotFound, coll)
		}
		info := c.info
		info.Stale = true
		if err := g.putCatalog(&info); err != nil {
			return s.fail(err)
		}
		c.info, c.view = info, nil
		return g.dropPostings(c, collKey(prefixTerm, coll))
	}})
	if err != nil {
		return err
	}
	if err := s.backfill(ctx, coll, func(Term) bool { return true }, progress); err != nil {
		return err
	}
	return s.submit(ctx, &call{fn: func(g *group) error {
		c := s.state.colls[coll]
		if c == nil || !c.info.Stale {
			return nil
		}
		info := c.info
		info.Stale = false
		if err := g.putCatalog(&info); err != nil {
			return s.fail(err)
		}
		c.info, c.view = info, nil
		return g.next(Change{Op: format.OpIndex, Collection: coll, Name: info.Name})
	}})
}

// DropIndex removes all postings of one index. Call SetSchema first, so that
// no write adds new ones. Errors: ErrNotFound and those of Commit.
func (s *Store) DropIndex(ctx context.Context, coll, index uint32) error {
	return s.submit(ctx, &call{frees: true, fn: func(g *group) error {
		c := s.state.colls[coll]
		if c == nil {
			return fmt.Errorf("%w: collection %d", ErrNotFound, coll)
		}
		return g.dropPostings(c, indexKey(coll, index))
	}})
}

// fields returns the vector fields of a record that still exist.
func (c *Collection) fields(all []uint16) []uint16 {
	if len(c.Dropped) == 0 {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(f uint16) bool { return slices.Contains(c.Dropped, f) })
}

// DropVector removes all vectors of one field, its index snapshot and its rotation. The
// field's number is used up: later puts with it get ErrValue. Errors:
// ErrNotFound, ErrLimit and those of Commit.
func (s *Store) DropVector(ctx context.Context, coll uint32, field uint16) error {
	return s.submit(ctx, &call{frees: true, fn: func(g *group) error {
		c := s.state.colls[coll]
		if c == nil {
			return fmt.Errorf("%w: collection %d", ErrNotFound, coll)
		}
		if slices.Contains(c.info.Dropped, field) {
			return nil
		}
		if len(c.info.Dropped) == format.MaxDropped {
			return fmt.Errorf("%w: %d vector fields were dropped from %q; copy the collection", ErrLimit, format.MaxDropped, c.info.Name)
		}
		info := c.info
		info.Dropped = append(slices.Clone(info.Dropped), field)
		slices.Sort(info.Dropped)
		lo, snap := be.AppendUint16(collKey(prefixVector, coll), field), snapshotKey(coll, field)
		err := errors.Join(g.putCatalog(&info),
			g.batch.DeleteRange(lo, successor(lo), nil),
			g.batch.DeleteRange(snap, successor(snap), nil),
			g.batch.Delete(rotationKey(coll, field), nil))
		if err != nil {
			return s.fail(err)
		}
		c.info, c.view = info, nil
		return g.next(Change{Op: format.OpSchema, Collection: coll, Name: info.Name})
	}})
}

func (g *group) dropPostings(c *collection, prefix []byte) error {
	if err := g.flushPostings(); err != nil {
		return g.s.fail(err)
	}
	if err := g.batch.DeleteRange(prefix, successor(prefix), nil); err != nil {
		return g.s.fail(err)
	}
	g.purged = append(g.purged, prefix)
	return g.next(Change{Op: format.OpIndex, Collection: c.info.ID, Name: c.info.Name})
}

// backfill reads documents through one view and posts them chunk by chunk. A
// document of the view that has died since is skipped by the committer; its ord
// cannot belong to another document, because the view is held (S5). Documents
// born since have been posted by their own writes.
func (s *Store) backfill(ctx context.Context, coll uint32, want func(Term) bool, progress func(done, total int)) error {
	v, err := s.Acquire()
	if err != nil {
		return err
	}
	defer v.Release()
	cv, err := v.coll(coll)
	if err != nil {
		return err
	}
	type item struct {
		ord   uint32
		terms []Term
	}
	done, limit := 0, v.Limit(coll)
	for lo := uint32(0); lo < limit; {
		hi := min(limit, lo+backfillOrds)
		if hi < lo {
			hi = limit
		}
		var items []item
		err := v.ForEachRecord(coll, lo, hi, func(r Record) error {
			all, err := derive(cv.terms, append([]byte(nil), r.Body...))
			if err != nil {
				return fmt.Errorf("document %q: %w", r.ID, err)
			}
			terms := all[:0]
			for _, t := range all {
				if want(t) {
					terms = append(terms, t)
				}
			}
			items = append(items, item{r.Ord, terms})
			return nil
		})
		if err != nil {
			return err
		}
		lo = hi
		done += len(items)
		if len(items) == 0 {
			continue
		}
		err = s.submit(ctx, &call{bytes: len(items) * 256, fn: func(g *group) error {
			c := s.state.colls[coll]
			if c == nil {
				return fmt.Errorf("%w: collection %d", ErrNotFound, coll)
			}
			if c.generation != cv.generation {
				return errMovedSchema
			}
			for _, it := range items {
				if c.live.Contains(it.ord) {
					g.post(c, it.terms, it.ord, true)
				}
			}
			return g.next(Change{Op: format.OpIndex, Collection: coll, Name: c.info.Name})
		}})
		if errors.Is(err, errMovedSchema) {
			return fmt.Errorf("%w: the schema of collection %q changed during a backfill; start it again", ErrConflict, cv.info.Name)
		}
		if err != nil {
			return err
		}
		if progress != nil {
			progress(done, cv.count)
		}
	}
	return nil
}

var errMovedSchema = errors.New("schema moved")
