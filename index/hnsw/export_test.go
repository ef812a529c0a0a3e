package hnsw

import (
	"math"
	"math/rand"

	"github.com/eiderdb/eider/index"
)

// EntryID is the id of the entry point.
func EntryID(x *Index) uint32 { return x.set.View().IDs[x.entry.Load()>>8] }

// MeanDegree is the mean number of level-0 links of live nodes.
func MeanDegree(x *Index) float64 {
	v, links, nodes := x.view.Load(), 0, 0
	for s := range uint32(x.set.Slots()) {
		if v.linked(s) && x.set.IsLive(s) {
			links += len(take(v.base(s), nil))
			nodes++
		}
	}
	return float64(links) / float64(max(nodes, 1))
}

// SetCosts makes x plan filtered searches by c from now on, or, if c is zero, by
// what it measures.
func SetCosts(x *Index, c index.Costs) {
	if c == (index.Costs{}) {
		x.cost.Store(nil)
		return
	}
	x.cost.Store(&measured{math.MaxInt, c})
}

// Slots is one more than the highest slot in use.
func Slots(x *Index) int { return x.set.Slots() }

// SetWorth makes x put its nodes in order from so many bytes on that walks read.
func SetWorth(x *Index, bytes int) {
	x.upkeep.mu.Lock()
	x.upkeep.worth = bytes
	x.upkeep.mu.Unlock()
}

// Never is a worth that no index has.
const Never = math.MaxInt

// Order puts the nodes of x in order, which nothing else may be about to do.
func Order(x *Index) { x.order() }

// Shuffle is Order by chance.
func Shuffle(x *Index, r *rand.Rand) {
	tour := x.tour()
	r.Shuffle(len(tour), func(i, j int) { tour[i], tour[j] = tour[j], tour[i] })
	x.follow(tour)
}

// Near is the share of links to slots at most an n-th of all slots away.
func Near(x *Index, n int) float64 {
	v, near, links := x.view.Load(), 0, 0
	for s := range x.set.Slots() {
		if v.linked(uint32(s)) {
			for _, m := range take(v.base(uint32(s)), nil) {
				if d := int(m) - s; max(d, -d) <= x.set.Slots()/n {
					near++
				}
				links++
			}
		}
	}
	return float64(near) / float64(max(links, 1))
}

// Stir makes x put its nodes in order as soon as it can.
func Stir(x *Index) {
	x.upkeep.unordered.Store(math.MaxInt / 2)
	x.wake()
}
