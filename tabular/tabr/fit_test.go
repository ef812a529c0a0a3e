package tabr

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"testing"

	"github.com/eiderdb/eider/internal/metric"
	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/internal/train"
	"github.com/eiderdb/eider/tabular"
)

// noisy is a table whose labels are a function of its numbers, with noise.
func noisy(c Config, n int, seed uint64) *tabular.Data {
	d := table(c, n, seed)
	for i := range d.Y {
		x := d.Num[i*c.Num:][:c.Num]
		y := math.Sin(float64(2*x[0])) + 0.5*float64(x[1])
		if c.Kind == tabular.Regression {
			d.Y[i] = float32(y) + 0.1*d.Y[i]
		} else {
			d.Y[i] = float32(min(c.labels()-1, max(0, int(math.Floor(y+1)))))
		}
	}
	return d
}

// measure is the figure of predictions for d that chooses between models.
func measure(p *Predictor, d *tabular.Data) (e metric.Estimate, err error) {
	out := make([]float32, d.Rows*d.Width())
	if err := p.Predict(background, Query{Rows: d}, out); err != nil {
		return e, err
	}
	all, err := d.Measure(out)
	name, _ := d.Kind.Score()
	return all[name], err
}

func options(rows int) Options {
	o := Defaults(rows)
	o.Batch, o.Epochs, o.Rate, o.Seed = 32, 6, 3e-3, 7
	return o
}

// weights are all numbers of a model.
func weights(m *Model) (all []float32) {
	for _, p := range m.params {
		all = append(all, p.Value.Data...)
	}
	return all
}

func TestTrainingLearnsEveryKindOfTarget(t *testing.T) {
	for name, c := range kinds() {
		c.Dim, c.Context = max(c.Dim, 16), 12
		m, err := New(c, 1)
		if err != nil {
			t.Fatal(err)
		}
		data, val := noisy(c, 400, 1), noisy(c, 200, 2)
		o := options(data.Rows)
		o.Epochs = 12
		r, err := Fit(background, m, data, val, o)
		if err != nil {
			t.Fatal(name, err)
		}
		// The deviation of targets is .86, the share of the largest class .55; of many
		// columns all but two say nothing.
		if e, ok := r.Metrics["rmse"]; ok && e.Value > 0.6 && !(name == "many columns" && e.Value < 0.75) {
			t.Errorf("%s: error %v after epoch %d", name, e.Value, r.BestEpoch)
		}
		if e, ok := r.Metrics["accuracy"]; ok && e.Value < 0.7 {
			t.Errorf("%s: accuracy %v after epoch %d", name, e.Value, r.BestEpoch)
		}
	}
}

func TestTrainingInterruptedAndResumedGivesTheSameBits(t *testing.T) {
	for _, freeze := range []int{0, 2} {
		c := kinds()["plr-lite with encoder"]
		data, val := noisy(c, 100, 1), noisy(c, 50, 2)
		run := func(interrupt bool) []float32 {
			m, err := New(c, 1)
			if err != nil {
				t.Fatal(err)
			}
			o := options(data.Rows)
			o.Freeze = freeze
			if interrupt {
				ctx, cancel := context.WithCancel(background)
				var saved []byte
				o.Save = func(write func(io.Writer) error) error {
					var b bytes.Buffer
					err := write(&b)
					saved = b.Bytes()
					return err
				}
				o.Progress = func(e train.Event) {
					if e.Epoch == 3 && e.Batch == 2 {
						cancel()
					}
				}
				if _, err := Fit(ctx, m, data, val, o); !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
				if m, err = New(c, 2); err != nil {
					t.Fatal(err)
				}
				o.Resume, o.Save, o.Progress = saved, nil, nil
			}
			if _, err := Fit(background, m, data, val, o); err != nil {
				t.Fatal(err)
			}
			return weights(m)
		}
		if !slices.Equal(run(false), run(true)) {
			t.Errorf("frozen after %d epochs: the resumed run ended elsewhere", freeze)
		}
	}
}

