package bench

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/index/hnsw"
	"github.com/eiderdb/eider/index/rotate"
	"github.com/eiderdb/eider/internal/dataset"
)

// build is what making an index cost.
type build struct {
	wall, cpu float64 // seconds
	bytes     float64 // growth of resident memory
	own       float64 // what the engine says it holds, 0 if it does not say
	settings  []int   // of search, cheapest first; nil means efs
}

// cost is what a pass of queries took.
type cost struct{ wall, cpu float64 } // seconds

// engine is something that can be measured: Eider's index or a peer's process.
type engine interface {
	name() string
	about() string // version and how it runs
	build(ctx context.Context, m, ef, threads int) (build, error)
	// search runs the queries once, one after the other on one thread. ids, if not
	// nil, receives k per query, -1 where fewer were found.
	search(ctx context.Context, k, ef int, ids []int32) (cost, error)
	close()
}

// graph is Eider's own graph index, in this process.
type graph struct {
	set    *Set
	seed   int64
	codes  string    // one of Codes; "" is none
	widths []int     // prefixes of nested vectors
	rotate bool      // by a rotation learned from the set
	title  string    // name in figures, "" to derive it
	shop   *workshop // has the file that -disk reads; nil when no form is -disk
	rows   *rowFile
	lsn    uint64 // of the last deletes
	index  *hnsw.Index
	hits   []index.Hit
}

func (g *graph) name() string {
	switch form := g.form(); {
	case g.title != "":
		return g.title
	case form == "none":
		return "eider"
	default:
		return "eider-" + form
	}
}

// form names the codes and the widths, as figures carry them.
func (g *graph) form() string {
	form := cmp.Or(g.codes, "none")
	for i, w := range g.widths {
		form += []string{"-w", "+"}[min(i, 1)] + strconv.Itoa(w)
	}
	if g.rotate {
		form += "-pca"
	}
	return form
}

func (g *graph) about() string {
	how := "index/hnsw in this process, float32"
	if kind, disk := strings.CutSuffix(g.codes, "-disk"); kind != "" && kind != "none" {
		how = "index/hnsw in this process, " + kind + " codes, hits chosen by float32 in memory"
		if disk {
			how = "index/hnsw in this process, " + kind + " codes, hits chosen by float32 read from a file"
		}
	}
	if len(g.widths) > 0 {
		how += fmt.Sprintf(", walked on %d components", g.widths[0])
		for _, w := range g.widths[1:] {
			how += fmt.Sprintf(", reordered by %d", w)
		}
		if g.rotate {
			how += ", of vectors rotated by their principal axes"
		}
	}
	return how
}

// config is the index's, for the form of codes.
func (g *graph) config(m, ef, threads int) (index.Config, error) {
	c := index.Config{Dim: g.set.Base.Cols, Metric: g.set.Metric, M: m, EfConstruction: ef, Workers: threads, Seed: g.seed, Widths: g.widths}
	kind, disk := strings.CutSuffix(g.codes, "-disk")
	if kind != "none" {
		c.Codes = index.Codes(kind)
	}
	if !disk {
		return c, nil
	}
	path, _, err := g.shop.share()
	if err != nil {
		return c, err
	}
	if g.rows, err = openRows(path, c.Dim); err != nil {
		return c, err
	}
	c.Source = g.rows
	return c, nil
}

// codesOf is the form of Eider's vectors, "" for a peer.
func codesOf(e engine) string {
	if g, ok := e.(*graph); ok {
		return g.form()
	}
	return ""
}

func (g *graph) build(ctx context.Context, m, ef, threads int) (build, error) {
	config, err := g.config(m, ef, threads)
	if err != nil {
		return build{}, err
	}
	debug.FreeOSMemory()
	before, wall, cpu := resident(), time.Now(), processCPU()
	if g.rotate {
		if config.Rotation, err = learn(ctx, g.set.Base, g.widths); err != nil {
			return build{}, err
		}
		config.Rotate = true
	}
	x, err := hnsw.New(config)
	if err != nil {
		return build{}, err
	}
	g.index = x
	if err := insertAll(ctx, x, g.set.Base, threads); err != nil {
		return build{}, err
	}
	if err := x.Drain(ctx); err != nil {
		return build{}, err
	}
	b := build{wall: time.Since(wall).Seconds(), cpu: (processCPU() - cpu).Seconds()}
	debug.FreeOSMemory()
	s := x.Stats()
	b.bytes, b.own = float64(resident()-before), float64(s.VectorBytes+s.CodeBytes+s.GraphBytes)
	return b, nil
}

// learn is the rotation that Eider learns from a sample of the rows.
func learn(ctx context.Context, m dataset.Matrix, widths []int) ([]float32, error) {
	moment := rotate.NewMoment(m.Cols)
	n := min(m.Rows, rotate.Sample(m.Cols))
	for i := range n {
		moment.Add(m.Row(i * m.Rows / n))
	}
	return moment.Rotation(ctx, widths)
}

// insertAll inserts every row under its number, from as many goroutines as threads.
func insertAll(ctx context.Context, x index.Index, m dataset.Matrix, threads int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range threads {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= m.Rows || ctx.Err() != nil {
					return
				}
				if err := x.Insert(ctx, uint32(i), m.Row(i)); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

func (g *graph) search(ctx context.Context, k, ef int, ids []int32) (cost, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	wall, cpu := time.Now(), threadCPU()
	for i := range g.set.Queries.Rows {
		hits, _, err := g.index.Search(ctx, g.set.Queries.Row(i), index.Params{K: k, Ef: ef}, g.hits[:0])
		if err != nil {
			return cost{}, err
		}
		g.hits = hits
		if ids != nil {
			for j := range k {
				ids[i*k+j] = -1
				if j < len(hits) {
					ids[i*k+j] = int32(hits[j].ID)
				}
			}
		}
	}
	return cost{time.Since(wall).Seconds(), (threadCPU() - cpu).Seconds()}, nil
}

func (g *graph) close() {
	if g.index != nil {
		g.index.Close()
		g.index = nil
	}
	if g.rows != nil {
		g.rows.f.Close()
		g.rows = nil
	}
}

// rowFile is the rows of an fbin file, read one at a time: an index.Source.
type rowFile struct {
	f      *os.File
	cols   int
	buffer sync.Pool // of *[]byte
}

func openRows(path string, cols int) (*rowFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &rowFile{f: f, cols: cols, buffer: sync.Pool{New: func() any { b := make([]byte, cols*4); return &b }}}, nil
}

// Read appends the row numbered id to dst.
func (r *rowFile) Read(id uint32, dst []float32) ([]float32, error) {
	p := r.buffer.Get().(*[]byte)
	defer r.buffer.Put(p)
	b := *p
	if _, err := r.f.ReadAt(b, 8+int64(id)*int64(len(b))); err != nil {
		return dst, err
	}
	for at := 0; at < len(b); at += 4 {
		dst = append(dst, math.Float32frombits(binary.LittleEndian.Uint32(b[at:])))
	}
	return dst, nil
}
