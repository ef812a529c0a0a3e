package storage

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/eiderdb/eider/storage/format"
)

// eventModel is what a store of events should hold: by user, in order of place.
type eventModel map[string][]Event

func place(a, b Event) int {
	return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.LSN, b.LSN), cmp.Compare(a.Seq, b.Seq))
}

// append stores events under an LSN and returns how many were new.
func (m eventModel) append(lsn uint64, events []Event) (stored int) {
	for _, e := range events {
		if e.ID != "" && slices.ContainsFunc(m[e.User], func(o Event) bool { return o.ID == e.ID }) {
			continue
		}
		e.LSN, e.Seq = lsn, uint32(stored)
		stored++
		all := append(slices.Clone(m[e.User]), e)
		slices.SortFunc(all, place)
		m[e.User] = all
	}
	return stored
}

func (m eventModel) retain(before int64) (n int) {
	for user, all := range m {
		kept := slices.DeleteFunc(slices.Clone(all), func(e Event) bool { return e.Time < before })
		n += len(all) - len(kept)
		if m[user] = kept; len(kept) == 0 {
			delete(m, user)
		}
	}
	return n
}

func (m eventModel) count() (n int) {
	for _, all := range m {
		n += len(all)
	}
	return n
}

func sameEvents(got, want []Event) bool {
	return slices.EqualFunc(got, want, func(a, b Event) bool {
		return a.User == b.User && a.Time == b.Time && a.LSN == b.LSN && a.Seq == b.Seq && a.Item == b.Item && a.Type == b.Type && a.ID == b.ID &&
			a.Value == b.Value && bytes.Equal(a.Context, b.Context)
	})
}

// readHistory returns what History gives, at most limit.
func readHistory(v *View, user string, q EventQuery, limit int) (all []Event, err error) {
	err = v.History(context.Background(), user, q, func(e Event) bool {
		e.Context = bytes.Clone(e.Context)
		all = append(all, e)
		return len(all) < limit
	})
	return all, err
}

// holds compares everything that a view shows of events with the model.
func (m eventModel) holds(v *View) error {
	if users, events := v.EventCounts(); users != uint64(len(m)) || events != uint64(m.count()) {
		return fmt.Errorf("%d events of %d users are counted, want %d of %d", events, users, m.count(), len(m))
	}
	got := eventModel{}
	last := ""
	err := v.Events(context.Background(), AllEvents, func(e Event) bool {
		e.Context = bytes.Clone(e.Context)
		if e.User != last && got[e.User] != nil {
			last = "a user comes twice: " + e.User
			return false
		}
		last = e.User
		got[e.User] = append(got[e.User], e)
		return true
	})
	if err != nil || strings.HasPrefix(last, "a user") {
		return fmt.Errorf("%v %v", err, last)
	}
	for _, user := range slices.Sorted(maps.Keys(got)) {
		if !sameEvents(got[user], m[user]) {
			return fmt.Errorf("all events of %s: %+v, want %+v", user, got[user], m[user])
		}
	}
	for user, want := range m {
		all, err := readHistory(v, user, AllEvents, math.MaxInt)
		slices.Reverse(all)
		n, nerr := v.EventUser(user)
		if err != nil || nerr != nil || !sameEvents(all, want) || n != uint64(len(want)) {
			return fmt.Errorf("history of %s: %+v of %d, %v %v, want %+v", user, all, n, err, nerr, want)
		}
	}
	return nil
}

func event(user, item string, time int64, id string) Event {
	return Event{User: user, Time: time, Event: format.Event{Item: item, Type: "click", ID: id}}
}

func appendEvents(tb testing.TB, s *Store, events ...Event) EventsResult {
	tb.Helper()
	r, err := s.AppendEvents(context.Background(), events)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// eventMachine runs random histories of events against the model.
type eventMachine struct {
	fs   vfs.FS
	s    *Store
	m    eventModel
	pins []eventPin
}

type eventPin struct {
	v *View
	m eventModel
}

func (m *eventMachine) open(t *rapid.T) {
	o := crashOptions(m.fs)
	s, err := Open("store", o)
	if err != nil {
		t.Fatal(err)
	}
	m.s = s
}

var drawUser = rapid.SampledFrom([]string{"a", "b", "ab", "\x00", "ü"})

func drawEvent(t *rapid.T) Event {
	e := event(drawUser.Draw(t, "user"), rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "item"), rapid.Int64Range(-4, 4).Draw(t, "time"),
		rapid.SampledFrom([]string{"", "", "1", "2", "3", "4"}).Draw(t, "id"))
	e.Type = rapid.SampledFrom([]string{"", "click", "buy"}).Draw(t, "type")
	e.Value = float64(rapid.IntRange(-2, 2).Draw(t, "value"))
	if rapid.Bool().Draw(t, "context") {
		e.Context = []byte(`{"page":1}`)
	}
	return e
}

