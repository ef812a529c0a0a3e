package train

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/eiderdb/eider/internal/metric"
	"github.com/eiderdb/eider/internal/nn"
)

// ErrOptions reports options no run can have, ErrDiverged a loss or a metric that
// is not a number, ErrCheckpoint bytes that are no checkpoint of this model and
// run; the message names what does not fit.
var (
	ErrOptions    = errors.New("train: bad options")
	ErrDiverged   = errors.New("train: diverged")
	ErrCheckpoint = errors.New("train: not a checkpoint of this run")
)

// Model is what learns, on batches of type B. A model belongs to its run while the
// run lasts.
type Model[B any] interface {
	// Params lists what training moves, in an order that never changes.
	Params() []*nn.Param
	// Stats calls f for each running statistic, which is state as well, under a
	// name of its own.
	Stats(f func(name string, s *nn.Stats))
	// Gradient adds the gradient of the mean loss over b to the parameters and
	// returns that loss. It resets the tape, whose Seed and Step are set.
	Gradient(t *nn.Tape, b B) (float64, error)
	// Regularise adds the gradient of what is not in the loss, once per step.
	Regularise()
}

// Source yields the mini-batches of an epoch, counted from 0: the same ones
// whenever it is asked for the same epoch. A batch is valid until the next one is
// asked for. An error ends the run.
type Source[B any] func(epoch int) iter.Seq2[B, error]

// Run trains m on the batches of source. When it returns without an error and a
// metric was measured, m is as its best epoch left it; else as the last step did.
// Errors: ErrOptions, ErrCheckpoint before anything changed; ErrDiverged; the
// context's, with m whole and a checkpoint saved; those of source, Evaluate and
// Save.
func Run[B any](ctx context.Context, m Model[B], source Source[B], o Options) (Result, error) {
	return RunParallel(ctx, m, nil, nil, source, o)
}

// RunParallel is Run with each mini-batch divided among m and replicas, which work
// at the same time: part(b, i, n) is part i of n of a batch and its share of the
// examples. Replicas share the values of m's parameters (nn.Param.Replica), in m's
// order, and have gradients and statistics of their own. Norms take the statistics
// of a part, and the running ones are averaged by share, so results depend on the
// number of replicas, and on nothing else that Run's do not.
func RunParallel[B any](ctx context.Context, m Model[B], replicas []Model[B], part func(b B, i, n int) (B, float32), source Source[B], o Options) (Result, error) {
	if err := o.check(); err != nil {
		return Result{}, err
	}
	r := &run[B]{m: m, o: o, params: m.Params(), began: time.Now(), part: part}
	r.state.Best = -1
	if err := r.hire(replicas); err != nil {
		return Result{}, err
	}
	if o.Resume != nil {
		if err := r.restore(o.Resume); err != nil {
			return Result{}, err
		}
	}
	reason, err := r.epochs(ctx, source)
	if err == nil && r.best != nil {
		r.swap(r.best)
	}
	return r.result(reason), err
}

// run is a run that goes on. state is what a checkpoint holds beside numbers of
// the model.
type run[B any] struct {
	m      Model[B]
	o      Options
	params []*nn.Param
	began  time.Time
	norm   float32
	rate   float32

	workers []worker[B] // m and its replicas
	part    func(b B, i, n int) (B, float32)

	state state
	best  [][]float32 // values and statistics of the best epoch, in the order of all
}

type state struct {
	Epoch   int       `json:"epoch"` // being worked on
	Batch   int       `json:"batch"` // batches done of it
	Step    int       `json:"step"`
	Seed    uint64    `json:"seed"`
	Sum     float64   `json:"sum"`  // of the losses of this epoch
	Loss    []float64 `json:"loss"` // of whole epochs
	Best    int       `json:"best"` // epoch, -1 for none
	Metrics Metrics   `json:"metrics,omitempty"`
	Bad     int       `json:"bad"`   // epochs since the best one
	Falls   int       `json:"falls"` // times that Plateau was applied
	Steps   []int     `json:"steps"` // of each parameter
}

func (r *run[B]) epochs(ctx context.Context, source Source[B]) (string, error) {
	for r.state.Epoch < r.o.Epochs {
		if r.o.Patience > 0 && r.state.Bad >= r.o.Patience {
			return Stopped, nil
		}
		if reason, err := r.epoch(ctx, source); reason != "" || err != nil {
			return reason, err
		}
	}
	return Finished, nil
}