func TestFrozenContextsAreThoseOfTheModelWhenTheyFroze(t *testing.T) {
	c := kinds()["s"]
	l, d := sample(t, c, 60)
	m := l.Model
	l, err := newLearner(m, l.x, d.Y, 0)
	if err != nil {
		t.Fatal(err)
	}
	ref := newPlain(m)
	o := options(d.Rows)
	_, err = train.Run(background, l, l.batches(o), train.Options{Epochs: 3, Rate: func(int) float32 { return 0.05 }, Optimizer: nn.Adam{}})
	if err != nil {
		t.Fatal(err)
	}
	for row := range uint32(60) {
		var ctx []uint32
		for _, x := range l.contexts.Mean[int(row)*l.k:][:l.k] {
			ctx = append(ctx, math.Float32bits(x))
		}
		if want := ref.nearest(row, l.x, l.k); !slices.Equal(ctx, want) {
			t.Errorf("row %d has the context %v, want %v", row, ctx, want)
		}
	}
}

func TestTrainingRefusesWhatItCannotLearnFrom(t *testing.T) {
	c := kinds()["s"]
	m, err := New(c, 1)
	if err != nil {
		t.Fatal(err)
	}
	data := table(c, 10, 1)
	bad := table(c, 10, 1)
	bad.Y[3] = float32(math.Inf(1))
	o := options(10)
	for name, try := range map[string]func() error{
		"labels":      func() error { _, err := Fit(background, m, bad, data, o); return err },
		"validation":  func() error { _, err := Fit(background, m, data, bad, o); return err },
		"one row":     func() error { _, err := Fit(background, m, part(data, 0, 1), data, o); return err },
		"no rows yet": func() error { _, err := Fit(background, m, part(data, 0, 0), data, o); return err },
	} {
		if err := try(); !errors.Is(err, ErrData) {
			t.Errorf("%s: %v", name, err)
		}
	}
	o.Batch = 0
	if _, err := Fit(background, m, data, data, o); !errors.Is(err, train.ErrOptions) {
		t.Errorf("batches of no rows: %v", err)
	}
}

func TestAModelTrainedOnFewRowsGetsBetterByCandidatesAlone(t *testing.T) {
	c := kinds()["s"]
	c.Dim, c.Context = 16, 12
	m, err := New(c, 1)
	if err != nil {
		t.Fatal(err)
	}
	data, val, test := noisy(c, 1500, 1), noisy(c, 100, 2), noisy(c, 400, 3)
	few := part(data, 0, 100)
	if _, err := Fit(background, m, few, val, options(few.Rows)); err != nil {
		t.Fatal(err)
	}
	p := NewPredictor(m.Freeze())
	if err := p.Add(few, numbered(0, few.Rows)); err != nil {
		t.Fatal(err)
	}
	before, err := measure(p, test)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Add(part(data, 100, 1500), numbered(100, 1500)); err != nil {
		t.Fatal(err)
	}
	after, err := measure(p, test)
	if err != nil {
		t.Fatal(err)
	}
	if after.High >= before.Value {
		t.Errorf("the error went from %v to %v", before.Value, after.Value)
	}
}

func TestTrainingGivesWayWithinItsSteps(t *testing.T) {
	for _, name := range []string{"s", "plr-lite"} {
		c := kinds()[name]
		m, err := New(c, 1)
		if err != nil {
			t.Fatal(err)
		}
		data := table(c, 200, 1)
		o := options(200)
		o.Epochs, o.Batch = 1, 128
		turns := 0
		o.Yield = func() { turns++ }
		if _, err := Fit(background, m, data, data, o); err != nil {
			t.Fatal(err)
		}
		if turns < 40 {
			t.Errorf("%s: gave way %d times in two steps and a measurement", name, turns)
		}
	}
}
