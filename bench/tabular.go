package bench

import (
	"context"
	"fmt"
	"io"
	"math"
	"runtime"
	"strings"
	"time"

	"github.com/eiderdb/eider/internal/metric"
	"github.com/eiderdb/eider/internal/train"
	"github.com/eiderdb/eider/tabular"
	"github.com/eiderdb/eider/tabular/tabm"
)

// Tabular measures how well models of tables predict a held-out part of a set (see
// tableSets), single and as ensembles over seeds, what training costs and how fast
// they predict, beside gradient-boosted trees. The peers learn from the same rows, on
// as many threads, and search their settings by the same validation rows for as long
// as the first model took to train; they write predictions, which are judged here.
// Which epoch counts is chosen by the validation rows, and the test is looked at once.
// Errors: ErrOption, ErrSet, the context's.
func Tabular(ctx context.Context, o Options, w io.Writer) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	dir, _, err := dataDir(o.Data)
	if err != nil {
		return err
	}
	t, err := readTables(dir, o.Set)
	if err != nil {
		return err
	}
	s := &tabularSuite{o: o, tables: t, report: newReport("tabular", t.name, o, w), seeds: 5}
	if o.Quick {
		s.seeds = 1
	}
	if o.Seeds > 0 {
		s.seeds = o.Seeds
	}
	s.describe()
	if err := s.run(ctx); err != nil {
		return err
	}
	return s.report.finish(o)
}

type tabularSuite struct {
	o      Options
	tables *tables
	report *report
	seeds  int
	own    map[string]*contest // by model
}

// tableModel is a kind of model that takes part; to add one is to add a line.
type tableModel struct {
	name string
	fit  func(ctx context.Context, s *tabularSuite, seed uint64) (tablePredictor, string, error)
}

var tableModels = []tableModel{{"tabm", fitTabM}, {"tabr", fitTabR}}

// tablePredictor is a model that was fitted.
type tablePredictor interface {
	Predict(ctx context.Context, d *tabular.Data, out []float32) error
}

// contest is what a model scored over seeds.
type contest struct {
	single  []map[string]metric.Estimate
	sum     []float64 // of predictions
	seconds []float64 // of training
	rate    float64   // rows predicted per second
	notes   []string
}

// describe prints what the set is and how its columns are read.
func (s *tabularSuite) describe() {
	t := s.tables
	s.report.printf("%d rows to learn from, %d to choose by, %d to test; %s of %q (%s); %d seeds, %d threads, %s\n",
		t.learn.Rows, t.valid.Rows, t.test.Rows, t.schema.Kind, t.schema.Target, t.schema.Note, s.seeds, runtime.GOMAXPROCS(0), cpuName())
	for _, c := range t.schema.Columns {
		s.report.printf("  %-16s %-12s %s\n", c.Name, c.Type, c.Note)
	}
}

func (s *tabularSuite) run(ctx context.Context) error {
	s.own = map[string]*contest{}
	for _, m := range tableModels {
		c := &contest{}
		s.own[m.name] = c
		for seed := range uint64(s.seeds) {
			began := time.Now()
			p, note, err := m.fit(ctx, s, s.o.seed()+seed)
			if err != nil {
				return err
			}
			spent := time.Since(began).Seconds()
			c.notes = append(c.notes, note)
			began = time.Now()
			out := make([]float32, s.tables.test.Rows*s.tables.test.Width())
			if err := p.Predict(ctx, s.tables.test, out); err != nil {
				return err
			}
			c.rate = float64(s.tables.test.Rows) / time.Since(began).Seconds()
			if err := c.add(s.tables.test, out, spent); err != nil {
				return err
			}
			name, _ := s.tables.test.Kind.Score()
			s.o.log("%s, seed %d: test %s %.5f, %s (%.1f s)", m.name, s.o.seed()+seed, name, c.single[seed][name].Value, note, spent)
		}
	}
	peers, err := s.peers(ctx, metric.Mean(s.own[tableModels[0].name].seconds))
	if err != nil {
		return err
	}
	return s.publish(peers)
}

// add judges the predictions of one seed.
func (c *contest) add(d *tabular.Data, out []float32, seconds float64) error {
	m, err := d.Measure(out)
	if err != nil {
		return err
	}
	if c.sum == nil {
		c.sum = make([]float64, len(out))
	}
	for i, v := range out {
		c.sum[i] += float64(v)
	}
	c.single, c.seconds = append(c.single, m), append(c.seconds, seconds)
	return nil
}

