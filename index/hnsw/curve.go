package hnsw

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/eiderdb/eider/index"
)

// curve is recall by size of pool as a calibration measured it.
type curve struct {
	n       int          // live vectors then
	asked   bool         // of queries that were asked, not of stored vectors
	tried   bool         // to measure those
	courses []course     // by the last block of codes that walks go by
	points  []index.Pool // of all courses
}

// course is recall by size of pool where walks go by some blocks of the codes.
type course struct {
	points []index.Pool
	most   int     // pool from which on a scan took less time than a walk, 0 if none
	unit   float64 // nanoseconds of a distance, all that goes with it included
	toll   float64 // nanoseconds of a search beside its walk
}

// usual is the recall that a search is for which says nothing: missing one hit in
// fifty is rarely noticed, one in twenty is.
const usual = 0.98

// sought is the recall that index.DefaultEf is usually good for.
const sought = 0.95

// newCourse sums up the shares found by each query at each place of grid. A point
// is the mean less its standard error, and no more than any after it. Where nothing
// was missed, one hit of all that were sought is taken to be at the first such pool,
// and a quarter of that at twice the pool: what is missed falls at least so fast.
func newCourse(prefix int, grid []int, found [][]float64, scored []int) (c course) {
	if len(found) == 0 {
		return c
	}
	count := float64(len(found))
	all := 0 // the first pool that missed nothing
	for i, ef := range grid {
		var sum, squares float64
		for _, f := range found {
			sum += f[i]
			squares += f[i] * f[i]
		}
		mean := sum / count
		err := math.Sqrt(max(0, squares/count-mean*mean) / count)
		if sum == count {
			if all == 0 {
				all = ef
			}
			err = math.Pow(float64(all)/float64(ef), 2) / (counted * count)
		}
		c.points = append(c.points, index.Pool{Prefix: prefix, Ef: ef, Recall: max(0, mean-err), Distances: scored[i] / len(found)})
	}
	for i := len(c.points) - 2; i >= 0; i-- {
		c.points[i].Recall = min(c.points[i].Recall, c.points[i+1].Recall)
	}
	return c
}

// pool is the least pool that reaches recall, between points by interpolation, and
// what a walk with it costs, in nanoseconds; 0 if none does.
func (c *course) pool(recall float64) (ef, cost float64) {
	for i, p := range c.points {
		if p.Recall < recall {
			continue
		}
		ef, scored := float64(p.Ef), float64(p.Distances)
		if i > 0 {
			o := c.points[i-1]
			share := (recall - o.Recall) / (p.Recall - o.Recall)
			ef = float64(o.Ef) + (ef-float64(o.Ef))*share
			scored = float64(o.Distances) + (scored-float64(o.Distances))*share
		}
		return ef, c.toll + c.unit*scored
	}
	return 0, 0
}

// pool is the pool that reaches recall among n vectors for k hits, and the last
// block to walk by, of the first levels blocks; of those that do, the pair of least
// cost; 0 if none does.
func (c *curve) pool(recall float64, n, k, levels int) (ef, level int) {
	least := math.Inf(1)
	for i := range c.courses[:min(levels, len(c.courses))] {
		if e, cost := c.courses[i].pool(recall); e > 0 && cost < least {
			times, more := c.scale(n, k)
			ef, level, least = int(math.Ceil(e*times+more)), i, cost
		}
	}
	return ef, level
}

// scale is what turns a pool of the curve into one that does as well for k hits
// among n vectors: so many times as large, and more. Fitted to pools for 1 to 300
// hits, of 60,000 x 784 images and of 100,000 x 128 clustered and 40,000 x 128
// spread vectors, where it errs to larger pools.
func (c *curve) scale(n, k int) (times, more float64) {
	times = float64(index.DefaultEf(max(n, c.n), 0)) / float64(index.DefaultEf(c.n, 0))
	if k > counted {
		times *= math.Pow(float64(k)/counted, 0.25)
		more = float64(k - counted)
	}
	return times, more
}

