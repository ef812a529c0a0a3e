package tabr

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/csv"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/eiderdb/eider/internal/train"
	"github.com/eiderdb/eider/tabular"
)

// tables is where the benchmarks read data sets: cal_housing.csv.gz, StatLib's columns.
const tables = "EIDER_TABLES"

// california is the hash split: rows in order of i·2654435761 mod 2³², 13,209 to train,
// 3,303 to validate, 4,128 to test; quantile-transformed, targets in 100,000 dollars.
func california(b testing.TB) (data, val, test *tabular.Data) {
	dir := os.Getenv(tables)
	if dir == "" {
		b.Skip("set " + tables + " to a directory with cal_housing.csv.gz")
	}
	file, err := os.Open(filepath.Join(dir, "cal_housing.csv.gz"))
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		b.Fatal(err)
	}
	var x [][8]float64
	var y []float64
	for r := csv.NewReader(bufio.NewReader(z)); ; {
		row, err := r.Read()
		if err == io.EOF {
			break
		} else if err != nil {
			b.Fatal(err)
		}
		var v [9]float64
		if _, err := strconv.ParseFloat(strings.TrimSpace(row[0]), 64); err != nil {
			continue // the header
		}
		for i := range v {
			if v[i], err = strconv.ParseFloat(strings.TrimSpace(row[i]), 64); err != nil {
				b.Fatal(err)
			}
		}
		lon, lat, age, rooms, beds, people, homes, income, value := v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8]
		x = append(x, [8]float64{income, age, rooms / homes, beds / homes, people, people / homes, lat, lon})
		y = append(y, value/100000)
	}
	if len(x) != 20640 || math.Abs(x[0][2]-6.98413) > 1e-5 || y[0] != 4.526 {
		b.Fatalf("%d rows, the first is %v, %v", len(x), x[0], y[0])
	}
	order := make([]int, len(x))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return int(int64(uint32(a*2654435761)) - int64(uint32(b*2654435761)))
	})
	q := newQuantiles(x, order[:13209])
	mean, square := 0.0, 0.0
	for _, i := range order[:13209] {
		mean += y[i] / 13209
	}
	for _, i := range order[:13209] {
		square += (y[i] - mean) * (y[i] - mean) / 13209
	}
	if math.Abs(mean-2.0678) > 1e-4 || math.Abs(math.Sqrt(square)-1.1551) > 1e-4 {
		b.Fatalf("targets of mean %v, deviation %v", mean, math.Sqrt(square))
	}
	part := func(rows []int) *tabular.Data {
		d := &tabular.Data{Rows: len(rows), NumWidth: 8, Kind: tabular.Regression, Mean: mean, Std: math.Sqrt(square)}
		for _, i := range rows {
			for j, v := range x[i] {
				d.Num = append(d.Num, float32(q.apply(j, v)))
			}
			d.Y = append(d.Y, float32((y[i]-mean)/math.Sqrt(square)))
		}
		return d
	}
	return part(order[:13209]), part(order[13209:16512]), part(order[16512:])
}

// quantiles is the quantile transform of the paper: references of the training rows with
// noise, then the normal quantile.
type quantiles struct{ ref [8][]float64 }

func newQuantiles(x [][8]float64, rows []int) *quantiles {
	q := &quantiles{}
	rng := rand.New(rand.NewPCG(0, 0))
	n := max(min(len(rows)/30, 1000), 10)
	for j := range 8 {
		var col []float64
		mean, square := 0.0, 0.0
		for _, i := range rows {
			col = append(col, x[i][j])
			mean += x[i][j] / float64(len(rows))
		}
		for _, v := range col {
			square += (v - mean) * (v - mean) / float64(len(rows))
		}
		dev := math.Sqrt(square)
		for i := range col {
			col[i] += rng.NormFloat64() * 1e-3 / max(dev, 1e-3) * dev
		}
		slices.Sort(col)
		for k := range n {
			at := float64(k) / float64(n-1) * float64(len(col)-1)
			lo := int(at)
			hi := min(lo+1, len(col)-1)
			q.ref[j] = append(q.ref[j], col[lo]+(at-float64(lo))*(col[hi]-col[lo]))
		}
	}
	return q
}

func (q *quantiles) apply(j int, v float64) float64 {
	ref := q.ref[j]
	n := len(ref)
	i, _ := slices.BinarySearch(ref, v)
	p := 0.0
	switch {
	case i == 0:
	case i == n:
		p = 1
	default:
		p = (float64(i-1) + (v-ref[i-1])/(ref[i]-ref[i-1])) / float64(n-1)
	}
	return max(-5.199337582605575, min(5.199337582605575, math.Sqrt2*math.Erfinv(2*p-1)))
}

