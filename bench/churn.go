package bench

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/index/flat"
	"github.com/eiderdb/eider/internal/metric"
)

// churnEf is the pool at which recall is followed: fixed, so that a graph that
// decays shows it.
const churnEf = 50

// Churn measures what deletes and inserts do to a graph: ten turnovers (three when
// quick), each of which deletes and inserts as many vectors as are live, in ten
// steps: four delete random vectors, three whole clusters (the nearest to one
// vector), three replace vectors by themselves under new ids. Measured are
// recall@10 at ef 50 after each turnover, and at the end recall and speed beside a
// fresh graph of the same vectors, the share of live vectors that a search for
// themselves finds, memory, and replacements per CPU second; beside hnswlib with
// mark_deleted and replace_deleted, which gets the same steps. Half of the set is
// live at a time. Errors: ErrOption, ErrSet, the context's, those of the engine.
func Churn(ctx context.Context, o Options, w io.Writer) error {
	live, turns, queries := 10_000, 10, 500
	if o.Quick {
		live, turns, queries = 3000, 3, 100
	}
	live = o.rows(live)
	for _, codes := range o.codes() {
		if codes != "none" && codes != "int8" && codes != "int4" && codes != "bit" {
			return fmt.Errorf("%w: churn keeps vectors in memory; use --codes none, int8, int4 or bit", ErrOption)
		}
	}
	o.Rows = 0
	s, err := load(o, 2*live, queries)
	if err != nil {
		return err
	}
	shop, err := newWorkshop(s)
	if err != nil {
		return err
	}
	defer shop.close()
	name := fmt.Sprintf("%s-live%d", s.Name, s.Base.Rows/2)
	c := &churn{o: o, set: s, shop: shop, work: newWorkload(s, s.Base.Rows/2, o.seed()), report: newReport("churn", name, o, w)}
	defer c.close()
	if err := c.assemble(ctx); err != nil {
		return err
	}
	if err := c.turn(ctx, turns); err != nil {
		return err
	}
	if err := c.publish(ctx, turns); err != nil {
		return err
	}
	return c.report.finish(o)
}

// mutable is an engine whose vectors come and go. Vectors are named by labels that
// are never used again; a tagged is a label and the base row it stands for.
type mutable interface {
	engine
	open(ctx context.Context, capacity int) error
	add(ctx context.Context, pairs []tagged) (cpu float64, err error)
	drop(ctx context.Context, labels []uint32) (cpu float64, err error)
	// self searches for each row and counts those that find their own label.
	self(ctx context.Context, k, ef int, pairs []tagged) (int, error)
	memory(ctx context.Context) (float64, error) // bytes: the index's own count, or growth of the peer's process
}

type tagged struct{ label, row uint32 }

type churn struct {
	o       Options
	set     *Set
	shop    *workshop
	work    *workload
	report  *report
	oracle  *flat.Index
	all     []*churned // hnswlib last, when it is there
	hnswlib bool
}

// churned is one engine and what was measured of it.
type churned struct {
	engine        mutable
	fresh         mutable // the same vectors in a new graph
	recall        []float64
	cpu           float64 // seconds of deletes and inserts, the first fill apart
	before, bytes float64
}

func (c *churn) close() {
	for _, e := range c.all {
		e.engine.close()
		if e.fresh != nil {
			e.fresh.close()
		}
	}
	if c.oracle != nil {
		c.oracle.Close()
	}
}

// start makes an engine of the kind of e, empty.
func (c *churn) start(ctx context.Context, codes string) (mutable, error) {
	var m mutable
	if codes == "hnswlib" {
		p, err := c.shop.start(ctx, codes)
		if err == nil && !p.native {
			err = fmt.Errorf("only the C++ runner deletes: %w", errAbsent)
		}
		if err != nil {
			if p != nil {
				p.close()
			}
			return nil, err
		}
		m = p
	} else {
		m = &graph{set: c.set, seed: int64(c.o.seed()), codes: codes}
	}
	err := m.open(ctx, c.work.n)
	if err != nil {
		m.close()
	}
	return m, err
}

