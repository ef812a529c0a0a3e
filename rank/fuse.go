// Package rank turns candidates of several sources into one ranking.
package rank

import (
	"math"
	"slices"
)

// Candidate is one entry of a source's ranked list.
type Candidate struct {
	ID    uint32
	Score float64 // larger is better; finite
}

// Source is a ranked list, best first, with its weight in the fusion.
type Source struct {
	Candidates []Candidate
	Weight     float64 // 0 means 1
}

// Part is what one source contributed to a fused candidate.
type Part struct {
	Source int     // position in the call
	Rank   int     // from 1
	Score  float64 // the source's own score
	Fused  float64 // what it added
}

// Fused is a candidate after fusion.
type Fused struct {
	ID    uint32
	Score float64
	Parts []Part // by source
}

// RRF fuses by reciprocal rank: the sum over sources of weight/(k+rank), rank
// from 1 (Cormack, Clarke and Buettcher, SIGIR 2009; they use k = 60). Result is
// ordered by (score descending, id ascending). O(n log n) in all candidates.
func RRF(k float64, sources ...Source) []Fused {
	return fuse(sources, func(i, rank int, _ float64) float64 {
		return sources[i].weight() / (k + float64(rank))
	})
}

// Norm maps the scores of one source's candidates to a common range.
type Norm string

const (
	// MinMax maps a source's scores to [0, 1]; a source whose scores are all
	// equal maps to 1.
	MinMax Norm = "minmax"
	// ZScore maps to mean 0 and standard deviation 1; a source without spread
	// maps to 0.
	ZScore Norm = "zscore"
)

// Weighted fuses by the weighted sum of normalised scores. A candidate that a
// source did not return gets nothing from it under MinMax, and the source's
// lowest normalised score under ZScore, so that absence never beats presence.
func Weighted(norm Norm, sources ...Source) []Fused {
	scales := make([]func(float64) float64, len(sources))
	floors := make([]float64, len(sources))
	for i := range sources {
		scales[i], floors[i] = scale(norm, sources[i].Candidates)
	}
	return fuse(sources, func(i, _ int, score float64) float64 {
		return sources[i].weight() * (scales[i](score) - floors[i])
	})
}

// scale returns the normaliser of a source and the value of an absent candidate.
func scale(norm Norm, c []Candidate) (func(float64) float64, float64) {
	if len(c) == 0 {
		return func(float64) float64 { return 0 }, 0
	}
	lo, hi, sum := c[0].Score, c[0].Score, 0.0
	for _, x := range c {
		lo, hi, sum = min(lo, x.Score), max(hi, x.Score), sum+x.Score
	}
	if norm != ZScore {
		if hi == lo {
			return func(float64) float64 { return 1 }, 0
		}
		return func(s float64) float64 { return (s - lo) / (hi - lo) }, 0
	}
	mean, square := sum/float64(len(c)), 0.0
	for _, x := range c {
		square += (x.Score - mean) * (x.Score - mean)
	}
	dev := math.Sqrt(square / float64(len(c)))
	if dev == 0 {
		return func(float64) float64 { return 0 }, 0
	}
	return func(s float64) float64 { return (s - mean) / dev }, (lo - mean) / dev
}

func (s *Source) weight() float64 {
	if s.Weight == 0 {
		return 1
	}
	return s.Weight
}

func fuse(sources []Source, add func(source, rank int, score float64) float64) []Fused {
	at := map[uint32]int{}
	var out []Fused
	for i := range sources {
		for r, c := range sources[i].Candidates {
			j, ok := at[c.ID]
			if !ok {
				j = len(out)
				at[c.ID] = j
				out = append(out, Fused{ID: c.ID})
			}
			part := Part{Source: i, Rank: r + 1, Score: c.Score, Fused: add(i, r+1, c.Score)}
			out[j].Score += part.Fused
			out[j].Parts = append(out[j].Parts, part)
		}
	}
	slices.SortFunc(out, func(a, b Fused) int {
		switch {
		case a.Score > b.Score:
			return -1
		case a.Score < b.Score:
			return 1
		case a.ID < b.ID:
			return -1
		case a.ID > b.ID:
			return 1
		}
		return 0
	})
	return out
}
