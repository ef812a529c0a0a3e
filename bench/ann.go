package bench

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"
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
// against recall, for every form of codes asked for, beside the peers. Speeds are
// single-thread, by wall time (qps) and by CPU time (qps_cpu), which a busy machine
// disturbs less. Errors: ErrOption, ErrSet, the context's, those of the engine;
// peers that fail or are absent are figures, not errors.
func ANN(ctx context.Context, o Options, w io.Writer) error {
	rows, queries, budget, peers := 0, 2000, 60*time.Second, Peers()
	if o.Quick {
		rows, queries, budget, peers = 15_000, 500, 8*time.Second, []string{"hnswlib"}
	}
	return compareGraphs(ctx, o, w, plan{suite: "ann", rows: rows, queries: queries, budget: budget, peers: peers,
		forms: func(o Options, _ *Set) (own, rivals []*graph) {
			for _, codes := range o.codes() {
				own = append(own, &graph{codes: codes})
			}
			return own, nil
		}})
}

// plan is a suite of graphs on one set: its own choices, and the forms of Eider's
// index to measure and to compare with.
type plan struct {
	suite         string
	rows, queries int
	budget        time.Duration // of timed repetitions
	peers         []string
	forms         func(o Options, s *Set) (own, rivals []*graph)
}

// compareGraphs builds every form and peer, traces their curves and reports.
func compareGraphs(ctx context.Context, o Options, w io.Writer, p plan) error {
	start := time.Now()
	o.log("loading")
	s, err := load(o, p.rows, p.queries)
	if err != nil {
		return err
	}
	own, rivals := p.forms(o, s)
	if len(own) == 0 {
		return fmt.Errorf("%w: %s needs codes; use --codes with some of %v", ErrOption, p.suite, Codes()[1:])
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
	a := &ann{o: o, set: s, truth: t, report: newReport(p.suite, s.Name, o, w), start: start, budget: o.span(p.budget)}
	defer a.close()
	for _, g := range slices.Concat(own, rivals) {
		g.set, g.seed, g.shop = s, int64(o.seed()), shop
	}
	if err := a.assemble(ctx, shop, own, rivals, o.peers(p.peers)); err != nil {
		return err
	}
	if err := a.trace(ctx); err != nil {
		return err
	}
	a.publish()
	return a.report.finish(o)
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
	o      Options
	set    *Set
	truth  *truth
	report *report
	own    []*runner // Eider, one for each form of codes
	rivals []*runner // peers
	start  time.Time
	budget time.Duration
}

func (a *ann) close() {
	for _, r := range a.runners() {
		r.engine.close()
	}
}

// runners is everyone measured, Eider first.
func (a *ann) runners() []*runner { return slices.Concat(a.own, a.rivals) }

// assemble builds Eider's index in each form and every peer's, one after the other
// on all CPUs. A peer that cannot is reported and left out.
func (a *ann) assemble(ctx context.Context, shop *workshop, own, rivals []*graph, peers []string) error {
	threads := runtime.GOMAXPROCS(0)
	for i, g := range slices.Concat(own, rivals) {
		r := &runner{engine: g}
		if i < len(own) {
			a.own = append(a.own, r)
		} else {
			a.rivals = append(a.rivals, r)
		}
		a.o.log("building %s on %d threads", g.name(), threads)
		var err error
		if r.built, err = g.build(ctx, annM, annEfC, threads); err != nil {
			return fmt.Errorf("building %s: %w", g.name(), err)
		}
	}
	for _, name := range peers {
		a.o.log("building %s", name)
		p, err := shop.start(ctx, name)
		if p != nil {
			r := &runner{engine: p}
			if err == nil {
				r.built, err = p.build(ctx, annM, annEfC, threads)
			}
			if err == nil {
				a.rivals = append(a.rivals, r)
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
var efs = []int{10, 13, 17, 22, 29, 38, 50, 65, 85, 110, 145, 190, 250, 325, 420, 550, 720}

// enoughRecall ends a curve: beyond it every engine is nearly exact.
const enoughRecall = 0.9985

// trace measures recall at every setting until it is nearly 1 or stops growing,
// then repeats the timing: repetition by repetition, setting by setting, the
// engines in turn.
func (a *ann) trace(ctx context.Context) error {
	ids, runners, longest := make([]int32, a.set.Queries.Rows*annK), a.runners(), 0
	for _, r := range runners {
		a.o.log("recall of %s", r.engine.name())
		settings := r.built.settings
		if settings == nil {
			settings = efs
		}
		for _, ef := range settings {
			if _, err := r.engine.search(ctx, annK, ef, ids); err != nil {
				return fmt.Errorf("%s at ef %d: %w", r.engine.name(), ef, err)
			}
			p := &point{ef: ef, recall: a.truth.recall(ids)}
			r.points = append(r.points, p)
			if p.recall > enoughRecall || r.stuck() {
				break
			}
		}
		longest = max(longest, len(r.points))
	}
	began, least, most := time.Now(), 3, 15
	if a.o.Quick && began.Sub(a.start) > 30*time.Second {
		least, a.budget = 1, 0 // a busy machine: quick stays quick
	}
	for rep := 0; rep < most && (rep < least || time.Since(began) < a.budget); rep++ {
		a.o.log("repetition %d", rep+1)
		for i := range longest {
			for j := range runners {
				r := runners[(rep+i+j)%len(runners)]
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

// stuck reports that three larger settings in a row gained nothing: what limits
// the recall is then not the pool.
func (r *runner) stuck() bool {
	n := len(r.points)
	return n > 3 && r.points[n-1].recall > 0.5 && r.points[n-1].recall <= r.points[n-4].recall
}

// publish turns the measurements into figures.
func (a *ann) publish() {
	reps := 0
	if len(a.own[0].points) > 0 {
		reps = len(a.own[0].points[0].wall)
	}
	a.report.printf("%s, %s, k=%d, M=%d, efConstruction=%d, %d queries, one search thread, %d build threads, %d repetitions, %s\n",
		a.set.Name, a.set.Metric, annK, annM, annEfC, a.set.Queries.Rows, runtime.GOMAXPROCS(0), reps, cpuName())
	for _, r := range a.runners() {
		a.report.engine(r.engine)
		for i, p := range a.curve(r, false) {
			a.report.put(Figure{Figure: "curve", Engine: r.engine.name(), Codes: codesOf(r.engine), Value: p.QPS, Unit: "1/s",
				Ef: p.Ef, Recall: p.Recall, Note: fmt.Sprintf("%d repetitions", len(r.points[i].wall))})
		}
	}
	rows := float64(a.set.Base.Rows)
	for _, own := range a.own {
		f := Figure{Engine: own.engine.name(), Codes: codesOf(own.engine)}
		f.add(a.report, "build_wall", own.built.wall, "s", "")
		f.add(a.report, "build_cpu", own.built.cpu, "s", "")
		f.add(a.report, "build_rate", rows/own.built.cpu, "1/s", "vectors per CPU second")
		f.add(a.report, "memory", own.built.bytes/rows, "B/vector", "growth of resident memory by the build")
		f.add(a.report, "memory_own", own.built.own/rows, "B/vector", "what the index says it holds")
		for _, r := range a.rivals {
			name := r.engine.name()
			f.against(a.report, name, "build_wall", own.built.wall, r.built.wall, "s", "lower", "")
			f.against(a.report, name, "build_cpu", own.built.cpu, r.built.cpu, "s", "lower", "")
			f.against(a.report, name, "build_rate", rows/own.built.cpu, rows/r.built.cpu, "1/s", "higher", "vectors per CPU second")
			f.against(a.report, name, "memory", own.built.bytes/rows, r.built.bytes/rows, "B/vector", "lower", "")
		}
	}
	for _, clock := range []string{"qps", "qps_cpu"} {
		for _, target := range targets {
			a.speed(clock, target)
		}
	}
	a.report.printf("\n")
}
