package tabr

import (
	"context"
	"math"
	"slices"
	"testing"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/tabular"
)

func TestTheDefaultModelOfCaliforniaHas637856Parameters(t *testing.T) {
	c := Default(&tabular.Data{Kind: tabular.Regression, NumWidth: 8, Std: 1})
	m, err := New(c, 1)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, p := range m.params {
		n += len(p.Value.Data)
	}
	if n != 637856 || c.numbers() != n {
		t.Errorf("%d parameters, %d counted, want 637856", n, c.numbers())
	}
	for name, c := range kinds() {
		m, err := New(c, 1)
		if err != nil {
			t.Fatal(name, err)
		}
		n := 0
		for _, p := range m.params {
			n += len(p.Value.Data)
		}
		if n != c.numbers() {
			t.Errorf("%s: %d parameters, %d counted", name, n, c.numbers())
		}
	}
}

// tiny is the model and the candidates of the golden numbers.
func tiny(t *testing.T) (*Model, *tabular.Data) {
	m, err := New(Config{Kind: tabular.Regression, Std: 1, Num: 3, Dim: 4, Predictors: 1, Context: 3, ContextP: 0.5, DropoutP: 0.5}, 1)
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]*nn.Param{}
	for _, p := range m.params {
		byName[p.Name] = p
	}
	i := 0
	for _, name := range []string{"linear.weight", "linear.bias", "label_encoder.weight", "label_encoder.bias", "K.weight", "K.bias",
		"T.0.weight", "T.0.bias", "T.3.weight", "blocks1.0.0.weight", "blocks1.0.0.bias", "blocks1.0.1.weight", "blocks1.0.1.bias",
		"blocks1.0.4.weight", "blocks1.0.4.bias", "head.0.weight", "head.0.bias", "head.2.weight", "head.2.bias"} {
		one := 0.0
		if name == "blocks1.0.0.weight" || name == "head.0.weight" {
			one = 1
		}
		x := byName[name].Value.Data
		for j := range x {
			x[j] = float32(one + .8*math.Sin(.37+.61*float64(i)+.13*float64(i*i)))
			i++
		}
	}
	if i != 213 {
		t.Fatalf("%d parameters", i)
	}
	d := &tabular.Data{Rows: 6, NumWidth: 3, Kind: tabular.Regression, Std: 1, Y: []float32{.5, -1, .2, 1.3, -.4, .9}}
	for i := range 18 {
		d.Num = append(d.Num, float32(math.Cos(.3+1.1*float64(i))))
	}
	return m, d
}

func close5(t *testing.T, what string, got float32, want float64) {
	t.Helper()
	if math.Abs(float64(got)-want) > 1e-5 {
		t.Errorf("%s is %.7f, want %.7f", what, got, want)
	}
}

func TestTinyModelGivesTheGoldenNumbers(t *testing.T) {
	m, d := tiny(t)
	p := NewPredictor(m.Freeze())
	if err := p.Add(d, []uint32{0, 1, 2, 3, 4, 5}); err != nil {
		t.Fatal(err)
	}
	row := &tabular.Data{Rows: 1, NumWidth: 3, Num: d.Num[6:9]}
	for name, c := range map[string]struct {
		q      Query
		ids    []uint32
		shares []float64
		out    float64
	}{
		"a question": {Query{Rows: &tabular.Data{Rows: 1, NumWidth: 3, Num: []float32{.2, -.5, .7}}},
			[]uint32{1, 3, 5}, []float64{.4043799, .3731101, .2225100}, .1766934},
		"row 2 from the others":       {Query{Rows: row, Self: []uint32{2}}, []uint32{4, 0, 1}, []float64{.4355609, .4196025, .1448366}, .2916158},
		"row 2 as if it were unknown": {Query{Rows: row}, []uint32{2, 4, 0}, nil, .0496970},
	} {
		out, near := make([]float32, 1), make([]Neighbour, 3)
		c.q.Near = near
		if err := p.Predict(context.Background(), c.q, out); err != nil {
			t.Fatal(err)
		}
		close5(t, name, out[0], c.out)
		for i, id := range c.ids {
			if near[i].ID != id {
				t.Errorf("%s: neighbours %v, want %v", name, near, c.ids)
			}
			if c.shares != nil {
				close5(t, name+": share", near[i].Weight, c.shares[i])
			}
		}
	}
	l, err := newLearner(m, m.c.matrix(d), d.Y, -1)
	if err != nil {
		t.Fatal(err)
	}
	l.ctx, l.dist = make([]uint32, 3), make([]float32, 3)
	out, ok := l.forward(new(nn.Tape), []uint32{2}, false)
	if !ok || !slices.Equal(l.ctx, []uint32{0, 1, 4}) {
		t.Fatalf("context %v", l.ctx)
	}
	close5(t, "row 2 in training", out.Data[0], .2916158)
}

