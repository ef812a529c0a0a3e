package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"text/tabwriter"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/index/flat"
	"github.com/eiderdb/eider/internal/dataset"
	"github.com/eiderdb/eider/internal/metric"
)

const (
	enough  = 0.98 // recall at which speeds under a filter are compared
	anchors = 4    // groups of queries, each around a row
	wider   = 10   // queries read for each that is asked
)

// shares are the selectivities measured, as parts of the base; the peer runs at
// those from peerFrom to peerTo.
var shares = []float64{0.9, 0.5, 0.2, 0.1, 0.05, 0.01, 0.001, 0.0001}

const peerFrom, peerTo = 0.1, 0.001

// ladder are the pools tried until recall is enough.
var ladder = []int{10, 20, 40, 80, 160, 320, 640}

// Filter measures search under a predicate: recall@10, speed, tail latency, and
// answers with fewer hits than exist, at selectivities from 90 to 0.01 %. Queries
// come in groups, each around an anchor, a row of the base. What matches is
//
//	random  rows drawn at random
//	near    the rows nearest to the anchor, so that matches surround the queries
//	far     the rows nearest to a row far from the anchor: a cluster elsewhere
//	rim     the rows farthest from the anchor: matches avoid the queries
//
// Each cell is compared, in turns, with the same queries unfiltered and with a scan
// of all that matches, which shows where the plan is wrong; and at 10, 1 and 0.1 %
// with hnswlib's filter functor, which runs once. Every engine is given the smallest ef of a ladder
// whose recall is at least 0.98.
func Filter(ctx context.Context, o Options, w io.Writer) error {
	rows, queries := 0, 200
	if o.Quick {
		rows, queries = 20_000, 40
	}
	if o.Queries > 0 {
		queries = o.Queries
	}
	pool := o
	pool.Queries = wider * queries
	s, err := load(pool, rows, 0)
	if err != nil {
		return err
	}
	f := &filtering{o: o, reps: 3, rivals: map[string]*climb{}, report: newReport("filter", s.Name, o, w)}
	f.report.brief = true
	f.gather(s, queries)
	f.report.printf("%s, %s, k=%d, M=%d, efConstruction=%d, %d queries around %d anchors, one search thread, %s\n",
		s.Name, s.Metric, annK, annM, annEfC, f.set.Queries.Rows, len(f.groups), cpuName())
	shop, err := newWorkshop(f.set)
	if err != nil {
		return err
	}
	defer shop.close()
	f.shop = shop
	defer f.close()
	if err := f.assemble(ctx, shop); err != nil {
		return err
	}
	for _, codes := range o.codes() {
		if err := f.run(ctx, codes); err != nil {
			return err
		}
	}
	return f.report.finish(o)
}

// filtering is one run of the suite.
type filtering struct {
	o      Options
	set    *Set // its queries in the order of groups
	shop   *workshop
	groups []group
	report *report
	own    *graph
	oracle *flat.Index
	peer   *peer             // nil when absent
	rivals map[string]*climb // what the peer did, by predicate
	plain  *climb            // Eider's search without a filter
	reps   int
	hits   []index.Hit
	cells  []cell
}

// group is queries first..first+set.Queries.Rows-1 of the whole, all near a row.
type group struct {
	set    *Set
	first  int
	anchor []float32
	away   []float32 // a row far from the anchor
}

func (f *filtering) close() {
	if f.oracle != nil {
		f.oracle.Close()
	}
	if f.peer != nil {
		f.peer.close()
	}
}

// gather chooses anchors among the rows, and for each its share of the queries,
// nearest first. A row far away is one at nine tenths of all distances from the
// anchor: the farthest of all would be an outlier.
func (f *filtering) gather(s *Set, queries int) {
	r := rand.New(rand.NewPCG(f.o.seed(), 5))
	n := min(anchors, queries)
	all := dataset.Matrix{Cols: s.Queries.Cols}
	used := make([]bool, s.Queries.Rows)
	f.set = &Set{Name: s.Name, Base: s.Base, Metric: s.Metric}
	for i := range n {
		g := group{first: all.Rows, anchor: s.Base.Row(r.IntN(s.Base.Rows))}
		byFar := nearestFirst(s.Metric, s.Base, g.anchor)
		g.away = s.Base.Row(int(byFar[len(byFar)*9/10]))
		for _, q := range nearestFirst(s.Metric, s.Queries, g.anchor) {
			if all.Rows == queries*(i+1)/n {
				break
			}
			if !used[q] {
				used[q] = true
				all.Data = append(all.Data, s.Queries.Row(int(q))...)
				all.Rows++
			}
		}
		f.groups = append(f.groups, g)
	}
	f.set.Queries = all
	for i := range f.groups {
		g, end := &f.groups[i], all.Rows
		if i+1 < n {
			end = f.groups[i+1].first
		}
		own := dataset.Matrix{Rows: end - g.first, Cols: all.Cols, Data: all.Data[g.first*all.Cols : end*all.Cols]}
		g.set = &Set{Name: s.Name, Base: s.Base, Queries: own, Metric: s.Metric}
	}
}

