package metric

import (
	"math"
	"slices"
)

// NDCG is the normalised discounted cumulative gain of a ranking cut at k, in
// [0, 1] (Järvelin and Kekäläinen 2002, with the exponential gain of Burges
// 2005): gains are 2^rel-1 and the discount of position i (from 0) is
// log2(i+2). ranked holds the graded relevance of what was returned, in order;
// all holds the relevance of everything that could have been returned, in any
// order. Grades are >= 0. It is 0 when nothing relevant exists. O(n log n).
func NDCG(ranked, all []float64, k int) float64 {
	ideal := slices.Clone(all)
	slices.SortFunc(ideal, func(a, b float64) int {
		switch {
		case a > b:
			return -1
		case a < b:
			return 1
		}
		return 0
	})
	best := dcg(ideal, k)
	if best == 0 {
		return 0
	}
	return dcg(ranked, k) / best
}

func dcg(rel []float64, k int) float64 {
	sum := 0.0
	for i, r := range rel[:min(k, len(rel))] {
		sum += (math.Exp2(r) - 1) / math.Log2(float64(i)+2)
	}
	return sum
}

// ReciprocalRank is 1/(position of the first relevant answer, from 1), or 0 when
// none of ranked is relevant. Its mean over queries is MRR.
func ReciprocalRank(ranked []bool) float64 {
	if i := slices.Index(ranked, true); i >= 0 {
		return 1 / float64(i+1)
	}
	return 0
}
