package index

import "math"

// DefaultEf is the pool of a graph walk over n vectors for k hits when nobody
// says: it grows with log n, because a fixed pool loses recall as an index
// grows.
func DefaultEf(n, k int) int { return int(32*math.Log2(float64(n)/1000+2)) + k }

// Costs is what a filtered search is planned by: what one index was measured to
// take, on its own rows and on the machine it runs on. They decide what is done,
// never what is found.
type Costs struct {
	Scan float64 // ns for a row of a scan over matches
	Walk float64 // ns for a row that a walk scores, with its part of all else a walk does
	Link float64 // ns for following a link to ask whether the node there matches
	// Fresh is the number of rows that a hop of a walk scores: its links less those
	// that the walk had seen. It is large where vectors have no structure.
	Fresh float64
}

// Scanning is the time in ns of scoring so many matches.
func (c Costs) Scanning(matches int) float64 { return float64(matches) * c.Scan }

// Sifting is the time in ns of a walk with pool ef that scores matches and others
// alike, where share of the nodes match.
func (c Costs) Sifting(ef int, share float64) float64 {
	return c.Walk * c.Fresh * fade(float64(ef+Detour)/max(share, 1e-4))
}

// Crossing is the time in ns of a walk with pool ef that scores everything from the
// query to where matches begin, behind so many others.
func (c Costs) Crossing(ef int, others float64) float64 {
	return 2 * c.Walk * c.Fresh * fade(float64(ef+Detour)+others) // twice, for all it has to remember
}

// Bridging is the time in ns of a walk with pool ef that scores matches only, and
// looks for them also behind its links to others, where a node has so many links
// and share of the nodes match.
//
// The counts in Sifting and Bridging are fitted to walks over 60,000 x 784,
// 100,000 x 128 and 50,000 x 32, shares of 5 to 90 % and pools of 20 to 200, and
// agree with them up to a factor of two.
func (c Costs) Bridging(ef, links int, share float64) float64 {
	hops, l := float64(ef+Detour), float64(links)
	met := 1.5 * (1 - math.Exp(-5*share)) // of matches two links away, by those one link away
	stepped := (1 - share) * (c.Fresh + l/8)
	return c.Walk*c.Fresh*met*fade(hops) + c.Link*l*(1+stepped)*hops
}

// Detour is the number of hops that a walk takes on its way, beside one for each
// place in its pool.
const Detour = 10

// fade is the number of hops, the later ones counted less: they meet more of what
// was seen before. Fresh is measured by a walk of usual hops.
func fade(hops float64) float64 {
	const usual = 42
	return hops * math.Pow(hops/usual, -0.25)
}