// nearestFirst is the rows of m in order of distance from v.
func nearestFirst(by index.Metric, m dataset.Matrix, v []float32) []uint32 {
	d := make([]float32, m.Rows)
	ids := make([]uint32, m.Rows)
	for i := range ids {
		ids[i], d[i] = uint32(i), distance(by, v, m.Row(i))
	}
	slices.SortFunc(ids, func(a, b uint32) int {
		switch {
		case d[a] < d[b]:
			return -1
		case d[a] > d[b]:
			return 1
		}
		return int(a) - int(b)
	})
	return ids
}

func (f *filtering) assemble(ctx context.Context, shop *workshop) error {
	threads := runtime.GOMAXPROCS(0)
	x, err := flat.New(index.Config{Dim: f.set.Base.Cols, Metric: f.set.Metric, Workers: 1})
	if err != nil {
		return err
	}
	f.oracle = x
	if err := insertAll(ctx, x, f.set.Base, threads); err != nil {
		return err
	}
	if !slices.Contains(f.o.peers([]string{"hnswlib"}), "hnswlib") {
		return nil
	}
	f.o.log("building hnswlib")
	p, err := shop.start(ctx, "hnswlib")
	if err == nil && !p.native {
		err = errors.New("only the C++ runner filters; install g++ and run bench/peers/install")
	}
	if err == nil {
		err = p.filter(ctx, nil)
	}
	if err == nil {
		_, err = p.build(ctx, annM, annEfC, threads)
	}
	if err != nil {
		if p != nil {
			p.close()
		}
		f.report.absent("hnswlib", err.Error())
		return ctx.Err()
	}
	f.peer = p
	return nil
}

// run measures Eider with one form of codes.
func (f *filtering) run(ctx context.Context, codes string) error {
	f.own = &graph{set: f.set, seed: int64(f.o.seed()), codes: codes, shop: f.shop}
	defer f.own.close()
	f.o.log("building %s on %s", f.own.name(), f.set.Name)
	if _, err := f.own.build(ctx, annM, annEfC, runtime.GOMAXPROCS(0)); err != nil {
		return fmt.Errorf("building the index with codes %q: %w", codes, err)
	}
	f.report.engine(f.own)
	f.cells = f.cells[:0]
	if err := f.matrix(ctx); err != nil {
		return err
	}
	f.table()
	return nil
}

// orders is, for each group, all rows such that any prefix is a predicate.
func (f *filtering) orders(kind string) [][]uint32 {
	out := make([][]uint32, len(f.groups))
	random := make([]uint32, f.set.Base.Rows)
	for i := range random {
		random[i] = uint32(i)
	}
	r := rand.New(rand.NewPCG(f.o.seed(), 6))
	r.Shuffle(len(random), func(i, j int) { random[i], random[j] = random[j], random[i] })
	for i, g := range f.groups {
		switch kind {
		case "random":
			out[i] = random
		case "far":
			out[i] = nearestFirst(f.set.Metric, f.set.Base, g.away)
		default:
			out[i] = nearestFirst(f.set.Metric, f.set.Base, g.anchor)
			if kind == "rim" {
				slices.Reverse(out[i])
			}
		}
	}
	return out
}

