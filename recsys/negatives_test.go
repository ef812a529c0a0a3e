package recsys

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// R3, for all policies, as a stream and as lists, for users who have seen nearly
// everything too.
func TestNoPositiveIsAmongTheNegatives(t *testing.T) {
	all := sequences(t, history(11, 60, 40, 40), nil)
	s := LeaveLastOut(all, Rules{})
	items, seen := Items(all), NewSeen(all)
	rng := rand.New(rand.NewPCG(1, 2))
	for kind, sampler := range map[string]*Sampler[string]{
		"uniform": NewUniform(items, seen), "popular": NewPopular(items, s.Train, 0.75, seen), "very popular": NewPopular(items, s.Train, 8, seen)} {
		for _, q := range all {
			for _, k := range slices.Concat(sampler.Draw(rng, q.User, 50, nil), sampler.List(777, q.User, 100)) {
				if slices.ContainsFunc(q.Events, func(e Event[string]) bool { return e.Item == k }) {
					t.Fatalf("%s: %s is a positive of %s", kind, k, q.User)
				}
			}
		}
	}
}

// Sparing what is held out would tell the ranker which items those are.
func TestNegativesToLearnFromMayBeItemsHeldOut(t *testing.T) {
	all := sequences(t, history(12, 60, 40, 20), nil)
	s := LeaveLastOut(all, Rules{})
	sampler := NewUniform(Items(all), NewSeen(s.Train))
	rng := rand.New(rand.NewPCG(1, 2))
	hits := 0
	for _, e := range s.Test {
		for _, k := range sampler.Draw(rng, e.Target.User, 400, nil) {
			if k == e.Target.Item {
				hits++
				break
			}
		}
	}
	if hits < len(s.Test)*9/10 {
		t.Errorf("only %d of %d targets held out were ever drawn", hits, len(s.Test))
	}
}

func TestListsHoldDifferentItemsAndAllThatAreLeft(t *testing.T) {
	all := sequences(t, history(13, 60, 40, 40), nil)
	items, seen := Items(all), NewSeen(all)
	sampler := NewUniform(items, seen)
	for _, q := range all {
		left := len(items) - len(q.Events)
		for _, n := range []int{0, 1, 10, 100} {
			list := sampler.List(777, q.User, n)
			if len(list) != min(n, left) {
				t.Fatalf("%d of %d items that %s has not seen, %d were asked for", len(list), left, q.User, n)
			}
			slices.Sort(list)
			if len(slices.Compact(list)) != min(n, left) {
				t.Fatalf("repeats in %v", list)
			}
		}
	}
}

// R5.
func TestListsDependOnSeedAndUserAlone(t *testing.T) {
	all := sequences(t, history(14, 60, 80, 30), nil)
	s := LeaveLastOut(all, Rules{})
	items := Items(all)
	shuffled := slices.Concat(items, items)
	slices.Reverse(shuffled)
	for kind, make := range map[string]func(items []string, train []Sequence[string]) *Sampler[string]{
		"uniform": func(items []string, _ []Sequence[string]) *Sampler[string] { return NewUniform(items, NewSeen(all)) },
		"popular": func(items []string, train []Sequence[string]) *Sampler[string] {
			return NewPopular(items, train, 0.75, NewSeen(all))
		},
	} {
		a, b := make(items, s.Train), make(shuffled, slices.Concat(s.Train[30:], s.Train[:30]))
		want := map[string][]string{}
		for r := range a.Fixed(777, s.Test, 20) {
			want[r.Target.User] = r.Negatives
		}
		reversed := slices.Clone(s.Test)
		slices.Reverse(reversed)
		same := 0
		for r := range b.Fixed(777, reversed, 20) {
			if !slices.Equal(r.Negatives, want[r.Target.User]) {
				t.Fatalf("%s: the list of %s changed with the order of asking", kind, r.Target.User)
			}
			if slices.Equal(b.List(778, r.Target.User, 20), r.Negatives) {
				same++
			}
		}
		if same > 0 {
			t.Errorf("%s: %d lists are the same under another seed", kind, same)
		}
	}
}

// The lists of the ML-100K protocol are pinned: a change of them changes every
// figure measured with them.
func TestListsOfASeedStayTheSameForEver(t *testing.T) {
	items := make([]int, 1682)
	for i := range items {
		items[i] = i + 1
	}
	all := []Sequence[int]{{User: 1, Events: []Event[int]{{User: 1, Item: 5}}}}
	got := NewUniform(items, NewSeen(all)).List(777, 1, 8)
	if want := []int{1584, 611, 881, 333, 1556, 68, 511, 828}; !slices.Equal(got, want) {
		t.Errorf("list %v, want %v", got, want)
	}
}

func TestDrawsFollowTheirPolicy(t *testing.T) {
	// Item i occurs i times; item 0 never.
	var train []Sequence[int]
	items := make([]int, 11)
	for i := range items {
		items[i] = i
		for n := range i {
			train = append(train, Sequence[int]{User: 100 + n, Events: []Event[int]{{User: 100 + n, Item: i}}})
		}
	}
	seen := NewSeen([]Sequence[int]{{User: 1, Events: []Event[int]{{User: 1, Item: 3}, {User: 1, Item: 10}}}})
	const draws = 200_000
	for _, c := range []struct {
		name    string
		sampler *Sampler[int]
		weight  func(i int) float64
	}{
		{"uniform", NewUniform(items, seen), func(int) float64 { return 1 }},
		{"popular", NewPopular(items, train, 1, seen), func(i int) float64 { return float64(i) }},
		{"popularity to the 0.75", NewPopular(items, train, 0.75, seen), func(i int) float64 { return math.Pow(float64(i), 0.75) }},
	} {
		rng := rand.New(rand.NewPCG(5, 6))
		got := make([]float64, len(items))
		for _, k := range c.sampler.Draw(rng, 1, draws, nil) {
			got[k]++
		}
		sum := 0.0
		for i := range items {
			if i != 3 && i != 10 {
				sum += c.weight(i)
			}
		}
		for i := range items {
			want := draws * c.weight(i) / sum
			if i == 3 || i == 10 {
				want = 0
			}
			if math.Abs(got[i]-want) > 6*math.Sqrt(want) { // six standard deviations
				t.Errorf("%s: item %d was drawn %v times, want about %.0f", c.name, i, got[i], want)
			}
		}
	}
}

func TestWhoHasSeenEverythingGetsNoNegatives(t *testing.T) {
	all := []Sequence[string]{{User: "u", Events: []Event[string]{{User: "u", Item: "a"}, {User: "u", Item: "b"}}}}
	rng := rand.New(rand.NewPCG(1, 1))
	for _, s := range []*Sampler[string]{NewUniform(Items(all), NewSeen(all)), NewUniform(nil, NewSeen(all)), NewPopular(Items(all), nil, 1, NewSeen(all))} {
		if got := slices.Concat(s.Draw(rng, "u", 5, nil), s.List(1, "u", 5)); len(got) > 0 {
			t.Errorf("negatives %v", got)
		}
	}
	if got := NewUniform(Items(all), NewSeen(all)).Draw(rng, "stranger", 5, []string{"kept"}); len(got) != 6 || got[0] != "kept" {
		t.Errorf("a user without a history gets %v", got)
	}
}