func TestPeriodicFeaturesGiveTheGoldenNumbers(t *testing.T) {
	x := make([]float32, 4)
	wave(x, .4, []float32{.5, -1.2})
	for i, want := range []float64{.3090170, -.9921147, .9510565, -.1253332} {
		close5(t, "feature", x[i], want)
	}
}

func TestForwardIsThatOfThePlainModelInEveryForm(t *testing.T) {
	for name, c := range kinds() {
		for _, training := range []bool{false, true} {
			l, d := sample(t, c, 40)
			tape := &nn.Tape{Train: training, Seed: 3, Step: 8}
			ref := newPlain(l.Model)
			ref.masked(tape)
			rows := []uint32{1, 7, 0, 39, 20, 6}
			l.ctx, l.dist = make([]uint32, len(rows)*l.k), make([]float32, len(rows)*l.k)
			out, ok := l.forward(tape, rows, false)
			if !ok {
				t.Fatal(name, "no contexts")
			}
			for i, row := range rows {
				ctx := l.last[int(row)*l.k:][:l.k]
				if want := ref.nearest(row, l.x, l.k); !slices.Equal(ctx, want) {
					t.Fatalf("%s: the context of row %d is %v, want %v", name, row, ctx, want)
				}
				for j, want := range ref.predict(l.x.Row(int(row)), row, ctx, l.x, d.Y) {
					if got := out.Row(i)[j]; math.Abs(float64(got)-want) > 1e-5 {
						t.Errorf("%s, training %v: row %d: %v, want %v", name, training, row, got, want)
					}
				}
			}
		}
	}
}

// nearest is the k rows nearest to a row by their keys, but for itself, ascending.
func (p *plain) nearest(row uint32, all nn.Matrix, k int) []uint32 {
	_, key := p.encode(all.Row(int(row)), row)
	type far struct {
		d  float64
		id uint32
	}
	var list []far
	for i := range all.Rows {
		if uint32(i) == row {
			continue
		}
		_, other := p.encode(all.Row(i), uint32(i))
		sum := 0.0
		for j, x := range key {
			sum += (x - other[j]) * (x - other[j])
		}
		list = append(list, far{sum, uint32(i)})
	}
	slices.SortStableFunc(list, func(a, b far) int {
		if math.Abs(a.d-b.d) < 1e-9 { // duplicates
			return int(a.id) - int(b.id)
		}
		if a.d < b.d {
			return -1
		}
		return 1
	})
	var ids []uint32
	for _, f := range list[:k] {
		ids = append(ids, f.id)
	}
	slices.Sort(ids)
	return ids
}

func TestGradientsAreThoseOfThePlainModelByFiniteDifferences(t *testing.T) {
	for name, c := range kinds() {
		l, d := sample(t, c, 30)
		tape := &nn.Tape{Train: true, Seed: 1, Step: 2}
		ref := newPlain(l.Model)
		ref.masked(tape)
		rows := []uint32{4, 3, 17, 29}
		if _, err := l.Gradient(tape, batch{0, rows}); err != nil {
			t.Fatal(err)
		}
		loss := func() float64 {
			var out [][]float64
			var y []float64
			for _, row := range rows {
				out = append(out, ref.predict(l.x.Row(int(row)), row, l.last[int(row)*l.k:][:l.k], l.x, d.Y))
				y = append(y, float64(d.Y[row]))
			}
			return ref.loss(out, y)
		}
		const step = 1e-6
		for _, p := range l.params {
			w := ref.w[p.Name]
			for i := 0; i < len(w); i += 1 + len(w)/40 {
				was := w[i]
				w[i] = was + step
				up := loss()
				w[i] = was - step
				want := (up - loss()) / (2 * step)
				w[i] = was
				if got := float64(p.Grad.Data[i]); math.Abs(got-want) > 2e-5*(1+math.Abs(want)) {
					t.Errorf("%s: gradient of %s[%d] is %v, want %v", name, p.Name, i, got, want)
				}
			}
			if p.Name == "K.bias" && c.Encoders == 0 && slices.ContainsFunc(p.Grad.Data, func(x float32) bool { return x != 0 }) {
				t.Errorf("%s: the bias of K, which cancels, has a gradient", name)
			}
		}
	}
}

func TestNoRowIsInItsOwnContextAlsoAmongDuplicates(t *testing.T) {
	for name, c := range kinds() {
		l, d := sample(t, c, 30)
		for i := range d.Rows { // all rows alike
			copy(l.x.Row(i), l.x.Row(0))
		}
		rows := make([]uint32, d.Rows)
		for i := range rows {
			rows[i] = uint32(d.Rows - 1 - i)
		}
		if _, err := l.Gradient(&nn.Tape{}, batch{0, rows}); err != nil {
			t.Fatal(err)
		}
		for i := range rows {
			ctx := l.last[i*l.k:][:l.k]
			if slices.Contains(ctx, uint32(i)) || len(slices.Compact(slices.Clone(ctx))) != l.k {
				t.Errorf("%s: the context of row %d is %v", name, i, ctx)
			}
		}
	}
}
