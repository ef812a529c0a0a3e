package tabr

import (
	"context"
	"fmt"
	"io"
	"iter"
	"math"
	"math/rand/v2"
	"time"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/internal/train"
	"github.com/eiderdb/eider/tabular"
)

// Options of a training: AdamW, a constant rate, whole permutations of the rows in
// batches, the best epoch by validation kept.
type Options struct {
	Rate, Decay float32
	Batch       int // rows of a step
	Epochs      int // at most
	Patience    int // epochs without a better one, after which it ends; 0: never
	Seed        uint64
	// Freeze, unless 0, is the number of epochs after which the contexts of training rows
	// stay what they are: it saves the search, which with an embedding or encoder blocks
	// is a fourth of a step or more, and costs a little accuracy.
	Freeze int
	Budget time.Duration // 0: none

	// Save, Every and Resume are those of train.Options.
	Save   func(write func(io.Writer) error) error
	Every  int
	Resume []byte

	Progress func(train.Event) // nil for nobody
	Yield    func()            // called every few milliseconds, unless nil; it must be brief
}

// Defaults are the options of the paper's default model, for so many training rows.
func Defaults(rows int) Options {
	o := Options{Rate: 3.121273641315169e-4, Decay: 1.2260352006404615e-6, Batch: 1024, Epochs: 1000, Patience: 16}
	switch {
	case rows < 10_000:
		o.Batch = 128
	case rows < 30_000:
		o.Batch = 256
	case rows < 200_000:
		o.Batch = 512
	}
	return o
}

// Fit trains m on the rows of data, which are its candidates while it does, and leaves
// it as the epoch had it that was best on val: by the figure that Kind.Score
// names. It runs on the caller's goroutine alone. Equal models, rows
// and options give equal bits on the same simd path, also if the run was interrupted and
// resumed. Errors: ErrData, and those of train.Run, the context's among them.
func Fit(ctx context.Context, m *Model, data, val *tabular.Data, o Options) (train.Result, error) {
	for _, d := range []*tabular.Data{data, val} {
		if err := m.c.labelled(d); err != nil {
			return train.Result{}, err
		}
	}
	if o.Batch < 1 || o.Freeze < 0 || val.Rows < 1 || data.Rows > math.MaxInt32 {
		return train.Result{}, fmt.Errorf("%w: batches of %d of %d rows, frozen after %d epochs, %d rows for validation",
			train.ErrOptions, o.Batch, data.Rows, o.Freeze, val.Rows)
	}
	freeze := o.Freeze
	if freeze == 0 {
		freeze = -1
	}
	l, err := newLearner(m, m.c.matrix(data), data.Y, freeze)
	if err != nil {
		return train.Result{}, err
	}
	name, lower := m.c.Kind.Score()
	return train.Run(ctx, l, l.batches(o), train.Options{
		Epochs: o.Epochs, Seed: o.Seed, Optimizer: nn.Adam{Decay: o.Decay}, Rate: nn.Constant(o.Rate),
		Evaluate: func(ctx context.Context) (train.Metrics, error) {
			p, err := l.predictor(data)
			if err != nil {
				return nil, err
			}
			p.yield = o.Yield
			out := make([]float32, val.Rows*m.c.out())
			if err := p.Predict(ctx, Query{Rows: val}, out); err != nil {
				return nil, err
			}
			return val.Measure(out)
		},
		Metric: name, Lower: lower, Patience: o.Patience, Budget: o.Budget,
		Save: o.Save, Every: o.Every, Resume: o.Resume, Progress: o.Progress, Yield: o.Yield,
	})
}

// batches is a permutation of all rows for each epoch, a function of the seed and the
// epoch, cut in batches, the last one shorter.
func (l *learner) batches(o Options) train.Source[batch] {
	return func(epoch int) iter.Seq2[batch, error] {
		return func(yield func(batch, error) bool) {
			rng := rand.New(rand.NewPCG(o.Seed, uint64(epoch)))
			rows := make([]uint32, l.x.Rows)
			for i := range rows {
				rows[i] = uint32(i)
			}
			rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
			for lo := 0; lo < len(rows); lo += o.Batch {
				if !yield(batch{epoch, rows[lo:min(lo+o.Batch, len(rows))]}, nil) {
					return
				}
			}
		}
	}
}

// predictor is the model of now with all training rows.
func (l *learner) predictor(data *tabular.Data) (*Predictor, error) {
	p := NewPredictor(l.Freeze())
	ids := make([]uint32, data.Rows)
	for i := range ids {
		ids[i] = uint32(i)
	}
	return p, p.Add(data, ids)
}
