package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eiderdb/eider"
	"github.com/eiderdb/eider/internal/dataset"
	"github.com/eiderdb/eider/internal/metric"
)

// writeBatch is how many documents a writer replaces at once: enough that the disk
// does not decide how fast writers go.
const writeBatch = 32

// Latency measures searches of a collection, one after the other from one
// goroutine, while nothing else happens and while writers replace documents with
// half of the machine's CPU time: quantiles of both, in turns of the same length.
// What searches themselves use does not count as the writers'; what writers leave to
// do until the graph is whole, and what other processes took, is told. Errors: ErrOption,
// the context's, those of the database.
func Latency(ctx context.Context, o Options, w io.Writer) error {
	rows, turns, span := 100_000, 5, 3*time.Second
	if o.Quick {
		rows, turns, span = 10_000, 2, time.Second
	}
	span = o.span(span)
	dir, err := o.scratch()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	base, queries, name := recipe(o, rows, 1000, 128)
	r := newReport("latency", name, o, w)
	r.printf("%d x %d, k=10 with two fields, one search at a time, %d turns of %v, %d CPUs, %s\n",
		base.Rows, base.Cols, turns, span, runtime.GOMAXPROCS(0), cpuName())
	db, c, err := create(ctx, filepath.Join(dir, "eider"), base.Cols)
	if err != nil {
		return err
	}
	l := &latency{c: c, base: base, queries: queries, share: 0.5}
	o.log("filling")
	err = fill(ctx, c, base, 0)
	for turn := range turns {
		if err != nil {
			break
		}
		o.log("turn %d of %d", turn+1, turns)
		if err = l.c.Ready(ctx); err == nil {
			err = errors.Join(l.idle(ctx, span), l.busy(ctx, span), l.settle(ctx))
		}
	}
	if err == nil {
		l.publish(r)
		err = r.finish(o)
	}
	return errors.Join(err, db.Close())
}

type latency struct {
	c             *eider.Collection
	base, queries dataset.Matrix
	share         float64 // of the machine that writers may use

	quiet, loud []float64 // seconds of each search
	asked       int
	searching   atomic.Int64 // nanoseconds of CPU that searches used
	writing     time.Duration
	used        time.Duration // CPU of everything but searches, while writing
	owed        time.Duration // CPU of what writers left to do
	others      time.Duration // CPU of other processes, while writing
	written     atomic.Int64
}

func (l *latency) idle(ctx context.Context, span time.Duration) error {
	var err error
	l.quiet, err = l.search(ctx, span, l.quiet)
	return err
}

// busy searches while writers run.
func (l *latency) busy(ctx context.Context, span time.Duration) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wg sync.WaitGroup
	began, cpu, own, all := time.Now(), processCPU(), l.searching.Load(), machineCPU()
	spent := func() time.Duration { return processCPU() - cpu - time.Duration(l.searching.Load()-own) }
	allowed := func() time.Duration {
		return time.Duration(l.share * float64(runtime.GOMAXPROCS(0)) * float64(time.Since(began)))
	}
	over := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				if spent() > allowed() {
					time.Sleep(200 * time.Microsecond)
					continue
				}
				// Another row's vector under a row's id: every write is a delete and an insert.
				at := int(l.written.Add(writeBatch))
				docs := make([]eider.Doc, 0, writeBatch)
				for i := at - writeBatch; i < at; i++ {
					docs = append(docs, document(i*7919%l.base.Rows, l.base.Row(i*104729%l.base.Rows)))
				}
				if _, err := l.c.Upsert(ctx, docs...); err != nil {
					stop(err)
					return
				}
			}
		})
	}
	var err error
	l.loud, err = l.search(ctx, span, l.loud)
	close(over)
	l.used += spent()
	l.others += max(0, machineCPU()-all-(processCPU()-cpu))
	l.writing += time.Since(began)
	wg.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// settle waits until nothing is left to do for the graph.
func (l *latency) settle(ctx context.Context) error {
	cpu := processCPU()
	err := l.c.Ready(ctx)
	l.owed += processCPU() - cpu
	return err
}

// search asks one query after another until the time is over.
func (l *latency) search(ctx context.Context, span time.Duration, seconds []float64) ([]float64, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for began := time.Now(); time.Since(began) < span; l.asked++ {
		cpu, at := threadCPU(), time.Now()
		if _, err := l.c.Search(ctx, near(l.queries.Row(l.asked%l.queries.Rows), nil)); err != nil {
			return seconds, err
		}
		seconds = append(seconds, time.Since(at).Seconds())
		l.searching.Add(int64(threadCPU() - cpu))
	}
	return seconds, nil
}

func (l *latency) publish(r *report) {
	part := func(d time.Duration) float64 {
		return 100 * d.Seconds() / l.writing.Seconds() / float64(runtime.GOMAXPROCS(0))
	}
	busy := fmt.Sprintf("%d searches while %.0f writes/s took %.0f %% of the machine (and %.0f %% later), other processes %.0f %%",
		len(l.loud), float64(l.written.Load())/l.writing.Seconds(), part(l.used), part(l.owed), part(l.others))
	for _, q := range []struct {
		name string
		at   float64
	}{{"p50", 0.5}, {"p99", 0.99}, {"p999", 0.999}} {
		idle := metric.Quantile(l.quiet, q.at) * 1e3
		r.add("idle_"+q.name, idle, "ms", fmt.Sprintf("%d searches", len(l.quiet)))
		r.against("idle", "writing_"+q.name, metric.Quantile(l.loud, q.at)*1e3, idle, "ms", "lower", busy)
	}
}