// TestTrainingOnCalifornia is the run behind the figures: a training for each seed, asked
// for by name with EIDER_TABLES. EIDER_TABR has "plr" for the paper's embedding, and
// "freeze" for contexts that stay after four epochs; EIDER_SEED is the seed.
func TestTrainingOnCalifornia(t *testing.T) {
	data, val, test := california(t)
	c, o := Default(data), Defaults(data.Rows)
	form := os.Getenv("EIDER_TABR")
	if strings.Contains(form, "freeze") {
		o.Freeze = 4
	}
	if strings.Contains(form, "plr") {
		c.Embedding, c.EmbedDim, c.Frequencies, c.Sigma = Periodic, 64, 96, .0137
		c.Dim, c.Predictors, c.ContextP, c.DropoutP = 122, 2, .166, .094
		o.Rate, o.Decay = 4.82e-4, 6.0e-6
	}
	n, err := strconv.Atoi(os.Getenv("EIDER_EPOCHS"))
	whole := err != nil
	if !whole {
		o.Epochs = n
	}
	seed, _ := strconv.ParseUint(os.Getenv("EIDER_SEED"), 10, 64)
	o.Seed = seed
	m, err := New(c, seed)
	if err != nil {
		t.Fatal(err)
	}
	start := cpu()
	o.Progress = func(e train.Event) {
		if e.Metrics != nil {
			t.Logf("epoch %d: loss %.4f, validation %.4f, best %v, %.1f CPU s", e.Epoch, e.Loss, e.Metrics["rmse"].Value, e.Best, cpu()-start)
		}
	}
	r, err := Fit(context.Background(), m, data, val, o)
	if err != nil {
		t.Fatal(err)
	}
	took := cpu() - start
	p, err := (&learner{Model: m}).predictor(data)
	if err != nil {
		t.Fatal(err)
	}
	e, err := measure(p, test)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("seed %d: best epoch %d of %d, validation %.4f, test %.4f, %.1f CPU s, %.2f an epoch", seed, r.BestEpoch, r.Epochs,
		r.Metrics["rmse"].Value, e.Value, took, took/float64(r.Epochs))
	if whole && e.Value > 0.43 { // the best of trees has .4576 on this split
		t.Errorf("a test error of %v", e.Value)
	}
}

// BenchmarkPredictCalifornia is one row at a time, and whole batches, from the 13,209
// candidates of California, of a model that is not trained.
func BenchmarkPredictCalifornia(b *testing.B) {
	data, _, test := california(b)
	plr := Default(data)
	plr.Embedding, plr.EmbedDim, plr.Frequencies, plr.Sigma, plr.Dim, plr.Predictors = Periodic, 64, 96, .0137, 122, 2
	for name, c := range map[string]Config{"s": Default(data), "plr": plr} {
		_, p := serving(b, c, data)
		row, out := part(test, 0, 1), make([]float32, test.Rows)
		b.Run(name+"/row", func(b *testing.B) {
			start := cpu()
			for i := 0; b.Loop(); i = (i + 1) % test.Rows {
				row.Num = test.Num[i*8:][:8]
				if err := p.Predict(background, Query{Rows: row}, out[:1]); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric((cpu()-start)*1e6/float64(b.N), "cpu-us/op")
		})
		b.Run(name+"/batch", func(b *testing.B) {
			start := cpu()
			for b.Loop() {
				if err := p.Predict(background, Query{Rows: test}, out); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(test.Rows*b.N)/(cpu()-start), "rows/cpu-s")
		})
	}
}

// TestCandidatesAloneImproveCalifornia trains on a share of California's rows, then adds
// the others as candidates: the error must fall without training.
func TestCandidatesAloneImproveCalifornia(t *testing.T) {
	data, val, test := california(t)
	for _, share := range []int{1, 4, 16} {
		few := part(data, 0, data.Rows*share/100) // of rows in order of a hash
		m, err := New(Default(data), 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Fit(background, m, few, val, Defaults(few.Rows)); err != nil {
			t.Fatal(err)
		}
		var rmse [2]float64
		for i, d := range []*tabular.Data{few, data} {
			p, err := (&learner{Model: m}).predictor(d)
			if err != nil {
				t.Fatal(err)
			}
			e, err := measure(p, test)
			if err != nil {
				t.Fatal(err)
			}
			rmse[i] = e.Value
		}
		t.Logf("trained on %d %%: test %.4f, with all candidates %.4f", share, rmse[0], rmse[1])
		if rmse[1] >= rmse[0] {
			t.Errorf("trained on %d %%: the error rose", share)
		}
	}
}