func (c *churn) assemble(ctx context.Context) error {
	x, err := flat.New(index.Config{Dim: c.set.Base.Cols, Metric: c.set.Metric, Workers: 1})
	if err != nil {
		return err
	}
	c.oracle = x
	if err := insertAll(ctx, x, c.set.Base, runtime.GOMAXPROCS(0)); err != nil {
		return err
	}
	kinds := c.o.codes()
	if slices.Contains(c.o.peers([]string{"hnswlib"}), "hnswlib") {
		kinds = append(kinds, "hnswlib")
	}
	for _, kind := range kinds {
		c.o.log("filling %s with %d", kind, c.work.n)
		m, err := c.start(ctx, kind)
		if err != nil && kind == "hnswlib" && ctx.Err() == nil {
			c.report.absent(kind, err.Error())
			continue
		}
		if err != nil {
			return err
		}
		e := &churned{engine: m}
		c.all, c.hnswlib = append(c.all, e), kind == "hnswlib"
		if _, err := m.add(ctx, c.work.pairs()); err != nil {
			return err
		}
		if e.before, err = m.memory(ctx); err != nil {
			return err
		}
	}
	return c.judge(ctx, 0)
}

// turn runs the workload on every engine, step by step.
func (c *churn) turn(ctx context.Context, turns int) error {
	for t := range turns {
		for step := range churnSteps {
			drop, add := c.work.step(step)
			for _, e := range c.all {
				cost, err := e.engine.drop(ctx, drop)
				if err != nil {
					return fmt.Errorf("%s: deletes: %w", e.engine.name(), err)
				}
				e.cpu += cost
				if cost, err = e.engine.add(ctx, add); err != nil {
					return fmt.Errorf("%s: inserts: %w", e.engine.name(), err)
				}
				e.cpu += cost
			}
		}
		if err := c.judge(ctx, t+1); err != nil {
			return err
		}
	}
	return nil
}

// truth is the exact answer among the live rows.
func (c *churn) truth(ctx context.Context) (*truth, error) {
	t := &truth{set: c.set, k: annK}
	var err error
	t.distances, err = t.scan(ctx, c.oracle, &index.Params{K: annK, Allow: roaring.BitmapOf(c.work.rows()...)})
	return t, err
}

// judge measures every engine's recall after a turnover.
func (c *churn) judge(ctx context.Context, turn int) error {
	t, err := c.truth(ctx)
	if err != nil {
		return err
	}
	for _, e := range c.all {
		recall, err := c.recall(ctx, t, e.engine)
		if err != nil {
			return err
		}
		e.recall = append(e.recall, recall)
		c.o.log("turnover %d: %s recall %.4f", turn, e.engine.name(), recall)
	}
	return nil
}

func (c *churn) recall(ctx context.Context, t *truth, m mutable) (float64, error) {
	ids := make([]int32, c.set.Queries.Rows*annK)
	if _, err := m.search(ctx, annK, churnEf, ids); err != nil {
		return 0, err
	}
	for i, label := range ids {
		ids[i] = -1
		if row, ok := c.work.live[uint32(label)]; ok && label >= 0 {
			ids[i] = int32(row)
		}
	}
	return t.recall(ids), nil
}

// outcome is what the end of the workload is judged by, in the order of reporting.
type outcome struct {
	name, unit, better, note string
	value                    map[*churned]float64
}

