package bench

import (
	"context"
	_ "embed"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
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
	for threads := 1; threads <= min(2, runtime.GOMAXPROCS(0)); threads++ {
		var own []float64
		theirs := map[string][]float64{}
		for turn := range turns {
			took, err := c.train(ctx, turn*steps, steps, threads)
			if err != nil {
				return err
			}
			own = append(own, float64(steps*c.rows)/took.Seconds())
			for _, kind := range []string{"dense", "sparse"} {
				if torch == nil {
					continue
				}
				if _, err := torch.ask(ctx, "load", config, batches, kind); err != nil {
					return err
				}
				if _, err := torch.ask(ctx, "train", "0", "3", strconv.Itoa(threads)); err != nil { // warm
					return err
				}
				f, err := torch.ask(ctx, "train", strconv.Itoa(turn*steps), strconv.Itoa(steps), strconv.Itoa(threads))
				if err != nil {
					return err
				}
				theirs[kind] = append(theirs[kind], float64(steps*c.rows)/value(f, "wall"))
			}
			d.o.log("training, %d threads, turn %d of %d: %.0f samples/s, PyTorch %.0f", threads, turn+1, turns, own[turn], theirs["dense"])
		}
		name := fmt.Sprintf("training, threads=%d", threads)
		if torch == nil {
			d.report.add(name, metric.Median(own), "samples/s", "")
		}
		for _, kind := range []string{"dense", "sparse"} {
			if torch != nil {
				d.report.against("pytorch", name, metric.Median(own), metric.Median(theirs[kind]), "samples/s", "higher",
					fmt.Sprintf("batches of %d, tables with %s gradients; ours are of rows", c.rows, kind))
			}
		}
	}
	return nil
}

// train runs steps from a batch on.
func (c *course) train(ctx context.Context, first, steps, threads int) (time.Duration, error) {
	source := func(int) iter.Seq2[*din.Batch, error] {
		return func(yield func(*din.Batch, error) bool) {
			for i := range steps {
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
	o := train.Options{Epochs: 1, Optimizer: nn.Adam{}, Rate: nn.Constant(dinRate)}
	r, err := train.RunParallel(ctx, c.model, replicas, (*din.Batch).Part, source, o)
	return r.Elapsed, err
}

// serving is a size of requests.
type serving struct {
	items, past, d int
	unit           []int
}

// serve times requests from one goroutine: alone, and while a model trains in
// another.
func (d *dinSuite) serve(ctx context.Context, torch *peer, dir string, s serving) error {
	rows, times := 100_000, 200
	if d.o.Quick {
		rows, times = 10_000, 30
	}
	c := din.Default([]din.Field{{Name: "item_id", Rows: rows, Dim: s.d}}, nil)
	c.Unit = din.Layers{Hidden: s.unit, Activation: "sigmoid"}
	items, err := din.NewItems(rows, c.Item, []din.Column{{}})
	if err != nil {
		return err
	}
	m, err := din.New(c, items, d.o.seed())
	if err != nil {
		return err
	}
	requests := make([]din.Request, 50)
	rng := rand.New(rand.NewPCG(d.o.seed(), 1))
	for i := range requests {
		for range s.items {
			requests[i].Items = append(requests[i].Items, rng.Uint32N(uint32(rows)))
		}
		for range s.past {
			requests[i].Past = append(requests[i].Past, rng.Uint32N(uint32(rows)))
		}
	}
	scorer := m.Scorer(false)
	name := fmt.Sprintf("serving %dx%d, d=%d, unit %d-%d-%d-1", s.items, s.past, s.d, 4*s.d, s.unit[0], s.unit[1])
	quiet, err := ask(ctx, scorer, requests, times)
	if err != nil {
		return err
	}
	loud, err := d.beside(ctx, func() ([]float64, error) { return ask(ctx, scorer, requests, times) })
	if err != nil {
		return err
	}
	off, err := difference(m, scorer, requests[0])
	if err != nil {
		return err
	}
	p50, p99 := metric.Median(quiet)*1e3, metric.Quantile(quiet, 0.99)*1e3
	note := fmt.Sprintf("at most %.1e from the logits of training", off)
	if err := d.against(ctx, torch, dir, c, s, name, p50, note); err != nil {
		return err
	}
	d.report.add(name+", p99", p99, "ms", "")
	d.report.against("alone", name+", p99 while training", metric.Quantile(loud, 0.99)*1e3, p99, "ms", "lower", fmt.Sprintf("p50 %.2f ms", metric.Median(loud)*1e3))
	return nil
}

// against puts the median of a request beside PyTorch's.
func (d *dinSuite) against(ctx context.Context, torch *peer, dir string, c din.Config, s serving, name string, p50 float64, note string) error {
	if torch == nil {
		d.report.add(name+", p50", p50, "ms", note)
		return nil
	}
	path := filepath.Join(dir, "serve.json")
	text, err := json.Marshal(c)
	if err == nil {
		err = os.WriteFile(path, text, 0o644)
	}
	if err != nil {
		return err
	}
	f, err := torch.ask(ctx, "serve", path, strconv.Itoa(s.items), strconv.Itoa(s.past), "30", "1")
	if err != nil {
		return err
	}
	d.report.against("pytorch", name+", p50", p50, value(f, "p50")*1e3, "ms", "lower", note+"; PyTorch by its modules, one thread")
	return nil
}

// ask scores requests in turn and returns the seconds of each.
func ask(ctx context.Context, s *din.Scorer, requests []din.Request, times int) ([]float64, error) {
	logits := make([]float32, len(requests[0].Items))
	var spent []float64
	for i := range times + 5 {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		began := time.Now()
		if err := s.Score(requests[i%len(requests)], logits, nil); err != nil {
			return nil, err
		}
		if i >= 5 { // the first grow scratch
			spent = append(spent, time.Since(began).Seconds())
		}
	}
	return spent, nil
}

// beside calls f while a model trains in another goroutine.
func (d *dinSuite) beside(ctx context.Context, f func() ([]float64, error)) ([]float64, error) {
	c, err := d.course()
	if err != nil {
		return nil, err
	}
	inner, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		_, err := c.train(inner, 0, math.MaxInt, 1)
		done <- err
	}()
	spent, err := f()
	stop()
	if err2 := <-done; !errors.Is(err2, context.Canceled) {
		err = errors.Join(err, err2)
	}
	return spent, err
}

// difference is the greatest one between a scorer's logits and training's.
func difference(m *din.Model, s *din.Scorer, r din.Request) (float64, error) {
	var b din.Batch
	b.Reset()
	b.Add(nil, r.Past, r.Items, nil)
	own, want := make([]float32, len(r.Items)), make([]float32, len(r.Items))
	if err := errors.Join(s.Score(r, own, nil), m.Logits(new(nn.Tape), &b, want)); err != nil {
		return 0, err
	}
	off := 0.0
	for i := range own {
		off = max(off, math.Abs(float64(own[i]-want[i])))
	}
	return off, nil
}
