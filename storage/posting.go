package storage

import (
	"maps"
	"slices"

	"github.com/eiderdb/eider/storage/format"
)

// posting collects the changes of one posting key in order.
type posting []uint32 // ord low 16 bits <<1 | added

// mark changes the live bitmap.
func (g *group) mark(c *collection, ord uint32, alive bool) {
	c.setLive(ord, alive)
	g.keys = be.AppendUint16(appendColl(g.keys[:0], prefixLive, c.info.ID), uint16(ord>>16))
	g.delta(g.keys, ord, alive)
}

// post adds an ord to, or removes it from, the postings of terms.
func (g *group) post(c *collection, terms []Term, ord uint32, add bool) {
	for _, t := range terms {
		g.keys = appendTermKey(g.keys[:0], c.info.ID, t.Index, t.Key)
		g.keys = be.AppendUint16(g.keys, uint16(ord>>16))
		g.delta(g.keys, ord, add)
	}
}

func (g *group) delta(key []byte, ord uint32, add bool) {
	p := g.postings[string(key)]
	if p == nil {
		p = new(posting)
		g.postings[string(key)] = p
	}
	x := uint32(uint16(ord)) << 1
	if add {
		x |= 1
	}
	*p = append(*p, x)
}

// operand encodes a posting: for an ord named twice the last change counts.
func (p posting) operand() []byte {
	if len(p) > 1 {
		slices.SortStableFunc(p, func(a, b uint32) int { return int(a>>1) - int(b>>1) })
		n := 0
		for i := range p {
			if i+1 < len(p) && p[i]>>1 == p[i+1]>>1 {
				continue
			}
			p[n] = p[i]
			n++
		}
		p = p[:n]
	}
	if len(p) > 4096 {
		var s sets
		for _, x := range p {
			if x&1 == 1 {
				s.adds.Add(uint16(x >> 1))
			} else {
				s.removes.Add(uint16(x >> 1))
			}
		}
		return format.AppendSets(nil, &s.adds, &s.removes)
	}
	lists := make([]uint16, 0, len(p))
	for _, want := range [2]uint32{1, 0} {
		for _, x := range p {
			if x&1 == want {
				lists = append(lists, uint16(x>>1))
			}
		}
	}
	adds := 0
	for _, x := range p {
		adds += int(x & 1)
	}
	return format.AppendOperand(nil, lists[:adds], lists[adds:])
}

// flushPostings writes the staged postings into the batch: at its end, so that
// documents of a group share operands, and before a range delete that must not
// cover what comes after it.
func (g *group) flushPostings() error {
	keys := slices.Sorted(maps.Keys(g.postings))
	for _, k := range keys {
		if err := g.batch.Merge([]byte(k), g.postings[k].operand(), nil); err != nil {
			return err
		}
	}
	clear(g.postings)
	g.posted = append(g.posted, keys...)
	return nil
}
