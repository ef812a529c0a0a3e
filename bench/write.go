package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/eiderdb/eider"
	"github.com/eiderdb/eider/internal/dataset"
	"github.com/eiderdb/eider/internal/metric"
)

// writers is how many goroutines write one document at a time.
const writers = 64

// Write measures single-document upserts of 128-d vectors from 64 goroutines,
// each durable (fsynced) and visible to searches when acknowledged, for 20 s (4 s
// when quick). The peer is Pebble itself with the same bytes per write and a sync
// per batch, in turns of a quarter of the time. Then the same load once more with
// the clock stopped only when the graph holds every vector: the rate that can go
// on for ever.
func Write(ctx context.Context, o Options, w io.Writer) error {
	total := 20 * time.Second
	if o.Quick {
		total = 4 * time.Second
	}
	total = o.span(total)
	dir, err := o.scratch()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	base, _, name := recipe(o, 200_000, 0, 128)
	r := newReport("write", name, o, w)
	r.printf("%d writers, one 128-d document each, fsync on, %s, %d CPUs, %s\n", writers, dir, runtime.GOMAXPROCS(0), cpuName())
	raw, err := pebble.Open(filepath.Join(dir, "pebble"), &pebble.Options{Logger: quiet{}})
	if err != nil {
		return err
	}
	defer raw.Close()
	db, c, err := create(ctx, filepath.Join(dir, "eider"), base.Cols)
	if err != nil {
		return err
	}
	var ours, theirs burst
	const turns = 4
	for turn := range turns {
		o.log("turn %d of %d", turn+1, turns)
		err = errors.Join(
			theirs.run(ctx, total/turns, func(ctx context.Context, i int) error { return put(raw, i, base) }),
			ours.run(ctx, total/turns, func(ctx context.Context, i int) error {
				_, err := c.Upsert(ctx, document(i, base.Row(i%base.Rows)))
				return err
			}),
			c.Ready(ctx)) // neither turn pays for the other's backlog
		if err != nil {
			return errors.Join(err, db.Close())
		}
	}
	if err := errors.Join(present(ctx, c, &ours), sustain(ctx, o, r, c, &ours, base, total)); err != nil {
		return errors.Join(err, db.Close())
	}
	r.against("pebble", "write", ours.rate(), theirs.rate(), "docs/s", "higher",
		fmt.Sprintf("%d documents in %.1f s, all of them counted afterwards", len(ours.latency), ours.seconds))
	r.against("pebble", "write_p50", metric.Median(ours.latency)*1e3, metric.Median(theirs.latency)*1e3, "ms", "lower", "")
	r.against("pebble", "write_p99", metric.Quantile(ours.latency, .99)*1e3, metric.Quantile(theirs.latency, .99)*1e3, "ms", "lower", "")
	return errors.Join(r.finish(o), db.Close())
}

// sustain writes for the given time and then waits for the graph.
func sustain(ctx context.Context, o Options, r *report, c *eider.Collection, b *burst, base dataset.Matrix, total time.Duration) error {
	o.log("sustained rate")
	before, start := b.n.Load(), time.Now()
	var s burst
	s.n.Store(before)
	err := s.run(ctx, total, func(ctx context.Context, i int) error {
		_, err := c.Upsert(ctx, document(i, base.Row(i%base.Rows)))
		return err
	})
	wrote := time.Since(start).Seconds()
	if err = errors.Join(err, c.Ready(ctx)); err != nil {
		return err
	}
	n, all := int(s.n.Load()-before), time.Since(start).Seconds()
	r.add("write_sustained", float64(n)/all, "docs/s",
		fmt.Sprintf("graph included: %d documents, %.1f s of writing at %s, %.1f s until all were linked", n, wrote, rate(n, wrote), all-wrote))
	return nil
}

// present checks that acknowledged documents can be read: a few of them, and the
// count.
func present(ctx context.Context, c *eider.Collection, b *burst) error {
	n, err := c.Count(ctx, nil)
	if err != nil {
		return err
	}
	if int64(n) != b.n.Load() {
		return fmt.Errorf("%d documents were acknowledged, the collection holds %d", b.n.Load(), n)
	}
	return nil
}

// burst counts what 64 goroutines finish while a time lasts. Runs add up.
type burst struct {
	n       atomic.Int64 // next document
	seconds float64
	mu      sync.Mutex
	latency []float64 // seconds, of every write
}

func (b *burst) rate() float64 { return float64(len(b.latency)) / b.seconds }

// run calls do with consecutive numbers until the time is over. A write that has
// begun is finished and counted.
func (b *burst) run(ctx context.Context, d time.Duration, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	start := time.Now()
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			var mine []float64
			for time.Since(start) < d && ctx.Err() == nil {
				at := time.Now()
				if err := do(ctx, int(b.n.Add(1))-1); err != nil {
					cancel(err)
					break
				}
				mine = append(mine, time.Since(at).Seconds())
			}
			b.mu.Lock()
			b.latency = append(b.latency, mine...)
			b.mu.Unlock()
		})
	}
	wg.Wait()
	b.seconds += time.Since(start).Seconds()
	return context.Cause(ctx)
}

// put writes to Pebble what a document holds: its id, its vector, its fields.
func put(db *pebble.DB, i int, base dataset.Matrix) error {
	key := binary.BigEndian.AppendUint64([]byte{'d'}, uint64(i))
	value := make([]byte, 0, base.Cols*4+48)
	value = fmt.Appendf(value, `{"kind":"k%d","rank":%d}`, i%10, i)
	for _, x := range base.Row(i % base.Rows) {
		value = binary.LittleEndian.AppendUint32(value, math.Float32bits(x))
	}
	return db.Set(key, value, pebble.Sync)
}

// quiet drops Pebble's log.
type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf("pebble: "+format, args...))
}

// Import measures a bulk load of 100,000 x 384 (20,000 when quick) with the graph,
// split into its phases: batches written and durable, graph linked, index
// snapshot saved by Close.
func Import(ctx context.Context, o Options, w io.Writer) error {
	rows := 100_000
	if o.Quick {
		rows = 20_000
	}
	dir, err := o.scratch()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	base, _, name := recipe(o, rows, 0, 384)
	r := newReport("import", name, o, w)
	r.printf("%d x %d documents in batches of 1,000, fsync on, HNSW M=16 efConstruction=200, %d CPUs, %s\n",
		base.Rows, base.Cols, runtime.GOMAXPROCS(0), cpuName())
	start, cpu := time.Now(), processCPU()
	db, c, err := create(ctx, dir, base.Cols)
	if err != nil {
		return err
	}
	o.log("writing")
	if err := fill(ctx, c, base, 0); err != nil {
		return errors.Join(err, db.Close())
	}
	wrote := time.Now()
	backlog, err := fresh(ctx, db)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	o.log("linking")
	if err := c.Ready(ctx); err != nil {
		return errors.Join(err, db.Close())
	}
	linked := time.Now()
	if err := db.Close(); err != nil {
		return err
	}
	end := time.Now()
	r.add("import_write", wrote.Sub(start).Seconds(), "s", fmt.Sprintf("durable and searchable; %d vectors were not linked yet", backlog))
	r.add("import_graph", linked.Sub(wrote).Seconds(), "s", "until every vector is linked")
	r.add("import_save", end.Sub(linked).Seconds(), "s", "Close, with the index snapshot")
	r.add("import_total", end.Sub(start).Seconds(), "s", rate(base.Rows, end.Sub(start).Seconds()))
	r.add("import_cpu", (processCPU() - cpu).Seconds(), "s", "CPU time of all threads")
	return r.finish(o)
}
