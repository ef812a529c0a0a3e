package hnsw

import (
	"context"
	"math"
	"sync/atomic"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/eiderdb/eider/index"
)

const (
	trials       = 3       // of each measurement; the fastest counts
	trialStep    = 8       // a trial of a scan takes every so manieth slot
	trialRows    = 512     // at least, if there are so many
	trialNumbers = 1 << 20 // components of them all, at least: short scans may go another way
	trialEf      = 32      // pool of a trial walk
	unscored     = 1e-9    // seconds below which a clock tells nothing
)

// measured is what searches of an index took when it had n slots.
type measured struct {
	n int
	index.Costs
}

// costs returns the measured costs of x, which it measures, in about a
// millisecond, when x has grown fourfold since: rows that left the processor's
// caches cost more. All searches in between plan by the same figures, so equal
// filters get equal plans. Errors: the context's and those of src.
func (x *Index) costs(ctx context.Context, c *searcher, src index.Source) (index.Costs, error) {
	old := x.cost.Load()
	if n := x.set.Slots(); old == nil || n/4 >= old.n {
		m, err := x.measure(ctx, c, src)
		if err != nil {
			return m, err
		}
		x.cost.CompareAndSwap(old, &measured{n, m})
	}
	return x.cost.Load().Costs, nil
}

// measure times a scan of some rows, a walk, and following links, each in several
// parts of the index. It uses c's pools and bits.
func (x *Index) measure(ctx context.Context, c *searcher, src index.Source) (index.Costs, error) {
	inf := math.Inf(1)
	best := index.Costs{Scan: inf, Walk: inf, Link: inf}
	n := min(x.set.Slots(), int(c.limit))
	rows := min(max(trialRows, trialNumbers/x.cfg.Dim), n)
	step := max(1, min(trialStep, n/rows))
	for t := range trials {
		ids := roaring.New()
		for s := (n - rows*step) / trials * t; s < n && rows > int(ids.GetCardinality()); s += step {
			ids.Add(atomic.LoadUint32(&c.sv.IDs[s]))
		}
		start := time.Now()
		m, err := c.scan.Allowed(ctx, x.set, c.sv, &c.probe, 0, ids, 10, src)
		if err != nil {
			return best, err
		}
		best.Scan = min(best.Scan, perUnit(start, m))
	}
	c.bits = grown(c.bits, n/64+1)
	for i := range c.bits {
		c.bits[i] = 0x0001000100010001
	}
	c.allow = admission{ids: c.sv.IDs, live: c.sv.Live, dense: c.bits}
	for t := range trials {
		x.set.Ask(&c.away, c.sv, uint32(n*(2*t+1)/(2*trials)))
		if err := x.trial(ctx, c, &best); err != nil {
			return best, err
		}
	}
	best.Fresh /= trials
	c.hops, c.scored, c.links = 0, 0, 0
	return best, nil
}

// trial times a walk to the node that c.away holds, and one over the few nodes
// around it that c.allow admits, which spends most of its time on links.
func (x *Index) trial(ctx context.Context, c *searcher, best *index.Costs) error {
	c.turn()
	c.hops, c.scored, c.links = 0, 0, 0
	start := time.Now()
	at, d := x.descend(c, &c.away, c.entry, 0)
	c.pool.reset(trialEf)
	c.see(at)
	c.pool.insert(d, at)
	if err := x.walk(ctx, c, &c.away, 0); err != nil {
		return err
	}
	best.Walk = min(best.Walk, perUnit(start, c.scored))
	best.Fresh += float64(c.scored) / float64(max(c.hops, 1))
	c.scored, c.links = 0, 0
	start = time.Now()
	c.turn()
	c.found.reset(trialEf)
	if _, err := x.bridge(ctx, c, &c.away, at, budget{limit: math.Inf(1)}); err != nil {
		return err
	}
	took := perUnit(start, 1)
	links := max(took-float64(c.scored)*best.Walk, took/8) // what is left for them
	best.Link = min(best.Link, links/float64(max(c.links, 1)))
	return nil
}

// perUnit is the nanoseconds since start for each of n.
func perUnit(start time.Time, n int) float64 {
	return max(time.Since(start).Seconds(), unscored) * 1e9 / float64(max(n, 1))
}
