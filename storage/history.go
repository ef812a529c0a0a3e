package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/eiderdb/eider/storage/format"
)

// EventQuery says which events are read.
type EventQuery struct {
	From, To int64    // From <= Time < To, nanoseconds since 1970 UTC
	Types    []string // of one of these types; all if empty

	// Before is a place in the user's order before which History begins (Event.Place);
	// the event need not be there any more.
	Before []byte
}

// AllEvents is the query that asks for nothing in particular.
var AllEvents = EventQuery{From: math.MinInt64, To: math.MaxInt64}

func (q *EventQuery) wants(e *format.Event) bool {
	return len(q.Types) == 0 || slices.Contains(q.Types, e.Type)
}

// bounds are the keys of a user's events in the range of time.
func (q *EventQuery) bounds(number uint64) (lo, hi []byte) {
	return historyKey(number, q.From, 0, 0), historyKey(number, q.To, 0, 0)
}

// EventCounts returns how many users and events there are, O(1).
func (v *View) EventCounts() (users, events uint64) { return v.events.users, v.events.events }

// EventUser returns how many events a user has, 0 for one who does not exist.
// Errors: ErrValue, ErrCorrupt.
func (v *View) EventUser(user string) (events uint64, err error) {
	u, err := v.eventUser(user)
	return u.count, err
}

func (v *View) eventUser(user string) (eventUser, error) {
	if err := checkUser(user); err != nil {
		return eventUser{}, err
	}
	b, err := v.get(userKey(user))
	if errors.Is(err, ErrNotFound) {
		return eventUser{}, nil
	} else if err != nil {
		return eventUser{}, err
	}
	u, err := parseUserValue(b)
	if err != nil {
		return eventUser{}, fmt.Errorf("user %q: %w", user, err)
	}
	return u, nil
}

// ctxEvery is how many events are read between two looks at the context.
const ctxEvery = 256

// History calls fn with the events of a user that q asks for, newest first, until
// fn returns false. A user who does not exist has none. O(events from the newest
// in the range of time to the last one given), those of other types included.
// Context of an event is valid during the call. Errors: ErrValue, ErrCorrupt,
// ctx's.
func (v *View) History(ctx context.Context, user string, q EventQuery, fn func(Event) bool) (err error) {
	u, err := v.eventUser(user)
	if err == nil && q.Before != nil && len(q.Before) != placeLen {
		err = fmt.Errorf("%w: place of %d bytes in a history", ErrValue, len(q.Before))
	}
	if err != nil || u.number == 0 || q.From >= q.To {
		return err
	}
	lo, hi := q.bounds(u.number)
	if q.Before != nil {
		if at := append(numberKey(prefixHistory, u.number), q.Before...); bytes.Compare(at, hi) < 0 {
			hi = at
		}
	}
	if bytes.Compare(lo, hi) >= 0 {
		return nil
	}
	it, err := v.snap.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	if err != nil {
		return readError("history", err)
	}
	defer func() { err = errors.Join(err, readError("history", it.Close())) }()
	for ok, n := it.Last(), 0; ok; ok, n = it.Prev(), n+1 {
		if n%ctxEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		e, err := eventAt(it, user)
		if err != nil {
			return err
		}
		if q.wants(&e.Event) && !fn(e) {
			return nil
		}
	}
	return nil
}

// eventAt decodes the event at an iterator.
func eventAt(it *pebble.Iterator, user string) (Event, error) {
	e := Event{User: user}
	key := it.Key()
	if len(key) != historyLen {
		return e, fmt.Errorf("%w: key %x in a history", ErrCorrupt, key)
	}
	value, err := it.ValueAndErr()
	if err != nil {
		return e, readError("event", err)
	}
	e.Time, e.LSN, e.Seq = parsePlace(key[numberLen:])
	if e.Event, err = format.ParseEvent(value); err != nil {
		return e, fmt.Errorf("event of LSN %d: %w", e.LSN, err)
	}
	return e, nil
}

// Events calls fn with the events of all users that q asks for, until fn returns
// false: user by user, in the order in which users first came, and of each the
// oldest first. Everything is as of the view. O(users + events in the range of
// time). Context of an event is valid during the call. Errors: ErrCorrupt, ctx's.
func (v *View) Events(ctx context.Context, q EventQuery, fn func(Event) bool) (err error) {
	if q.From >= q.To {
		return nil
	}
	it, err := v.snap.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixHistory}, UpperBound: []byte{prefixHistory + 1}})
	if err != nil {
		return readError("histories", err)
	}
	defer func() { err = errors.Join(err, readError("histories", it.Close())) }()
	n := 0
	for ok := it.First(); ok; {
		number, user, err := headAt(it)
		if err != nil {
			return err
		}
		lo, hi := q.bounds(number)
		if q.From == math.MinInt64 {
			ok = it.Next()
		} else {
			ok = it.SeekGE(lo)
		}
		for ; ok && bytes.Compare(it.Key(), hi) < 0; ok = it.Next() {
			if n++; n%ctxEvery == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			e, err := eventAt(it, user)
			if err != nil {
				return err
			}
			if q.wants(&e.Event) && !fn(e) {
				return nil
			}
		}
		if ok && be.Uint64(it.Key()[1:]) == number { // later than the range
			ok = it.SeekGE(numberKey(prefixHistory, number+1))
		}
		if n++; n%ctxEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// headAt decodes the key before a user's events, which says whose they are.
func headAt(it *pebble.Iterator) (number uint64, user string, err error) {
	key := it.Key()
	value, err := it.ValueAndErr()
	if err != nil {
		return 0, "", readError("history", err)
	}
	if len(key) != numberLen || checkUser(string(value)) != nil {
		return 0, "", fmt.Errorf("%w: key %x where a history begins", ErrCorrupt, key)
	}
	return be.Uint64(key[1:]), string(value), nil
}
