package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/eiderdb/eider/internal/metric"
	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/internal/train"
	"github.com/eiderdb/eider/recsys/din"
)

// speed times training and serving, beside the peers that are installed.
func (d *dinSuite) speed(ctx context.Context) error {
	shop, err := newWorkshop(nil)
	if err != nil {
		return err
	}
	defer shop.close()
	p, err := d.dinPeers(ctx, shop)
	defer p.close()
	if err != nil {
		return err
	}
	if err := d.training(ctx, p, shop.temp); err != nil {
		return err
	}
	for _, s := range []serving{{200, 50, 128, []int{80, 40}}, {1000, 50, 36, []int{36, 16}}} {
		if err := d.serve(ctx, p, shop.temp, s); err != nil {
			return err
		}
	}
	return nil
}

// course is batches that both sides train on, and the model.
type course struct {
	config  din.Config
	model   *din.Model
	batches []*din.Batch
	rows    int // items offered in a batch
}

func (d *dinSuite) course() (*course, error) {
	c := &course{config: d.clicks.config()}
	c.config.Lambda = 0 // PyTorch would pay for it dearly
	items, err := din.NewItems(d.clicks.items, c.config.Item, d.clicks.columns)
	if err != nil {
		return nil, err
	}
	if c.model, err = din.New(c.config, items, 1); err != nil {
		return nil, err
	}
	requests := min(dinRequests, len(d.clicks.examples))
	c.rows = 2 * requests
	for b, err := range d.clicks.source(1, requests)(0) {
		if err != nil {
			return nil, err
		}
		if len(b.Items) != c.rows || len(c.batches) == 60 {
			break
		}
		kept := &din.Batch{}
		kept.Reset()
		for r := range b.Requests() {
			kept.Add(nil, b.Past[b.Starts[r]:b.Starts[r+1]], b.Items[b.Offers[r]:b.Offers[r+1]], b.Labels[b.Offers[r]:b.Offers[r+1]])
		}
		c.batches = append(c.batches, kept)
	}
	if len(c.batches) == 0 {
		return nil, fmt.Errorf("%w: %s has no batch of clicks with a negative each", ErrSet, d.clicks.name)
	}
	return c, nil
}

// write hands configuration and batches to a peer, in the layout din.py states.
func (c *course) write(dir string) (config, batches string, err error) {
	config, batches = filepath.Join(dir, "din.json"), filepath.Join(dir, "batches.bin")
	var b []byte
	put := func(x int) { b = binary.LittleEndian.AppendUint32(b, uint32(x)) }
	put(len(c.batches))
	put(c.rows)
	put(historyLength)
	for _, x := range c.batches {
		var past, lengths, labels []int
		for r := range x.Requests() {
			for i := x.Offers[r]; i < x.Offers[r+1]; i++ {
				history := x.Past[x.Starts[r]:x.Starts[r+1]]
				put(int(x.Items[i]))
				for _, it := range history {
					past = append(past, int(it))
				}
				past = append(past, make([]int, historyLength-len(history))...)
				lengths, labels = append(lengths, len(history)), append(labels, int(x.Labels[i]))
			}
		}
		for _, list := range [][]int{past, lengths, labels} {
			for _, v := range list {
				put(v)
			}
		}
	}
	return config, batches, errors.Join(hand(config, c.config), os.WriteFile(batches, b, 0o644))
}

// training times the same steps on the same batches in turns, on one thread and on
// two.
func (d *dinSuite) training(ctx context.Context, p dinPeers, dir string) error {
	c, err := d.course()
	if err != nil {
		return err
	}
	config, batches, err := c.write(dir)
	if err != nil {
		return err
	}
	turns, steps := 7, 40
	if d.o.Quick {
		turns, steps = 3, 20
	}
	runtime.GC()
	debug.FreeOSMemory()
	resetPeak()
	for threads := 1; threads <= min(2, runtime.GOMAXPROCS(0)); threads++ {
		r := race{threads: threads, config: config, batches: batches, entrants: p.entrants(), peaks: map[*peer]float64{}}
		for turn := range turns {
			if err := r.turn(ctx, c, turn*steps, steps); err != nil {
				return err
			}
			d.o.log("training, %d threads, turn %d of %d: %.0f samples/s", threads, turn+1, turns, r.own[turn])
		}
		r.publish(d.report, c)
	}
	return nil
}

// race is the samples per second of all sides on a number of threads.
type race struct {
	threads         int
	config, batches string // files
	own             []float64
	entrants        []*entrant
	peak            float64 // memory of this process in bytes, at most
	peaks           map[*peer]float64
}

func (r *race) turn(ctx context.Context, c *course, first, steps int) error {
	took, err := c.train(ctx, first, steps, r.threads)
	if err != nil {
		return err
	}
	r.own = append(r.own, float64(steps*c.rows)/took.Seconds())
	r.peak = float64(peak())
	for _, e := range r.entrants {
		most, err := e.turn(ctx, r, c.rows, first, steps)
		if err != nil {
			return err
		}
		r.peaks[e.peer] = max(r.peaks[e.peer], most)
	}
	return nil
}

func (r *race) publish(report *report, c *course) {
	name := fmt.Sprintf("training, threads=%d", r.threads)
	own := metric.Median(r.own)
	if len(r.entrants) == 0 {
		report.add(name, own, "samples/s", "")
		report.add(name+", peak memory", r.peak/(1<<20), "MiB", "of the whole process, with the data set")
		return
	}
	for _, e := range r.entrants {
		report.against(e.title, name, own, metric.Median(e.rates), "samples/s", "higher", fmt.Sprintf("batches of %d; %s", c.rows, e.note))
	}
	for i, e := range r.entrants {
		if i > 0 && r.entrants[i-1].peer == e.peer {
			continue
		}
		report.against(e.title, name+", peak memory", r.peak/(1<<20), r.peaks[e.peer]/(1<<20), "MiB", "lower", "of the whole processes: ours with the data set, Python with its libraries")
	}
}

// warm is how many steps go before those that are timed.
const warm = 3

// train times steps from a batch on.
func (c *course) train(ctx context.Context, first, steps, threads int) (time.Duration, error) {
	source := func(int) iter.Seq2[*din.Batch, error] {
		return func(yield func(*din.Batch, error) bool) {
			for i := range steps + warm {
				if !yield(c.batches[(first+i)%len(c.batches)], nil) {
					return
				}
			}
		}
	}
	var replicas []train.Model[*din.Batch]
	for range threads - 1 {
		replicas = append(replicas, c.model.Replica())
	}
	var before time.Duration
	o := train.Options{Epochs: 1, Optimizer: nn.Adam{}, Rate: nn.Constant(dinRate), Progress: func(e train.Event) {
		if e.Step == warm {
			before = e.Elapsed
		}
	}}
	r, err := train.RunParallel(ctx, c.model, replicas, (*din.Batch).Part, source, o)
	return r.Elapsed - before, err
}
