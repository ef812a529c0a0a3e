package bench

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"github.com/eiderdb/eider/internal/metric"
)

// buildEfs are the pools at which finished graphs are compared.
var buildEfs = []int{40, 100}

// Build measures making the graph, on one thread and on all: vectors per CPU
// second, the speed-up in wall time, and recall at equal pools afterwards, for
// every form of codes asked for, beside hnswlib. Engines and thread counts take
// turns; medians of three rounds, or of as many as fit into two minutes. Errors:
// ErrOption, ErrSet, the context's, those of the engine.
func Build(ctx context.Context, o Options, w io.Writer) error {
	rows, least, most, budget := 0, 1, 3, 2*time.Minute
	if o.Quick {
		rows, most, budget = 10_000, 1, 0
	}
	s, err := load(o, rows, 500)
	if err != nil {
		return err
	}
	t, err := solve(ctx, s, annK)
	if err != nil {
		return err
	}
	shop, err := newWorkshop(s)
	if err != nil {
		return err
	}
	defer shop.close()
	r := newReport("build", s.Name, o, w)
	b := &builds{o: o, set: s, truth: t, report: r, threads: []int{1}}
	if n := runtime.GOMAXPROCS(0); n > 1 {
		b.threads = append(b.threads, n)
	}
	defer b.close()
	if err := b.assemble(ctx, shop); err != nil {
		return err
	}
	began, budget := time.Now(), o.span(budget)
	for rep := 0; rep < most && (rep < least || time.Since(began) < budget); rep++ {
		if err := b.round(ctx, rep); err != nil {
			return err
		}
	}
	if err := b.publish(ctx); err != nil {
		return err
	}
	return r.finish(o)
}

// builder is one engine and the cost of each of its builds, by thread count.
type builder struct {
	engine    engine
	wall, cpu map[int][]float64
}

type builds struct {
	o       Options
	set     *Set
	truth   *truth
	report  *report
	threads []int
	all     []*builder // hnswlib last, when it is there
	peer    bool
}

func (b *builds) close() {
	for _, e := range b.all {
		e.engine.close()
	}
}

func (b *builds) add(e engine) {
	b.all = append(b.all, &builder{engine: e, wall: map[int][]float64{}, cpu: map[int][]float64{}})
}

func (b *builds) assemble(ctx context.Context, shop *workshop) error {
	for _, codes := range b.o.codes() {
		b.add(&graph{set: b.set, seed: int64(b.o.seed()), codes: codes, shop: shop})
	}
	if !slices.Contains(b.o.peers([]string{"hnswlib"}), "hnswlib") {
		return nil
	}
	p, err := shop.start(ctx, "hnswlib")
	if err != nil {
		if p != nil {
			p.close()
		}
		b.report.absent("hnswlib", err.Error())
		return ctx.Err()
	}
	b.peer = true
	b.add(p)
	return nil
}

// round builds once with every engine and thread count.
func (b *builds) round(ctx context.Context, rep int) error {
	for i := range b.threads {
		threads := b.threads[(i+rep)%len(b.threads)]
		for j := range b.all {
			e := b.all[(j+rep)%len(b.all)]
			b.o.log("round %d: %s on %d threads", rep+1, e.engine.name(), threads)
			if g, ok := e.engine.(*graph); ok {
				g.close() // the one before
			}
			built, err := e.engine.build(ctx, annM, annEfC, threads)
			if err != nil {
				return fmt.Errorf("building %s on %d threads: %w", e.engine.name(), threads, err)
			}
			e.wall[threads], e.cpu[threads] = append(e.wall[threads], built.wall), append(e.cpu[threads], built.cpu)
		}
	}
	return nil
}

func (b *builds) publish(ctx context.Context) error {
	b.report.printf("%s, %s, M=%d, efConstruction=%d, %s\n", b.set.Name, b.set.Metric, annM, annEfC, cpuName())
	for _, e := range b.all {
		b.report.engine(e.engine)
	}
	own := b.all
	var peer *builder
	if b.peer {
		own, peer = b.all[:len(b.all)-1], b.all[len(b.all)-1]
	}
	rows, all := float64(b.set.Base.Rows), b.threads[len(b.threads)-1]
	for _, e := range own {
		f := Figure{Engine: e.engine.name(), Codes: codesOf(e.engine)}
		for _, n := range b.threads {
			note := fmt.Sprintf("vectors per CPU second, median of %d", len(e.cpu[n]))
			f.beside(b.report, peer, fmt.Sprintf("rate_%dt", n), "1/s", "higher", note, func(e *builder) float64 { return rows / metric.Median(e.cpu[n]) }, e)
			f.beside(b.report, peer, fmt.Sprintf("wall_%dt", n), "s", "lower", "", func(e *builder) float64 { return metric.Median(e.wall[n]) }, e)
		}
		if all > 1 {
			f.beside(b.report, peer, fmt.Sprintf("speedup_%dt", all), "1", "higher", "wall time of one thread over that of all",
				func(e *builder) float64 { return metric.Median(e.wall[1]) / metric.Median(e.wall[all]) }, e)
		}
	}
	ids := make([]int32, b.set.Queries.Rows*annK)
	for _, ef := range buildEfs {
		recall := map[*builder]float64{}
		for _, e := range b.all {
			if _, err := e.engine.search(ctx, annK, ef, ids); err != nil {
				return err
			}
			recall[e] = b.truth.recall(ids)
		}
		for _, e := range own {
			f := Figure{Engine: e.engine.name(), Codes: codesOf(e.engine)}
			f.beside(b.report, peer, fmt.Sprintf("recall_ef%d", ef), "1", "higher", "of the last graph built", func(e *builder) float64 { return recall[e] }, e)
		}
	}
	return nil
}

// beside records one of e's figures, with the peer's where there is one.
func (f Figure) beside(r *report, peer *builder, name, unit, better, note string, of func(*builder) float64, e *builder) {
	if peer == nil {
		f.add(r, name, of(e), unit, note)
		return
	}
	f.against(r, peer.engine.name(), name, of(e), of(peer), unit, better, note)
}
