package bench

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/eiderdb/eider/internal/metric"
	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/internal/train"
	"github.com/eiderdb/eider/recsys/din"
)

// electronicsRecipe is how one model is trained on Amazon Electronics.
type electronicsRecipe struct {
	model     string
	config    din.Config
	optimizer nn.Optimizer
	rate      nn.Schedule
	clip      float32
	batch     int     // rows
	history   int     // newest items of a history, 0 for all
	epochs    int     // at most
	patience  int     // epochs that were not better before the end, 0 for all epochs
	plateau   float32 // factor of the rate after an epoch that was not better
	decay     float32 // λ of all tables' numbers, every step
	published [2]float64
}

// officialRecipes are the base model, the network and the network with Dice as the
// authors' program trains them: batches of 32 rows, SGD with a rate of 1 and of 0.1
// from step 336,000, gradients clipped at 5, histories whole. Ten epochs are the
// 815,000 steps within which each was best; published are GAUC and AUC of that step,
// which the test chose, from the authors' README after they mended a leak.
func officialRecipes(item []din.Field) []electronicsRecipe {
	const first, later, turn = 1, 0.1, 336_000
	r := electronicsRecipe{
		optimizer: nn.SGD{}, clip: 5, batch: 32, epochs: 10,
		rate: func(step int) float32 {
			if step < turn {
				return first
			}
			return later
		},
	}
	base, network, dice := r, r, r
	base.model, base.config, base.published = "mean pooling", din.Official(item), [2]float64{.8624, .8643}
	base.config.Pooling = "mean"
	network.model, network.config, network.published = "din", din.Official(item), [2]float64{.8698, .8716}
	dice.model, dice.config, dice.published = "din, Dice", din.Official(item), [2]float64{.8711, .8738}
	dice.config.Head.Activation = "dice"
	return []electronicsRecipe{base, network, dice}
}

// barsRecipe is the benchmark's: FuxiCTR's Adam of 5e-4 on batches of 1,024, tables
// decayed whole by 0.005, gradients clipped at 10, histories of 100, the rate divided by ten
// after an epoch that was not better, two such in a row the end. It judges epochs by
// the test, as the benchmark does.
func barsRecipe(item []din.Field) electronicsRecipe {
	return electronicsRecipe{
		model: "din", config: din.BARS(item, nil), optimizer: nn.Adam{}, rate: nn.Constant(5e-4), clip: 10,
		batch: 1024, history: 100, epochs: 100, patience: 2, plateau: 0.1, decay: 0.005, published: [2]float64{.8835, .8860},
	}
}

// dinElectronics trains and tests by one of the recipes. Errors: ErrSet, the context's.
func dinElectronics(ctx context.Context, o Options, w io.Writer) error {
	dir, _, err := dataDir(o.Data)
	if err != nil {
		return err
	}
	e, err := readElectronics(dir, o.Set)
	if err != nil {
		return err
	}
	recipes := officialRecipes(e.fields)
	if o.Set == electronicsBARS {
		recipes = []electronicsRecipe{barsRecipe(e.fields)}
	}
	if o.Quick {
		e.cut(20_000, 2_000)
		for i := range recipes {
			recipes[i].epochs = 1
		}
	}
	r := newReport("din", e.name, o, w)
	r.printf("%d rows to learn from, %d users to test, %d items, %s\n", len(e.rows), len(e.tests), e.items, cpuName())
	if e.known != "" {
		r.printf("%s\n", e.known)
	}
	for _, c := range recipes {
		if err := e.learnBy(ctx, c, o, r); err != nil {
			return err
		}
	}
	return r.finish(o)
}

// learnBy trains one model and reports the best epoch and the last one.
func (e *electronics) learnBy(ctx context.Context, c electronicsRecipe, o Options, r *report) error {
	items, err := din.NewItems(e.items, c.config.Item, e.columns)
	if err != nil {
		return err
	}
	m, err := din.New(c.config, items, o.seed())
	if err != nil {
		return err
	}
	var last train.Metrics
	began := time.Now()
	result, err := train.Run(ctx, decayed{m, c.decay}, e.source(o.seed(), c.batch, c.history), train.Options{
		Epochs: c.epochs, Seed: o.seed(), Optimizer: c.optimizer, Rate: c.rate, Clip: c.clip,
		Metric: "gauc", Patience: c.patience, Plateau: c.plateau,
		Evaluate: func(context.Context) (train.Metrics, error) { return e.measure(m, c.history) },
		Progress: func(v train.Event) {
			if v.Metrics != nil {
				last = v.Metrics
				o.log("%s, epoch %d, step %d: loss %.4f, GAUC %.4f, AUC %.4f (%.0f s)", c.model, v.Epoch+1, v.Step, v.Loss,
					last["gauc"].Value, last["auc"].Value, time.Since(began).Seconds())
			}
		},
	})
	if err != nil {
		return err
	}
	note := fmt.Sprintf("epoch %d of %d, the best by the test, as what was published; after the last %%.4f", result.BestEpoch+1, result.Epochs)
	best := result.Metrics
	f := Figure{Engine: "eider"}
	for i, name := range []string{"gauc", "auc"} {
		f.against(r, "published", c.model+", "+strings.ToUpper(name), best[name].Value, c.published[i], "", "higher", fmt.Sprintf(note, last[name].Value))
	}
	r.add(c.model+", log loss", best["loss"].Value, "nats", fmt.Sprintf("after the last epoch %.4f", last["loss"].Value))
	return nil
}

// measure tests a model. GAUC is the share of users whose item has the higher score
// of the two; equal scores are no success, as with the authors (FuxiCTR's count
// half).
func (e *electronics) measure(m *din.Model, history int) (train.Metrics, error) {
	s := m.Scorer(false)
	j, err := judge(e.tests, func(t *click, out []float32) error {
		return s.Score(din.Request{Past: most(t.past, history), Items: t.items}, out, nil)
	})
	if err != nil {
		return nil, err
	}
	return train.Metrics{"gauc": wins(j), "auc": metric.AUC(j.scores, j.labels), "loss": metric.LogLoss(j.scores, j.labels)}, nil
}

// wins is the share of pairs in which the first one has the higher score.
func wins(j judged) metric.Estimate {
	won := make([]float64, 0, len(j.scores)/2)
	for i := 0; i+1 < len(j.scores); i += 2 {
		if j.scores[i] > j.scores[i+1] {
			won = append(won, 1)
		} else {
			won = append(won, 0)
		}
	}
	return metric.MeanOf(won, 0, 1)
}

// decayed is a model whose tables decay whole, every row in every step. It makes
// steps as long as the tables are: for recipes that are written so.
type decayed struct {
	*din.Model
	lambda float32
}

// Regularise implements train.Model.
func (d decayed) Regularise() {
	d.Model.Regularise()
	if d.lambda == 0 {
		return
	}
	for _, p := range d.Params() {
		if strings.HasPrefix(p.Name, "embedding_layer.") {
			p.L2(d.lambda)
		}
	}
}
