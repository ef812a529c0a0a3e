package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/internal/metric"
)

// climb finds and repeats the cheapest setting of one engine under a predicate.
type climb struct {
	p         *predicate
	run       func(c *climb, ef int) (cost, error)
	ef        int
	recall    float64
	short     int // answers with fewer than k hits
	exact     int // answers that were scans
	distances int
	asked     int       // queries of a pass
	wall, cpu []float64 // seconds of each repetition
	each      []float64 // wall seconds of every search of every repetition
	found     [][]int32 // by group
}

func newClimb(p *predicate, run func(*climb, int) (cost, error)) *climb {
	c := &climb{p: p, run: run}
	for _, t := range p.truth {
		c.found = append(c.found, make([]int32, t.set.Queries.Rows*p.k))
	}
	return c
}

// at tries one setting.
func (c *climb) at(ctx context.Context, ef int) error {
	c.ef = ef
	if _, err := c.run(c, ef); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	c.recall, c.short = 0, 0
	queries := 0
	for i, t := range c.p.truth {
		n := t.set.Queries.Rows
		queries += n
		c.recall += t.recall(c.found[i]) * float64(n)
		for j := range n {
			if slices.Contains(c.found[i][j*t.k:(j+1)*t.k], -1) {
				c.short++
			}
		}
	}
	c.recall /= float64(queries)
	return nil
}

// up tries the ladder until the recall is enough, or keeps its top.
func (c *climb) up(ctx context.Context) error {
	for _, ef := range ladder {
		if err := c.at(ctx, ef); err != nil {
			return err
		}
		if c.recall >= enough {
			break
		}
	}
	c.reset()
	return nil
}

// reset forgets what was timed.
func (c *climb) reset() { c.wall, c.cpu, c.each = c.wall[:0], c.cpu[:0], c.each[:0] }

func (c *climb) again() error {
	took, err := c.run(c, c.ef)
	c.wall, c.cpu = append(c.wall, took.wall), append(c.cpu, took.cpu)
	return err
}

// speed is the queries a second of wall and of CPU time.
func (c *climb) speed() (wall, cpu float64) {
	return float64(c.asked) / metric.Median(c.wall), float64(c.asked) / metric.Median(c.cpu)
}

// sparsely is the step from one query that is answered by a scan to the next: scans
// take long, and all take the same.
const sparsely = 5

// climb is Eider's own, as planned or always a scan.
func (f *filtering) climb(ctx context.Context, p *predicate, scan bool) *climb {
	return newClimb(p, func(c *climb, ef int) (cost, error) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		c.exact, c.distances, c.asked = 0, 0, 0
		total := 0.0
		cpu := threadCPU()
		step := 1
		if scan {
			step = sparsely
		}
		for i, g := range f.groups {
			params := index.Params{K: p.k, Ef: ef, Allow: p.allow[i], Exact: scan}
			found := c.found[i]
			for j := 0; j < g.set.Queries.Rows; j += step {
				start := time.Now()
				hits, w, err := f.own.index.Search(ctx, g.set.Queries.Row(j), params, f.hits[:0])
				if err != nil {
					return cost{}, err
				}
				took := time.Since(start).Seconds()
				total += took
				c.asked++
				c.each = append(c.each, took)
				c.distances += w.Distances
				if w.Exact {
					c.exact++
				}
				f.hits = hits
				for h := range p.k {
					found[j*p.k+h] = -1
					if h < len(hits) {
						found[j*p.k+h] = int32(hits[h].ID)
					}
				}
			}
		}
		return cost{total, (threadCPU() - cpu).Seconds()}, nil
	})
}

// rival is the peer's. It is asked group by group, since each has its own flags.
func (f *filtering) rival(ctx context.Context, p *predicate) *climb {
	flags := make([]byte, f.set.Base.Rows)
	return newClimb(p, func(c *climb, ef int) (cost, error) {
		var total cost
		c.asked = f.set.Queries.Rows
		for i, g := range f.groups {
			clear(flags)
			for _, id := range p.ids[i] {
				flags[id] = 1
			}
			if err := f.peer.filter(ctx, flags); err != nil {
				return cost{}, err
			}
			took, err := f.peer.some(ctx, p.k, ef, g.first, g.set.Queries.Rows, c.found[i])
			if err != nil {
				return cost{}, err
			}
			total.wall += took.wall
			total.cpu += took.cpu
		}
		return total, nil
	})
}

// some runs n queries from first on, puts k ids of each in ids, and returns what
// that took.
func (p *peer) some(ctx context.Context, k, ef, first, n int, ids []int32) (cost, error) {
	file := filepath.Join(p.shop.temp, "some.ibin")
	fields, err := p.ask(ctx, "search", strconv.Itoa(k), strconv.Itoa(ef), file, strconv.Itoa(first), strconv.Itoa(n))
	if err != nil {
		return cost{}, err
	}
	found, err := ints(file)
	if err == nil && len(found) != len(ids) {
		err = fmt.Errorf("%s answered %d ids, not %d", p.title, len(found), len(ids))
	}
	copy(ids, found)
	return cost{value(fields, "wall"), value(fields, "cpu")}, err
}

func ints(file string) ([]int32, error) {
	r, closer, err := open(file)
	if err != nil {
		return nil, err
	}
	defer closer()
	m, err := r.Ints(0)
	return m.Data, err
}
