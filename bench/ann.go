package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"github.com/eiderdb/eider/internal/metric"
)

// The setting every engine gets: hnswlib's defaults, and those of most published
// curves.
const (
	annK   = 10
	annM   = 16
	annEfC = 200
)

// targets are the recalls at which speeds are compared.
var targets = []float64{0.90, 0.95, 0.99}

// ANN measures the graph index: build cost, memory, and the curve of speed
// against recall, beside the peers. Speeds are single-thread, by wall time (qps)
// and by CPU time (qps_cpu), which a busy machine disturbs less. Options.Out
// receives ann-<set>.svg and ann-<set>.html. Errors: ErrSet, the context's, those
// of the engine; peers that fail or are absent are figures, not errors.
func ANN(ctx context.Context, o Options, w io.Writer) error {
	rows, queries, budget, peers := 0, 2000, 60*time.Second, Peers()
	if o.Quick {
		rows, queries, budget, peers = 20_000, 500, 8*time.Second, []string{"hnswlib"}
	}
	if o.Peers != nil {
		peers = slices.DeleteFunc(slices.Clone(o.Peers), func(p string) bool { return p == "none" || p == "" })
	}
	start := time.Now()
	o.log("loading")
	s, err := load(o, rows, queries)
	if err != nil {
		return err
	}
	o.log("%s: exact neighbours of %d queries", s.Name, s.Queries.Rows)
	t, err := solve(ctx, s, annK)
	if err != nil {
		return err
	}
	shop, err := newWorkshop(s)
	if err != nil {
		return err
	}
	defer shop.close()
	a := &ann{o: o, set: s, truth: t, report: newReport("ann", s.Name, o, w), start: start, budget: o.span(budget)}
	defer a.close()
	if err := a.assemble(ctx, shop, peers); err != nil {
		return err
	}
	if err := a.trace(ctx); err != nil {
		return err
	}
	a.publish()
	return errors.Join(a.report.err, a.draw())
}

// runner is one engine and what was measured of it.
type runner struct {
	engine engine
	built  build
	points []*point
}

// point is one ef of one engine.
type point struct {
	ef        int
	recall    float64
	wall, cpu []float64 // seconds of each repetition
}

type ann struct {
	o       Options
	set     *Set
	truth   *truth
	report  *report
	runners []*runner // Eider first
	start   time.Time
	budget  time.Duration
}

func (a *ann) close() {
	for _, r := range a.runners {
		r.engine.close()
	}
}

