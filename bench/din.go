package bench

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/eiderdb/eider/internal/metric"
	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/internal/train"
	"github.com/eiderdb/eider/recsys/din"
)

// Din measures how well the Deep Interest Network ranks MovieLens-100K (a hundred
// fixed negatives, no user id, three seeds) beside its base model that averages
// histories, popularity, item neighbours and BPR-MF, and what vectors as bytes cost.
// Which epoch counts is not chosen by the test: figures are means over the last
// four. ml-100k-valid holds the event before the last out, so that settings can be
// chosen without the test. The sets beauty and sports, reviews of Amazon with
// attributes of items, have five seeds, and the epoch that ranks the click before
// the last best is the one tested. amazon-electronics and amazon-electronics-bars
// are trained by recipes of their own (electronicsRecipe). Errors: ErrOption,
// ErrSet, the context's.
func Din(ctx context.Context, o Options, w io.Writer) error {
	if o.Set == electronicsOfficial || o.Set == electronicsBARS {
		return dinElectronics(ctx, o, w)
	}
	d, err := newDin(ctx, "din", o, w)
	if err != nil {
		return err
	}
	seeds := 3
	if len(d.clicks.fields) > 1 {
		seeds = 5
	}
	if o.Quick {
		seeds, d.epochs = 1, 5
	}
	d.report.printf("%d clicks to learn from, %d users to test, %d items, %d seeds, %d epochs, %s\n",
		len(d.clicks.examples), len(d.clicks.tests), d.clicks.items, seeds, d.epochs, cpuName())
	if err := d.quality(ctx, seeds); err != nil {
		return err
	}
	return d.report.finish(o)
}

// DinSpeed measures how fast the Deep Interest Network trains on such a set, on one
// thread and on two, and how fast it scores requests of two sizes, alone and while
// it trains, beside PyTorch. Errors: ErrOption, ErrSet, the context's.
func DinSpeed(ctx context.Context, o Options, w io.Writer) error {
	d, err := newDin(ctx, "dinspeed", o, w)
	if err != nil {
		return err
	}
	if err := d.speed(ctx); err != nil {
		return err
	}
	return d.report.finish(o)
}

func newDin(ctx context.Context, suite string, o Options, w io.Writer) (*dinSuite, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	dir, _, err := dataDir(o.Data)
	if err != nil {
		return nil, err
	}
	c, err := readClicks(dir, o.Set)
	if err != nil {
		return nil, err
	}
	return &dinSuite{o: o, clicks: c, report: newReport(suite, c.name, o, w), epochs: dinEpochs}, nil
}

type dinSuite struct {
	o      Options
	clicks *clicks
	report *report
	epochs int
}

// config is the model of the reference runs. Two seeds of ml-100k-valid have a GAUC of
// .8984 with a softmax and .8981 with sums, and .8951 and .8967 at one rate throughout.
func (c *clicks) config() din.Config {
	return din.Config{
		Item: c.fields, Pooling: "attention", Softmax: true, Scaled: true,
		Product: true, Bias: true, Unit: din.Layers{Hidden: []int{32, 16}, Activation: "sigmoid"},
		Head: din.Layers{Hidden: []int{64, 32}, Activation: "prelu"}, Spread: 0.05, Lambda: 0.01,
	}
}

// Of training: clicks with a negative each, and the rate, a tenth of it for the last of
// so many epochs where their number is fixed.
const (
	dinRequests = 128
	dinRate     = 3e-3
	dinEpochs   = 14
	dinLast     = 4
)

// settled is how many of the last epochs a figure is the mean of, where there is
// nothing to choose one by. Where there is, training ends after patience epochs that
// are not better.
const (
	settled  = 4
	patience = 2
)

// learned is what a model scored over seeds.
type learned struct {
	gauc, auc, loss, calibration []float64 // by seed
	bytes                        []float64 // GAUC that the last epoch loses with vectors as bytes
	epochs                       []int     // after which the model was tested, where one is chosen
	users                        []float64 // AUC of each, sum over seeds
}

func (d *dinSuite) quality(ctx context.Context, seeds int) error {
	floors := []struct {
		name  string
		score func(t *click, out []float32) error
	}{{"popularity", d.clicks.popularity()}, {"item neighbours", d.clicks.neighbours()}, {"BPR-MF", d.clicks.factors(d.o.seed())}}
	figures := map[string]float64{}
	for _, f := range floors {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		j, err := judge(d.clicks.tests, f.score)
		if err != nil {
			return err
		}
		figures[f.name] = metric.GAUC(j.scores, j.labels, j.start).Value
		Figure{Engine: f.name}.add(d.report, "GAUC", figures[f.name], "", "of "+f.name)
	}
	models := map[string]*learned{}
	for _, pooling := range []string{"attention", "mean"} {
		models[pooling] = &learned{}
		for seed := range uint64(seeds) {
			if err := d.learn(ctx, pooling, d.o.seed()+seed, models[pooling]); err != nil {
				return err
			}
		}
	}
	d.publish(models["attention"], models["mean"], figures)
	return nil
}