func (c *churn) publish(ctx context.Context, turns int) error {
	c.report.printf("%s, %s, k=%d, ef=%d, M=%d, efConstruction=%d, %d turnovers of %d vectors, %s\n",
		c.set.Name, c.set.Metric, annK, churnEf, annM, annEfC, turns, c.work.n, cpuName())
	for _, e := range c.all {
		c.report.engine(e.engine)
		for i, recall := range e.recall[1:] {
			c.report.put(Figure{Figure: "recall", Engine: e.engine.name(), Codes: codesOf(e.engine), Value: recall, Unit: "1", At: i + 1})
		}
	}
	outcomes, err := c.measure(ctx, turns)
	if err != nil {
		return err
	}
	own := c.all
	var peer *churned
	if c.hnswlib {
		own, peer = c.all[:len(c.all)-1], c.all[len(c.all)-1]
	}
	for _, e := range own {
		f := Figure{Engine: e.engine.name(), Codes: codesOf(e.engine)}
		for _, x := range outcomes {
			if peer == nil {
				f.add(c.report, x.name, x.value[e], x.unit, x.note)
				continue
			}
			f.against(c.report, peer.engine.name(), x.name, x.value[e], x.value[peer], x.unit, x.better, x.note)
		}
	}
	return nil
}

// measure builds a fresh graph beside every engine's and compares the two.
func (c *churn) measure(ctx context.Context, turns int) ([]*outcome, error) {
	t, err := c.truth(ctx)
	if err != nil {
		return nil, err
	}
	pairs := c.work.pairs()
	var all []*outcome
	note := func(e *churned, name string, v float64, unit, better, note string) {
		i := slices.IndexFunc(all, func(x *outcome) bool { return x.name == name })
		if i < 0 {
			i, all = len(all), append(all, &outcome{name, unit, better, note, map[*churned]float64{}})
		}
		all[i].value[e] = v
	}
	for _, e := range c.all {
		kind := codesOf(e.engine)
		if kind == "" {
			kind = e.engine.name()
		}
		c.o.log("building a fresh %s", kind)
		if e.bytes, err = e.engine.memory(ctx); err != nil {
			return nil, err
		}
		found, err := e.engine.self(ctx, annK, churnEf, pairs)
		if err != nil {
			return nil, err
		}
		if e.fresh, err = c.start(ctx, kind); err != nil {
			return nil, err
		}
		if _, err := e.fresh.add(ctx, pairs); err != nil {
			return nil, err
		}
		fresh, err := c.recall(ctx, t, e.fresh)
		if err != nil {
			return nil, err
		}
		again, err := e.fresh.self(ctx, annK, churnEf, pairs)
		if err != nil {
			return nil, err
		}
		speed, anew, err := c.race(ctx, e)
		if err != nil {
			return nil, err
		}
		last, n := e.recall[len(e.recall)-1], float64(len(pairs))
		note(e, "recall_before", e.recall[0], "1", "higher", "")
		note(e, "recall_after", last, "1", "higher", "")
		note(e, "recall_fresh", fresh, "1", "higher", "a new graph of the vectors live at the end")
		note(e, "recall_loss", 100*(fresh-last), "points", "lower", "fresh less after")
		note(e, "self", 100*float64(found)/n, "%", "higher", fmt.Sprintf("live vectors found by a search for themselves, k=%d ef=%d", annK, churnEf))
		note(e, "self_fresh", 100*float64(again)/n, "%", "higher", "")
		note(e, "qps_after", speed, "1/s", "higher", "per CPU second of the search thread")
		note(e, "qps_fresh", anew, "1/s", "higher", "per CPU second of the search thread")
		note(e, "replace_rate", n*float64(turns)/e.cpu, "1/s", "higher", "a delete and an insert, per CPU second")
		note(e, "memory_growth", e.bytes/e.before, "1", "lower", "bytes at the end over those of the first fill")
	}
	return all, nil
}

// race times the churned graph and the fresh one in turns.
func (c *churn) race(ctx context.Context, e *churned) (after, fresh float64, err error) {
	var seconds [2][]float64
	for range 7 {
		for i, m := range []mutable{e.engine, e.fresh} {
			cost, err := m.search(ctx, annK, churnEf, nil)
			if err != nil {
				return 0, 0, err
			}
			if cost.cpu == 0 { // a system that does not tell
				cost.cpu = cost.wall
			}
			seconds[i] = append(seconds[i], cost.cpu)
		}
	}
	n := float64(c.set.Queries.Rows)
	return n / metric.Median(seconds[0]), n / metric.Median(seconds[1]), nil
}
