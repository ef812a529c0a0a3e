package recsys

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// history makes events of users u0, u1 ... with distinct items each, times with
// many ties, in random order of arrival.
func history(seed uint64, users, items, most int) []Event[string] {
	r := rand.New(rand.NewPCG(seed, 1))
	var all []Event[string]
	for u := range users {
		for _, i := range r.Perm(items)[:1+r.IntN(most)] {
			all = append(all, Event[string]{User: name("u", u), Item: name("i", i), Time: int64(r.IntN(8)), Value: float64(r.IntN(5))})
		}
	}
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

func name(kind string, n int) string { return kind + string(rune('A'+n/26)) + string(rune('a'+n%26)) }

func sequences(t *testing.T, events []Event[string], tie func(a, b Event[string]) int) []Sequence[string] {
	t.Helper()
	all, err := Sequences(Of(events), tie)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestSequencesAreInOrderOfTimeAndTiesInOrderOfArrival(t *testing.T) {
	events := history(1, 40, 50, 20)
	arrival := map[Event[string]]int{}
	for i, e := range events {
		arrival[e] = i
	}
	total := 0
	for _, s := range sequences(t, events, nil) {
		total += len(s.Events)
		for i, e := range s.Events {
			if e.User != s.User {
				t.Fatalf("event of %s among those of %s", e.User, s.User)
			}
			if i > 0 && (s.Events[i-1].Time > e.Time || s.Events[i-1].Time == e.Time && arrival[s.Events[i-1]] > arrival[e]) {
				t.Fatalf("%v comes before %v", s.Events[i-1], e)
			}
		}
	}
	if total != len(events) {
		t.Fatalf("%d events of %d", total, len(events))
	}
}

func TestTiesAreOrderedByItemWhereThatIsAsked(t *testing.T) {
	events := history(2, 20, 50, 20)
	want := sequences(t, events, ByItem)
	slices.Reverse(events)
	got := sequences(t, events, ByItem)
	by := map[string][]Event[string]{}
	for _, s := range got {
		by[s.User] = s.Events
	}
	for _, s := range want {
		if !slices.Equal(by[s.User], s.Events) {
			t.Fatalf("the order of arrival changed the history of %s", s.User)
		}
	}
}

func TestSequencesStopAtTheFirstError(t *testing.T) {
	broken := errors.New("broken")
	got, err := Sequences(func(yield func(Event[string], error) bool) {
		_ = yield(Event[string]{User: "a"}, nil) && yield(Event[string]{}, broken) && yield(Event[string]{User: "b"}, nil)
	}, nil)
	if !errors.Is(err, broken) || got != nil {
		t.Fatalf("%v, %v", got, err)
	}
}

// R1, for both splits and for examples to learn from.
func TestHistoryHoldsExactlyWhatCameBeforeItsTarget(t *testing.T) {
	all := sequences(t, history(3, 60, 80, 30), nil)
	of := map[string][]Event[string]{}
	for _, s := range all {
		of[s.User] = s.Events
	}
	check := func(kind string, most int, e Example[string]) {
		t.Helper()
		events := of[e.Target.User]
		i := slices.Index(events, e.Target) // items are distinct, so it is the one
		want := events[max(0, i-most):i]
		if most == 0 {
			want = events[:i]
		}
		if !slices.Equal(e.History, want) {
			t.Fatalf("%s: history of %v is %v, want %v", kind, e.Target, e.History, want)
		}
		if slices.ContainsFunc(e.History, func(h Event[string]) bool { return h.Item == e.Target.Item || h.Time > e.Target.Time }) {
			t.Fatalf("%s: history of %v has the target or the future: %v", kind, e.Target, e.History)
		}
	}
	for _, most := range []int{0, 1, 5} {
		for kind, s := range map[string]Split[string]{
			"last": LeaveLastOut(all, Rules{History: most, Valid: true}), "time": SplitAt(all, 4, 6, Rules{History: most})} {
			for _, e := range slices.Concat(s.Valid, s.Test) {
				check(kind, most, e)
			}
			for e := range Examples(s.Train, most) {
				check(kind+" train", most, e)
			}
		}
	}
}

// R2.
func TestHeldOutEventsAreNotLearnedFrom(t *testing.T) {
	all := sequences(t, history(4, 60, 80, 30), nil)
	total := 0
	for _, s := range all {
		total += len(s.Events)
	}
	for kind, s := range map[string]Split[string]{
		"last": LeaveLastOut(all, Rules{}), "last and validation": LeaveLastOut(all, Rules{Valid: true}), "time": SplitAt(all, 4, 6, Rules{})} {
		held := map[Event[string]]bool{}
		for _, e := range slices.Concat(s.Valid, s.Test) {
			if held[e.Target] {
				t.Errorf("%s: %v is held out twice", kind, e.Target)
			}
			held[e.Target] = true
		}
		learned := 0
		for _, q := range s.Train {
			learned += len(q.Events)
			for _, e := range q.Events {
				if held[e] {
					t.Errorf("%s: %v is held out and learned from", kind, e)
				}
			}
		}
		if learned+len(held) != total || len(s.Test) == 0 {
			t.Errorf("%s: %d events learned from, %d held out, of %d", kind, learned, len(held), total)
		}
	}
}

func TestLeaveLastOutHoldsTheLastEventsAndKeepsShortHistories(t *testing.T) {
	var events []Event[int]
	for user, n := range []int{1, 2, 3, 6} {
		for i := range n {
			events = append(events, Event[int]{User: user, Item: i, Time: int64(i)})
		}
	}
	all, err := Sequences(Of(events), nil)
	if err != nil {
		t.Fatal(err)
	}
	targets := func(examples []Example[int]) (out [][2]int) {
		for _, e := range examples {
			out = append(out, [2]int{e.Target.User, e.Target.Item})
		}
		return out
	}
	lengths := func(train []Sequence[int]) (out []int) {
		for _, s := range train {
			out = append(out, len(s.Events))
		}
		return out
	}
	for _, c := range []struct {
		rules       Rules
		test, valid [][2]int
		train       []int
	}{
		{Rules{}, [][2]int{{1, 1}, {2, 2}, {3, 5}}, nil, []int{1, 1, 2, 5}},
		{Rules{Valid: true}, [][2]int{{1, 1}, {2, 2}, {3, 5}}, [][2]int{{2, 1}, {3, 4}}, []int{1, 1, 1, 4}},
		{Rules{Valid: true, Least: 3}, [][2]int{{3, 5}}, [][2]int{{3, 4}}, []int{1, 2, 3, 4}},
	} {
		s := LeaveLastOut(all, c.rules)
		if !reflect.DeepEqual(targets(s.Test), c.test) || !reflect.DeepEqual(targets(s.Valid), c.valid) || !slices.Equal(lengths(s.Train), c.train) {
			t.Errorf("%+v: test %v, valid %v, train %v", c.rules, targets(s.Test), targets(s.Valid), lengths(s.Train))
		}
	}
}

func TestTimeSplitPutsEveryEventOnItsSideOfTheCut(t *testing.T) {
	all := sequences(t, history(5, 60, 80, 30), nil)
	s := SplitAt(all, 4, 6, Rules{})
	for _, q := range s.Train {
		if q.Events[len(q.Events)-1].Time >= 4 {
			t.Fatalf("%s is learned from up to time %d", q.User, q.Events[len(q.Events)-1].Time)
		}
	}
	for _, e := range s.Valid {
		if e.Target.Time < 4 || e.Target.Time >= 6 {
			t.Fatalf("validation target at time %d", e.Target.Time)
		}
	}
	for _, e := range s.Test {
		if e.Target.Time < 6 {
			t.Fatalf("test target at time %d", e.Target.Time)
		}
	}
	if len(SplitAt(all, 6, 6, Rules{}).Valid) > 0 || len(SplitAt(all, 9, 6, Rules{}).Valid) > 0 {
		t.Error("a validation set without room for it")
	}
	for _, e := range SplitAt(all, 4, 6, Rules{Least: 3}).Test {
		if len(e.History) < 3 {
			t.Fatalf("target with a history of %d", len(e.History))
		}
	}
}

func TestAppendingToAHistoryDoesNotChangeTheSequence(t *testing.T) {
	all := sequences(t, history(6, 5, 30, 20), nil)
	want := slices.Clone(all[0].Events)
	s := LeaveLastOut(all, Rules{})
	_ = append(s.Test[0].History, Event[string]{Item: "other"})
	_ = append(s.Train[0].Events, Event[string]{Item: "other"})
	if !slices.Equal(all[0].Events, want) {
		t.Error("a slice of a split reaches into what follows it")
	}
}

func TestDistinctKeepsTheFirstEventWithAnItem(t *testing.T) {
	all, err := Sequences(Of([]Event[string]{{User: "u", Item: "a", Time: 1}, {User: "u", Item: "b", Time: 2}, {User: "u", Item: "a", Time: 3}}), nil)
	if err != nil {
		t.Fatal(err)
	}
	got := Distinct(all)
	if len(got[0].Events) != 2 || got[0].Events[0].Time != 1 || got[0].Events[1].Item != "b" || len(all[0].Events) != 3 {
		t.Errorf("%+v of %+v", got, all)
	}
}