func (d *dinSuite) publish(own, base *learned, figures map[string]float64) {
	r, gauc := d.report, metric.Mean(own.gauc)
	var bySeed, byUser []float64
	for i, g := range own.gauc {
		bySeed = append(bySeed, g-base.gauc[i])
	}
	for i, sum := range own.users {
		byUser = append(byUser, (sum-base.users[i])/float64(len(own.gauc)))
	}
	note := fmt.Sprintf("seeds %.4f, mean pooling %.4f", own.gauc, base.gauc)
	if len(d.clicks.valid) > 0 {
		note += fmt.Sprintf("; after %d and %d epochs, chosen by the click before the last", own.epochs, base.epochs)
	}
	r.against("mean pooling", "GAUC", gauc, metric.Mean(base.gauc), "", "higher", note)
	for _, name := range []string{"popularity", "item neighbours", "BPR-MF"} {
		r.against(name, "GAUC", gauc, figures[name], "", "higher", "")
	}
	gain := metric.MeanOf(byUser, -1, 1)
	r.add("gain over mean pooling", gauc-metric.Mean(base.gauc), "GAUC",
		fmt.Sprintf("by seed %+.4f; [%+.4f, %+.4f] over the users tested; RelaImpr %.1f %%", bySeed, gain.Low, gain.High, 100*metric.RelaImpr(gauc, metric.Mean(base.gauc))))
	r.against("mean pooling", "AUC", metric.Mean(own.auc), metric.Mean(base.auc), "", "higher", "all tests together")
	r.against("mean pooling", "log loss", metric.Mean(own.loss), metric.Mean(base.loss), "nats", "lower", "one click in 101, learned from one in two")
	r.against("mean pooling", "calibration", metric.Mean(own.calibration), metric.Mean(base.calibration), "", "lower", "the same: 50.5 times as many clicks as came is right for it")
	r.add("cost of vectors as bytes", metric.Mean(own.bytes), "GAUC", "of the last model")
}

// learn trains one model and adds what it scores.
func (d *dinSuite) learn(ctx context.Context, pooling string, seed uint64, l *learned) error {
	c := d.clicks.config()
	c.Pooling = pooling
	items, err := din.NewItems(d.clicks.items, c.Item, d.clicks.columns)
	if err != nil {
		return err
	}
	m, err := din.New(c, items, seed)
	if err != nil {
		return err
	}
	source := d.clicks.source(seed, dinRequests)
	steps := 0
	for b, err := range source(0) { // n_j, negatives of the first epoch included
		if err == nil {
			err = m.Count(b)
		}
		steps++
		if err != nil {
			return err
		}
	}
	began := time.Now()
	o := train.Options{Epochs: d.epochs, Seed: seed, Optimizer: nn.Adam{}, Rate: nn.Constant(dinRate), Clip: 10}
	held, chosen := d.clicks.tests, len(d.clicks.valid) > 0
	if chosen {
		held, o.Metric, o.Patience = d.clicks.valid, "gauc", patience
	} else {
		o.Rate = nn.Exponential(dinRate, 0.1, steps*(d.epochs-d.epochs*dinLast/dinEpochs))
	}
	var marks []judged
	o.Evaluate = func(context.Context) (train.Metrics, error) {
		j, err := measure(m.Scorer(false), held)
		marks = append(marks, j)
		return j.metrics(), err
	}
	o.Progress = func(e train.Event) {
		if e.Metrics != nil {
			d.o.log("%s, seed %d, epoch %d: loss %.4f, GAUC %.4f (%.1f s)", pooling, seed, e.Epoch+1, e.Loss,
				e.Metrics["gauc"].Value, time.Since(began).Seconds())
		}
	}
	result, err := train.Run(ctx, m, source, o)
	if err != nil {
		return err
	}
	if chosen { // the model is the best epoch's
		j, err := measure(m.Scorer(false), d.clicks.tests)
		if err != nil {
			return err
		}
		marks = []judged{j}
	}
	l.epochs = append(l.epochs, result.BestEpoch+1)
	return l.add(marks[max(0, len(marks)-settled):], m, d.clicks.tests)
}

// add is the mean over tests of one seed, the last of them of m.
func (l *learned) add(marks []judged, m *din.Model, tests []click) error {
	bytes, err := measure(m.Scorer(true), tests)
	if err != nil {
		return err
	}
	last := marks[len(marks)-1].metrics()["gauc"].Value
	l.bytes = append(l.bytes, last-bytes.metrics()["gauc"].Value)
	if l.users == nil {
		l.users = make([]float64, len(tests))
	}
	sums := map[string]float64{}
	for _, j := range marks {
		for name, e := range j.metrics() {
			sums[name] += e.Value / float64(len(marks))
		}
		for i, auc := range j.users() {
			l.users[i] += auc / float64(len(marks))
		}
	}
	l.gauc, l.auc = append(l.gauc, sums["gauc"]), append(l.auc, sums["auc"])
	l.loss, l.calibration = append(l.loss, sums["loss"]), append(l.calibration, sums["calibration"])
	return nil
}

// measure judges a scorer.
func measure(s *din.Scorer, held []click) (judged, error) {
	return judge(held, func(t *click, out []float32) error {
		return s.Score(din.Request{Past: t.past, Items: t.items}, out, nil)
	})
}

func (j *judged) metrics() train.Metrics {
	return train.Metrics{
		"gauc": metric.GAUC(j.scores, j.labels, j.start), "auc": metric.AUC(j.scores, j.labels),
		"loss": metric.LogLoss(j.scores, j.labels), "calibration": metric.Calibration(j.scores, j.labels),
	}
}
