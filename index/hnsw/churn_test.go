//go:build unix

package hnsw_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/index/hnsw"
	"github.com/eiderdb/eider/internal/dataset"
)

const (
	turnovers = 10
	batches   = 10 // of a turnover
	cells     = 200
)

// churn is an index whose vectors are replaced, and what it should hold.
type churn struct {
	tb      testing.TB
	r       *rand.Rand
	cfg     index.Config
	x       *hnsw.Index
	rows    dataset.Matrix // those that live, first, and those that wait to
	queries dataset.Matrix
	cell    []int // row -> the nearest of some rows: a cluster
	live    []int // rows
	spare   []int
	id      []uint32 // row -> id while live
	next    uint32
	lsn     uint64
	drains  bool
	built   float64       // vectors a CPU second, at first
	work    time.Duration // CPU time of churn
	changed int           // replacements in it
}

// newChurn makes an index of the first n rows.
func newChurn(tb testing.TB, rows, queries dataset.Matrix, n int, codes index.Codes) *churn {
	c := &churn{tb: tb, r: rand.New(rand.NewPCG(1, 2)), rows: rows, queries: queries, drains: true}
	c.cfg = index.Config{Dim: rows.Cols, EfConstruction: 100, Seed: 1, MaxFresh: 1000, Codes: codes}
	c.id = make([]uint32, rows.Rows)
	c.cell = make([]int, rows.Rows)
	pivots := c.r.Perm(rows.Rows)[:cells]
	for i := range c.cell {
		best := float32(1e30)
		for p, at := range pivots {
			if d := apart(rows.Row(i), rows.Row(at), best); d < best {
				best, c.cell[i] = d, p
			}
		}
	}
	var err error
	if c.x, err = hnsw.New(c.cfg); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.x.Close() })
	for i := range rows.Rows {
		c.spare = append(c.spare, i)
	}
	start := cpu()
	c.insert(n, nil)
	c.drain()
	c.built = float64(n) / (cpu() - start).Seconds()
	return c
}

// apart is the squared distance of a and b, or something beyond limit.
func apart(a, b []float32, limit float32) (sum float32) {
	for i := 0; i < len(a) && sum < limit; i += 16 {
		to := min(i+16, len(a))
		for j := i; j < to; j++ {
			d := a[j] - b[j]
			sum += d * d
		}
	}
	return sum
}

func (c *churn) drain() {
	if err := c.x.Drain(context.Background()); err != nil {
		c.tb.Fatal(err)
	}
}

// insert makes n spare rows live, none of a cell in but.
func (c *churn) insert(n int, but map[int]bool) {
	for i := 0; n > 0 && i < len(c.spare); {
		j := i + c.r.IntN(len(c.spare)-i)
		row := c.spare[j]
		if but[c.cell[row]] {
			c.spare[i], c.spare[j] = c.spare[j], c.spare[i]
			i++
			continue
		}
		c.spare[j] = c.spare[len(c.spare)-1]
		c.spare = c.spare[:len(c.spare)-1]
		c.id[row] = c.next
		c.next++
		if err := c.x.Insert(context.Background(), c.id[row], c.rows.Row(row)); err != nil {
			c.tb.Fatal(err)
		}
		c.live = append(c.live, row)
		n--
	}
}

// remove deletes the live rows at places i where dies(row), up to n.
func (c *churn) remove(n int, dies func(row int) bool) (removed int) {
	c.lsn++
	c.r.Shuffle(len(c.live), func(i, j int) { c.live[i], c.live[j] = c.live[j], c.live[i] })
	kept := c.live[:0]
	for _, row := range c.live {
		if removed < n && (dies == nil || dies(row)) {
			removed++
			c.x.Delete(c.id[row], c.lsn)
			c.spare = append(c.spare, row)
			continue
		}
		kept = append(kept, row)
	}
	c.live = kept
	c.x.Release(c.lsn)
	return removed
}

// timed runs a step of churn that makes n replacements.
func (c *churn) timed(n int, step func()) {
	start := cpu()
	step()
	if c.drains {
		c.drain()
	}
	c.work += cpu() - start
	c.changed += n
}

func cpu() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// random replaces a turnover's worth of rows drawn at random.
func (c *churn) random() {
	n := len(c.live)
	for range batches {
		c.timed(n/batches, func() {
			c.remove(n/batches, nil)
			c.insert(n/batches, nil)
		})
	}
}