// predict is the recall that a pool of ef is predicted to have in walks by the blocks
// up to level, and whether a scan is likely to take less time.
func (c *curve) predict(ef, level, n, k int) (recall float64, scan bool) {
	if level >= len(c.courses) {
		return 0, false
	}
	r := &c.courses[level]
	times, more := c.scale(n, k)
	at := (float64(ef) - more) / times
	scan = r.most > 0 && at >= float64(r.most)
	var last index.Pool
	for _, p := range r.points {
		if at < float64(p.Ef) {
			return last.Recall + (p.Recall-last.Recall)*max(0, at-float64(last.Ef))/float64(p.Ef-last.Ef), scan
		}
		last = p
	}
	return last.Recall, scan
}

// ef is the pool size that p asks for, the last block of the codes to walk by, and the
// recall predicted of that, 0 if it is not known: by p.Recall, p.Ef, the
// configuration, or the usual recall. A pool that is given is of a walk by the first
// block, so that its hits do not depend on what was measured. A pool of n means that a scan is better.
func (x *Index) ef(p index.Params, n int) (ef, level int, recall float64) {
	narrow := p.Width > 0 && p.Width < x.cfg.Dim
	c := x.curve.Load()
	ef = p.Ef
	if p.Recall > 0 {
		ef = 0
	} else if ef <= 0 {
		ef = x.cfg.Ef
	}
	switch {
	case ef > 0:
	case p.Recall >= 1:
		return n, level, 1
	case c == nil:
		ef = guess(p.Recall, n, p.K)
	case p.Recall > 0:
		if ef, level = c.pool(p.Recall, n, p.K, len(c.courses)); ef == 0 {
			return n, level, 1
		}
	default:
		// An audit makes sure that walks by the first block find each vector.
		if ef, level = c.pool(usual, n, p.K, 1); ef == 0 {
			ef, level = c.pool(usual, n, p.K, len(c.courses))
		}
		if ef == 0 && len(c.courses) > 0 && x.plain(p) {
			return n, level, 1
		}
		// Stored vectors may be easier to find than what is asked, and the curve is
		// not of filtered walks.
		if !c.asked || !x.plain(p) {
			ef = max(ef, guess(0, n, p.K))
		}
	}
	if narrow && c != nil && p.Ef <= 0 {
		ef *= narrowed
	}
	chosen := p.Recall > 0 || p.Ef <= 0 && x.cfg.Ef <= 0
	ef = max(ef, x.set.Slack(p))
	if narrow {
		return ef, 0, 0
	}
	if c == nil {
		return ef, level, 0
	}
	recall, scan := c.predict(ef, level, n, p.K)
	if chosen && scan && p.Allow == nil {
		return n, level, 1
	}
	return ef, level, recall
}

// narrowed is by how much larger pools are where distances are over fewer
// components than the curve is of.
const narrowed = 2

// guess is a pool for recall among n vectors while there is no curve: the default
// for little, more of it the fewer may be missed.
func guess(recall float64, n, k int) int {
	ef := float64(index.DefaultEf(n, k))
	if recall > sought {
		f := math.Log(1-recall) / math.Log(1-sought)
		ef *= f * f
	}
	return int(min(ef, float64(n)))
}

// asked keeps some of the queries that were asked last.
type asked struct {
	mu    sync.Mutex // never waited for by a search
	rows  []float32
	dim   int
	count atomic.Int64 // kept so far, some of them overwritten since
}

// sparse is how many searches of one searcher pass for each that is kept.
const sparse = 4

// note keeps q once in a while.
func (a *asked) note(x *Index, c *searcher, q []float32, p index.Params) {
	if c.passed++; c.passed%sparse != 0 || p.Width > 0 && p.Width < len(q) || !a.mu.TryLock() {
		return
	}
	if a.rows == nil {
		a.rows, a.dim = make([]float32, samples*len(q)), len(q)
	}
	n := a.count.Load()
	copy(a.rows[int(n%samples)*a.dim:], q)
	a.count.Store(n + 1)
	a.mu.Unlock()
	if n+1 == samples {
		x.wake()
	}
}

// full reports whether there are enough for a calibration.
func (a *asked) full() bool { return a.count.Load() >= samples }

// take returns copies of n of the queries, evenly over time; nil if there are not
// enough.
func (a *asked) take(n int) [][]float32 {
	if !a.full() {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make([][]float32, n)
	for i := range out {
		from := i * samples / n * a.dim
		out[i] = append([]float32(nil), a.rows[from:from+a.dim]...)
	}
	return out
}