// epoch works on the batches that are left of the epoch.
func (r *run[B]) epoch(ctx context.Context, source Source[B]) (reason string, err error) {
	n := 0
	for b, err := range source(r.state.Epoch) {
		if err != nil {
			return "", err
		}
		if n++; n <= r.state.Batch {
			continue // done before the checkpoint
		}
		if err := ctx.Err(); err != nil {
			return Cancelled, errors.Join(context.Cause(ctx), r.save())
		}
		if r.o.Budget > 0 && time.Since(r.began) > r.o.Budget {
			return OutOfTime, r.save()
		}
		if err := r.step(b); err != nil {
			return "", err
		}
		r.tell(nil, false)
		if r.o.Every > 0 && r.state.Step%r.o.Every == 0 {
			if err := r.save(); err != nil {
				return "", err
			}
		}
	}
	if n < r.state.Batch {
		return "", fmt.Errorf("%w: epoch %d has %d batches, %d were done", ErrCheckpoint, r.state.Epoch, n, r.state.Batch)
	}
	if err := r.look(ctx); err != nil && ctx.Err() != nil {
		return Cancelled, err
	} else if err != nil {
		return "", err
	}
	return "", nil
}

// step is one mini-batch.
func (r *run[B]) step(b B) error {
	loss, err := r.gradient(b)
	if err != nil {
		return err
	}
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		for _, p := range r.params {
			p.Clear()
		}
		return fmt.Errorf("%w: the loss of step %d is %v; use a lower rate", ErrDiverged, r.state.Step, loss)
	}
	r.m.Regularise()
	if r.o.Clip > 0 {
		r.norm = nn.ClipNorm(r.params, r.o.Clip)
	}
	r.rate = r.o.Rate(r.state.Step)
	for range r.state.Falls {
		r.rate *= r.o.Plateau
	}
	r.o.Optimizer.Step(r.params, r.rate)
	r.state.Step++
	r.state.Batch++
	r.state.Sum += loss
	return nil
}

// look ends an epoch: it measures, judges and saves.
func (r *run[B]) look(ctx context.Context) error {
	var metrics Metrics
	var best bool
	if r.o.Evaluate != nil {
		var err error
		if metrics, err = r.o.Evaluate(ctx); err != nil && ctx.Err() != nil {
			return errors.Join(context.Cause(ctx), r.save()) // all batches done, to be measured again
		} else if err != nil {
			return err
		}
		if best, err = r.judge(metrics); err != nil {
			return err
		}
	}
	r.tell(metrics, best)
	r.state.Loss = append(r.state.Loss, r.state.Sum/float64(max(1, r.state.Batch)))
	r.state.Epoch++
	r.state.Batch, r.state.Sum = 0, 0
	return r.save()
}

func (r *run[B]) judge(metrics Metrics) (better bool, err error) {
	if r.o.Metric == "" {
		return false, nil
	}
	e, ok := metrics[r.o.Metric]
	if !ok {
		return false, fmt.Errorf("%w: no metric %s among %v", ErrOptions, r.o.Metric, slices.Sorted(maps.Keys(metrics)))
	}
	if math.IsNaN(e.Value+e.Low+e.High) || math.IsInf(e.Value+e.Low+e.High, 0) {
		return false, fmt.Errorf("%w: %s after epoch %d is not finite", ErrDiverged, r.o.Metric, r.state.Epoch)
	}
	last := r.state.Metrics[r.o.Metric].Value
	if r.state.Best < 0 || !r.o.Lower && e.Value > last || r.o.Lower && e.Value < last {
		r.state.Best, r.state.Metrics, r.state.Bad = r.state.Epoch, finite(metrics), 0
		r.keep()
		return true, nil
	}
	r.state.Bad++
	if r.o.Plateau > 0 {
		r.state.Falls++
	}
	return false, nil
}

// finite keeps the figures that a checkpoint can hold.
func finite(metrics Metrics) Metrics {
	kept := maps.Clone(metrics)
	maps.DeleteFunc(kept, func(_ string, e metric.Estimate) bool {
		sum := e.Value + e.Low + e.High
		return math.IsNaN(sum) || math.IsInf(sum, 0)
	})
	return kept
}

// numbers lists what the model is: values, then statistics.
func (r *run[B]) numbers() (all [][]float32) {
	for _, p := range r.params {
		all = append(all, p.Value.Data)
	}
	r.m.Stats(func(_ string, s *nn.Stats) { all = append(all, s.Mean, s.Var) })
	return all
}

func (r *run[B]) keep() {
	all := r.numbers()
	if r.best == nil {
		r.best = make([][]float32, len(all))
	}
	for i, x := range all {
		r.best[i] = append(r.best[i][:0], x...)
	}
}

func (r *run[B]) swap(from [][]float32) {
	for i, x := range r.numbers() {
		copy(x, from[i])
	}
}

func (r *run[B]) tell(metrics Metrics, best bool) {
	if r.o.Progress != nil {
		r.o.Progress(Event{
			Epoch: r.state.Epoch, Step: r.state.Step, Batch: r.state.Batch, Loss: r.state.Sum / float64(max(1, r.state.Batch)),
			Rate: r.rate, Norm: r.norm, Metrics: metrics, Best: best, Elapsed: time.Since(r.began),
		})
	}
}

func (r *run[B]) result(reason string) Result {
	return Result{
		Reason: reason, Steps: r.state.Step, Epochs: r.state.Epoch, BestEpoch: r.state.Best, Metrics: r.state.Metrics,
		Loss: r.state.Loss, Elapsed: time.Since(r.began),
	}
}