// clusters deletes whole cells at a time until all have been, and inserts rows of
// others.
func (c *churn) clusters() {
	order := c.r.Perm(cells)
	for b := range batches {
		dying := map[int]bool{}
		for _, cell := range order[b*cells/batches : (b+1)*cells/batches] {
			dying[cell] = true
		}
		n := 0
		c.timed(0, func() { n = c.remove(len(c.live), func(row int) bool { return dying[c.cell[row]] }) })
		c.timed(n, func() { c.insert(n, dying) })
	}
}

// shrink deletes four fifths.
func (c *churn) shrink() {
	n := len(c.live) * 4 / 5
	c.timed(0, func() { c.remove(n, nil) })
}

// steady is random in commits of a hundred, with no pause, while others search.
func (c *churn) steady() {
	n := len(c.live)
	var stop atomic.Bool
	var wg sync.WaitGroup
	var worst atomic.Int64
	wg.Go(func() {
		for i := 0; !stop.Load(); i++ {
			start := time.Now()
			hits, _, err := c.x.Search(context.Background(), c.queries.Row(i%c.queries.Rows), index.Params{K: 10, Ef: 64}, nil)
			if err != nil || len(hits) != 10 {
				c.tb.Errorf("%d hits, %v", len(hits), err)
				return
			}
			worst.Store(max(worst.Load(), int64(time.Since(start))))
			time.Sleep(time.Millisecond)
		}
	})
	var slowest time.Duration
	for range n / 100 {
		start := time.Now()
		c.remove(100, nil)
		slowest = max(slowest, time.Since(start))
		c.insert(100, nil)
	}
	stop.Store(true)
	wg.Wait()
	c.tb.Logf("slowest search %v, slowest 100 deletes %v, %d slots", time.Duration(worst.Load()), slowest, hnsw.Slots(c.x))
}

// gauge is what is measured of an index.
type gauge struct {
	recall, cost [2]float64 // at each ef
	lost         [2]int     // rows not found by their own query, at the first ef and by default
	degree       float64
}

func (c *churn) measure(x *hnsw.Index, efs [2]int, self bool) (g gauge) {
	ctx := context.Background()
	for q := range c.queries.Rows {
		query := c.queries.Row(q)
		truth, _, err := x.Search(ctx, query, index.Params{K: 10, Exact: true}, nil)
		if err != nil {
			c.tb.Fatal(err)
		}
		for i, ef := range efs {
			hits, w, err := x.Search(ctx, query, index.Params{K: 10, Ef: ef}, nil)
			if err != nil {
				c.tb.Fatal(err)
			}
			for _, h := range hits {
				if h.Distance <= truth[len(truth)-1].Distance {
					g.recall[i]++
				}
			}
			g.cost[i] += float64(w.Distances)
		}
	}
	for i := range efs {
		g.recall[i] /= float64(c.queries.Rows * 10)
		g.cost[i] /= float64(c.queries.Rows)
	}
	if self {
		var wg sync.WaitGroup
		var lost [2]atomic.Int64
		for w := range 2 {
			wg.Go(func() {
				for i := w; i < len(c.live); i += 2 {
					for j, ef := range []int{efs[0], 0} {
						hits, _, err := x.Search(ctx, c.rows.Row(c.live[i]), index.Params{K: 1, Ef: ef}, nil)
						if err != nil || len(hits) != 1 || hits[0].Distance != 0 {
							lost[j].Add(1)
						}
					}
				}
			})
		}
		wg.Wait()
		for j := range lost {
			g.lost[j] = int(lost[j].Load())
		}
	}
	g.degree = hnsw.MeanDegree(x)
	return g
}

// fresh is an index of the live rows, newly built.
func (c *churn) fresh() *hnsw.Index {
	x, err := hnsw.New(c.cfg)
	if err != nil {
		c.tb.Fatal(err)
	}
	for _, row := range c.live {
		if err := x.Insert(context.Background(), c.id[row], c.rows.Row(row)); err != nil {
			c.tb.Fatal(err)
		}
	}
	if err := x.Drain(context.Background()); err != nil {
		c.tb.Fatal(err)
	}
	return x
}

// fit returns the least pools, in steps, that give 0.95 and 0.99 on x.
func (c *churn) fit(x *hnsw.Index) (efs [2]int) {
	at := 0
	for ef := 10; at < 2 && ef < 1000; ef += max(1, ef/8) {
		g := c.measure(x, [2]int{ef, ef}, false)
		for ; at < 2 && g.recall[0] >= []float64{0.95, 0.99}[at]; at++ {
			efs[at] = ef
		}
	}
	if at < 2 {
		c.tb.Fatal("no pool gives recall 0.99")
	}
	return efs
}

