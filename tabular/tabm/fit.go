package tabm

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/internal/train"
	"github.com/eiderdb/eider/tabular"
)

// Of the paper's recipe.
const (
	rate     = 2e-3
	decay    = 3e-4
	patience = 16
	epochs   = 1000 // patience ends a training before
)

// Recipe is the paper's way to train: AdamW at a constant rate of 2e-3 with a decay of
// 3e-4, until 16 epochs were not better on the validation rows.
func Recipe(seed uint64) train.Options {
	return train.Options{
		Epochs: epochs, Seed: seed, Optimizer: nn.Adam{Decay: decay}, Rate: nn.Constant(rate), Patience: patience,
	}
}

// BatchSize is how many rows a step takes, by those there are to learn from.
func BatchSize(rows int) int {
	switch {
	case rows < 10_000:
		return 128
	case rows < 30_000:
		return 256
	case rows < 200_000:
		return 512
	}
	return 1024
}

// Fit trains m on the rows of learn and leaves it as the epoch that was best on valid
// had it, by RMSE or accuracy. Of o, Evaluate, Metric and Lower are set here; the rest
// is the caller's, checkpoints and resumption as well. batch 0 is BatchSize. Errors:
// ErrData, those of train.Run.
func (m *Model) Fit(ctx context.Context, learn, valid *tabular.Data, batch int, o train.Options) (train.Result, error) {
	for _, d := range []*tabular.Data{learn, valid} {
		if err := m.inputs.fits(d, true); err != nil {
			return train.Result{}, err
		}
	}
	if batch < 0 {
		return train.Result{}, fmt.Errorf("%w: batches of %d", ErrConfig, batch)
	}
	if batch == 0 {
		batch = BatchSize(learn.Rows)
	}
	out := make([]float32, valid.Rows*valid.Width())
	o.Metric, o.Lower = valid.Kind.Score()
	o.Evaluate = func(ctx context.Context) (train.Metrics, error) {
		if err := m.Predict(ctx, valid, out); err != nil {
			return nil, err
		}
		return valid.Measure(out)
	}
	return train.Run(ctx, m, batches(learn, batch, o.Seed), o)
}

// batches is the rows of d in an order of each epoch's own, size at a time; the last
// ones are a smaller batch.
func batches(d *tabular.Data, size int, seed uint64) train.Source[batch] {
	return func(epoch int) iter.Seq2[batch, error] {
		return func(yield func(batch, error) bool) {
			order := rand.New(rand.NewPCG(seed, uint64(epoch))).Perm(d.Rows)
			for at := 0; at < len(order); at += size {
				if !yield(batch{d, order[at:min(at+size, len(order))]}, nil) {
					return
				}
			}
		}
	}
}
