package bench

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/index/hnsw"
)

// open makes the graph empty, with one worker per CPU.
func (g *graph) open(_ context.Context, _ int) error {
	config, err := g.config(annM, annEfC, runtime.GOMAXPROCS(0))
	if err != nil {
		return err
	}
	g.index, err = hnsw.New(config)
	return err
}

// add inserts from one goroutine per CPU and waits until all are linked.
func (g *graph) add(ctx context.Context, pairs []tagged) (float64, error) {
	began := processCPU()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(pairs) || ctx.Err() != nil {
					return
				}
				if err := g.index.Insert(ctx, pairs[i].label, g.set.Base.Row(int(pairs[i].row))); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return 0, err
	}
	err := g.index.Drain(ctx)
	return (processCPU() - began).Seconds(), err
}

// drop deletes and waits until the graph is repaired.
func (g *graph) drop(ctx context.Context, labels []uint32) (float64, error) {
	began := processCPU()
	g.lsn++
	for _, label := range labels {
		g.index.Delete(label, g.lsn)
	}
	g.index.Release(g.lsn)
	err := g.index.Drain(ctx)
	return (processCPU() - began).Seconds(), err
}

func (g *graph) self(ctx context.Context, k, ef int, pairs []tagged) (int, error) {
	n := 0
	for _, p := range pairs {
		hits, _, err := g.index.Search(ctx, g.set.Base.Row(int(p.row)), index.Params{K: k, Ef: ef}, g.hits[:0])
		if err != nil {
			return 0, err
		}
		g.hits = hits
		hit := len(hits) == k && hits[k-1].Distance == 0 // that many copies of the row
		for _, h := range hits {
			hit = hit || h.ID == p.label
		}
		if hit {
			n++
		}
	}
	return n, nil
}

// memory is what the index says it holds: other graphs share this process. It
// checks the graph first, since figures of a broken one mean nothing.
func (g *graph) memory(ctx context.Context) (float64, error) {
	s := g.index.Stats()
	return float64(s.VectorBytes + s.CodeBytes + s.GraphBytes), g.index.Check(ctx)
}

// The peer's side of the same: see peers/README.md.

func (p *peer) open(ctx context.Context, capacity int) error {
	_, err := p.ask(ctx, "open", strconv.Itoa(annM), strconv.Itoa(annEfC), strconv.Itoa(capacity))
	return err
}

func (p *peer) add(ctx context.Context, pairs []tagged) (float64, error) {
	path, err := p.hand(pairWords(pairs))
	if err != nil {
		return 0, err
	}
	f, err := p.ask(ctx, "add", path, strconv.Itoa(runtime.GOMAXPROCS(0)))
	return value(f, "cpu"), err
}

func (p *peer) drop(ctx context.Context, labels []uint32) (float64, error) {
	path, err := p.hand(labels)
	if err != nil {
		return 0, err
	}
	f, err := p.ask(ctx, "drop", path)
	return value(f, "cpu"), err
}

func (p *peer) self(ctx context.Context, k, ef int, pairs []tagged) (int, error) {
	path, err := p.hand(pairWords(pairs))
	if err != nil {
		return 0, err
	}
	f, err := p.ask(ctx, "self", strconv.Itoa(k), strconv.Itoa(ef), path)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(f["found"])
}

func (p *peer) memory(ctx context.Context) (float64, error) {
	f, err := p.ask(ctx, "memory")
	return value(f, "bytes"), err
}

// hand writes words to a file that the peer reads.
func (p *peer) hand(words []uint32) (string, error) {
	path := filepath.Join(p.shop.temp, p.title+".u32")
	b := make([]byte, 0, 4*len(words))
	for _, w := range words {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return path, os.WriteFile(path, b, 0o644)
}

func pairWords(pairs []tagged) []uint32 {
	out := make([]uint32, 0, 2*len(pairs))
	for _, p := range pairs {
		out = append(out, p.label, p.row)
	}
	return out
}
