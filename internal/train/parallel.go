package train

import (
	"fmt"
	"sync"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/simd"
)

// worker is a model that takes a part of each mini-batch.
type worker[B any] struct {
	m      Model[B]
	params []*nn.Param
	stats  []*nn.Stats
	tape   nn.Tape

	b     B
	share float32
	loss  float64
	err   error
}

func (r *run[B]) hire(replicas []Model[B]) error {
	for i, m := range append([]Model[B]{r.m}, replicas...) {
		w := worker[B]{m: m, params: m.Params()}
		w.tape.Yield = r.o.Yield
		w.tape.Seed = r.o.Seed + uint64(i)<<32 // masks of its own
		m.Stats(func(_ string, s *nn.Stats) { w.stats = append(w.stats, s) })
		if i > 0 && (len(w.params) != len(r.params) || len(w.stats) != len(r.workers[0].stats)) {
			return fmt.Errorf("%w: replica %d has %d parameters and %d statistics, the model %d and %d", ErrOptions, i, len(w.params), len(w.stats), len(r.params), len(r.workers[0].stats))
		}
		r.workers = append(r.workers, w)
	}
	if len(replicas) > 0 && r.part == nil {
		return fmt.Errorf("%w: replicas, and nothing that divides a batch", ErrOptions)
	}
	return nil
}

// gradient leaves the gradient of the mean loss over b in the parameters of m and
// returns that loss.
func (r *run[B]) gradient(b B) (float64, error) {
	n := len(r.workers)
	for i := range r.workers {
		w := &r.workers[i]
		w.b, w.share, w.loss, w.err = b, 1, 0, nil
		if n > 1 {
			w.b, w.share = r.part(b, i, n)
		}
		w.tape.Step = uint64(r.state.Step)
	}
	if n == 1 {
		w := &r.workers[0]
		return w.m.Gradient(&w.tape, w.b)
	}
	var wait sync.WaitGroup
	for i := range r.workers[1:] {
		w := &r.workers[i+1]
		for k, s := range w.stats {
			copy(s.Mean, r.workers[0].stats[k].Mean)
			copy(s.Var, r.workers[0].stats[k].Var)
		}
		wait.Go(w.work)
	}
	r.workers[0].work()
	wait.Wait()
	return r.merge()
}

func (w *worker[B]) work() {
	if w.share > 0 {
		w.loss, w.err = w.m.Gradient(&w.tape, w.b)
	}
}

// merge brings gradients and statistics of all workers to the first, in order.
func (r *run[B]) merge() (loss float64, err error) {
	first := &r.workers[0]
	for i := range r.workers {
		w := &r.workers[i]
		if err == nil {
			err = w.err
		}
		loss += float64(w.share) * w.loss
		for k, p := range w.params {
			simd.Scale(p.Grad.Data, w.share)
			if i > 0 {
				r.params[k].Merge(p)
			}
		}
		for k, s := range w.stats {
			for j := range s.Mean {
				if i == 0 {
					s.Mean[j] *= w.share
					s.Var[j] *= w.share
				} else {
					first.stats[k].Mean[j] += w.share * s.Mean[j]
					first.stats[k].Var[j] += w.share * s.Var[j]
				}
			}
		}
	}
	return loss, err
}
