package storage

import (
	"context"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/eiderdb/eider/storage/format"
)

// Events are interactions of users with items, kept by user in order of time:
//
//	u user           -> number, count      d number, event id -> place
//	h number         -> user                        │
//	h number, place  -> event     <─────────────────┘   place: time, LSN, seq
//
// A user has a number, never given twice, and the changelog knows no other name:
// when u, h and d of a user are deleted, nothing is left that says who it was.
// A user without events does not exist.

// Event is one interaction.
type Event struct {
	User string // 1 to format.MaxID bytes of UTF-8
	Time int64  // nanoseconds since 1970 UTC, below math.MaxInt64
	format.Event

	// The place in the log, set by reads. Events of equal time are ordered by it.
	LSN uint64
	Seq uint32 // among the events of the call
}

// Place is where the event is among those of its user, in bytes that order as the
// events do.
func (e *Event) Place() []byte { return appendPlace(make([]byte, 0, placeLen), e.Time, e.LSN, e.Seq) }

// EventsResult says what AppendEvents did.
type EventsResult struct {
	LSN        uint64 // of the call; of the store if it stored nothing
	Stored     int
	Duplicates int // events that their user had an event with the same id as
}

// eventCounts are the numbers that belong to no user.
type eventCounts struct{ next, users, events uint64 }

// eventUser is a user as of the group: number 0 is a user who does not exist.
type eventUser struct{ number, count uint64 }

const (
	placeLen   = 8 + 8 + 4
	numberLen  = 1 + 8 // of the keys of one user
	historyLen = numberLen + placeLen
)

func userKey(user string) []byte { return append([]byte{prefixUser}, user...) }

func numberKey(prefix byte, number uint64) []byte {
	return be.AppendUint64(append(make([]byte, 0, historyLen), prefix), number)
}

// appendPlace appends what orders the events of a user.
func appendPlace(dst []byte, time int64, lsn uint64, seq uint32) []byte {
	dst = be.AppendUint64(dst, uint64(time)^1<<63)
	return be.AppendUint32(be.AppendUint64(dst, lsn), seq)
}

func parsePlace(b []byte) (time int64, lsn uint64, seq uint32) {
	return int64(be.Uint64(b) ^ 1<<63), be.Uint64(b[8:]), be.Uint32(b[16:])
}

func historyKey(number uint64, time int64, lsn uint64, seq uint32) []byte {
	return appendPlace(numberKey(prefixHistory, number), time, lsn, seq)
}

func eventKey(number uint64, id string) []byte { return append(numberKey(prefixEvent, number), id...) }

func userValue(u *eventUser) []byte {
	return be.AppendUint64(be.AppendUint64(make([]byte, 0, 16), u.number), u.count)
}

func parseUserValue(b []byte) (eventUser, error) {
	if len(b) != 16 || be.Uint64(b) == 0 || be.Uint64(b[8:]) == 0 {
		return eventUser{}, fmt.Errorf("%w: entry of a user of events", ErrCorrupt)
	}
	return eventUser{be.Uint64(b), be.Uint64(b[8:])}, nil
}

// loadEvents reads the counts.
func (s *Store) loadEvents() error {
	b, err := s.get(keyEvents)
	switch {
	case errors.Is(err, ErrNotFound):
		s.state.events = eventCounts{next: 1}
	case err == nil && len(b) == 24:
		s.state.events = eventCounts{be.Uint64(b), be.Uint64(b[8:]), be.Uint64(b[16:])}
	case err == nil:
		err = fmt.Errorf("%w: counts of events", ErrCorrupt)
		return err
	default:
		return err
	}
	return nil
}

