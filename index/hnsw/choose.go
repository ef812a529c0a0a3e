package hnsw

import "github.com/eiderdb/eider/index"

// same is the distance up to which two vectors count as equal: rounding keeps the
// cosine of a vector with itself from being quite 1.
const same = 2e-7

// diverse chooses at most most of the candidates, sorted by distance from a base
// node, as its neighbours: a candidate is kept if it is nearer to the base than
// to every one kept before (the heuristic of the HNSW paper). Of the base's own
// duplicates one is kept. If fewer than least are kept, the nearest of those left
// out fill up. The result is in c.kept and is c's until the next call.
//
// Distances to kept nodes are computed a few at a time: the nearest kept ones
// reject most candidates.
func (x *Index) diverse(c *linker, candidates []entry, most, least int) []uint32 {
	kept, refused := c.kept[:0], c.refused[:0]
	distinct := x.cfg.Metric == index.IP // whose distances say nothing about equality
	for i, e := range candidates {
		if len(kept) == most {
			break
		}
		slot := e.slot & slotMask
		if !distinct && i > 0 && x.double(c, slot, e.d) || x.covered(c, slot, e.d, kept) {
			refused = append(refused, slot)
		} else {
			kept = append(kept, slot)
		}
	}
	for i := 0; len(kept) < min(least, most) && i < len(refused); i++ {
		kept = append(kept, refused[i])
	}
	c.kept, c.refused = kept, refused
	return kept
}

// double reports whether slot, at distance d from the base, holds the base's vector.
func (x *Index) double(c *linker, slot uint32, d float32) bool {
	if d <= same {
		return true
	}
	return x.set.Coded() && d <= c.slack && x.set.Equal(c.sv, slot, c.base)
}

// covered reports whether slot, at distance d from the base, is nearer to one of
// kept. Rounding does not count as nearer: what is kept may be a duplicate of the
// base, and would cover all.
func (x *Index) covered(c *linker, slot uint32, d float32, kept []uint32) bool {
	if len(kept) == 0 {
		return false
	}
	x.set.Retrace(&c.other, c.sv, slot)
	d -= x.set.Rounding(&c.other, d)
	for from := 0; from < len(kept); from += 4 {
		part := kept[from:min(from+4, len(kept))]
		x.set.Near(&c.other, c.sv, part, c.near[:], d)
		for _, k := range c.near[:len(part)] {
			if k < d {
				return true
			}
		}
	}
	return false
}
