package train

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/eiderdb/eider/internal/metric"
	"github.com/eiderdb/eider/internal/nn"
)

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
	// last one only when it is whole, and may be left uncalled, which costs nothing. It
	// is called after every Every steps (0: none), after every epoch, and when the run
	// ends early. Resume is the bytes of the last one, nil to begin.
	Save   func(write func(io.Writer) error) error
	Every  int
	Resume []byte

	// Yield is called several times a step, by every worker, unless nil; see nn.Tape.
	Yield func()

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
