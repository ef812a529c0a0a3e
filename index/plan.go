package index

import "math"

// Plan is how a filtered search is answered.
type Plan struct {
	Exact  bool   // score every match instead of walking the graph
	Reason string // for explain
}

// Costs are in units of one distance computation of the walk. A scan reads
// matches in id order with prefetch, so it pays less per distance than a walk,
// which also pays for the graph: measured ratios between 0.25 and 0.5 over
// dimensions 64 to 1024.
const (
	scanCost   = 0.5
	scanAlways = 2000 // matches up to which a scan is cheapest whatever the graph
)

// DefaultEf is the pool of a graph walk over n vectors for k hits when nobody
// says: it grows with log n, because a fixed pool loses recall as an index
// grows.
func DefaultEf(n, k int) int { return int(32*math.Log2(float64(n)/1000+2)) + k }

// Choose decides between an exact scan over the matches and a filtered walk,
// from the exact cardinality: n vectors, of which matches pass, links per
// node m, pool ef (0 is DefaultEf), k wanted.
//
// A walk expands more nodes while few of them pass, each with up to 2m distances
// of which most were seen before; measured growth is between 1/share^0.5 and 1/share^0.6: cost ~ ef * m / share^0.6. It
// depends on the cardinality only, so filters that mean the same set get the
// same plan.
func Choose(n, matches, m, ef, k int) Plan {
	switch {
	case matches <= k || matches <= scanAlways || n == 0:
		return Plan{Exact: true, Reason: "few matches: scan them"}
	case matches >= n:
		return Plan{Reason: "everything matches: walk the graph"}
	}
	if ef == 0 {
		ef = DefaultEf(n, k)
	}
	share := float64(matches) / float64(n)
	walk := float64(max(ef, k)) * float64(m) / math.Pow(share, 0.6)
	scan := float64(matches) * scanCost
	if scan <= walk {
		return Plan{Exact: true, Reason: "scanning the matches costs less than walking around the others"}
	}
	return Plan{Reason: "walk the graph, keep matches"}
}
