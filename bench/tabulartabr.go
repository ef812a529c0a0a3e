package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/eiderdb/eider/internal/train"
	"github.com/eiderdb/eider/tabular"
	"github.com/eiderdb/eider/tabular/tabr"
)

// retriever is TabR with the rows it learned from as candidates.
type retriever struct{ p *tabr.Predictor }

func (r retriever) Predict(ctx context.Context, d *tabular.Data, out []float32) error {
	return r.p.Predict(ctx, tabr.Query{Rows: d}, out)
}

// fitTabR trains TabR-S with the paper's default settings, on one thread; with Quick, a
// small one for few epochs.
func fitTabR(ctx context.Context, s *tabularSuite, seed uint64) (tablePredictor, string, error) {
	learn := s.tables.learn
	c, o := tabr.Default(learn), tabr.Defaults(learn.Rows)
	o.Seed = seed
	if s.o.Quick {
		c.Dim, o.Epochs = 64, 4
	}
	began := time.Now()
	name, _ := learn.Kind.Score()
	o.Progress = func(e train.Event) {
		if e.Metrics != nil {
			s.o.log("tabr, seed %d, epoch %d: loss %.5f, %s %.5f (%.1f s)", seed, e.Epoch+1, e.Loss, name, e.Metrics[name].Value, time.Since(began).Seconds())
		}
	}
	m, err := tabr.New(c, seed)
	if err != nil {
		return nil, "", err
	}
	result, err := tabr.Fit(ctx, m, learn, s.tables.valid, o)
	if err != nil {
		return nil, "", err
	}
	p := tabr.NewPredictor(m.Freeze())
	ids := make([]uint32, learn.Rows)
	for i := range ids {
		ids[i] = uint32(i)
	}
	note := fmt.Sprintf("epoch %d of %d, validation %.5f", result.BestEpoch+1, result.Epochs, result.Metrics[name].Value)
	return retriever{p}, note, p.Add(learn, ids)
}
