package metric

// Tie is the relative slack of RecallAt: two distances this close are the same
// distance computed in another order of summation. It is a rounding bound for
// float32 sums, much stricter than ann-benchmarks' 1e-3, so it forgives ties and
// nothing else.
const Tie = 1e-5

// Recall is the share of the first k true ids that got holds, in [0, 1]. Order
// does not matter and an id counts once however often it is returned. It is 1
// when truth is empty or k is 0, since nothing was there to find. O(k).
func Recall[ID comparable](truth, got []ID, k int) float64 {
	truth, got = truth[:min(k, len(truth))], got[:min(k, len(got))]
	if len(truth) == 0 {
		return 1
	}
	want := make(map[ID]bool, len(truth))
	for _, id := range truth {
		want[id] = true
	}
	hits := 0
	for _, id := range got {
		if want[id] {
			hits++
			delete(want, id)
		}
	}
	return float64(hits) / float64(len(truth))
}

// RecallAt is recall@k with ties counted as hits, ann-benchmarks' rule: the j-th
// answer is a hit when its true distance is no larger than the k-th true
// distance, give or take Tie. Which of several equally near ids an engine
// returns is its own business.
//
// truth holds the true distances, ascending. distance gives the true distance of
// an id in got (never the engine's own figure: an engine that reports small
// distances must not win by that). Repeated ids count once; ids past the k-th are
// ignored. The denominator is min(k, len(truth)); an empty truth gives 1. O(k).
func RecallAt[ID comparable](truth []float32, got []ID, distance func(ID) float32, k int) float64 {
	k = min(k, len(truth))
	if k <= 0 {
		return 1
	}
	limit := float64(truth[k-1])
	if limit < 0 { // inner products: distances are negative
		limit -= limit * Tie
	} else {
		limit += limit * Tie
	}
	hits := 0
	got = got[:min(k, len(got))]
	for i, id := range got {
		if repeated(got[:i], id) {
			continue
		}
		if float64(distance(id)) <= limit {
			hits++
		}
	}
	return float64(hits) / float64(k)
}

func repeated[ID comparable](seen []ID, id ID) bool {
	for _, s := range seen {
		if s == id {
			return true
		}
	}
	return false
}