// assemble builds Eider's index and every peer's, one after the other on all
// CPUs. A peer that cannot is reported and left out.
func (a *ann) assemble(ctx context.Context, shop *workshop, peers []string) error {
	threads := runtime.GOMAXPROCS(0)
	own := &runner{engine: &graph{set: a.set, seed: int64(a.o.seed())}}
	a.runners = append(a.runners, own)
	var err error
	a.o.log("building eider on %d threads", threads)
	if own.built, err = own.engine.build(ctx, annM, annEfC, threads); err != nil {
		return fmt.Errorf("building the index: %w", err)
	}
	for _, name := range peers {
		if !slices.Contains(Peers(), name) {
			return fmt.Errorf("unknown peer %q; use some of %v or none", name, Peers())
		}
		a.o.log("building %s", name)
		p, err := shop.start(ctx, name)
		if p != nil {
			r := &runner{engine: p}
			if err == nil {
				r.built, err = p.build(ctx, annM, annEfC, threads)
			}
			if err == nil {
				a.runners = append(a.runners, r)
				continue
			}
			p.close()
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		a.report.absent(name, err.Error())
	}
	return nil
}

// efs is the curve's settings: from k up, in steps of about 1.3.
var efs = []int{10, 13, 17, 22, 29, 38, 50, 65, 85, 110, 145, 190, 250, 325}

// trace measures recall at every ef until it is nearly 1, then repeats the
// timing: repetition by repetition, ef by ef, the engines in turn.
func (a *ann) trace(ctx context.Context) error {
	ids := make([]int32, a.set.Queries.Rows*annK)
	for _, r := range a.runners {
		a.o.log("recall of %s", r.engine.name())
		for _, ef := range efs {
			if _, err := r.engine.search(ctx, annK, ef, ids); err != nil {
				return fmt.Errorf("%s at ef %d: %w", r.engine.name(), ef, err)
			}
			p := &point{ef: ef, recall: a.truth.recall(ids)}
			r.points = append(r.points, p)
			if p.recall > 0.9985 {
				break
			}
		}
	}
	began, least, most := time.Now(), 3, 15
	if a.o.Quick && began.Sub(a.start) > 30*time.Second {
		least, a.budget = 1, 0 // a busy machine: quick stays quick
	}
	for rep := 0; rep < most && (rep < least || time.Since(began) < a.budget); rep++ {
		a.o.log("repetition %d", rep+1)
		for i := range efs {
			for j := range a.runners {
				r := a.runners[(rep+i+j)%len(a.runners)]
				if i >= len(r.points) {
					continue
				}
				c, err := r.engine.search(ctx, annK, r.points[i].ef, nil)
				if err != nil {
					return fmt.Errorf("%s at ef %d: %w", r.engine.name(), r.points[i].ef, err)
				}
				r.points[i].wall = append(r.points[i].wall, c.wall)
				r.points[i].cpu = append(r.points[i].cpu, c.cpu)
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
	}
	return nil
}

// curve is the engine's points by wall time or by CPU time.
func (a *ann) curve(r *runner, cpu bool) []metric.Point {
	var out []metric.Point
	for _, p := range r.points {
		seconds := metric.Median(p.wall)
		if cpu {
			seconds = metric.Median(p.cpu)
		}
		if seconds > 0 {
			out = append(out, metric.Point{Ef: p.ef, Recall: p.recall, QPS: float64(a.set.Queries.Rows) / seconds})
		}
	}
	return out
}

// publish turns the measurements into figures.
func (a *ann) publish() {
	own := a.runners[0]
	rows := float64(a.set.Base.Rows)
	a.report.printf("%s, %s, k=%d, M=%d, efConstruction=%d, %d queries, one search thread, %d build threads, %s\n",
		a.set.Name, a.set.Metric, annK, annM, annEfC, a.set.Queries.Rows, runtime.GOMAXPROCS(0), cpuName())
	for _, r := range a.runners {
		a.report.printf("  %-13s %s; %d repetitions\n", r.engine.name(), r.engine.about(), len(own.points[0].wall))
		for i, p := range a.curve(r, false) {
			a.report.put(Figure{Figure: "curve", Engine: r.engine.name(), Value: p.QPS, Unit: "1/s", Ef: p.Ef, Recall: p.Recall,
				Note: fmt.Sprintf("%d repetitions", len(r.points[i].wall))})
		}
	}
	a.report.add("build_wall", own.built.wall, "s", "")
	a.report.add("build_cpu", own.built.cpu, "s", "")
	a.report.add("memory", own.built.bytes/rows, "B/vector", "growth of resident memory by the build")
	a.report.add("memory_own", own.built.own/rows, "B/vector", "what the index says it holds")
	for _, clock := range []string{"qps", "qps_cpu"} {
		for _, target := range targets {
			a.speed(clock, target)
		}
	}
	for _, r := range a.runners[1:] {
		name := r.engine.name()
		a.report.against(name, "build_wall", own.built.wall, r.built.wall, "s", "lower", "")
		a.report.against(name, "build_cpu", own.built.cpu, r.built.cpu, "s", "lower", "")
		a.report.against(name, "memory", own.built.bytes/rows, r.built.bytes/rows, "B/vector", "lower", "")
	}
	a.report.printf("\n")
	a.report.table()
}

// speed reports Eider's speed at a recall, alone and beside each peer. A curve
// that starts above the target (its smallest ef already finds more) is compared
// where it starts, and so is its rival: nothing is extrapolated.
func (a *ann) speed(clock string, target float64) {
	name, cpu := fmt.Sprintf("%s@%.2f", clock, target), clock == "qps_cpu"
	own := a.curve(a.runners[0], cpu)
	at := func(recall float64) string {
		if recall == target {
			return ""
		}
		return fmt.Sprintf("at recall %.4f, the lowest measured", recall)
	}
	recall := max(target, start(own))
	qps, ok := metric.QPSAt(own, recall)
	if !ok {
		a.report.put(Figure{Figure: name, Unit: "1/s", Note: fmt.Sprintf("no setting reached the recall; the best was %.4f", best(own))})
		return
	}
	a.report.add(name, qps, "1/s", at(recall))
	for _, r := range a.runners[1:] {
		peer := a.curve(r, cpu)
		recall := max(recall, start(peer))
		qps, _ := metric.QPSAt(own, recall)
		theirs, ok := metric.QPSAt(peer, recall)
		note := at(recall)
		if !ok {
			note = fmt.Sprintf("the peer's best recall was %.4f", best(peer))
		}
		a.report.against(r.engine.name(), name, qps, theirs, "1/s", "higher", note)
	}
}

// start is the lowest recall of a curve's frontier, best the highest.
func start(curve []metric.Point) float64 {
	if f := metric.Frontier(curve); len(f) > 0 {
		return f[0].Recall
	}
	return 0
}

func best(curve []metric.Point) float64 {
	if f := metric.Frontier(curve); len(f) > 0 {
		return f[len(f)-1].Recall
	}
	return 0
}
