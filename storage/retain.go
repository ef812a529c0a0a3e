package storage

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/eiderdb/eider/storage/format"
)

// retainStep is how many events one call of RetainEvents deletes.
const retainStep = 4096

// outdated are old events of one user.
type outdated struct {
	user   string
	number uint64
	keys   [][]byte // of their histories
	ids    [][]byte // of those that have one
}

// RetainEvents deletes the events whose time is before a time in nanoseconds since
// 1970 UTC, and the users that have none left, and returns how many events went.
// It does so in calls of at most 4096 events, between which others write; what
// comes with an old time meanwhile may stay until the next time. After an error
// the next call goes on. O(users) to find them. Errors: those of Commit,
// ErrCorrupt.
func (s *Store) RetainEvents(ctx context.Context, before int64) (n uint64, err error) {
	s.retainMu.Lock() // so that what a view shows is still there, unless its user was erased
	defer s.retainMu.Unlock()
	for next := uint64(0); ; {
		old, last, err := s.outdated(ctx, next, before)
		if err != nil || len(old) == 0 {
			return n, err
		}
		var gone uint64
		err = s.submit(ctx, &call{frees: true, fn: func(g *group) (err error) {
			gone, err = g.retain(old, before)
			return err
		}})
		if err != nil {
			return n, err
		}
		n, next = n+gone, last
	}
}

// outdated finds the next events to delete, from those of the user with a number
// on, and the number to go on with.
func (s *Store) outdated(ctx context.Context, number uint64, before int64) (old []outdated, next uint64, err error) {
	v, err := s.Acquire()
	if err != nil {
		return nil, 0, err
	}
	defer v.Release()
	it, err := v.snap.NewIter(&pebble.IterOptions{LowerBound: numberKey(prefixHistory, number), UpperBound: []byte{prefixHistory + 1}})
	if err != nil {
		return nil, 0, readError("histories", err)
	}
	defer func() { err = errors.Join(err, readError("histories", it.Close())) }()
	n := 0
	for ok := it.First(); ok; ok = it.SeekGE(numberKey(prefixHistory, next+1)) {
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
		o := outdated{}
		if o.number, o.user, err = headAt(it); err != nil {
			return nil, 0, err
		}
		next = o.number
		for it.Next() && n < retainStep {
			e, err := eventAt(it, o.user)
			if len(it.Key()) == numberLen || e.Time >= before {
				break // the next user, or what stays
			}
			if err != nil {
				return nil, 0, err
			}
			n++
			o.keys = append(o.keys, historyKey(o.number, e.Time, e.LSN, e.Seq))
			if e.ID != "" {
				o.ids = append(o.ids, eventKey(o.number, e.ID))
			}
		}
		if len(o.keys) > 0 {
			old = append(old, o)
		}
		if n == retainStep {
			break
		}
	}
	return old, next, nil
}

// retain deletes events that a view showed.
func (g *group) retain(old []outdated, before int64) (n uint64, err error) {
	users := make([]*eventUser, len(old))
	for i := range old {
		u, err := g.user(old[i].user)
		if err == nil && u.number == old[i].number && u.count < uint64(len(old[i].keys)) {
			err = fmt.Errorf("%w: a user of %d events has %d; run Check", ErrCorrupt, u.count, len(old[i].keys))
		}
		if err != nil {
			return 0, err
		}
		users[i] = u
	}
	counts := &g.s.state.events
	changed := map[string]*eventUser{}
	var changes []Change
	for i, o := range old {
		u := users[i]
		if u.number != o.number {
			continue // erased meanwhile
		}
		for _, k := range o.keys {
			err = errors.Join(err, g.batch.Delete(k, nil))
		}
		for _, k := range o.ids {
			g.eventIDs[string(k)] = false
			err = errors.Join(err, g.batch.Delete(k, nil))
		}
		gone := uint64(len(o.keys))
		n += gone
		u.count -= gone
		counts.events -= gone
		if u.count == 0 {
			counts.users--
		}
		changed[o.user] = u
		changes = append(changes, Change{Op: format.OpRetain, User: o.number, Before: before})
	}
	if len(changes) == 0 {
		return 0, nil
	}
	if err = errors.Join(err, g.putCounts(changed)); err != nil {
		return 0, g.s.fail(err)
	}
	return n, g.next(changes...)
}