// matrix measures the unfiltered search and then every cell.
func (f *filtering) matrix(ctx context.Context) error {
	none := &predicate{k: min(annK, f.set.Base.Rows), allow: make([]*roaring.Bitmap, len(f.groups))}
	if err := none.solve(ctx, f); err != nil {
		return err
	}
	f.plain = f.climb(ctx, none, false)
	if err := f.plain.up(ctx); err != nil {
		return err
	}
	for _, kind := range []string{"random", "near", "far", "rim"} {
		orders := f.orders(kind)
		for _, share := range shares {
			n := max(1, int(share*float64(f.set.Base.Rows)+0.5))
			p := &predicate{k: min(annK, n), share: share, name: fmt.Sprintf("%s_%g%%", kind, share*100)}
			for _, order := range orders {
				p.ids = append(p.ids, order[:n])
				p.allow = append(p.allow, roaring.BitmapOf(order[:n]...))
			}
			if err := f.cell(ctx, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// predicate is one set of matches for each group of queries.
type predicate struct {
	name  string
	share float64
	k     int
	ids   [][]uint32
	allow []*roaring.Bitmap
	truth []*truth
}

func (p *predicate) solve(ctx context.Context, f *filtering) error {
	for i, g := range f.groups {
		t := &truth{set: g.set, k: p.k}
		var err error
		if t.distances, err = t.scan(ctx, f.oracle, &index.Params{K: p.k, Allow: p.allow[i]}); err != nil {
			return err
		}
		p.truth = append(p.truth, t)
	}
	return nil
}

// cell is what was measured of one predicate.
type cell struct {
	name, plan       string
	ef, short        int
	recall, standard float64 // at ef, and with the default ef
	wall, qps        float64 // searches a second of wall and of CPU time
	scan             float64 // the same of CPU time, scanning always
	slower           float64 // CPU time as a multiple of an unfiltered search's
	p50, p99         float64 // seconds
	peerWall, peer   float64 // the peer's searches a second, 0 without it
}

// cell measures one predicate in turns with the unfiltered search, the scan, and
// the peer.
func (f *filtering) cell(ctx context.Context, p *predicate) error {
	f.o.log("%s: %d rows match", p.name, len(p.ids[0]))
	if err := p.solve(ctx, f); err != nil {
		return err
	}
	own, scan := f.climb(ctx, p, false), f.climb(ctx, p, true)
	if err := own.up(ctx); err != nil {
		return err
	}
	c := cell{name: p.name, ef: own.ef, recall: own.recall, short: own.short}
	standard := f.climb(ctx, p, false)
	if err := standard.at(ctx, 0); err != nil {
		return err
	}
	c.standard = standard.recall
	c.plan = fmt.Sprintf("%d%% scanned, %d distances", own.exact*100/f.set.Queries.Rows, own.distances/f.set.Queries.Rows)
	climbs := []*climb{own, scan, f.plain}
	f.plain.reset()
	theirs := f.rivals[p.name]
	if theirs == nil && f.peer != nil && p.share <= peerFrom && p.share >= peerTo {
		theirs = f.rival(ctx, p)
		if err := theirs.up(ctx); err != nil {
			return err
		}
		if err := theirs.again(); err != nil {
			return err
		}
		f.rivals[p.name] = theirs
	}
	for range f.reps {
		for _, c := range climbs {
			if err := c.again(); err != nil {
				return err
			}
		}
	}
	var plain float64
	c.wall, c.qps = own.speed()
	_, c.scan = scan.speed()
	_, plain = f.plain.speed()
	c.slower = plain / c.qps
	c.p50, c.p99 = metric.Quantile(own.each, 0.5), metric.Quantile(own.each, 0.99)
	if theirs != nil {
		c.peerWall, c.peer = theirs.speed()
	}
	f.publish(c, theirs)
	return nil
}

func (f *filtering) publish(c cell, theirs *climb) {
	f.cells = append(f.cells, c)
	note := fmt.Sprintf("ef %d at recall %.4f; %s", c.ef, c.recall, c.plan)
	own := Figure{Engine: f.own.name(), Codes: codesOf(f.own)}
	own.add(f.report, c.name+"_recall", c.recall, "1", fmt.Sprintf("ef %d", c.ef))
	own.add(f.report, c.name+"_recall_default", c.standard, "1", "with the default ef")
	own.add(f.report, c.name+"_short", float64(c.short), "queries", "answers with fewer hits than exist")
	own.add(f.report, c.name+"_p50", c.p50*1e6, "us", note)
	own.add(f.report, c.name+"_p99", c.p99*1e6, "us", note)
	own.against(f.report, "unfiltered", c.name+"_cpu", 1e6/c.qps, 1e6/(c.qps*c.slower), "us", "lower",
		fmt.Sprintf("%s; unfiltered ef %d at %.4f", note, f.plain.ef, f.plain.recall))
	own.against(f.report, "scan", c.name+"_qps_cpu_scan", c.qps, c.scan, "1/s", "higher", "beside a scan of all that matches")
	if theirs == nil {
		own.add(f.report, c.name+"_qps", c.wall, "1/s", note)
		own.add(f.report, c.name+"_qps_cpu", c.qps, "1/s", note)
		return
	}
	note = fmt.Sprintf("%s; the peer's ef %d at %.4f with %d short answers", note, theirs.ef, theirs.recall, theirs.short)
	own.against(f.report, "hnswlib", c.name+"_qps", c.wall, c.peerWall, "1/s", "higher", note)
	own.against(f.report, "hnswlib", c.name+"_qps_cpu", c.qps, c.peer, "1/s", "higher", note)
}

// table prints one line for each cell.
func (f *filtering) table() {
	if f.report.json || f.report.gob {
		return
	}
	var b bytes.Buffer
	t := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "matches\trecall\tdefault\tshort\tef\tqps (cpu)\tp50 us\tp99 us\tx unfiltered\tscan\thnswlib\tratio\tplan\t")
	for _, c := range f.cells {
		peer, ratio := "", ""
		if c.peer > 0 {
			peer, ratio = number(c.peer), fmt.Sprintf("%.1fx", c.qps/c.peer)
		}
		fmt.Fprintf(t, "%s\t%.4f\t%.4f\t%d\t%d\t%s\t%.0f\t%.0f\t%.2f\t%s\t%s\t%s\t%s\n", c.name, c.recall, c.standard, c.short, c.ef,
			number(c.qps), c.p50*1e6, c.p99*1e6, c.slower, number(c.scan), peer, ratio, c.plan)
	}
	f.report.keep(t.Flush())
	_, plain := f.plain.speed()
	f.report.printf("%s unfiltered: %s searches per CPU second at recall %.4f, ef %d\n%s", f.own.name(),
		number(plain), f.plain.recall, f.plain.ef, b.String())
}
