package eider

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/storage/format"
)

// span is an interval of Morton codes, both ends included.
type span struct{ lo, hi uint64 }

// maxSpans bounds the number of key ranges a geo filter reads. More ranges
// follow the area more tightly; each costs one seek.
const maxSpans = 48

// cover returns Morton ranges that hold every point of box, a superset: the
// quadtree cells that the box's outline crosses are split until maxSpans.
func cover(box index.Box) []span {
	if box.MinLon > box.MaxLon { // across the 180th meridian
		west, east := box, box
		west.MaxLon, east.MinLon = 180, -180
		return append(cover(west), cover(east)...)
	}
	type cell struct {
		code  uint64 // Morton prefix, in the high bits
		depth uint   // two bits each
	}
	bounds := func(c cell) (lo, hi uint64) {
		rest := ^uint64(0)
		if c.depth > 0 {
			rest = ^uint64(0) >> (2 * c.depth)
		}
		return c.code, c.code | rest
	}
	// overlap is 0 for none, 1 for some, 2 when the box holds the whole cell.
	overlap := func(c cell) int {
		lo, hi := bounds(c)
		minLat, minLon := format.Unmorton(lo)
		maxLat, maxLon := format.Unmorton(hi)
		const half = 180.0 / (1 << 32) // codes name the middle of the finest cells
		minLat, minLon, maxLat, maxLon = minLat-half, minLon-half, maxLat+half, maxLon+half
		switch {
		case maxLat < box.MinLat || minLat > box.MaxLat || maxLon < box.MinLon || minLon > box.MaxLon:
			return 0
		case minLat >= box.MinLat && maxLat <= box.MaxLat && minLon >= box.MinLon && maxLon <= box.MaxLon:
			return 2
		}
		return 1
	}
	var done []span
	frontier := []cell{{}}
	for len(frontier) > 0 {
		var next []cell
		for _, c := range frontier {
			switch o := overlap(c); {
			case o == 0:
			case o == 2 || c.depth >= 24:
				lo, hi := bounds(c)
				done = append(done, span{lo, hi})
			default:
				for q := range uint64(4) {
					next = append(next, cell{c.code | q<<(62-2*c.depth), c.depth + 1})
				}
			}
		}
		if len(done)+len(next) > 4*maxSpans {
			for _, c := range next {
				if overlap(c) > 0 {
					lo, hi := bounds(c)
					done = append(done, span{lo, hi})
				}
			}
			break
		}
		frontier = next
	}
	return merge(done)
}

// merge sorts spans and joins those that touch, then those with the smallest
// gaps until maxSpans are left.
func merge(s []span) []span {
	slices.SortFunc(s, func(a, b span) int { return cmp.Compare(a.lo, b.lo) })
	out := s[:0]
	for _, x := range s {
		if n := len(out); n > 0 && out[n-1].hi+1 >= x.lo && out[n-1].hi != ^uint64(0) {
			out[n-1].hi = max(out[n-1].hi, x.hi)
			continue
		}
		out = append(out, x)
	}
	for len(out) > maxSpans {
		at, gap := 0, ^uint64(0)
		for i := 0; i+1 < len(out); i++ {
			if g := out[i+1].lo - out[i].hi; g < gap {
				at, gap = i, g
			}
		}
		out[at].hi = out[at+1].hi
		out = slices.Delete(out, at+1, at+2)
	}
	return out
}

// mortonTerm is the term that the points of a Morton cell begin with.
func mortonTerm(code uint64) []byte {
	key, err := format.AppendKey([]byte{termValue}, format.Geo(0, 0))
	if err != nil {
		panic("eider: a point has no key: " + err.Error())
	}
	binary.BigEndian.PutUint64(key[len(key)-8:], code)
	return key
}
