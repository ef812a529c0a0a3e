package tabm

import (
	"bytes"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/storage/format"
	"github.com/eiderdb/eider/tabular"
)

// toy is rows of three numbers, a flag and two categories whose target follows from
// them: half of all x₀·x₁ and what the category adds.
func toy(kind tabular.Kind, rows int, seed uint64) *tabular.Data {
	rng := rand.New(rand.NewPCG(seed, 1))
	d := &tabular.Data{Rows: rows, NumWidth: 3, BinWidth: 1, CatSizes: []int{3, 2}, Kind: kind, Mean: 5, Std: 2}
	for range rows {
		var x [3]float32
		for j := range x {
			x[j] = float32(rng.NormFloat64())
		}
		flag, cat := float32(rng.IntN(2)), rng.IntN(4) // 3: unknown
		y := 0.5*x[0]*x[1] + float32(cat)/3*flag - 0.3*x[2]
		switch kind {
		case tabular.Binary:
			d.Classes, d.Mean, d.Std = 2, 0, 1
			y = []float32{0, 1}[min(1, int(max(0, y+1)))]
		case tabular.Multiclass:
			d.Classes, d.Mean, d.Std = 3, 0, 1
			y = float32(min(2, int(max(0, y+1))))
		}
		d.Num, d.Bin, d.Cat, d.Y = append(d.Num, x[:]...), append(d.Bin, flag), append(d.Cat, int32(cat), int32(rng.IntN(3))), append(d.Y, y)
	}
	return d
}

func small(e Embedding) Config {
	c := Config{Members: 4, Blocks: 2, Width: 16, Dropout: 0.1, Embedding: e, Dim: 4, Bins: 6, Frequencies: 3, Scale: 0.3}
	if e == None {
		c.Dim = 0
	}
	return c
}

