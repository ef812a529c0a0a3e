package recsys

import (
	"cmp"
	"iter"
	"slices"
)

// ID names a user or an item.
type ID interface {
	~string | ~int | ~int32 | ~int64 | ~uint | ~uint32 | ~uint64
}

// Event is one interaction of a user with an item.
type Event[K ID] struct {
	User, Item K
	Type       string  // what happened: "click", "rating"; "" where there is one type
	Time       int64   // nanoseconds since 1970 UTC, or any other unit as long as it is one
	Value      float64 // strength: a rating, seconds watched; 0 if there is none
}

// ByItem orders events of equal time by item, for data sets whose files have no
// order of their own (MovieLens).
func ByItem[K ID](a, b Event[K]) int { return cmp.Compare(a.Item, b.Item) }

// Sequence is what one user did.
type Sequence[K ID] struct {
	User   K
	Events []Event[K] // oldest first, at least one
}

// Sequences groups events by user, in the order in which users first come, and
// puts those of each user in order of time. Events of equal time are ordered by
// tie, and where that is nil or 0 stay in the order in which they came, which is
// that of the log for events of a database (R4). O(n log n) time; memory for all
// events. Error: the first one that events yields, with what came before it
// dropped.
func Sequences[K ID](events iter.Seq2[Event[K], error], tie func(a, b Event[K]) int) ([]Sequence[K], error) {
	var all []Sequence[K]
	at := map[K]int{}
	for e, err := range events {
		if err != nil {
			return nil, err
		}
		i, known := at[e.User]
		if !known {
			i = len(all)
			at[e.User] = i
			all = append(all, Sequence[K]{User: e.User})
		}
		all[i].Events = append(all[i].Events, e)
	}
	before := func(a, b Event[K]) int {
		c := cmp.Compare(a.Time, b.Time)
		if c == 0 && tie != nil {
			c = tie(a, b)
		}
		return c
	}
	for _, s := range all {
		if !slices.IsSortedFunc(s.Events, before) {
			slices.SortStableFunc(s.Events, before)
		}
	}
	return all, nil
}

// Of makes an iterator of a slice, for Sequences.
func Of[K ID](events []Event[K]) iter.Seq2[Event[K], error] {
	return func(yield func(Event[K], error) bool) {
		for _, e := range events {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// Distinct keeps of each sequence the first event with each item, so that no
// target was met before: what data sets of one rating per item are, and others
// need where a repeat would be predicted from itself. It returns new sequences.
func Distinct[K ID](all []Sequence[K]) []Sequence[K] {
	out := make([]Sequence[K], len(all))
	for i, s := range all {
		met := make(map[K]bool, len(s.Events))
		out[i].User = s.User
		for _, e := range s.Events {
			if !met[e.Item] {
				met[e.Item] = true
				out[i].Events = append(out[i].Events, e)
			}
		}
	}
	return out
}