// putCounts writes the counts and the users that changed, and makes the directory
// one that older binaries refuse.
func (g *group) putCounts(changed map[string]*eventUser) error {
	c := g.s.state.events
	err := errors.Join(g.raise(formatEvents),
		g.batch.Set(keyEvents, be.AppendUint64(be.AppendUint64(be.AppendUint64(nil, c.next), c.users), c.events), nil))
	for name, u := range changed {
		if u.count > 0 {
			err = errors.Join(err, g.batch.Set(userKey(name), userValue(u), nil))
		} else {
			err = errors.Join(err, g.batch.Delete(userKey(name), nil), g.batch.Delete(numberKey(prefixHistory, u.number), nil))
			*u = eventUser{}
		}
	}
	return err
}

// user returns a user as of the group, shared within it.
func (g *group) user(name string) (*eventUser, error) {
	if u := g.users[name]; u != nil {
		return u, nil
	}
	u := &eventUser{}
	b, err := g.s.get(userKey(name))
	if err == nil {
		*u, err = parseUserValue(b)
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	g.users[name] = u
	return u, nil
}

// stored reports whether a key of eventKey is taken as of the group.
func (g *group) stored(key []byte) (bool, error) {
	if here, known := g.eventIDs[string(key)]; known {
		return here, nil
	}
	_, closer, err := g.s.db.Get(key)
	if err == nil {
		return true, closer.Close()
	}
	if err = readError("event id", err); errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return false, err
}

// appending is an AppendEvents in the committer.
type appending struct {
	events []Event
	values [][]byte // parallel: their envelopes
	users  []*eventUser
	result EventsResult
}

// AppendEvents stores events in one call of the log (S1); durable and visible on
// return (S3). An event whose user has an event with its id, stored before or in
// the same call, is not stored again. The slice is not kept, but after an ErrUnknown it
// must not be changed. Errors: an OpError
// around ErrValue or ErrLimit for an event that cannot be stored, ErrLimit for too
// many, and those of Commit.
func (s *Store) AppendEvents(ctx context.Context, events []Event) (EventsResult, error) {
	if len(events) > MaxOps {
		return EventsResult{}, fmt.Errorf("%w: %d events in one call, at most %d; split it", ErrLimit, len(events), MaxOps)
	}
	a := &appending{events: events, values: make([][]byte, len(events))}
	bytes := 0
	var buf []byte
	for i := range events {
		e := &events[i]
		start := len(buf)
		var err error
		if err = checkUser(e.User); err == nil {
			err = e.Check()
		}
		if err == nil && e.Time == math.MaxInt64 {
			err = fmt.Errorf("%w: time of an event past the year 2262", ErrValue)
		}
		if err == nil {
			buf, err = format.AppendEvent(buf, &e.Event)
		}
		if err != nil {
			return EventsResult{}, &OpError{i, e.ID, err}
		}
		a.values[i] = buf[start:len(buf):len(buf)]
		bytes += len(buf) - start + len(e.User) + len(e.ID) + 2*historyLen
	}
	if bytes > MaxCallBytes {
		return EventsResult{}, fmt.Errorf("%w: %d bytes of events in one call, at most %d; split it", ErrLimit, bytes, MaxCallBytes)
	}
	if err := s.submit(ctx, &call{bytes: bytes, fn: a.accept}); err != nil {
		return EventsResult{}, err // not a.result: after an ErrUnknown the committer may be at it
	}
	return a.result, nil
}

// checkUser reports why user cannot be one: ErrValue.
func checkUser(user string) error {
	if user == "" || len(user) > format.MaxID || !utf8.ValidString(user) {
		return fmt.Errorf("%w: user %.80q: want 1 to %d bytes of UTF-8", ErrValue, user, format.MaxID)
	}
	return nil
}

// accept finds out which events are new, which can fail and leaves no trace, then
// writes them.
func (a *appending) accept(g *group) error {
	st := g.s.state
	a.result = EventsResult{LSN: st.lsn}
	a.users = make([]*eventUser, len(a.events))
	type name struct{ user, id string }
	met := map[name]bool{}
	for i := range a.events {
		e := &a.events[i]
		u, err := g.user(e.User)
		if err != nil {
			return err
		}
		again := false
		if e.ID != "" {
			n := name{e.User, e.ID}
			again = met[n]
			met[n] = true
			if !again && u.number != 0 {
				if again, err = g.stored(eventKey(u.number, e.ID)); err != nil {
					return err
				}
			}
		}
		if again {
			a.result.Duplicates++
		} else {
			a.users[i] = u
			a.result.Stored++
		}
	}
	if a.result.Stored == 0 {
		return nil
	}
	st.lsn++
	a.result.LSN = st.lsn
	if err := a.write(g, st.lsn); err != nil {
		return g.s.fail(err)
	}
	return nil
}

func (a *appending) write(g *group, lsn uint64) error {
	counts := &g.s.state.events
	refs := make([]format.Change, 0, a.result.Stored)
	changed := map[string]*eventUser{}
	for i, u := range a.users {
		if u == nil {
			continue
		}
		e := &a.events[i]
		var err error
		if u.number == 0 {
			u.number = counts.next
			counts.next++
			counts.users++
			err = g.batch.Set(numberKey(prefixHistory, u.number), []byte(e.User), nil)
		}
		changed[e.User] = u
		u.count++
		counts.events++
		seq := uint32(len(refs))
		key := historyKey(u.number, e.Time, lsn, seq)
		err = errors.Join(err, g.batch.Set(key, a.values[i], nil))
		if e.ID != "" {
			id := eventKey(u.number, e.ID)
			g.eventIDs[string(id)] = true
			err = errors.Join(err, g.batch.Set(id, key[numberLen:], nil))
		}
		if err != nil {
			return err
		}
		refs = append(refs, format.Change{Op: format.OpEvent, User: u.number, Time: e.Time, Seq: seq})
	}
	if err := g.putCounts(changed); err != nil {
		return err
	}
	return g.enter(lsn, refs, nil)
}

// EraseUser deletes a user with all events, in one call; durable and invisible to
// every later reader on return, which says how many events there were. Nothing of
// the user is left in keys, values or the changelog. Files are another matter: the
// bytes stay in log files until they are used again or the store is opened, and in
// tables until compactions rewrite them, which no call forces; backups made before
// have them. A user who does not exist is no error. Errors: ErrValue for a name that
// cannot be one, and those of Commit.
func (s *Store) EraseUser(ctx context.Context, user string) (uint64, error) {
	if err := checkUser(user); err != nil {
		return 0, err
	}
	n := uint64(0)
	err := s.submit(ctx, &call{frees: true, fn: func(g *group) error {
		u, err := g.user(user)
		if err != nil || u.number == 0 {
			return err
		}
		number, st := u.number, g.s.state
		n = u.count
		for _, prefix := range []byte{prefixHistory, prefixEvent} {
			lo := numberKey(prefix, number)
			err = errors.Join(err, g.batch.DeleteRange(lo, successor(lo), nil))
		}
		st.events.users--
		st.events.events -= u.count
		u.count = 0
		if err = errors.Join(err, g.putCounts(map[string]*eventUser{user: u})); err != nil {
			return g.s.fail(err)
		}
		return g.next(Change{Op: format.OpErase, User: number})
	}})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// resolveEvent fills in the event of an OpEvent, if it is still there.
func (v *View) resolveEvent(ch *Change, ref format.Change) error {
	b, err := v.get(historyKey(ref.User, ref.Time, ch.LSN, ref.Seq))
	if errors.Is(err, ErrNotFound) {
		ch.Superseded = true
		return nil
	} else if err != nil {
		return err
	}
	e, err := format.ParseEvent(b)
	if err != nil {
		return fmt.Errorf("event of LSN %d: %w", ch.LSN, err)
	}
	user, err := v.get(numberKey(prefixHistory, ref.User))
	if err != nil {
		return fmt.Errorf("user of an event of LSN %d: %w", ch.LSN, err)
	}
	ch.Event = &Event{User: string(user), Time: ref.Time, Event: e, LSN: ch.LSN, Seq: ref.Seq}
	return nil
}
