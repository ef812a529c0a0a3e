package eider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/eiderdb/eider/recsys"
)

func at(second int) time.Time { return time.Unix(int64(second), 0).UTC() }

// click makes an event of a user.
func click(user, item string, second int) Event {
	return Event{User: user, Item: item, Type: "click", Time: at(second)}
}

func appended(t testing.TB, db *DB, events ...Event) Appended {
	t.Helper()
	return must(db.Events().Append(ctx, events...))(t)
}

func items(events []Event) (out []string) {
	for _, e := range events {
		out = append(out, e.Item)
	}
	return out
}

func TestEventComesBackAsItWasAppended(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir, nil)
	want := Event{User: "u 1", Item: "sku/7", Type: "purchase", Time: time.Date(2026, 2, 3, 4, 5, 6, 789, time.UTC), Value: 2.5, ID: "01J", Context: json.RawMessage(`{"page":3}`)}
	r := appended(t, db, want, want)
	if r != (Appended{LSN: 1, Stored: 1, Duplicates: 1}) {
		t.Errorf("%+v", r)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, dir, nil)
	want.LSN = 1
	h := must(db.Events().History(ctx, "u 1", HistoryOptions{}))(t)
	if len(h.Events) != 1 || fmt.Sprint(h.Events[0]) != fmt.Sprint(want) || h.Total != 1 || h.LSN != 1 || h.Cursor != "" {
		t.Errorf("%+v, want %+v", h, want)
	}
	if again := appended(t, db, want); again.Stored != 0 || again.LSN != 1 {
		t.Errorf("sent again after a restart: %+v", again)
	}
}

func TestEventWithoutATimeIsOfNow(t *testing.T) {
	now := at(1_700_000_000)
	db := memory(t, &Options{Now: func() time.Time { return now }})
	appended(t, db, Event{User: "u", Item: "i"})
	if h := must(db.Events().History(ctx, "u", HistoryOptions{}))(t); !h.Events[0].Time.Equal(now) {
		t.Errorf("%+v", h.Events)
	}
}

func TestHistoryIsTheNewestInOrderOfTimeAndPagesBack(t *testing.T) {
	db := memory(t, nil)
	var want []string
	for i := range 25 {
		e := click("u", fmt.Sprint(i), i/3) // three of a second: in the order given
		if i%5 == 0 {
			e.Type = "purchase"
		}
		appended(t, db, e, click("other", "x", i))
		want = append(want, e.Item)
	}
	for _, c := range []struct {
		name string
		o    HistoryOptions
		want []string
	}{
		{"all", HistoryOptions{}, want},
		{"newest", HistoryOptions{Limit: 4}, want[21:]},
		{"range", HistoryOptions{From: at(2), To: at(4)}, want[6:12]},
		{"newest of a range", HistoryOptions{From: at(2), To: at(4), Limit: 2}, want[10:12]},
		{"type", HistoryOptions{Types: []string{"purchase"}}, []string{"0", "5", "10", "15", "20"}},
		{"newest of a type", HistoryOptions{Types: []string{"purchase", "none"}, Limit: 2}, []string{"15", "20"}},
		{"empty range", HistoryOptions{From: at(4), To: at(4)}, nil},
	} {
		if h := must(db.Events().History(ctx, "u", c.o))(t); !slices.Equal(items(h.Events), c.want) || h.Total != 25 {
			t.Errorf("%s: %v of %d, want %v", c.name, items(h.Events), h.Total, c.want)
		}
	}
	// Pages go back in time, while new events come.
	var got []string
	o := HistoryOptions{Limit: 7}
	for pages := 1; ; pages++ {
		h := must(db.Events().History(ctx, "u", o))(t)
		got = append(items(h.Events), got...)
		if o.Cursor = h.Cursor; h.Cursor == "" {
			if pages != 4 {
				t.Errorf("%d pages", pages)
			}
			break
		}
		appended(t, db, click("u", "new", 100))
	}
	if !slices.Equal(got, want) {
		t.Errorf("pages %v, want %v", got, want)
	}
	if h := must(db.Events().History(ctx, "nobody", HistoryOptions{}))(t); h.Events == nil || len(h.Events) != 0 || h.Total != 0 {
		t.Errorf("%+v", h)
	}
}

