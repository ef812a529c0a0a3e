package bench

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/index/flat"
	"github.com/eiderdb/eider/internal/arena"
	"github.com/eiderdb/eider/internal/dataset"
	"github.com/eiderdb/eider/internal/metric"
	"github.com/eiderdb/eider/simd"
)

// Exact measures the exact top 10 over a million vectors of 128 float32 (100,000
// when quick) against the machine's memory bandwidth: a scan cannot be faster
// than reading the vectors once (simd.Probe over as many bytes of the same kind
// of memory). Both run on one thread and then on all; scan and probe alternate.
// The ratio is scan time over probe time, so 1 is perfect. Beside it runs the same
// search through int8 codes, whose bounds keep it exact: its answers must be those
// of the scan.
func Exact(ctx context.Context, o Options, w io.Writer) error {
	rows := 1_000_000
	if o.Quick {
		rows = 100_000
	}
	rows = o.rows(rows)
	const dim = 128
	o.log("generating %d x %d", rows, dim)
	base := dataset.Sphere(rows, dim, o.seed())
	queries := dataset.Sphere(64, dim, o.seed()+1)
	memory, err := probeMemory(base.Data)
	if err != nil {
		return err
	}
	defer memory.Free()
	r := newReport("exact", fmt.Sprintf("sphere-%dx%d-seed%d", rows, dim, o.seed()), o, w)
	r.printf("exact top 10 of %d x %d float32 (%d MB), l2, %s, %s\n", rows, dim, rows*dim*4>>20, simd.Active(), cpuName())
	for _, threads := range []int{1, runtime.GOMAXPROCS(0)} {
		o.log("scanning on %d threads", threads)
		if err := exact(ctx, r, base, queries, arena.View[float32](memory), threads); err != nil {
			return err
		}
		if threads == runtime.GOMAXPROCS(0) {
			break
		}
	}
	return r.finish(o)
}

// probeMemory is a copy of x in the kind of memory the index uses, so that page
// size favours neither.
func probeMemory(x []float32) (*arena.Region, error) {
	m, err := arena.Reserve(int64(len(x)) * 4)
	if err != nil {
		return nil, err
	}
	if err := m.Grow(int64(len(x)) * 4); err != nil {
		m.Free()
		return nil, err
	}
	copy(arena.View[float32](m), x)
	return m, nil
}

func exact(ctx context.Context, r *report, base, queries dataset.Matrix, memory []float32, threads int) error {
	x, err := flat.New(index.Config{Dim: base.Cols, Workers: threads})
	if err != nil {
		return err
	}
	defer x.Close()
	coded, err := flat.New(index.Config{Dim: base.Cols, Workers: threads, Codes: index.Int8})
	if err != nil {
		return err
	}
	defer coded.Close()
	for _, x := range []index.Index{x, coded} {
		if err := insertAll(ctx, x, base, runtime.GOMAXPROCS(0)); err != nil {
			return err
		}
	}
	var scans, sieves, probes []float64
	var hits, same []index.Hit
	for rep := range 25 {
		start := time.Now()
		if hits, _, err = x.Search(ctx, queries.Row(rep%queries.Rows), index.Params{K: 10, Exact: true}, hits[:0]); err != nil {
			return err
		}
		scans = append(scans, time.Since(start).Seconds())
		start = time.Now()
		if same, _, err = coded.Search(ctx, queries.Row(rep%queries.Rows), index.Params{K: 10, Exact: true}, same[:0]); err != nil {
			return err
		}
		sieves = append(sieves, time.Since(start).Seconds())
		if !slices.Equal(hits, same) {
			return fmt.Errorf("the search through codes found %v, the scan %v", same, hits)
		}
		start = time.Now()
		probe(memory, threads)
		probes = append(probes, time.Since(start).Seconds())
	}
	bytes := float64(base.Rows) * float64(base.Cols) * 4
	scan, read := metric.Median(scans[3:]), metric.Median(probes[3:])
	name := fmt.Sprintf("exact_%dt", threads)
	r.against("probe", name, scan*1e3, read*1e3, "ms", "lower",
		fmt.Sprintf("%.1f GB/s against %.1f GB/s", bytes/scan/1e9, bytes/read/1e9))
	r.against("scan", fmt.Sprintf("exact_int8_%dt", threads), metric.Median(sieves[3:])*1e3, scan*1e3, "ms", "lower", "through int8 codes")
	r.add(name+"_p99", metric.Quantile(scans[3:], 0.99)*1e3, "ms", "")
	return nil
}

// probe reads x once, a share per thread.
func probe(x []float32, threads int) {
	if threads == 1 {
		simd.Probe(x)
		return
	}
	var wg sync.WaitGroup
	for t := range threads {
		wg.Go(func() { simd.Probe(x[len(x)*t/threads : len(x)*(t+1)/threads]) })
	}
	wg.Wait()
}