func predicted(t testing.TB, m *Model, d *tabular.Data) []float32 {
	t.Helper()
	out := make([]float32, d.Rows*d.Width())
	if err := m.Predict(t.Context(), d, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func made(t testing.TB, c Config, d *tabular.Data) *Model {
	t.Helper()
	m, err := New(c, d, 1)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestEveryKindLearnsWithEveryEmbedding(t *testing.T) {
	for _, kind := range []tabular.Kind{tabular.Regression, tabular.Binary, tabular.Multiclass} {
		for _, e := range []Embedding{None, Piecewise, Periodic} {
			learn, valid := toy(kind, 400, 1), toy(kind, 200, 2)
			m := made(t, small(e), learn)
			name, _ := kind.Score()
			before, err := valid.Measure(predicted(t, m, valid))
			if err != nil {
				t.Fatal(err)
			}
			o := Recipe(3)
			o.Epochs = 12
			result, err := m.Fit(t.Context(), learn, valid, 32, o)
			if err != nil {
				t.Fatal(err)
			}
			after, _ := valid.Measure(predicted(t, m, valid))
			if after[name].Value != result.Metrics[name].Value {
				t.Errorf("%s, %s: the model has %s %v, its best epoch had %v", kind, e, name, after[name].Value, result.Metrics[name].Value)
			}
			loss := "logloss"
			if kind == tabular.Regression {
				loss = "rmse"
			}
			if !(after[loss].Value < 0.92*before[loss].Value) {
				t.Errorf("%s, %s: %s %v before, %v after", kind, e, loss, before[loss].Value, after[loss].Value)
			}
		}
	}
}

func TestMembersDifferByTheFirstScalesAlone(t *testing.T) {
	d := toy(tabular.Regression, 20, 1)
	m := made(t, small(Piecewise), d)
	features := func() [][]float64 {
		var tape nn.Tape
		tape.NoGrad = true
		rows := make([]int, d.Rows)
		for i := range rows {
			rows[i] = i
		}
		one := *m.head
		m.head = &grouped{weight: nn.NewParam("", 4*16, 16), groups: 4} // the identity
		defer func() { m.head = &one }()
		for i := range 4 * 16 {
			m.head.weight.Value.Row(i)[i%16] = 1
		}
		y := m.outputs(&tape, batch{d, rows})
		all := make([][]float64, 4)
		for i := range y.Rows {
			for j := range all {
				for _, v := range y.Row(i)[j*16 : (j+1)*16] {
					all[j] = append(all[j], float64(v))
				}
			}
		}
		return all
	}
	if all := features(); slices.Equal(all[0], all[1]) {
		t.Error("two members are the same")
	}
	m.blocks[0].r.Fill(1)
	if all := features(); !slices.Equal(all[0], all[1]) || !slices.Equal(all[0], all[3]) {
		t.Error("members with the same scales differ")
	}
}

func TestFirstScalesAreOneNumberForEachColumn(t *testing.T) {
	d := toy(tabular.Regression, 20, 1)
	for e, sizes := range map[Embedding][]int{None: {1, 1, 1, 1, 3, 2}, Piecewise: {4, 4, 4, 1, 3, 2}} {
		m := made(t, small(e), d)
		row := m.blocks[0].r.Value.Row(1)
		for _, n := range sizes {
			if slices.Max(row[:n]) != slices.Min(row[:n]) || e == None && row[0] != 1 && row[0] != -1 {
				t.Errorf("%s: %v", e, row[:n])
			}
			row = row[n:]
		}
		if len(row) != 0 || m.blocks[1].r.Value.Data[5] != 1 || m.blocks[0].s.Value.Data[5] != 1 {
			t.Errorf("%s: %d columns more, or other scales that are not 1", e, len(row))
		}
	}
}

func TestEqualSeedsGiveEqualBitsWithAnyNumberOfThreads(t *testing.T) {
	learn, valid := toy(tabular.Regression, 300, 1), toy(tabular.Regression, 50, 2)
	run := func(seed uint64, threads int) []float32 {
		m := made(t, small(Piecewise), learn)
		m.Threads = threads
		o := Recipe(seed)
		o.Epochs = 2
		if _, err := m.Fit(t.Context(), learn, valid, 64, o); err != nil {
			t.Fatal(err)
		}
		return predicted(t, m, valid)
	}
	a := run(1, 1)
	if !slices.Equal(a, run(1, 2)) {
		t.Error("two threads give other numbers")
	}
	if slices.Equal(a, run(2, 1)) {
		t.Error("the seed does not matter")
	}
}

func TestAResumedTrainingEndsAsOneThatWasNotInterrupted(t *testing.T) {
	learn, valid := toy(tabular.Binary, 200, 1), toy(tabular.Binary, 50, 2)
	var checkpoints [][]byte
	o := Recipe(1)
	o.Epochs = 3
	o.Save = func(write func(io.Writer) error) error {
		var b bytes.Buffer
		err := write(&b)
		checkpoints = append(checkpoints, b.Bytes())
		return err
	}
	whole := made(t, small(Periodic), learn)
	if _, err := whole.Fit(t.Context(), learn, valid, 64, o); err != nil {
		t.Fatal(err)
	}
	o.Resume, o.Save = checkpoints[0], nil
	resumed := made(t, small(Periodic), learn)
	if _, err := resumed.Fit(t.Context(), learn, valid, 64, o); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(predicted(t, whole, valid), predicted(t, resumed, valid)) {
		t.Error("predictions differ")
	}
}

func TestPredictionsDoNotDependOnOtherRows(t *testing.T) {
	d := toy(tabular.Multiclass, 150, 1)
	m := made(t, small(Piecewise), d)
	all := predicted(t, m, d)
	for _, row := range []int{0, 70, 149} {
		one := &tabular.Data{Rows: 1, NumWidth: 3, BinWidth: 1, CatSizes: d.CatSizes, Kind: d.Kind, Classes: 3,
			Num: d.Num[row*3 : row*3+3], Bin: d.Bin[row : row+1], Cat: d.Cat[row*2 : row*2+2]}
		for c, p := range predicted(t, m, one) {
			if math.Abs(float64(p-all[row*3+c])) > 1e-6 {
				t.Errorf("row %d: %v alone, %v among others", row, p, all[row*3+c])
			}
		}
	}
}

func TestManyGoroutinesPredictAtOnce(t *testing.T) {
	d := toy(tabular.Regression, 100, 1)
	m := made(t, small(Piecewise), d)
	want := predicted(t, m, d)
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			out := make([]float32, d.Rows)
			if err := m.Predict(t.Context(), d, out); err != nil || !slices.Equal(out, want) {
				t.Errorf("other predictions, or %v", err)
			}
		})
	}
	wait.Wait()
}