func TestHistoryCursorOfAnotherUserOrQuestionIsRefused(t *testing.T) {
	db := memory(t, nil)
	appended(t, db, click("u", "a", 1), click("u", "b", 2), click("w", "a", 1))
	cursor := must(db.Events().History(ctx, "u", HistoryOptions{Limit: 1}))(t).Cursor
	for name, ask := range map[string]func() error{
		"user": func() error { _, err := db.Events().History(ctx, "w", HistoryOptions{Cursor: cursor}); return err },
		"types": func() error {
			_, err := db.Events().History(ctx, "u", HistoryOptions{Cursor: cursor, Types: []string{"x"}})
			return err
		},
		"text": func() error { _, err := db.Events().History(ctx, "u", HistoryOptions{Cursor: cursor[1:]}); return err },
	} {
		var e *Error
		if err := ask(); !errors.Is(err, ErrInvalid) || !errors.As(err, &e) || e.Field != "/cursor" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRefusedEventsSayWhichAndWhy(t *testing.T) {
	db := memory(t, nil)
	good := click("u", "i", 1)
	for name, c := range map[string]struct {
		bad   Event
		field string
		is    error
	}{
		"user":    {Event{Item: "i"}, "/events/1", ErrInvalid},
		"item":    {Event{User: "u"}, "/events/1", ErrInvalid},
		"time":    {Event{User: "u", Item: "i", Time: time.Date(1600, 1, 1, 0, 0, 0, 0, time.UTC)}, "/events/1/time", ErrInvalid},
		"context": {Event{User: "u", Item: "i", Context: json.RawMessage("{")}, "/events/1", ErrInvalid},
		"large":   {Event{User: "u", Item: "i", Context: json.RawMessage(`"` + string(make([]byte, 1<<17)) + `"`)}, "/events/1", ErrInvalid},
	} {
		_, err := db.Events().Append(ctx, good, c.bad)
		var e *Error
		if !errors.Is(err, c.is) && !errors.Is(err, ErrTooLarge) || !errors.As(err, &e) || e.Field != c.field {
			t.Errorf("%s: %v at %+v", name, err, e)
		}
	}
	if s := must(db.Events().Stats(ctx))(t); s.Events != 0 {
		t.Errorf("%+v", s)
	}
	for name, err := range map[string]error{
		"limit": func() error {
			_, err := db.Events().History(ctx, "u", HistoryOptions{Limit: MaxHistory + 1})
			return err
		}(),
		"user":  func() error { _, err := db.Events().History(ctx, "", HistoryOptions{}); return err }(),
		"erase": func() error { _, err := db.Events().Erase(ctx, ""); return err }(),
		"age":   func() error { _, err := db.Events().Retain(ctx, -time.Hour); return err }(),
	} {
		if CodeOf(err) != CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAllReadsOneStateWhileEventsComeAndUsersGo(t *testing.T) {
	db := memory(t, nil)
	for i := range 30 {
		appended(t, db, click(fmt.Sprint("u", i%3), fmt.Sprint(i), 100-i))
	}
	var got []string
	for e, err := range db.Events().All(ctx, EventFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.User+" "+e.Item)
		if len(got) == 1 {
			must(db.Events().Erase(ctx, "u2"))(t)
			appended(t, db, click("u1", "late", 1))
		}
	}
	var want []string
	for u := range 3 {
		for i := 27 + u; i >= 0; i -= 3 {
			want = append(want, fmt.Sprintf("u%d %d", u, i))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	n := 0
	for e, err := range db.Events().All(ctx, EventFilter{From: at(90), Types: []string{"click"}}) {
		if n++; err != nil || e.Time.Before(at(90)) || e.User == "u2" {
			t.Errorf("%+v, %v", e, err)
		}
	}
	if n != 8 { // items 0 to 10, without those of the user erased: 2, 5, 8
		t.Errorf("%d events", n)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	for _, err := range db.Events().All(canceled, EventFilter{From: time.Date(1500, 1, 1, 0, 0, 0, 0, time.UTC)}) {
		if CodeOf(err) != CodeInvalid {
			t.Error(err)
		}
	}
}

// What a trainer does: events of the database through recsys, in one pass.
func TestSequencesOfTheDatabaseKeepTheOrderOfTheLog(t *testing.T) {
	db := memory(t, nil)
	appended(t, db, click("u", "c", 5), click("w", "a", 1), click("u", "a", 5))
	appended(t, db, click("u", "b", 5), click("u", "first", 1))
	sequences, err := recsys.Sequences(func(yield func(recsys.Event[string], error) bool) {
		for e, err := range db.Events().All(ctx, EventFilter{}) {
			if !yield(recsys.Event[string]{User: e.User, Item: e.Item, Type: e.Type, Time: e.Time.UnixNano(), Value: e.Value}, err) {
				return
			}
		}
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range sequences {
		for _, e := range s.Events {
			got = append(got, s.User+" "+e.Item)
		}
	}
	if want := []string{"u first", "u c", "u a", "u b", "w a"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestErasedUserIsGoneAndStaysGone(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir, nil)
	appended(t, db, click("u", "a", 1), click("u", "b", 2), click("w", "a", 1))
	if n := must(db.Events().Erase(ctx, "u"))(t); n != 2 {
		t.Errorf("%d events erased", n)
	}
	if n := must(db.Events().Erase(ctx, "u"))(t); n != 0 {
		t.Errorf("%d events erased again", n)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, dir, nil)
	if h := must(db.Events().History(ctx, "u", HistoryOptions{}))(t); len(h.Events) != 0 {
		t.Errorf("%+v", h)
	}
	if s := must(db.Events().Stats(ctx))(t); s.Users != 1 || s.Events != 1 {
		t.Errorf("%+v", s)
	}
	if r := must(db.Check(ctx))(t); !r.OK {
		t.Errorf("%+v", r)
	}
}

func TestEventsPastTheirAgeGoAtOnceAndInTheBackground(t *testing.T) {
	dir := t.TempDir()
	now := at(1000)
	o := &Options{Now: func() time.Time { return now }}
	db := open(t, dir, o)
	appended(t, db, click("u", "old", 100), click("u", "young", 900), click("w", "old", 100))
	if n := must(db.Events().Retain(ctx, 500*time.Second))(t); n != 2 {
		t.Errorf("%d events deleted", n)
	}
	if s := must(db.Events().Stats(ctx))(t); s.Users != 1 || s.Events != 1 || s.Retention != Duration(500*time.Second) {
		t.Errorf("%+v", s)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, dir, o)
	now = at(1401)
	db.sweepEvents() // as the clock calls it, after a restart too
	if s := must(db.Events().Stats(ctx))(t); s.Events != 0 {
		t.Errorf("%+v", s)
	}
	appended(t, db, click("u", "old", 1))
	if n := must(db.Events().Retain(ctx, 0))(t); n != 0 {
		t.Errorf("%d events deleted by keeping them for ever", n)
	}
	db.sweepEvents()
	if s := must(db.Events().Stats(ctx))(t); s.Events != 1 || s.Retention != 0 {
		t.Errorf("%+v", s)
	}
}

func TestChangeFeedTellsOfEventsAndNamesNobodyErased(t *testing.T) {
	db := memory(t, nil)
	appended(t, db, click("u", "a", 1), click("w", "b", 9))
	appended(t, db, click("w", "c", 2))
	must(db.Events().Erase(ctx, "u"))(t)
	if _, err := db.store.RetainEvents(ctx, at(5).UnixNano()); err != nil {
		t.Fatal(err)
	}
	var got []string
	for ch, err := range db.Changes(ctx, 0) {
		if err != nil {
			t.Fatal(err)
		}
		s := fmt.Sprintf("%d %s %d superseded=%v", ch.LSN, ch.Op, ch.UserNumber, ch.Superseded)
		if ch.Event != nil {
			s += " " + ch.Event.User + " " + ch.Event.Item
		}
		if !ch.Before.IsZero() {
			s += " " + ch.Before.Format(time.TimeOnly)
		}
		got = append(got, s)
	}
	want := []string{"1 event 1 superseded=true", "1 event 2 superseded=false w b", "2 event 2 superseded=true", "3 erase 1 superseded=false", "4 retain 2 superseded=false 00:00:05"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestReadOnlyDatabaseReadsEventsAndRefusesOthers(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir, nil)
	appended(t, db, click("u", "a", 1))
	ro := open(t, dir, &Options{ReadOnly: true})
	if h := must(ro.Events().History(ctx, "u", HistoryOptions{}))(t); len(h.Events) != 1 {
		t.Errorf("%+v", h)
	}
	for name, err := range map[string]error{
		"append": func() error { _, err := ro.Events().Append(ctx, click("u", "b", 1)); return err }(),
		"erase":  func() error { _, err := ro.Events().Erase(ctx, "u"); return err }(),
		"retain": func() error { _, err := ro.Events().Retain(ctx, time.Hour); return err }(),
	} {
		if !errors.Is(err, ErrReadOnly) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
