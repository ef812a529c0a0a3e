package tabular

import (
	"errors"
	"slices"
	"testing"
)

func rows(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// whole fails unless s has each of rows once.
func whole(t *testing.T, s Split, all []int) {
	t.Helper()
	got := slices.Concat(s.Train, s.Valid, s.Test)
	slices.Sort(got)
	if !slices.Equal(got, all) {
		t.Errorf("%d rows of %d, or some twice", len(got), len(all))
	}
}

func TestHashSplitHasTheSizesOfThePaper(t *testing.T) {
	for n, want := range map[int][3]int{20640: {13209, 3303, 4128}, 10000: {6400, 1600, 2000}, 22784: {14581, 3647, 4556}, 53940: {34521, 8631, 10788}} {
		s, err := HashSplit(rows(n), PaperShares)
		if err != nil {
			t.Fatal(err)
		}
		whole(t, s, rows(n))
		if got := [3]int{len(s.Train), len(s.Valid), len(s.Test)}; got != want {
			t.Errorf("%d rows: %v, want %v", n, got, want)
		}
	}
}

// 2654435761 is 2³² over the golden ratio: steps of 1, 2, 3, 5, 8 come near each other.
func TestHashSplitIsInOrderOfTheHash(t *testing.T) {
	s, err := HashSplit(rows(8), Shares{Valid: 0.25, Test: 0.25})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(s.Train, []int{0, 5, 2, 7}) || !slices.Equal(s.Valid, []int{4, 1}) || !slices.Equal(s.Test, []int{6, 3}) {
		t.Errorf("%v", s)
	}
}

func TestRandomSplitDependsOnTheSeedAlone(t *testing.T) {
	a, err := RandomSplit(rows(100), PaperShares, 1)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := RandomSplit(rows(100), PaperShares, 1)
	c, _ := RandomSplit(rows(100), PaperShares, 2)
	whole(t, a, rows(100))
	if !slices.Equal(a.Test, b.Test) || slices.Equal(a.Test, c.Test) {
		t.Error("equal seeds differ, or different ones do not")
	}
}

func TestTimeSplitKeepsTheFutureTogether(t *testing.T) {
	table := NewTable("when")
	for _, when := range []string{"5", "1", "2", "9", "2", "7", "2", "8", "3", "2"} {
		if err := table.AppendText([]string{when}); err != nil {
			t.Fatal(err)
		}
	}
	s, err := TimeSplit(table, nil, "when", Shares{Valid: 0.3, Test: 0.3})
	if err != nil {
		t.Fatal(err)
	}
	whole(t, s, rows(10))
	if !slices.Equal(s.Train, []int{1}) || !slices.Equal(s.Valid, []int{2, 4, 6, 9, 8, 0}) || !slices.Equal(s.Test, []int{5, 7, 3}) {
		t.Errorf("%v", s)
	}
	_, err = TimeSplit(table, nil, "where", PaperShares)
	if !errors.Is(err, ErrValue) {
		t.Error(err)
	}
}

func TestSplitsThatDivideNothingAreRefused(t *testing.T) {
	for _, s := range []Shares{{-0.1, 0.2}, {0.5, 0.5}, {0.1, 1.2}} {
		if _, err := HashSplit(rows(10), s); !errors.Is(err, ErrSplit) {
			t.Errorf("%v: %v", s, err)
		}
	}
	if _, err := HashSplit(nil, PaperShares); !errors.Is(err, ErrSplit) {
		t.Errorf("no rows: %v", err)
	}
}
