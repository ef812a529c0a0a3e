package recsys

import "iter"

// Example is an event to predict, and what is known when it is to be predicted.
type Example[K ID] struct {
	Target Event[K]
	// History is the user's events before the target, oldest first; of many the
	// newest. It is part of the sequence: read only, and nobody may append to it.
	History []Event[K]
}

// Split divides what happened into what is learned from and what is predicted.
type Split[K ID] struct {
	// Train is what may be learned from: examples (Examples), counts, co-occurrence,
	// vocabularies. Users of whom nothing is left are not in it.
	Train []Sequence[K]
	// Valid and Test are the targets held out, in the order of the sequences. What
	// is chosen, the best epoch for one, is chosen by Valid; Test is looked at once.
	Valid, Test []Example[K]
}

// Rules of a split. The zero value keeps whole histories and no validation set.
type Rules struct {
	History int // events a history holds at most; 0 for all
	// Least is how many events there must be before a target that is held out; a
	// user with fewer is learned from and not tested. LeaveLastOut needs one at least.
	Least int
	// Valid holds a validation set out as well: in LeaveLastOut the last event but one.
	Valid bool
}

// window returns the part of events that a history of the target at i holds.
func window[K ID](events []Event[K], i, most int) []Event[K] {
	from := 0
	if most > 0 {
		from = max(0, i-most)
	}
	return events[from:i:i]
}

func example[K ID](events []Event[K], i, most int) Example[K] {
	return Example[K]{events[i], window(events, i, most)}
}

// Examples yields what a ranker learns from: every event of every sequence but
// the first, with the events before it (R1). With history n a history holds the
// newest n events, with 0 all.
func Examples[K ID](train []Sequence[K], history int) iter.Seq[Example[K]] {
	return func(yield func(Example[K]) bool) {
		for _, s := range train {
			for i := 1; i < len(s.Events); i++ {
				if !yield(example(s.Events, i, history)) {
					return
				}
			}
		}
	}
}

// LeaveLastOut holds the last event of every user out for the test, and with
// Rules.Valid the last but one for validation: of n events the examples to learn
// from have targets 2 to n-1 (to n-2), as in DIN's protocol. What it learns from
// may be younger than the target of another user; where that matters, use
// SplitAt.
func LeaveLastOut[K ID](all []Sequence[K], r Rules) Split[K] {
	var out Split[K]
	least := max(1, r.Least)
	for _, s := range all {
		n := len(s.Events)
		if n > least {
			n--
			out.Test = append(out.Test, example(s.Events, n, r.History))
			if r.Valid && n > least {
				n--
				out.Valid = append(out.Valid, example(s.Events, n, r.History))
			}
		}
		out.keep(s, n)
	}
	return out
}

// SplitAt divides by time: events before valid are learned from, those from
// valid on and before test are the validation set, those from test on the test
// set. valid == test makes no validation set; valid > test is the same. A target's
// history is all that came before it, other targets held out included, since they
// are known by then. Rules.Valid is not used.
func SplitAt[K ID](all []Sequence[K], valid, test int64, r Rules) Split[K] {
	valid = min(valid, test)
	var out Split[K]
	for _, s := range all {
		n := 0
		for i, e := range s.Events {
			switch {
			case e.Time < valid:
				n = i + 1
			case i < r.Least:
			case e.Time < test:
				out.Valid = append(out.Valid, example(s.Events, i, r.History))
			default:
				out.Test = append(out.Test, example(s.Events, i, r.History))
			}
		}
		out.keep(s, n)
	}
	return out
}

// keep learns from the first n events of a user.
func (s *Split[K]) keep(q Sequence[K], n int) {
	if n > 0 {
		s.Train = append(s.Train, Sequence[K]{q.User, q.Events[:n:n]})
	}
}
