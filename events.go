package eider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"math"
	"slices"
	"time"

	"github.com/eiderdb/eider/storage"
	"github.com/eiderdb/eider/storage/format"
)

// Event is one interaction of a user with an item.
type Event struct {
	User string `json:"user"` // 1 to 512 bytes
	Item string `json:"item"` // 1 to 512 bytes
	// Type says what happened ("click", "purchase"), in up to 64 bytes; it may be
	// empty where there is one type.
	Type string `json:"type,omitempty"`
	// Time is when; in Append, the zero time means now. Kept to the nanosecond, years
	// 1678 to 2261.
	Time time.Time `json:"time,omitzero"`
	// Value is the strength: a rating, seconds watched; 0 if there is none.
	Value float64 `json:"value,omitempty"`
	// ID names the event among its user's, in up to 512 bytes: the same id again is
	// the same event and is not stored twice. Empty: every call stores another one.
	ID string `json:"id,omitempty"`
	// Context is JSON of up to 64 KiB that came with the event.
	Context json.RawMessage `json:"context,omitempty"`
	// LSN is of the call that stored the event; Append does not look at it. Events of
	// one time are ordered by it, and within a call as they were given.
	LSN uint64 `json:"lsn,omitempty"`
}

// Events keeps what users did, in the same log as documents.
type Events struct{ db *DB }

// Events returns the interactions of the database.
func (db *DB) Events() *Events { return &Events{db} }

// MaxAppend is how many events one Append takes.
const MaxAppend = storage.MaxOps

// Appended says what an Append did.
type Appended struct {
	LSN        uint64 `json:"lsn"` // of the call; of the database if it stored nothing
	Stored     int    `json:"stored"`
	Duplicates int    `json:"duplicates"` // events whose user had one with the id already
}

// Append stores events, all or none, durably and visibly on return. What it was not
// told the outcome of may be sent again where events have ids. Errors: ErrInvalid
// and ErrTooLarge, with the place of the event; ErrFull, ErrReadOnly, ErrClosed, the
// context's.
func (e *Events) Append(ctx context.Context, events ...Event) (Appended, error) {
	stored := make([]storage.Event, len(events))
	now := e.db.opts.Now()
	for i := range events {
		at := events[i].Time
		if at.IsZero() {
			at = now
		}
		ns, err := nanoseconds(at)
		if err != nil {
			return Appended{}, e.db.fail("append events", "", "", locate(fmt.Sprintf("/events/%d/time", i), err))
		}
		stored[i] = storage.Event{User: events[i].User, Time: ns, Event: format.Event{
			Item: events[i].Item, Type: events[i].Type, ID: events[i].ID, Value: events[i].Value, Context: events[i].Context}}
	}
	r, err := e.db.store.AppendEvents(ctx, stored)
	if err != nil {
		return Appended{}, e.db.fail("append events", "", "", locateOp(err))
	}
	return Appended{r.LSN, r.Stored, r.Duplicates}, nil
}

// locateOp notes which event a refused call is about.
func locateOp(err error) error {
	var op *storage.OpError
	if errors.As(err, &op) {
		return locate(fmt.Sprintf("/events/%d", op.Index), err)
	}
	return err
}

// nanoseconds since 1970 UTC of a time that has them. Errors wrap ErrInvalid.
func nanoseconds(t time.Time) (int64, error) {
	if y := t.UTC().Year(); y < 1678 || y > 2261 {
		return 0, fmt.Errorf("%w: year %d is outside 1678 to 2261", ErrInvalid, y)
	}
	return t.UnixNano(), nil
}

// HistoryOptions says which events of a user History returns. The zero value asks
// for the newest 100.
type HistoryOptions struct {
	Limit int       `json:"limit,omitempty"` // newest events, up to MaxHistory; 0 is 100
	From  time.Time `json:"from,omitzero"`   // not before this; the zero time is no bound
	To    time.Time `json:"to,omitzero"`     // before this; the zero time is no bound
	Types []string  `json:"types,omitempty"` // of one of these; all if empty
	// Cursor is that of the last History with the same options: it goes on with what
	// is older.
	Cursor string `json:"cursor,omitempty"`
}

