package train

import (
	"context"
	"errors"
	"fmt"
	"io"
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

// Metrics are figures by name, of one evaluation.
type Metrics map[string]metric.Estimate

// Options of a run. Epochs, Optimizer and Rate must be set.
type Options struct {
	Epochs    int
	Seed      uint64 // of dropout
	Optimizer nn.Optimizer
	Rate      nn.Schedule // by step
	Clip      float32     // limit of the norm of all gradients, 0 for none

	// Evaluate measures the model after each epoch; nil for never. It must leave the
	// model as it is. Metric names the figure that decides which epoch is best; the
	// run ends after Patience epochs that were not better (0: never), and leaves the
	// model as the best epoch had it. Lower says that lower is better. If Plateau is
	// over 0, each epoch that is not better multiplies the rate by it from then on.
	Evaluate func(ctx context.Context) (Metrics, error)
	Metric   string
	Lower    bool
	Patience int
	Plateau  float32

	// Budget ends the run after the first step beyond it; 0 for none.
	Budget time.Duration

	// Save stores a checkpoint: write writes it to a file that takes the place of the
	// last one only when it is whole. It is called after every Every steps (0: none),
	// after every epoch, and when the run ends early. Resume is the bytes of the last
	// one, nil to begin.
	Save   func(write func(io.Writer) error) error
	Every  int
	Resume []byte

	// Progress is told of each step and each epoch; it runs in the loop, so it is
	// brief. nil for nobody.
	Progress func(Event)
}

// Event is how far a run is.
type Event struct {
	Epoch   int     // counted from 0
	Step    int     // steps done in all
	Batch   int     // batches done of this epoch
	Loss    float64 // mean over the batches of this epoch
	Rate    float32 // of the last step
	Norm    float32 // of the last step's gradients before Clip, 0 without
	Metrics Metrics // of the epoch if it has ended, else nil
	Best    bool    // the epoch that ended is the best so far
	Elapsed time.Duration
}

// Reasons why a run ended.
const (
	Finished  = "finished"    // all epochs done
	Stopped   = "early stop"  // Patience
	OutOfTime = "out of time" // Budget
	Cancelled = "cancelled"   // the context
)

// Result is what became of a run.
type Result struct {
	Reason    string
	Steps     int
	Epochs    int           // whole ones
	BestEpoch int           // -1 if none was measured
	Metrics   Metrics       // of the best epoch
	Loss      []float64     // mean loss of each whole epoch
	Elapsed   time.Duration // of this call
}

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

func (o *Options) check() error {
	switch {
	case o.Epochs < 1:
		return fmt.Errorf("%w: %d epochs", ErrOptions, o.Epochs)
	case o.Optimizer == nil || o.Rate == nil:
		return fmt.Errorf("%w: no optimizer or no rate", ErrOptions)
	case o.Evaluate == nil && (o.Metric != "" || o.Patience != 0 || o.Plateau != 0):
		return fmt.Errorf("%w: a metric without Evaluate", ErrOptions)
	case o.Metric == "" && (o.Patience != 0 || o.Plateau != 0):
		return fmt.Errorf("%w: patience or plateau without a metric", ErrOptions)
	case o.Patience < 0 || o.Every < 0 || o.Clip < 0 || o.Budget < 0 || !(o.Plateau >= 0 && o.Plateau < 1):
		return fmt.Errorf("%w: patience %d, every %d, clip %v, budget %v, plateau %v", ErrOptions, o.Patience, o.Every, o.Clip, o.Budget, o.Plateau)
	}
	return nil
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
