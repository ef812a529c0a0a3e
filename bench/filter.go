package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/index/flat"
	"github.com/eiderdb/eider/internal/metric"
)

// shares are the selectivities measured, as parts of the base.
var shares = []float64{0.9, 0.5, 0.1, 0.01, 0.001}

// enough is the recall at which filtered speeds are compared.
const enough = 0.98

// Filter measures search under a predicate: recall@10, speed, and answers with
// fewer hits than exist, at selectivities from 90 to 0.1 %, for random predicates
// and for clustered ones (the nearest rows to one row, so most queries are far
// from every match). The peer is hnswlib's filter functor. Each engine is given
// the smallest ef of a ladder whose recall is at least 0.98; the speeds there are
// compared.
func Filter(ctx context.Context, o Options, w io.Writer) error {
	rows, queries := 0, 200
	if o.Quick {
		rows, queries = 20_000, 50
	}
	s, err := load(o, rows, queries)
	if err != nil {
		return err
	}
	f := &filtering{o: o, set: s, report: newReport("filter", s.Name, o, w), reps: 5}
	f.report.printf("%s, %s, k=%d, M=%d, efConstruction=%d, %d queries, one search thread, %s\n",
		s.Name, s.Metric, annK, annM, annEfC, s.Queries.Rows, cpuName())
	shop, err := newWorkshop(s)
	if err != nil {
		return err
	}
	defer shop.close()
	defer f.close()
	if err := f.assemble(ctx, shop); err != nil {
		return err
	}
	for _, kind := range []string{"random", "cluster"} {
		order := f.order(kind)
		for _, share := range shares {
			n := max(1, int(share*float64(s.Base.Rows)))
			if err := f.predicate(ctx, fmt.Sprintf("%s_%g%%", kind, share*100), order[:n]); err != nil {
				return err
			}
		}
	}
	return f.report.finish(o)
}

type filtering struct {
	o      Options
	set    *Set
	report *report
	own    *graph
	oracle *flat.Index
	peer   *peer // nil when absent
	reps   int
}

func (f *filtering) close() {
	if f.own != nil {
		f.own.close()
	}
	if f.oracle != nil {
		f.oracle.Close()
	}
	if f.peer != nil {
		f.peer.close()
	}
}

func (f *filtering) assemble(ctx context.Context, shop *workshop) error {
	threads := runtime.GOMAXPROCS(0)
	f.o.log("building eider on %s", f.set.Name)
	f.own = &graph{set: f.set, seed: int64(f.o.seed())}
	if _, err := f.own.build(ctx, annM, annEfC, threads); err != nil {
		return err
	}
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

// order is all rows so that any prefix is a predicate: shuffled, or by distance
// from one row.
func (f *filtering) order(kind string) []uint32 {
	ids := make([]uint32, f.set.Base.Rows)
	for i := range ids {
		ids[i] = uint32(i)
	}
	r := rand.New(rand.NewPCG(f.o.seed(), 5))
	if kind == "random" {
		r.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
		return ids
	}
	anchor := f.set.Base.Row(r.IntN(len(ids)))
	d := make([]float32, len(ids))
	for i := range d {
		d[i] = distance(f.set.Metric, anchor, f.set.Base.Row(i))
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

// ladder are the pools tried until recall is enough.
var ladder = []int{10, 20, 40, 80, 160, 320}

// predicate measures one set of allowed rows.
func (f *filtering) predicate(ctx context.Context, name string, ids []uint32) error {
	f.o.log("%s: %d rows match", name, len(ids))
	allow := roaring.BitmapOf(ids...)
	t := &truth{set: f.set, k: min(annK, len(ids))}
	var err error
	if t.distances, err = t.scan(ctx, f.oracle, &index.Params{K: t.k, Allow: allow}); err != nil {
		return err
	}
	own := &climb{t: t, run: func(ef int, found []int32) (float64, error) { return f.search(ctx, allow, t.k, ef, found) }}
	if err := own.up(ctx); err != nil {
		return err
	}
	climbs := []*climb{own}
	if f.peer != nil {
		flags := make([]byte, f.set.Base.Rows)
		for _, id := range ids {
			flags[id] = 1
		}
		if err := f.peer.filter(ctx, flags); err != nil {
			return err
		}
		theirs := &climb{t: t, run: func(ef int, found []int32) (float64, error) {
			c, err := f.peer.search(ctx, t.k, ef, found)
			return c.wall, err
		}}
		if err := theirs.up(ctx); err != nil {
			return err
		}
		climbs = append(climbs, theirs)
	}
	for range f.reps {
		for _, c := range climbs {
			if err := c.again(); err != nil {
				return err
			}
		}
	}
	f.publish(name, climbs)
	return nil
}

// search runs all queries on Eider's index under a bitmap and returns seconds.
func (f *filtering) search(ctx context.Context, allow *roaring.Bitmap, k, ef int, found []int32) (float64, error) {
	start := time.Now()
	var hits []index.Hit
	for i := range f.set.Queries.Rows {
		var err error
		hits, _, err = f.own.index.Search(ctx, f.set.Queries.Row(i), index.Params{K: k, Ef: ef, Allow: allow}, hits[:0])
		if err != nil {
			return 0, err
		}
		for j := range k {
			found[i*k+j] = -1
			if j < len(hits) {
				found[i*k+j] = int32(hits[j].ID)
			}
		}
	}
	return time.Since(start).Seconds(), nil
}

func (f *filtering) publish(name string, climbs []*climb) {
	own := climbs[0]
	queries := float64(f.set.Queries.Rows)
	note := fmt.Sprintf("ef %d", own.ef)
	f.report.add(name+"_recall", own.recall, "1", note)
	f.report.add(name+"_short", float64(own.short), "queries", "answers with fewer hits than exist")
	qps := queries / metric.Median(own.seconds)
	if len(climbs) == 1 {
		f.report.add(name+"_qps", qps, "1/s", note)
		return
	}
	theirs := climbs[1]
	f.report.against("hnswlib", name+"_qps", qps, queries/metric.Median(theirs.seconds), "1/s", "higher",
		fmt.Sprintf("ef %d at recall %.4f, the peer's %d at %.4f with %d short answers", own.ef, own.recall, theirs.ef, theirs.recall, theirs.short))
}

// climb finds and repeats the cheapest setting of one engine under a predicate.
type climb struct {
	t       *truth
	run     func(ef int, found []int32) (seconds float64, err error)
	ef      int
	recall  float64
	short   int // answers with fewer than k hits
	seconds []float64
	found   []int32
}

// up tries the ladder until the recall is enough, or keeps its top.
func (c *climb) up(ctx context.Context) error {
	c.found = make([]int32, c.t.set.Queries.Rows*c.t.k)
	for _, c.ef = range ladder {
		if _, err := c.run(c.ef, c.found); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		c.recall = c.t.recall(c.found)
		c.short = 0
		for i := range c.t.set.Queries.Rows {
			if slices.Contains(c.found[i*c.t.k:(i+1)*c.t.k], -1) {
				c.short++
			}
		}
		if c.recall >= enough {
			break
		}
	}
	return nil
}

func (c *climb) again() error {
	s, err := c.run(c.ef, c.found)
	c.seconds = append(c.seconds, s)
	return err
}
