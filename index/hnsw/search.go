package hnsw

import (
	"cmp"
	"context"
	"slices"

	"github.com/eiderdb/eider/index"
)

// Search walks the graph, scans the fresh tail, and merges; see index.Searcher.
// With n vectors at most 2,000, with p.Exact, or where a filter leaves so few
// that a walk cannot be cheaper, it scores all that is allowed. Expected
// O(ef·M·dim + log n).
func (x *Index) Search(ctx context.Context, q []float32, p index.Params, dst []index.Hit) ([]index.Hit, index.Work, error) {
	var w index.Work
	if err := x.set.CheckQuery(q); err != nil {
		return dst, w, err
	}
	c := x.searchers.Get().(*searcher)
	defer x.searchers.Put(c)
	t, ok := x.set.Enter(c.hint)
	if !ok {
		return dst, w, index.ErrClosed
	}
	defer x.set.Leave(t)
	if err := ctx.Err(); err != nil || p.K < 1 {
		return dst, w, err
	}
	x.upkeep.noteSearch()
	c.enter(x)
	n := x.set.Len() + x.set.Dead()
	x.set.Trace(&c.probe, q)
	if err := x.set.Narrow(&c.probe, p.Width); err != nil {
		return dst, w, err
	}
	if p.Exact || n <= small || !x.ready.Load() || c.entry == noEntry {
		return x.exact(ctx, c, p, dst, w)
	}
	ef, level, predicted := x.ef(p, n)
	c.copies = max(x.set.Slack(p), x.m0/4)
	if ef >= n/2 {
		return x.exact(ctx, c, p, dst, w)
	}
	x.set.Reach(&c.probe, level)
	x.asked.note(x, c, q, p)
	w.Ef, w.Recall = ef, predicted
	if x.plain(p) {
		return x.near(ctx, c, p, ef, dst, w)
	}
	return x.sifted(ctx, c, p, ef, dst, w)
}

// plain reports whether nearly every slot a walk meets may be a hit.
func (x *Index) plain(p index.Params) bool { return p.Allow == nil && 8*x.set.Dead() <= x.set.Len() }

// visible is the number of nodes in the pool that may be hits.
func (x *Index) visible(c *searcher, at uint64) (n int) {
	for _, e := range c.pool.e {
		if x.set.Visible(e.slot&slotMask, at) {
			n++
		}
	}
	return n
}

// exact scores all that p allows.
func (x *Index) exact(ctx context.Context, c *searcher, p index.Params, dst []index.Hit, w index.Work) ([]index.Hit, index.Work, error) {
	out, scored, err := c.scan.Exact(ctx, x.set, &c.probe, p, dst)
	w.Distances += scored
	w.Exact, w.Ef, w.Recall = true, 0, 1
	return out, w, err
}

// near is the walk where nearly every node may be a hit.
func (x *Index) near(ctx context.Context, c *searcher, p index.Params, ef int, dst []index.Hit, w index.Work) ([]index.Hit, index.Work, error) {
	c.allow = admission{at: p.At, ids: c.sv.IDs, live: c.sv.Live}
	least := 0 // visible nodes below which the dead around the query are too many
	if dead := x.set.Dead(); dead > 0 {
		least = ef * 3 / 4
		ef += 1 + ef*dead/max(1, x.set.Len())
	}
	for ; ; ef *= 4 {
		w.Ef = ef
		// The tail first: what leaves it during the walk is then still scored.
		c.tail = x.fresh.copy(c.tail[:0])
		c.turn()
		at, d := x.descend(c, &c.probe, c.entry, 0)
		c.pool.reset(ef)
		c.see(at)
		c.pool.insert(d, at)
		err := x.walk(ctx, c, &c.probe, 0)
		if err == nil {
			err = x.scanTail(ctx, c, p.At, &c.pool, &w)
		}
		w.Hops, w.Distances = c.hops, c.scored
		if err != nil {
			return dst, w, err
		}
		if least > 0 && c.pool.full() && x.visible(c, p.At) < least {
			return x.sifted(ctx, c, p, ef, dst, w)
		}
		out, err := x.hits(c, c.pool.e, p, dst, &w)
		if err != nil {
			return dst, w, err
		}
		if len(out)-len(dst) >= p.K {
			return out, w, nil
		}
		// Fewer than k: accept refused many, or the graph has fewer live nodes.
		if len(c.pool.e) < ef || ef >= x.set.Slots()/4 {
			return x.exact(ctx, c, p, dst, w)
		}
	}
}

