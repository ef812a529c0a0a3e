package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/eiderdb/eider/internal/metric"
	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/recsys/din"
)

// serving is a size of requests.
type serving struct {
	items, past, d int
	unit           []int
}

// serve times requests from one goroutine: alone, and while a model trains in
// another.
func (d *dinSuite) serve(ctx context.Context, p dinPeers, dir string, s serving) error {
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
	if err := d.against(ctx, p, dir, c, s, name, p50, note); err != nil {
		return err
	}
	d.report.add(name+", p99", p99, "ms", "")
	d.report.against("alone", name+", p99 while training", metric.Quantile(loud, 0.99)*1e3, p99, "ms", "lower", fmt.Sprintf("p50 %.2f ms", metric.Median(loud)*1e3))
	return nil
}

// against puts the median of a request beside those of the peers.
func (d *dinSuite) against(ctx context.Context, p dinPeers, dir string, c din.Config, s serving, name string, p50 float64, note string) error {
	path := filepath.Join(dir, "serve.json")
	if err := hand(path, c); err != nil {
		return err
	}
	alone := true
	for _, q := range []struct {
		*peer
		note string
	}{{p.torch, "PyTorch by its modules, one thread"}, {p.onnx, "PyTorch's model exported, one thread"}} {
		if q.peer == nil {
			continue
		}
		theirs, err := s.ask(ctx, q.peer, path)
		if err != nil {
			return err
		}
		d.report.against(q.title, name+", p50", p50, theirs, "ms", "lower", note+"; "+q.note)
		alone = false
	}
	if alone {
		d.report.add(name+", p50", p50, "ms", note)
	}
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
		_, err := c.train(inner, 0, math.MaxInt32, 1)
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