func TestWeightsSurviveTheirFile(t *testing.T) {
	for _, e := range []Embedding{None, Piecewise, Periodic} {
		d := toy(tabular.Regression, 60, 1)
		m := made(t, small(e), d)
		back, err := Load(m.Config(), m.Inputs(), m.Tensors())
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(predicted(t, m, d), predicted(t, back, d)) {
			t.Errorf("%s: predictions differ", e)
		}
		n := 0
		for _, p := range m.Params() {
			n += len(p.Value.Data)
		}
		if want := m.config.numbers(m.inputs); n != want {
			t.Errorf("%s: %d numbers, counted as %d", e, n, want)
		}
	}
}

func TestTensorsHaveTheNamesAndShapesOfPyTorch(t *testing.T) {
	m := made(t, small(Piecewise), toy(tabular.Multiclass, 60, 1))
	all := m.Tensors()
	for name, shape := range map[string][]int{
		"backbone.blocks.0.0.weight": {16, 18}, "backbone.blocks.0.0.r": {4, 18}, "backbone.blocks.1.0.s": {4, 16}, "backbone.blocks.1.0.bias": {4, 16},
		"output.weight": {4, 16, 3}, "output.bias": {4, 3}, "num_module.linear0.weight": {3, 4}, "num_module.linear.weight": {3, 6, 4},
	} {
		if got := all[name].Shape; !slices.Equal(got, shape) {
			t.Errorf("%s is %v, want %v", name, got, shape)
		}
	}
}

func TestWeightsThatDoNotFitAreRefusedByName(t *testing.T) {
	m := made(t, small(Piecewise), toy(tabular.Regression, 60, 1))
	for what, change := range map[string]func(map[string]format.Tensor){
		"backbone.blocks.0.0.r is missing": func(x map[string]format.Tensor) {
			delete(x, "backbone.blocks.0.0.r")
			x["output.bias"] = format.Floats([]int{999}, make([]float32, 999))
		},
		"output.weight has shape [999]": func(x map[string]format.Tensor) {
			x["output.weight"] = format.Floats([]int{999}, make([]float32, 999))
		},
		"more is not": func(x map[string]format.Tensor) { x["more"] = format.Floats([]int{1}, []float32{1}) },
		"backbone.blocks.0.0.r has shape [18 4]": func(x map[string]format.Tensor) {
			t := x["backbone.blocks.0.0.r"]
			t.Shape = []int{18, 4}
			x["backbone.blocks.0.0.r"] = t
		},
		"output.bias has NaN": func(x map[string]format.Tensor) {
			x["output.bias"] = format.Floats([]int{4, 1}, []float32{0, 1, 2, float32(math.NaN())})
		},
		"edges of number 0 in num_module.bins": func(x map[string]format.Tensor) {
			x[binsName] = format.Floats([]int{3, 7}, append([]float32{9}, make([]float32, 20)...))
		},
		"numbers in all tensors": func(x map[string]format.Tensor) { clear(x) },
	} {
		all := m.Tensors()
		change(all)
		if _, err := Load(m.Config(), m.Inputs(), all); !errors.Is(err, ErrTensor) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestBadConfigurationsAndDataAreRefused(t *testing.T) {
	d := toy(tabular.Regression, 10, 1)
	for _, change := range []func(*Config){
		func(c *Config) { c.Members = 0 }, func(c *Config) { c.Blocks = 65 }, func(c *Config) { c.Width = -1 }, func(c *Config) { c.Dropout = 1 },
		func(c *Config) { c.Embedding = "fourier" }, func(c *Config) { c.Bins = 0 }, func(c *Config) { c.Embedding, c.Scale = Periodic, 0 },
	} {
		c := small(Piecewise)
		change(&c)
		if _, err := New(c, d, 1); !errors.Is(err, ErrConfig) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	m := made(t, small(Piecewise), d)
	other := toy(tabular.Binary, 10, 1)
	bad := toy(tabular.Regression, 10, 1)
	bad.Cat[3] = 5
	for _, d := range []*tabular.Data{other, bad} {
		if err := m.Predict(t.Context(), d, make([]float32, 10)); !errors.Is(err, ErrData) {
			t.Error(err)
		}
	}
	if err := m.Predict(t.Context(), d, nil); !errors.Is(err, ErrData) {
		t.Error(err)
	}
	d.Y = nil
	if _, err := m.Fit(t.Context(), d, d, 0, Recipe(1)); !errors.Is(err, ErrData) {
		t.Error(err)
	}
}