// compare logs x beside a fresh build and returns the loss of recall in points
// and the cost ratio, both at the larger ef, and lost rows.
func (c *churn) compare(what string, efs [2]int) {
	got := c.measure(c.x, efs, true)
	f := c.fresh()
	defer f.Close()
	want := c.measure(f, efs, true)
	s := c.x.Stats()
	c.tb.Logf("%-12s recall %.4f %.4f (fresh %.4f %.4f)  cost %.0f %.0f (%.0f %.0f)  lost %v (%v)  degree %.1f (%.1f)  slots/live %.3f  %.2f of fresh bytes",
		what, got.recall[0], got.recall[1], want.recall[0], want.recall[1], got.cost[0], got.cost[1], want.cost[0], want.cost[1],
		got.lost, want.lost, got.degree, want.degree, float64(hnsw.Slots(c.x))/float64(s.Live),
		float64(s.VectorBytes+s.GraphBytes)/float64(f.Stats().VectorBytes+f.Stats().GraphBytes))
	if b, ok := c.tb.(*testing.B); ok {
		b.ReportMetric(100*(want.recall[0]-got.recall[0]), "points-lost@.95")
		b.ReportMetric(100*(want.recall[1]-got.recall[1]), "points-lost@.99")
		b.ReportMetric(got.cost[1]/want.cost[1], "cost-of-fresh")
		b.ReportMetric(float64(got.lost[1]), "unreached")
		b.ReportMetric(float64(c.changed)/c.work.Seconds(), "replaced/CPU-s")
		b.ReportMetric(c.built, "built/CPU-s")
	}
}

// BenchmarkChurn replaces every vector ten times over and compares what is left
// with a fresh build. EIDER_DATA names a folder with fashion-mnist.
func BenchmarkChurn(b *testing.B) {
	for _, set := range []struct {
		name  string
		load  func(testing.TB) (rows, queries dataset.Matrix)
		n     int
		codes index.Codes
	}{
		{"clusters", func(testing.TB) (rows, queries dataset.Matrix) {
			return dataset.Clusters{Rows: 60000, Queries: 500, Dim: 64, Centres: cells, Seed: 1, Floats: true}.Generate()
		}, 20000, ""},
		{"fashion", fashion, 20000, ""},
		{"int8", fashion, 20000, index.Int8},
	} {
		for _, how := range []struct {
			name string
			turn func(*churn, [2]int)
		}{
			{"random", func(c *churn, _ [2]int) { c.random() }},
			{"whole", func(c *churn, _ [2]int) { c.clusters() }},
			{"shrink", func(c *churn, efs [2]int) {
				n := len(c.live)
				c.shrink()
				c.compare("shrunk", efs)
				c.timed(n-len(c.live), func() { c.insert(n-len(c.live), nil) })
			}},
			{"steady", func(c *churn, _ [2]int) {
				c.drains = false
				c.timed(len(c.live), func() { c.steady(); c.drain() })
			}},
		} {
			b.Run(set.name+"/"+how.name, func(b *testing.B) {
				rows, queries := set.load(b)
				for range b.N {
					c := newChurn(b, rows, queries, set.n, set.codes)
					efs := c.fit(c.x)
					b.Logf("ef %v", efs)
					for turn := range turnovers {
						how.turn(c, efs)
						if turn%3 == 0 {
							c.compare(fmt.Sprintf("turnover %d", turn+1), efs)
						}
					}
					c.x.Close()
				}
			})
		}
	}
}

// fashion is the images of Fashion-MNIST.
func fashion(tb testing.TB) (rows, queries dataset.Matrix) {
	dir := os.Getenv("EIDER_DATA")
	if dir == "" {
		tb.Skip("set EIDER_DATA to a folder that holds fashion-mnist")
	}
	read := func(name string, n int) dataset.Matrix {
		f, err := os.Open(filepath.Join(dir, "fashion-mnist", name))
		if err != nil {
			tb.Skip(err)
		}
		defer f.Close()
		d, err := dataset.NewReader(dataset.IDX, f)
		if err != nil {
			tb.Fatal(err)
		}
		m, err := d.Matrix(n)
		if err != nil {
			tb.Fatal(err)
		}
		return m
	}
	return read("train-images-idx3-ubyte.gz", 60000), read("t10k-images-idx3-ubyte.gz", 500)
}
