package tabular

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// Split is rows to learn from, rows to choose by, and rows to look at once. No row is
// in two of them.
type Split struct{ Train, Valid, Test []int }

// Shares are the parts of all rows that are held out. The test is rounded down, and so
// is what is left to learn from; what that leaves over is for validation.
type Shares struct{ Valid, Test float64 }

// PaperShares are those of TabR's benchmark: 64 % to learn from, 16 %, 20 %.
var PaperShares = Shares{Valid: 0.16, Test: 0.2}

// RandomSplit divides rows, named by number, by a seed.
func RandomSplit(rows []int, s Shares, seed uint64) (Split, error) {
	rows = slices.Clone(rows)
	rng := rand.New(rand.NewPCG(seed, 0x73706c6974))
	rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	return s.cut(rows)
}

// HashSplit divides rows by a hash of their numbers that any language can compute: in
// order of i·2654435761 mod 2³², the first are learned from, the last are the test.
func HashSplit(rows []int, s Shares) (Split, error) {
	rows = slices.Clone(rows)
	hash := func(i int) uint32 { return uint32(i) * 2654435761 }
	slices.SortStableFunc(rows, func(a, b int) int {
		switch ha, hb := hash(a), hash(b); {
		case ha < hb:
			return -1
		case ha > hb:
			return 1
		}
		return 0
	})
	return s.cut(rows)
}

// TimeSplit divides rows of t by the numbers in a column, times for one: the latest
// are the test, those before them for validation. Rows of one time stay together, on
// the later side. Errors: ErrSplit; ErrValue for a row without a number there.
func TimeSplit(t *Table, rows []int, column string, s Shares) (Split, error) {
	rows = slices.Clone(t.these(rows))
	cells := t.get(column)
	for _, i := range rows {
		if v := cell(cells, i); v.form != number {
			return Split{}, notNumber(i, column, v)
		}
	}
	slices.SortStableFunc(rows, func(a, b int) int {
		switch ta, tb := cells[a].num, cells[b].num; {
		case ta < tb:
			return -1
		case ta > tb:
			return 1
		}
		return 0
	})
	n, m, err := s.sizes(len(rows))
	if err != nil {
		return Split{}, err
	}
	back := func(i, least int) int { // to the first row of this time
		for i > least && i < len(rows) && cells[rows[i]].num == cells[rows[i-1]].num {
			i--
		}
		return i
	}
	n = back(n, 0)
	m = back(m, n)
	if n == 0 {
		return Split{}, fmt.Errorf("%w: too many rows have the same %q", ErrSplit, column)
	}
	return Split{rows[:n:n], rows[n:m:m], rows[m:]}, nil
}

// cut divides rows in their order.
func (s Shares) cut(rows []int) (Split, error) {
	n, m, err := s.sizes(len(rows))
	if err != nil {
		return Split{}, err
	}
	return Split{rows[:n:n], rows[n:m:m], rows[m:]}, nil
}

// sizes is where validation and test begin.
func (s Shares) sizes(rows int) (valid, test int, err error) {
	if !(s.Valid >= 0 && s.Test >= 0 && s.Valid+s.Test < 1) {
		return 0, 0, fmt.Errorf("%w: shares of %v and %v; both are at least 0 and together less than 1", ErrSplit, s.Valid, s.Test)
	}
	down := func(share float64) int { return int(share*float64(rows) + 1e-9) }
	valid, test = down(1-s.Valid-s.Test), rows-down(s.Test)
	if s.Valid == 0 {
		valid = test
	}
	if valid == 0 {
		return 0, 0, fmt.Errorf("%w: nothing of %d rows is left to learn from", ErrSplit, rows)
	}
	return valid, test, nil
}