// MaxHistory is how many events one History returns.
const MaxHistory = 10_000

const cursorHistory = 3 // page.After is the place of the oldest event returned

// History is events of a user.
type History struct {
	Events []Event `json:"events"` // oldest first
	Total  uint64  `json:"total"`  // events the user has, of all types and times
	Cursor string  `json:"cursor,omitempty"`
	LSN    uint64  `json:"lsn"` // the state that was read
}

// History returns the newest events of a user that the options ask for, oldest
// first; a user without events has an empty one. The cursor is set where older ones
// may follow. O(events from the newest in the range of time to the oldest returned),
// those of other types included. Errors: ErrInvalid, ErrCorrupt, ErrClosed, the
// context's.
func (e *Events) History(ctx context.Context, user string, o HistoryOptions) (History, error) {
	h, err := e.history(ctx, user, o)
	return h, e.db.fail("history", "", "", err)
}

func (e *Events) history(ctx context.Context, user string, o HistoryOptions) (History, error) {
	limit := o.Limit
	if limit == 0 {
		limit = 100
	}
	if limit < 0 || limit > MaxHistory {
		return History{}, locate("/limit", fmt.Errorf("%w: limit %d, want 1 to %d", ErrInvalid, limit, MaxHistory))
	}
	q, err := eventQuery(o.From, o.To, o.Types)
	if err != nil {
		return History{}, err
	}
	owner := o.fingerprint(user)
	if o.Cursor != "" {
		p, err := openCursor(o.Cursor, cursorHistory, owner)
		if err != nil {
			return History{}, locate("/cursor", err)
		}
		q.Before = p.After
	}
	view, err := e.db.viewAt(0)
	if err != nil {
		return History{}, err
	}
	defer view.Release()
	h := History{Events: []Event{}, LSN: view.LSN()}
	if h.Total, err = view.EventUser(user); err != nil {
		return History{}, err
	}
	var last storage.Event
	err = view.History(ctx, user, q, func(s storage.Event) bool {
		if len(h.Events) == limit {
			h.Cursor = page{LSN: view.LSN(), After: last.Place()}.seal(cursorHistory, owner)
			return false
		}
		h.Events, last = append(h.Events, publicEvent(&s)), s
		return true
	})
	if err != nil {
		return History{}, err
	}
	slices.Reverse(h.Events)
	return h, nil
}

// fingerprint identifies the events that a cursor goes through.
func (o HistoryOptions) fingerprint(user string) uint64 {
	o.Limit, o.Cursor = 0, ""
	h := fnv.New64a()
	if err := json.NewEncoder(h).Encode([]any{user, o}); err != nil {
		return 0 // times that do not encode were refused
	}
	return h.Sum64()
}

func eventQuery(from, to time.Time, types []string) (q storage.EventQuery, err error) {
	q = storage.AllEvents
	q.Types = types
	for _, bound := range []struct {
		at   time.Time
		name string
		to   *int64
	}{{from, "/from", &q.From}, {to, "/to", &q.To}} {
		if !bound.at.IsZero() {
			if *bound.to, err = nanoseconds(bound.at); err != nil {
				return q, locate(bound.name, err)
			}
		}
	}
	return q, nil
}

func publicEvent(s *storage.Event) Event {
	e := Event{User: s.User, Item: s.Item, Type: s.Type, Time: time.Unix(0, s.Time).UTC(), Value: s.Value, ID: s.ID, LSN: s.LSN}
	if len(s.Context) > 0 {
		e.Context = bytes.Clone(s.Context)
	}
	return e
}

// EventFilter says which events All yields; the zero value asks for all.
type EventFilter struct {
	From, To time.Time // as in HistoryOptions
	Types    []string
}

