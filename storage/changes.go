package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/eiderdb/eider/storage/format"
)

// Change is one effect of a committed call.
type Change struct {
	LSN        uint64
	Time       int64 // wall clock of the commit, nanoseconds since 1970 UTC
	Op         format.ChangeOp
	Collection uint32
	Name       string // collection or alias, for schema operations; model, for those of models
	Alias      string // OpPromote

	ModelVersion uint32 // OpModel, OpUnmodel, OpPromote

	// User is the number of a user of events, which means nothing once the user is
	// erased. Event is the event of an OpEvent, nil where Superseded.
	User   uint64
	Event  *Event
	Before int64 // OpRetain: the events deleted were before this, nanoseconds since 1970 UTC

	ID     string // OpPut, OpDelete
	Key    []byte // id key, see format.EncodeID
	Ord    uint32 // OpPut
	OldOrd uint32 // OpPut with HasOld, OpDelete
	HasOld bool
	// Superseded reports, from Changes only, a put whose document was replaced or
	// deleted since, or an event that was: a later change says how, and the fields
	// below are empty.
	Superseded bool
	ExpireAt   int64
	Body       []byte
	Vectors    []Vec
}

func (c *Change) reference() format.Change {
	return format.Change{Op: c.Op, Collection: c.Collection, Ord: c.Ord, OldOrd: c.OldOrd, HasOld: c.HasOld, Key: c.Key, Name: c.Name,
		Version: c.ModelVersion, Alias: c.Alias, User: c.User, Time: c.Before}
}

// Changes returns the changes after LSN after up to the view, oldest first. The
// log keeps references, so a put whose document has changed again, or an event
// that is gone, is yielded as Superseded: applying all changes in order gives the state at the view, not
// every state between (a compacted log). Error, as the last element:
// ErrTrimmed, ErrCorrupt, or ctx's.
func (v *View) Changes(ctx context.Context, after uint64) iter.Seq2[Change, error] {
	return v.changes(ctx, after, v.resolve)
}

// References is Changes without documents: Body, Vectors and ExpireAt are empty
// and Superseded is not known. It reads the log only, so it is many times
// faster; an index that replays ords needs no more.
func (v *View) References(ctx context.Context, after uint64) iter.Seq2[Change, error] {
	return v.changes(ctx, after, v.refer)
}

func (v *View) changes(ctx context.Context, after uint64, resolve func(format.Entry, format.Change) (Change, error)) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		if after >= v.lsn {
			return
		}
		if after+1 < v.first {
			yield(Change{}, fmt.Errorf("%w: changes are kept from LSN %d, asked for %d", ErrTrimmed, v.first, after+1))
			return
		}
		want := after + 1
		err := scan(v.snap, changeKey(want), changeKey(v.lsn+1), func(_, value []byte) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			e, err := format.ParseEntry(value)
			if err != nil {
				return fmt.Errorf("changelog entry %d: %w", want, err)
			}
			if e.LSN != want {
				return fmt.Errorf("%w: changelog has LSN %d where %d belongs", ErrCorrupt, e.LSN, want)
			}
			want++
			for _, ref := range e.Changes {
				ch, err := resolve(e, ref)
				if err != nil {
					return err
				}
				if !yield(ch, nil) {
					return errStop
				}
			}
			return nil
		})
		if err == nil && want != v.lsn+1 {
			err = fmt.Errorf("%w: changelog ends at LSN %d, store is at %d", ErrCorrupt, want-1, v.lsn)
		}
		if err != nil && err != errStop {
			yield(Change{}, err)
		}
	}
}

// refer turns a reference into a change without its document.
func (v *View) refer(e format.Entry, ref format.Change) (Change, error) {
	ch := Change{LSN: e.LSN, Time: e.Time, Op: ref.Op, Collection: ref.Collection, Name: ref.Name, Alias: ref.Alias, ModelVersion: ref.Version, User: ref.User,
		Key: bytes.Clone(ref.Key), Ord: ref.Ord, OldOrd: ref.OldOrd, HasOld: ref.HasOld}
	if ref.Op == format.OpRetain {
		ch.Before = ref.Time
	}
	c := v.colls[ref.Collection]
	if c == nil || ref.Op != format.OpPut && ref.Op != format.OpDelete {
		return ch, nil
	}
	id, err := format.DecodeID(c.info.Kind, ref.Key)
	if err != nil {
		return ch, fmt.Errorf("changelog entry %d: %w", e.LSN, err)
	}
	ch.ID = id
	return ch, nil
}

// resolve turns a reference into a change with its document, if that is still
// the one the entry wrote.
func (v *View) resolve(e format.Entry, ref format.Change) (Change, error) {
	ch, err := v.refer(e, ref)
	if err != nil {
		return ch, err
	}
	if ref.Op == format.OpEvent {
		err := v.resolveEvent(&ch, ref)
		return ch, err
	}
	if ref.Op.Models() || ref.Op.Events() {
		return ch, nil
	}
	c := v.colls[ref.Collection]
	if c == nil {
		ch.Superseded = ref.Op != format.OpDrop
		return ch, nil
	}
	if ref.Op != format.OpPut {
		return ch, nil
	}
	b, err := v.get(recordKey(ref.Collection, ref.Ord))
	if errors.Is(err, ErrNotFound) {
		ch.Superseded = true
		return ch, nil
	} else if err != nil {
		return ch, err
	}
	r, err := format.ParseRecord(b)
	if err != nil {
		return ch, fmt.Errorf("record of ord %d: %w", ref.Ord, err)
	}
	if r.LSN != e.LSN || !bytes.Equal(r.Key, ref.Key) { // the ord was reused
		ch.Superseded = true
		return ch, nil
	}
	ch.Body, ch.ExpireAt = r.Body, r.ExpireAt
	for _, f := range c.info.fields(r.Fields) {
		data, err := v.Vector(ref.Collection, f, ref.Ord, nil)
		if err != nil {
			return ch, err
		}
		ch.Vectors = append(ch.Vectors, Vec{f, data})
	}
	return ch, nil
}

// Wait returns when the newest view is past LSN after, with its LSN. Errors:
// ErrClosed, ctx's.
func (s *Store) Wait(ctx context.Context, after uint64) (uint64, error) {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		v := s.view.Load()
		if v == nil {
			return 0, ErrClosed
		}
		if v.lsn > after {
			return v.lsn, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return v.lsn, ctx.Err()
		}
	}
}

// TrimChanges forgets changes up to and including LSN upTo; the newest entry is
// always kept. Options.ChangeRetention does the same by itself.
func (s *Store) TrimChanges(ctx context.Context, upTo uint64) error {
	return s.submit(ctx, &call{frees: true, fn: func(g *group) error {
		first := min(upTo, s.state.lsn) + 1
		if first <= s.state.first {
			return nil
		}
		if err := g.next(); err != nil {
			return err
		}
		if err := g.trimTo(first); err != nil {
			return s.fail(err)
		}
		return nil
	}})
}