func (m *eventMachine) append(t *rapid.T) {
	events := rapid.SliceOfN(rapid.Custom(drawEvent), 1, 6).Draw(t, "events")
	lsn := m.s.LSN() + 1
	next := maps.Clone(m.m)
	stored := next.append(lsn, events)
	if stored == 0 {
		lsn--
	}
	r, err := m.s.AppendEvents(context.Background(), events)
	if want := (EventsResult{lsn, stored, len(events) - stored}); err != nil || r != want {
		t.Fatalf("%+v, %v, want %+v", r, err, want)
	}
	m.m = next
}

func (m *eventMachine) erase(t *rapid.T) {
	user := drawUser.Draw(t, "user")
	n, err := m.s.EraseUser(context.Background(), user)
	if err != nil || n != uint64(len(m.m[user])) {
		t.Fatalf("erased %d events of %s, %v, want %d", n, user, err, len(m.m[user]))
	}
	m.m = maps.Clone(m.m)
	delete(m.m, user)
}

func (m *eventMachine) retain(t *rapid.T) {
	before := rapid.Int64Range(-6, 6).Draw(t, "before")
	next := maps.Clone(m.m)
	want := next.retain(before)
	if n, err := m.s.RetainEvents(context.Background(), before); err != nil || n != uint64(want) {
		t.Fatalf("%d events before %d deleted, %v, want %d", n, before, err, want)
	}
	m.m = next
}

func (m *eventMachine) history(t *rapid.T) {
	v, err := m.s.Acquire()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Release()
	user, limit := drawUser.Draw(t, "user"), rapid.IntRange(1, 4).Draw(t, "limit")
	q := EventQuery{From: rapid.Int64Range(-5, 5).Draw(t, "from"), To: rapid.Int64Range(-5, 5).Draw(t, "to"), Types: rapid.SampledFrom([][]string{nil, {"click"}, {"buy", ""}}).Draw(t, "types")}
	var before *Event
	if all := m.m[user]; len(all) > 0 && rapid.Bool().Draw(t, "page") {
		before = &all[rapid.IntRange(0, len(all)-1).Draw(t, "before")]
		q.Before = before.Place()
	}
	match := func(e Event) bool {
		return e.Time >= q.From && e.Time < q.To && q.wants(&e.Event) && (before == nil || place(e, *before) < 0)
	}
	var want []Event
	for _, e := range slices.Backward(m.m[user]) {
		if match(e) && len(want) < limit {
			want = append(want, e)
		}
	}
	if got, err := readHistory(v, user, q, limit); err != nil || !sameEvents(got, want) {
		t.Fatalf("history of %s by %+v: %+v, %v, want %+v", user, q, got, err, want)
	}
	before = nil
	n := 0
	err = v.Events(context.Background(), q, func(e Event) bool {
		n++
		if !match(e) {
			t.Fatalf("%+v is not what %+v asks for", e, q)
		}
		return true
	})
	total := 0
	for _, all := range m.m {
		total += len(slices.DeleteFunc(slices.Clone(all), func(e Event) bool { return !match(e) }))
	}
	if err != nil || n != total {
		t.Fatalf("%d events by %+v, %v, want %d", n, q, err, total)
	}
}

func (m *eventMachine) release() {
	for _, p := range m.pins {
		p.v.Release()
	}
	m.pins = nil
}

func TestStoreOfEventsEqualsItsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &eventMachine{fs: vfs.NewMem(), m: eventModel{}}
		m.open(t)
		defer func() {
			m.release()
			m.s.Close()
		}()
		t.Repeat(map[string]func(*rapid.T){
			"append": m.append, "append more": m.append, "append yet more": m.append, "erase": m.erase, "retain": m.retain, "history": m.history,
			"pin": func(t *rapid.T) {
				v, err := m.s.Acquire()
				if err != nil {
					t.Fatal(err)
				}
				m.pins = append(m.pins, eventPin{v, maps.Clone(m.m)})
			},
			"flush": func(t *rapid.T) {
				if err := m.s.db.Flush(); err != nil {
					t.Fatal(err)
				}
			},
			"restart": func(t *rapid.T) {
				m.release()
				if err := m.s.Close(); err != nil {
					t.Fatal(err)
				}
				m.open(t)
			},
			"": func(t *rapid.T) {
				for _, p := range m.pins {
					if err := p.m.holds(p.v); err != nil {
						t.Fatalf("view at LSN %d: %v", p.v.LSN(), err)
					}
				}
				v, err := m.s.Acquire()
				if err != nil {
					t.Fatal(err)
				}
				defer v.Release()
				if err := m.m.holds(v); err != nil {
					t.Fatal(err)
				}
				if rep, err := m.s.Check(context.Background()); err != nil || !rep.OK() {
					t.Fatalf("check: %+v %v", rep.Problems, err)
				}
			},
		})
	})
}