// scanTail scores the fresh slots that the walk did not meet into p.
func (x *Index) scanTail(ctx context.Context, c *searcher, at uint64, p *pool, w *index.Work) error {
	m := 0
	flush := func() {
		x.set.Near(&c.probe, c.sv, c.slots[:m], c.out, p.limit())
		x.offer(c, p, c.slots[:m], c.out[:m])
		w.Fresh += m
		c.scored += m
		m = 0
	}
	elements := 0
	for _, slot := range c.tail {
		if !c.allow.admits(x, slot) || !c.see(slot) {
			continue
		}
		c.slots[m] = slot
		if m++; m == len(c.slots) {
			flush()
			if elements += len(c.slots) * x.cfg.Dim; elements > 1<<18 {
				elements = 0
				if done(ctx) {
					return ctx.Err()
				}
			}
		}
	}
	if m > 0 {
		flush()
	}
	return nil
}

// hits appends the first of e that are visible and accepted, nearest first, to
// dst. It scores them again by the whole-row kernel, whose rounding is that of an
// exact scan, and puts ties in order of id.
func (x *Index) hits(c *searcher, e []entry, p index.Params, dst []index.Hit, w *index.Work) ([]index.Hit, error) {
	want := x.set.Slack(p)
	width := x.cfg.Dim
	if p.Width > 0 {
		width = p.Width
	}
	e, level := x.funnel(c, e, want, width)
	w.Prefix, w.Depth = x.set.Width(c.probe.Depth()), x.set.Width(level)
	top := &c.scan.Top
	top.Reset(want)
	for i := 0; i < len(e); {
		if top.Len() == want && width == x.cfg.Dim && x.set.Least(&c.probe, c.sv, e[i].slot&slotMask, level, e[i].d) > top.Limit() {
			break
		}
		m := 0
		for ; i < len(e) && m < min(want+4, len(c.slots)); i++ {
			if slot := e[i].slot & slotMask; x.set.Visible(slot, p.At) {
				c.slots[m] = slot
				m++
			}
		}
		w.Rescored += m
		if err := c.scan.Slots(x.set, c.sv, &c.probe, c.slots[:m], p.Source); err != nil {
			return dst, err
		}
	}
	return x.set.Pick(dst, top.Sort(), p), nil
}

// funnel deepens e by every block of the codes within width that is worth it, and
// returns what is left of it and the last level that its distances have.
func (x *Index) funnel(c *searcher, e []entry, want, width int) ([]entry, int) {
	level := c.probe.Depth()
	for next := level + 1; next < x.set.Levels() && x.set.Width(next) <= width && len(e) > x.set.Toll(next); next++ {
		e, level = x.deepen(c, e, next, want), next
	}
	return e, level
}

// deepen adds what block level of the codes adds to the distances of e, sorts e
// again and returns it; from the second block after those of the walk on, the nearer
// half of it: the funnel of nested vectors.
func (x *Index) deepen(c *searcher, e []entry, level, want int) []entry {
	if level > c.probe.Depth()+1 {
		e = e[:min(len(e), max(len(e)/2, 4*want))]
	}
	for from := 0; from < len(e); from += len(c.slots) {
		part := e[from:min(len(e), from+len(c.slots))]
		for i := range part {
			c.slots[i] = part[i].slot & slotMask
		}
		x.set.Deepen(&c.probe, c.sv, level, c.slots[:len(part)], c.out)
		for i := range part {
			part[i].d += c.out[i]
		}
	}
	slices.SortFunc(e, func(a, b entry) int { return cmp.Compare(a.d, b.d) })
	return e
}
