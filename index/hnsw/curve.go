package hnsw

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/eiderdb/eider/index"
)

// curve is recall by size of pool as a calibration measured it.
type curve struct {
	n      int  // live vectors then
	asked  bool // of queries that were asked, not of stored vectors
	tried  bool // to measure those
	points []index.Pool
	most   int // pool from which on a scan took less time than a walk, 0 if none
}

// usual is the recall that a search is for which says nothing: missing one hit in
// fifty is rarely noticed, one in twenty is.
const usual = 0.98

// sought is the recall that index.DefaultEf is usually good for.
const sought = 0.95

// newCurve sums up the shares found by each query at each place of grid. A point
// is the mean less its standard error, and no more than any after it. Where nothing
// was missed, one hit of all that were sought is taken to be at the first such pool,
// and a quarter of that at twice the pool: what is missed falls at least so fast.
func newCurve(n int, grid []int, found [][]float64, scored []int) *curve {
	c := &curve{n: n}
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
		c.points = append(c.points, index.Pool{Ef: ef, Recall: max(0, mean-err), Distances: scored[i] / len(found)})
	}
	for i := len(c.points) - 2; i >= 0; i-- {
		c.points[i].Recall = min(c.points[i].Recall, c.points[i+1].Recall)
	}
	return c
}

// pool is the least pool that reaches recall among n vectors for k hits, between
// points by interpolation; 0 if none does.
func (c *curve) pool(recall float64, n, k int) int {
	for i, p := range c.points {
		if p.Recall < recall {
			continue
		}
		ef := float64(p.Ef)
		if i > 0 {
			o := c.points[i-1]
			ef = float64(o.Ef) + (ef-float64(o.Ef))*(recall-o.Recall)/(p.Recall-o.Recall)
		}
		times, more := c.scale(n, k)
		return int(math.Ceil(ef*times + more))
	}
	return 0
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

// predict is the recall that a pool of ef is predicted to have, and whether a scan
// is likely to take less time than its walk.
func (c *curve) predict(ef, n, k int) (recall float64, scan bool) {
	times, more := c.scale(n, k)
	at := (float64(ef) - more) / times
	scan = c.most > 0 && at >= float64(c.most)
	var last index.Pool
	for _, p := range c.points {
		if at < float64(p.Ef) {
			return last.Recall + (p.Recall-last.Recall)*max(0, at-float64(last.Ef))/float64(p.Ef-last.Ef), scan
		}
		last = p
	}
	return last.Recall, scan
}

// ef is the pool size that p asks for and the recall predicted of it, 0 if that
// is not known: by p.Recall, p.Ef, the configuration, or the usual recall. A pool
// of n means that a scan is better.
func (x *Index) ef(p index.Params, n int) (int, float64) {
	narrow := p.Width > 0 && p.Width < x.cfg.Dim
	c := x.curve.Load()
	ef := p.Ef
	if p.Recall > 0 {
		ef = 0
	} else if ef <= 0 {
		ef = x.cfg.Ef
	}
	switch {
	case ef > 0:
	case p.Recall >= 1:
		return n, 1
	case c == nil:
		ef = guess(p.Recall, n, p.K)
	case p.Recall > 0:
		if ef = c.pool(p.Recall, n, p.K); ef == 0 {
			return n, 1
		}
	default:
		ef = c.pool(usual, n, p.K)
		if ef == 0 && len(c.points) > 0 && x.plain(p) {
			return n, 1
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
	if c == nil || narrow {
		return ef, 0
	}
	recall, scan := c.predict(ef, n, p.K)
	if chosen && scan && p.Allow == nil {
		return n, 1
	}
	return ef, recall
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