// All yields the events of all users as of one LSN, that of the database when the
// loop begins: user by user, in the order in which users first came, and of each the
// oldest first, as a trainer reads them. Memory does not grow with their number. The
// database keeps what it deletes until the loop has ended. The last element may be an
// error: ErrInvalid, ErrCorrupt, ErrClosed, the context's.
func (e *Events) All(ctx context.Context, f EventFilter) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		q, err := eventQuery(f.From, f.To, f.Types)
		var view *storage.View
		if err == nil {
			view, err = e.db.viewAt(0)
		}
		if err == nil {
			defer view.Release()
			err = view.Events(ctx, q, func(s storage.Event) bool { return yield(publicEvent(&s), nil) })
		}
		if err != nil {
			yield(Event{}, e.db.fail("read events", "", "", err))
		}
	}
}

// Erase deletes a user with all events and returns how many there were. On return no
// later read finds any of it, after a crash neither; the change feed keeps a number
// that leads to nothing. Bytes of it stay in the files of the directory until the
// store has rewritten what held them, which has no date, and in backups made before.
// A user without events is no error. Errors: ErrInvalid, ErrReadOnly, ErrClosed, the
// context's.
func (e *Events) Erase(ctx context.Context, user string) (uint64, error) {
	n, err := e.db.store.EraseUser(ctx, user)
	return n, e.db.fail("erase user", "", "", err)
}

// retention is the setting that holds how long events are kept.
const retention = "eider/events/retention"

// retainEvery is how often events past their age are looked for.
const retainEvery = time.Hour

// Retain keeps events for an age from now on, and returns how many were deleted at
// once because they are older; what becomes older goes within the hour. Age 0 keeps
// events for ever, as a new database does. Deleting goes in steps beside other writes;
// if it ends early, what is left goes within the hour. Errors: ErrInvalid for a
// negative age, and those of Append.
func (e *Events) Retain(ctx context.Context, age time.Duration) (uint64, error) {
	const op = "retain events"
	if age < 0 {
		return 0, e.db.fail(op, "", "", fmt.Errorf("%w: age %v; 0 keeps events for ever", ErrInvalid, age))
	}
	var text []byte
	if age > 0 {
		text = []byte(age.String())
	}
	if err := e.db.PutSetting(ctx, retention, text); err != nil {
		return 0, e.db.fail(op, "", "", err)
	}
	n, err := e.sweep(ctx)
	return n, e.db.fail(op, "", "", err)
}

// Retention is the age set by Retain, 0 if there is none.
func (e *Events) Retention() (time.Duration, error) {
	text, ok, err := e.db.Setting(retention)
	if err != nil || !ok {
		return 0, err
	}
	age, err := time.ParseDuration(string(text))
	if err != nil {
		err = fmt.Errorf("%w: setting %s: %w", ErrCorrupt, retention, err)
	}
	return age, e.db.fail("retention", "", "", err)
}

// sweep deletes events past their age.
func (e *Events) sweep(ctx context.Context) (uint64, error) {
	age, err := e.Retention()
	if err != nil || age == 0 {
		return 0, err
	}
	now := e.db.now()
	if now < math.MinInt64+int64(age) {
		return 0, nil // nothing is that old
	}
	return e.db.store.RetainEvents(ctx, now-int64(age))
}

// sweepEvents is sweep in the background.
func (db *DB) sweepEvents() {
	if _, err := db.Events().sweep(db.ctx); err != nil && db.ctx.Err() == nil {
		db.log.Warn("events past their age were not deleted; it will be tried again", "err", err)
	}
}

// EventStats is what events take.
type EventStats struct {
	Users  uint64 `json:"users"` // who have events
	Events uint64 `json:"events"`
	Bytes  int64  `json:"bytes"` // estimate of disk space
	// Retention is how long they are kept; 0 is for ever.
	Retention Duration `json:"retention"`
	LSN       uint64   `json:"lsn"`
}

// Stats counts. O(1). Errors: ErrClosed, ErrCorrupt.
func (e *Events) Stats(ctx context.Context) (EventStats, error) {
	st, lsn, err := e.db.store.EventStats()
	if err != nil {
		return EventStats{}, e.db.fail("event stats", "", "", err)
	}
	age, err := e.Retention()
	return EventStats{Users: st.Users, Events: st.Events, Bytes: st.Bytes, Retention: Duration(age), LSN: lsn}, err
}