// Calls that share a batch see each other as calls do that do not.
func TestCallsOfOneGroupSeeTheEventsOfTheCallsBefore(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	appendEvents(t, s, event("u", "old", 1, "1"), event("u", "old", 5, "2"))
	// One call of the committer that does what several calls do, in its group.
	run := func(g *group, events ...Event) EventsResult {
		a := &appending{events: events, values: make([][]byte, len(events))}
		for i := range events {
			var err error
			if a.values[i], err = format.AppendEvent(nil, &events[i].Event); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.accept(g); err != nil {
			t.Fatal(err)
		}
		return a.result
	}
	err := s.submit(t.Context(), &call{fn: func(g *group) error {
		if r := run(g, event("u", "new", 6, "1"), event("w", "first", 1, "1")); r.Stored != 1 || r.Duplicates != 1 {
			t.Errorf("first call: %+v", r)
		}
		if r := run(g, event("w", "again", 2, "1"), event("w", "second", 3, "2")); r.Stored != 1 || r.Duplicates != 1 {
			t.Errorf("second call: %+v", r)
		}
		u, err := g.user("u")
		if err != nil {
			return err
		}
		old := outdated{user: "u", number: u.number, keys: [][]byte{historyKey(u.number, 1, 1, 0)}, ids: [][]byte{eventKey(u.number, "1")}}
		if n, err := g.retain([]outdated{old}, 2); n != 1 || err != nil {
			t.Errorf("retained %d, %v", n, err)
		}
		if r := run(g, event("u", "back", 7, "1")); r.Stored != 1 {
			t.Errorf("an id whose event was deleted is taken: %+v", r)
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	clean(t, s)
	v := acquire1(t, s)
	if users, events := v.EventCounts(); users != 2 || events != 4 {
		t.Errorf("%d users, %d events", users, events)
	}
}

func TestEventsThatCannotBeStoredRejectTheirCall(t *testing.T) {
	s := open(t, "", &Options{InMemory: true})
	good := event("u", "i", 1, "")
	for name, change := range map[string]func(*Event){
		"user": func(e *Event) { e.User = "" }, "user text": func(e *Event) { e.User = "\xff" }, "long user": func(e *Event) { e.User = strings.Repeat("u", 513) },
		"item": func(e *Event) { e.Item = "" }, "id text": func(e *Event) { e.ID = "\xff" }, "type": func(e *Event) { e.Type = "a\nb" },
		"value": func(e *Event) { e.Value = math.NaN() }, "infinite value": func(e *Event) { e.Value = math.Inf(-1) },
		"time": func(e *Event) { e.Time = math.MaxInt64 }, "context": func(e *Event) { e.Context = []byte("{") },
	} {
		bad := good
		change(&bad)
		_, err := s.AppendEvents(t.Context(), []Event{good, bad})
		var op *OpError
		if !errors.Is(err, ErrValue) || !errors.As(err, &op) || op.Index != 1 {
			t.Errorf("%s: %v", name, err)
		}
	}
	big := good
	big.Context = []byte(`"` + strings.Repeat("x", format.MaxContext) + `"`)
	if _, err := s.AppendEvents(t.Context(), []Event{big}); !errors.Is(err, ErrLimit) {
		t.Errorf("large context: %v", err)
	}
	if s.LSN() != 0 || s.Format().Format != formatFirst {
		t.Errorf("LSN %d, format %d after refused calls", s.LSN(), s.Format().Format)
	}
}

func TestFirstEventRaisesTheFormatAndOthersDoNot(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	commit(t, s, Op{Kind: Put, Collection: create(t, s, "c"), ID: "a", Body: body(t, "x", 1)})
	if n, err := s.EraseUser(t.Context(), "nobody"); n != 0 || err != nil || s.Format().Format != formatFirst {
		t.Fatalf("%d, %v, format %d", n, err, s.Format().Format)
	}
	appendEvents(t, s, event("u", "i", 1, ""))
	if s.Format().Format != formatEvents {
		t.Errorf("format %d with events, older binaries would lose them", s.Format().Format)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if f := open(t, dir, nil).Format().Format; f != formatEvents {
		t.Errorf("format %d after a restart", f)
	}
}

func TestErasedUserIsNowhereInTheStore(t *testing.T) {
	const user, item = "erase-me-4711", "item-of-4711"
	s := open(t, t.TempDir(), nil)
	appendEvents(t, s, event(user, item, 1, "id-of-4711"), event("other", "i", 1, ""))
	appendEvents(t, s, event(user, item, 2, ""))
	old := acquire1(t, s)
	if n, err := s.EraseUser(t.Context(), user); err != nil || n != 3-1 {
		t.Fatalf("%d, %v", n, err)
	}
	for _, text := range []string{user, item, "id-of-4711"} {
		err := scan(s.db, []byte{0}, []byte{0xff}, func(key, value []byte) error {
			if bytes.Contains(key, []byte(text)) || bytes.Contains(value, []byte(text)) {
				return fmt.Errorf("%q is in %q: %q", text, key, value)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	// The changelog names a number that leads nowhere.
	v := acquire1(t, s)
	var ops []string
	for ch, err := range v.Changes(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		ops = append(ops, fmt.Sprint(ch.Op, " ", ch.Superseded, " ", ch.Event != nil))
	}
	if want := []string{"event true false", "event false true", "event true false", "erase false false"}; !slices.Equal(ops, want) {
		t.Errorf("changes %v, want %v", ops, want)
	}
	// Who held a view still reads it; who comes back is somebody new.
	if all, err := readHistory(old, user, AllEvents, 9); err != nil || len(all) != 2 {
		t.Errorf("view from before: %v, %v", all, err)
	}
	if r := appendEvents(t, s, event(user, item, 1, "id-of-4711")); r.Stored != 1 {
		t.Errorf("%+v", r)
	}
	clean(t, s)
}

func TestRetentionGoesInBoundedStepsAndErasesWhoHasNothingLeft(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	m := eventModel{}
	var all []Event
	for i := range 2*retainStep + 100 {
		all = append(all, event(fmt.Sprint("u", i%7), "i", int64(i), fmt.Sprint(i)))
	}
	all = append(all, event("once", "i", 3, ""))
	m.append(appendEvents(t, s, all...).LSN, all)
	before := s.LSN()
	want := m.retain(2*retainStep + 50)
	if n, err := s.RetainEvents(t.Context(), 2*retainStep+50); err != nil || n != uint64(want) {
		t.Fatalf("%d, %v, want %d", n, err, want)
	}
	if steps := s.LSN() - before; steps != 3 {
		t.Errorf("%d steps", steps)
	}
	if err := m.holds(acquire1(t, s)); err != nil {
		t.Error(err)
	}
	clean(t, s)
}

func TestBackupsHoldEventsAndWhatBecameOfThem(t *testing.T) {
	base := t.TempDir()
	s := open(t, filepath.Join(base, "store"), nil)
	m := eventModel{}
	add := func(events ...Event) { m.append(appendEvents(t, s, events...).LSN, events) }
	add(event("kept", "a", 1, "1"), event("kept", "b", 9, ""), event("erased", "a", 9, "1"), event("back", "a", 9, "1"), event("aged", "a", 1, ""))
	full, err := s.Backup(t.Context(), filepath.Join(base, "full"), 0)
	if err != nil {
		t.Fatal(err)
	}
	add(event("kept", "c", 8, "2"), event("new", "a", 9, "1"))
	for _, user := range []string{"erased", "back"} {
		if _, err := s.EraseUser(t.Context(), user); err != nil {
			t.Fatal(err)
		}
		delete(m, user)
	}
	add(event("back", "z", 9, "1"))
	m.retain(5)
	if _, err := s.RetainEvents(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	later, err := s.Backup(t.Context(), filepath.Join(base, "later"), 0)
	if err != nil {
		t.Fatal(err)
	}
	add(event("kept", "d", 10, "3"))
	for name, c := range map[string]struct {
		full  BackupInfo
		since uint64
	}{"right after": {full, full.LSN}, "overlapping": {later, full.LSN}, "later": {later, later.LSN}} {
		inc := filepath.Join(base, "inc "+name)
		if _, err := s.Backup(t.Context(), inc, c.since); err != nil {
			t.Fatal(err)
		}
		target := filepath.Join(base, "back "+name)
		if _, err := Restore(t.Context(), target, c.full.Dir, inc); err != nil {
			t.Fatal(err)
		}
		back := open(t, target, nil)
		clean(t, back)
		if err := m.holds(acquire1(t, back)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		same(t, dump(t, back), dump(t, s))
	}
}

func TestCheckFindsEventsThatDoNotAgree(t *testing.T) {
	for name, damage := range map[string]func(s *Store) error{
		"event gone":   func(s *Store) error { return s.db.Delete(historyKey(1, 1, 1, 0), nil) },
		"head gone":    func(s *Store) error { return s.db.Delete(numberKey(prefixHistory, 2), nil) },
		"id gone":      func(s *Store) error { return s.db.Delete(eventKey(1, "1"), nil) },
		"id elsewhere": func(s *Store) error { return s.db.Set(eventKey(2, "9"), appendPlace(nil, 1, 1, 0), nil) },
		"user gone":    func(s *Store) error { return s.db.Delete(userKey("u"), nil) },
		"user of none": func(s *Store) error { return s.db.Set(userKey("x"), userValue(&eventUser{9, 1}), nil) },
		"count":        func(s *Store) error { return s.db.Set(userKey("u"), userValue(&eventUser{1, 7}), nil) },
		"event damaged": func(s *Store) error {
			return s.db.Set(historyKey(1, 1, 1, 0), []byte("rubbish"), nil)
		},
	} {
		s := open(t, "", &Options{InMemory: true})
		appendEvents(t, s, event("u", "i", 1, "1"), event("u", "j", 2, ""), event("w", "i", 1, ""))
		if err := damage(s); err != nil {
			t.Fatal(err)
		}
		commit(t, s, Op{Kind: Put, Collection: create(t, s, "c"), ID: "a", Body: body(t, "x", 1)}) // a view that shows it
		r, err := s.Check(t.Context())
		if err != nil || r.OK() || slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.Kind != "event" }) {
			t.Errorf("%s: %+v, %v", name, r.Problems, err)
		}
	}
}

// Retries from many clients at once, while the user is erased now and then and a
// sweep runs: an id is stored once in each life of its user.
func TestManyWritersOfTheSameEventsStoreEachOnce(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	const writers, rounds = 8, 60
	var mu sync.Mutex
	stored, erased, swept := 0, uint64(0), uint64(0)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range rounds {
				user, id := fmt.Sprint("u", i%3), fmt.Sprint(i)
				r, err := s.AppendEvents(context.Background(), []Event{event(user, "i", int64(i), id), event(user, "i", -1, id+"old"), event(user, "i", int64(i), id)})
				if err != nil || r.Stored+r.Duplicates != 3 {
					t.Errorf("%+v, %v", r, err)
				}
				n, m := uint64(0), uint64(0)
				if w == 0 && i%20 == 10 {
					n, err = s.EraseUser(context.Background(), user)
				} else if w == 1 && i%8 == 0 {
					m, err = s.RetainEvents(context.Background(), 0)
				}
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				stored, erased, swept = stored+r.Stored, erased+n, swept+m
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	clean(t, s)
	v := acquire1(t, s)
	seen := map[string]bool{}
	err := v.Events(t.Context(), AllEvents, func(e Event) bool {
		if k := e.User + "/" + e.ID; seen[k] {
			t.Errorf("%s is stored twice", k)
		} else {
			seen[k] = true
		}
		return true
	})
	if err != nil || uint64(len(seen)) != uint64(stored)-erased-swept {
		t.Errorf("%d events are left of %d, %d were erased and %d swept: %v", len(seen), stored, erased, swept, err)
	}
}

func TestReadingEventsEndsWithTheContext(t *testing.T) {
	s := open(t, "", &Options{InMemory: true})
	var all []Event
	for i := range 4 * ctxEvery {
		all = append(all, event("u", "i", int64(i), ""))
	}
	appendEvents(t, s, all...)
	v := acquire1(t, s)
	for name, read := range map[string]func(context.Context, func(Event) bool) error{
		"history": func(ctx context.Context, fn func(Event) bool) error { return v.History(ctx, "u", AllEvents, fn) },
		"all":     func(ctx context.Context, fn func(Event) bool) error { return v.Events(ctx, AllEvents, fn) },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		err := read(ctx, func(Event) bool {
			if n++; n == ctxEvery/2 {
				cancel()
			}
			return true
		})
		if !errors.Is(err, context.Canceled) || n > 2*ctxEvery {
			t.Errorf("%s: %d events, %v", name, n, err)
		}
		cancel()
	}
}
