package bench

import (
	"context"
	_ "embed"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/eiderdb/eider/internal/metric"
	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/internal/train"
	"github.com/eiderdb/eider/recsys/din"
)

//go:embed peers/din.py
var dinPy []byte

// speed times training and serving, beside PyTorch where it is installed.
func (d *dinSuite) speed(ctx context.Context) error {
	shop, err := newWorkshop(nil)
	if err != nil {
		return err
	}
	defer shop.close()
	var torch *peer
	if len(d.o.peers([]string{"torch"})) > 0 {
		torch = &peer{title: "pytorch", how: "Python", shop: shop}
		script := filepath.Join(shop.temp, "din.py")
		if err := os.WriteFile(script, dinPy, 0o644); err != nil {
			return err
		}
		if err := torch.launch(ctx, shop.python(), script, "peer"); errors.Is(err, errAbsent) {
			d.report.absent("pytorch", "pip install torch into the peers' environment; "+err.Error())
			torch = nil
		} else if err != nil {
			return err
		} else {
			defer torch.close()
			d.report.about = append(d.report.about, About{"pytorch", torch.how})
		}
	}
	if err := d.training(ctx, torch, shop.temp); err != nil {
		return err
	}
	for _, s := range []serving{{200, 50, 128, []int{80, 40}}, {1000, 50, 36, []int{36, 16}}} {
		if err := d.serve(ctx, torch, shop.temp, s); err != nil {
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
	text, err := json.Marshal(c.config)
	if err != nil {
		return "", "", err
	}
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
	return config, batches, errors.Join(os.WriteFile(config, text, 0o644), os.WriteFile(batches, b, 0o644))
}

// training times the same steps on the same batches in turns, on one thread and on
// two.
func (d *dinSuite) training(ctx context.Context, torch *peer, dir string) error {
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
	for threads := 1; threads <= min(2, runtime.GOMAXPROCS(0)); threads++ {
		r := race{threads: threads, config: config, batches: batches, theirs: map[string][]float64{}}
		for turn := range turns {
			if err := r.turn(ctx, c, torch, turn*steps, steps); err != nil {
				return err
			}
			d.o.log("training, %d threads, turn %d of %d: %.0f samples/s, PyTorch %.0f", threads, turn+1, turns, r.own[turn], r.theirs["dense"])
		}
		r.publish(d.report, c, torch)
	}
	return nil
}

// race is the samples per second of both sides on a number of threads.
type race struct {
	threads         int
	config, batches string // files
	own             []float64
	theirs          map[string][]float64 // by form of the tables' gradients
	resident, bytes float64              // memory of the processes, ours and PyTorch's
}

// forms are how PyTorch may hold gradients of tables.
var forms = []string{"dense", "sparse"}

func (r *race) turn(ctx context.Context, c *course, torch *peer, first, steps int) error {
	took, err := c.train(ctx, first, steps, r.threads)
	if err != nil {
		return err
	}
	r.own = append(r.own, float64(steps*c.rows)/took.Seconds())
	r.resident = max(r.resident, float64(resident()))
	if torch == nil {
		return nil
	}
	for _, form := range forms {
		_, err := torch.ask(ctx, "load", r.config, r.batches, form)
		if err == nil {
			_, err = torch.ask(ctx, "train", "0", strconv.Itoa(warm), strconv.Itoa(r.threads))
		}
		if err != nil {
			return err
		}
		f, err := torch.ask(ctx, "train", strconv.Itoa(first), strconv.Itoa(steps), strconv.Itoa(r.threads))
		if err != nil {
			return err
		}
		r.theirs[form] = append(r.theirs[form], float64(steps*c.rows)/value(f, "wall"))
		r.bytes = max(r.bytes, value(f, "bytes"))
	}
	return nil
}

func (r *race) publish(report *report, c *course, torch *peer) {
	name := fmt.Sprintf("training, threads=%d", r.threads)
	if torch == nil {
		report.add(name, metric.Median(r.own), "samples/s", "")
		return
	}
	for _, form := range forms {
		report.against("pytorch", name, metric.Median(r.own), metric.Median(r.theirs[form]), "samples/s", "higher",
			fmt.Sprintf("batches of %d; PyTorch's tables have %s gradients, ours those of the rows used", c.rows, form))
	}
	report.against("pytorch", name+", memory", r.resident/(1<<20), r.bytes/(1<<20), "MiB", "lower", "of the whole process, ours with the data set")
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
