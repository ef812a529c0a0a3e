package metric

import (
	"math"
	"slices"
)

// Point is one setting of an approximate index: what it found and how fast.
type Point struct {
	Ef     int     `json:"ef"`     // pool size the point was measured with, 0 if none
	Recall float64 `json:"recall"` // in [0, 1]
	QPS    float64 `json:"qps"`    // queries per second, > 0
}

// Frontier is the points that no other point beats in both recall and speed,
// recall ascending (so QPS descending). The input is not changed. O(n log n).
func Frontier(points []Point) []Point {
	s := slices.Clone(points)
	slices.SortFunc(s, func(a, b Point) int {
		switch {
		case a.Recall > b.Recall:
			return -1
		case a.Recall < b.Recall:
			return 1
		case a.QPS > b.QPS:
			return -1
		case a.QPS < b.QPS:
			return 1
		}
		return 0
	})
	var out []Point
	for _, p := range s {
		if len(out) == 0 || p.QPS > out[len(out)-1].QPS {
			out = append(out, p)
		}
	}
	slices.Reverse(out)
	return out
}

// QPSAt is the speed at a recall: log QPS is linear in recall between the two
// neighbouring points of the frontier. ok is false when recall lies outside the
// measured range. Nothing is extrapolated: an engine whose slowest setting stops
// short of the recall has no figure there, and one whose fastest setting already
// exceeds it has none either (measure a smaller ef).
func QPSAt(points []Point, recall float64) (qps float64, ok bool) {
	f := Frontier(points)
	for i, p := range f {
		if p.Recall == recall {
			return p.QPS, true
		}
		if p.Recall < recall || i == 0 {
			continue
		}
		a := f[i-1]
		if a.Recall > recall {
			return 0, false
		}
		t := (recall - a.Recall) / (p.Recall - a.Recall)
		return math.Exp(math.Log(a.QPS) + t*(math.Log(p.QPS)-math.Log(a.QPS))), true
	}
	return 0, false
}