// ensemble judges the mean of all seeds' predictions.
func (c *contest) ensemble(d *tabular.Data) (map[string]metric.Estimate, error) {
	mean := make([]float32, len(c.sum))
	for i, v := range c.sum {
		mean[i] = float32(v / float64(len(c.single)))
	}
	return d.Measure(mean)
}

// values lists a figure by seed.
func (c *contest) values(name string) (all []float64) {
	for _, m := range c.single {
		all = append(all, m[name].Value)
	}
	return all
}

func (s *tabularSuite) publish(peers []*contestant) error {
	d, r := s.tables.test, s.report
	figures := map[tabular.Kind][]string{
		tabular.Regression: {"rmse"}, tabular.Binary: {"accuracy", "auc", "logloss"}, tabular.Multiclass: {"accuracy", "logloss"},
	}[d.Kind]
	for _, m := range tableModels {
		c := s.own[m.name]
		of, err := c.ensemble(d)
		if err != nil {
			return err
		}
		f := Figure{Engine: m.name}
		for _, name := range figures {
			better := "lower"
			if name == "accuracy" || name == "auc" {
				better = "higher"
			}
			f.add(r, m.name+" "+name, metric.Mean(c.values(name)), "", c.spread(name)+"; "+strings.Join(c.notes, "; "))
			f.add(r, m.name+" "+name+" of the ensemble", of[name].Value, "", fmt.Sprintf("mean prediction of %d seeds", len(c.single)))
			for _, p := range peers {
				f.against(r, p.title, m.name+" "+name, metric.Mean(c.values(name)), metric.Mean(p.values(name)), "", better, p.title+"'s: "+p.spread(name)+"; "+strings.Join(p.notes, "; "))
				theirs, err := p.ensemble(d)
				if err != nil {
					return err
				}
				f.against(r, p.title, m.name+" "+name+" of the ensemble", of[name].Value, theirs[name].Value, "", better, "")
			}
		}
		f.add(r, m.name+" training", metric.Mean(c.seconds), "s", fmt.Sprintf("on %d threads", runtime.GOMAXPROCS(0)))
		f.add(r, m.name+" predictions", c.rate, "rows/s", "in batches")
		for _, p := range peers {
			f.against(r, p.title, m.name+" predictions", c.rate, p.rate, "rows/s", "higher", "")
		}
	}
	return nil
}

// spread says how a figure varies over seeds.
func (c *contest) spread(name string) string {
	x := c.values(name)
	mean, square := metric.Mean(x), 0.0
	for _, v := range x {
		square += (v - mean) * (v - mean)
	}
	return fmt.Sprintf("seeds %.5f, deviation %.5f", x, math.Sqrt(square/float64(len(x))))
}

// Of the model measured: a quarter of the paper's width, and steps of 64 rows, which
// reach California's validation RMSE of .518 in half of the epochs that steps of 256 do.
const (
	tabmWidth = 128
	tabmBatch = 64
)

// fitTabM trains TabM with the paper's rate, decay and patience; with Quick, a small one
// for few epochs.
func fitTabM(ctx context.Context, s *tabularSuite, seed uint64) (tablePredictor, string, error) {
	c, o := tabm.Default(), tabm.Recipe(seed)
	c.Width = tabmWidth
	if s.o.Quick {
		c.Width, o.Epochs = 64, 4
	}
	began := time.Now()
	name, _ := s.tables.learn.Kind.Score()
	o.Progress = func(e train.Event) {
		if e.Metrics != nil {
			s.o.log("tabm, seed %d, epoch %d: loss %.5f, %s %.5f (%.1f s)", seed, e.Epoch+1, e.Loss, name, e.Metrics[name].Value, time.Since(began).Seconds())
		}
	}
	m, err := tabm.New(c, s.tables.learn, seed)
	if err != nil {
		return nil, "", err
	}
	m.Threads = runtime.GOMAXPROCS(0)
	result, err := m.Fit(ctx, s.tables.learn, s.tables.valid, tabmBatch, o)
	return m, fmt.Sprintf("epoch %d of %d, validation %.5f", result.BestEpoch+1, result.Epochs, result.Metrics[name].Value), err
}
