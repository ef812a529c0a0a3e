package hnsw

import (
	"testing"

	"github.com/eiderdb/eider/index"
)

// straight is a course whose recall rises evenly to most at a pool of 1000.
func straight(prefix int, most, unit, toll float64) course {
	c := course{unit: unit, toll: toll}
	for ef := 10; ef <= 1000; ef += 10 {
		c.points = append(c.points, index.Pool{Prefix: prefix, Ef: ef, Recall: most * float64(ef) / 1000, Distances: 20 * ef})
	}
	return c
}

func TestOfPrefixesAndPoolsThePairOfLeastCostIsChosen(t *testing.T) {
	const n = 100_000
	short, long := straight(64, 0.9, 10, 1000), straight(256, 1, 14, 1000)
	for _, c := range []struct {
		what      string
		courses   []course
		recall    float64
		level, ef int
	}{
		{"the short one is cheaper for its larger pool", []course{short, long}, 0.8, 0, 889},
		{"the short one does not get there", []course{short, long}, 0.95, 1, 950},
		{"the long one is as cheap", []course{short, straight(256, 1, 10, 1000)}, 0.8, 1, 800},
		{"but takes longer to prepare", []course{short, straight(256, 1, 10, 100_000)}, 0.8, 0, 889},
		{"none gets there", []course{short, straight(256, 0.9, 14, 0)}, 0.95, 0, 0},
		{"there is one", []course{long}, 0.5, 0, 500},
	} {
		ef, level := (&curve{n: n, courses: c.courses}).pool(c.recall, n, 10, len(c.courses))
		if ef != c.ef || level != c.level {
			t.Errorf("%s: a pool of %d by block %d, want %d by %d", c.what, ef, level, c.ef, c.level)
		}
	}
}
