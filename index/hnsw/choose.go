package hnsw

import (
	"slices"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/index/vectors"
)

// same is the distance up to which two vectors count as equal: rounding keeps the
// cosine of a vector with itself from being quite 1.
const same = 2e-7

// batch is how many candidates are held against the neighbours kept at a time: many
// for one sweep through memory, few where all places are soon taken.
const batch = 32

// diverse chooses at most most of the candidates, sorted by distance from a base
// node, as its neighbours: a candidate is kept if it is nearer to the base than
// to every one kept before (the heuristic of the HNSW paper). Of the base's own
// duplicates one is kept. If fewer than least are kept, the nearest of those left
// out fill up. The result is in c.kept and is c's until the next call.
func (x *Index) diverse(c *linker, candidates []entry, most, least int) []uint32 {
	return x.extend(c, c.kept[:0], candidates, most, least)
}

// extend is diverse for a base that has the neighbours kept, which stay; it appends
// to them. The candidates that are left are held against each neighbour as it is
// kept, so each neighbour's vector is prepared once, and most candidates fall to the
// first few.
func (x *Index) extend(c *linker, kept []uint32, candidates []entry, most, least int) []uint32 {
	refused := c.refused[:0]
	distinct := x.cfg.Metric == index.IP // whose distances say nothing about equality
	ready := 0                           // of kept, whose vectors are prepared
	for from := 0; from < len(candidates) && len(kept) < most; from += batch {
		part := candidates[from:min(from+batch, len(candidates))]
		open := c.open[:0]
		for i, e := range part {
			if !distinct && from+i > 0 && x.double(c, e.slot&slotMask, e.d) {
				continue
			}
			open = append(open, entry{e.d, e.slot & slotMask})
		}
		before := len(kept)
		for i := 0; len(open) > 0; i++ {
			if i == len(kept) {
				kept, open = append(kept, open[0].slot), open[1:]
				if len(kept) == most {
					break
				}
			}
			if ready <= i {
				ready = x.prepare(c, i, kept[i])
			}
			open = x.uncovered(c, &c.bases[i], open)
		}
		for _, e := range part {
			if s := e.slot & slotMask; !slices.Contains(kept[before:], s) {
				refused = append(refused, s)
			}
		}
	}
	if n := min(least, most) - len(kept); n > 0 {
		kept = append(kept, refused[:min(n, len(refused))]...)
	}
	c.kept, c.refused = kept, refused
	return kept
}

// prepare makes c.bases[i] the vector of slot and returns i+1.
func (x *Index) prepare(c *linker, i int, slot uint32) int {
	if i == len(c.bases) {
		c.bases = append(c.bases, vectors.Probe{})
	}
	x.set.Retrace(&c.bases[i], c.sv, slot)
	return i + 1
}

// uncovered is those of open that are no nearer to the vector of p than to the base.
// Rounding does not count as nearer: p may be a duplicate of the base, and would
// cover all. It reuses open, of at most batch.
func (x *Index) uncovered(c *linker, p *vectors.Probe, open []entry) []entry {
	if len(open) == 0 {
		return open
	}
	for i, e := range open {
		c.near.slots[i] = e.slot
	}
	out := c.near.d[:len(open)]
	x.set.Near(p, c.sv, c.near.slots[:len(open)], out, open[len(open)-1].d)
	left := open[:0]
	for i, e := range open {
		if out[i] >= e.d || out[i] >= e.d-x.set.Rounding(p, e.d) {
			left = append(left, e)
		}
	}
	return left
}

// double reports whether slot, at distance d from the base, holds the base's vector.
func (x *Index) double(c *linker, slot uint32, d float32) bool {
	if d <= same {
		return true
	}
	return x.set.Coded() && d <= c.slack && x.set.Equal(c.sv, slot, c.base)
}
