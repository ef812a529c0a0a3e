package train

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eiderdb/eider/internal/metric"
	"github.com/eiderdb/eider/internal/nn"
)

// rows is a batch of the toy model: an id and a target each.
type rows struct {
	ids []uint32
	y   []float32
}

// toy has all that a model can have: a table, dense weights, a norm's statistics
// and dropout.
type toy struct {
	table  *nn.Param
	hidden *nn.Linear
	norm   *nn.Norm
	out    *nn.Linear
	fail   error
	spoil  bool
}

func newToy() *toy {
	rng := rand.New(rand.NewPCG(1, 1))
	return &toy{
		table:  nn.NewTable("table", 10, 4).Normal(rng, 1),
		hidden: nn.NewLinear("hidden", 4, 6, rng), norm: nn.NewBatchNorm("norm", 6), out: nn.NewLinear("out", 6, 1, rng),
	}
}

func (m *toy) Params() []*nn.Param {
	return slices.Concat([]*nn.Param{m.table}, m.hidden.Params(), m.norm.Params(), m.out.Params())
}
func (m *toy) Stats(f func(string, *nn.Stats)) { f("norm", m.norm.Stats) }
func (m *toy) Regularise() {
	for i, id := range m.table.Touched() {
		for j, w := range m.table.Value.Row(int(id)) {
			m.table.Grad.Row(i)[j] += 0.01 * w
		}
	}
}

func (m *toy) forward(t *nn.Tape, b rows) *nn.Var {
	h := m.norm.Forward(t, m.hidden.Forward(t, t.Embed(m.table, b.ids)), nil)
	return m.out.Forward(t, t.Dropout(t.Tanh(h), 0.2))
}

func (m *toy) Gradient(t *nn.Tape, b rows) (float64, error) {
	if m.fail != nil {
		return 0, m.fail
	}
	t.Reset()
	t.Train = true
	loss := t.BCE(m.forward(t, b), b.y, nil)
	t.Backward(loss)
	if m.spoil {
		return math.NaN(), nil
	}
	return float64(loss.Data[0]), nil
}

func (m *toy) replica() *toy {
	share := func(l *nn.Linear) *nn.Linear { return &nn.Linear{Weight: l.Weight.Replica(), Bias: l.Bias.Replica()} }
	return &toy{table: m.table.Replica(), hidden: share(m.hidden), out: share(m.out),
		norm: &nn.Norm{Weight: m.norm.Weight.Replica(), Bias: m.norm.Bias.Replica(), Eps: m.norm.Eps, Stats: nn.NewStats(6, 1e-5, 0.1)}}
}

func (m *toy) evaluate(context.Context) (Metrics, error) {
	b := batch(99)
	t := nn.Tape{NoGrad: true}
	z := m.forward(&t, b)
	return Metrics{"auc": metric.AUC(z.Data[:len(b.y)], b.y), "loss": metric.LogLoss(z.Data[:len(b.y)], b.y)}, nil
}

func (m *toy) bytes() []byte {
	var b bytes.Buffer
	for _, p := range m.Params() {
		fmt.Fprintln(&b, p.Value.Data, p.State, p.Steps)
	}
	fmt.Fprintln(&b, m.norm.Stats)
	return b.Bytes()
}

func batch(seed uint64) (b rows) {
	rng := rand.New(rand.NewPCG(seed, 7))
	for range 16 {
		id := rng.Uint32N(10)
		b.ids = append(b.ids, id)
		b.y = append(b.y, float32(id%2))
	}
	return b
}

// batches yields five a epoch, in memory that is used again.
func batches(epoch int) iter.Seq2[rows, error] {
	return func(yield func(rows, error) bool) {
		var b rows
		for i := range 5 {
			next := batch(uint64(epoch*100 + i))
			b.ids, b.y = append(b.ids[:0], next.ids...), append(b.y[:0], next.y...)
			if !yield(b, nil) {
				return
			}
		}
	}
}

func options(m *toy) Options {
	return Options{Epochs: 6, Seed: 3, Optimizer: nn.Adam{}, Rate: nn.Cosine(0.05, 0.001, 30), Clip: 1,
		Evaluate: m.evaluate, Metric: "auc", Plateau: 0.5}
}

func mustRun(t *testing.T, m *toy, o Options) Result {
	t.Helper()
	r, err := Run(t.Context(), m, batches, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRunLearns(t *testing.T) {
	m := newToy()
	r := mustRun(t, m, options(m))
	if r.Reason != Finished || r.Epochs != 6 || r.Steps != 30 || len(r.Loss) != 6 {
		t.Errorf("%+v", r)
	}
	if r.Metrics["auc"].Value < 0.95 || r.Loss[5] >= r.Loss[0] {
		t.Errorf("auc %v, losses %v", r.Metrics["auc"], r.Loss)
	}
}

func TestEqualRunsGiveEqualBytes(t *testing.T) {
	a, b := newToy(), newToy()
	mustRun(t, a, options(a))
	mustRun(t, b, options(b))
	if !bytes.Equal(a.bytes(), b.bytes()) {
		t.Error("two runs differ")
	}
}

var errKilled = errors.New("killed")

// A run is killed while it writes checkpoint k, of which then half is on disk; the
// last whole one is resumed. However often, wherever: the end is the same.
func TestResumedRunEndsWithTheBytesOfAStraightOne(t *testing.T) {
	straight := newToy()
	want := mustRun(t, straight, options(straight))
	for kill := 1; kill <= 18; kill++ {
		var last, torn []byte
		saved := 0
		m := newToy()
		o := options(m)
		o.Every = 2
		o.Save = func(write func(io.Writer) error) error {
			var b bytes.Buffer
			if err := write(&b); err != nil {
				return err
			}
			if saved++; saved == kill || saved == kill+4 {
				torn = b.Bytes()[:b.Len()/2]
				return errKilled
			}
			last = b.Bytes()
			return nil
		}
		var got Result
		err := errKilled
		for tries := 0; errors.Is(err, errKilled) && tries < 4; tries++ {
			m = newToy() // nothing of the killed process is left
			o.Evaluate, o.Resume = m.evaluate, last
			got, err = Run(t.Context(), m, batches, o)
		}
		if err != nil {
			t.Fatalf("kill %d: %v", kill, err)
		}
		if !bytes.Equal(m.bytes(), straight.bytes()) {
			t.Fatalf("kill %d: the end differs from that of a straight run", kill)
		}
		if got.Steps != want.Steps || got.BestEpoch != want.BestEpoch || !slices.Equal(got.Loss, want.Loss) {
			t.Errorf("kill %d: %+v, want %+v", kill, got, want)
		}
		o.Resume = torn
		if _, err := Run(t.Context(), m, batches, o); !errors.Is(err, ErrCheckpoint) {
			t.Fatalf("kill %d: half a checkpoint: %v", kill, err)
		}
	}
}

// saver keeps the last checkpoint in memory.
func saver(last *[]byte) func(func(io.Writer) error) error {
	return func(write func(io.Writer) error) error {
		var b bytes.Buffer
		err := write(&b)
		*last = b.Bytes()
		return err
	}
}

func TestCancelledRunSavesAndGoesOnLater(t *testing.T) {
	straight := newToy()
	mustRun(t, straight, options(straight))
	for _, at := range []int{1, 5, 8} { // 5: while the epoch is measured
		m := newToy()
		o := options(m)
		ctx, cancel := context.WithCancelCause(t.Context())
		var last []byte
		o.Save = saver(&last)
		o.Progress = func(e Event) {
			if e.Step == at && e.Metrics == nil {
				cancel(errKilled)
			}
		}
		o.Evaluate = func(ctx context.Context) (Metrics, error) {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return m.evaluate(ctx)
		}
		r, err := Run(ctx, m, batches, o)
		if !errors.Is(err, errKilled) || r.Reason != Cancelled || r.Steps != at {
			t.Fatalf("%+v, %v", r, err)
		}
		m = newToy()
		o = options(m)
		o.Resume = last
		mustRun(t, m, o)
		if !bytes.Equal(m.bytes(), straight.bytes()) {
			t.Errorf("cancelled at step %d: the end differs", at)
		}
	}
}

func TestBudgetEndsARunThatCanGoOn(t *testing.T) {
	m := newToy()
	o := options(m)
	var last []byte
	o.Save, o.Budget = saver(&last), time.Nanosecond
	r := mustRun(t, m, o)
	if r.Reason != OutOfTime || r.Steps != 0 || last == nil {
		t.Errorf("%+v", r)
	}
}

func TestEarlyStopLeavesTheBestEpoch(t *testing.T) {
	m := newToy()
	o := options(m)
	scores, at := []float64{0.5, 0.9, 0.6, 0.7, 0.8, 0.95}, 0
	var best []float32
	o.Plateau, o.Patience = 0, 3
	o.Evaluate = func(context.Context) (Metrics, error) {
		x := scores[at]
		if at++; at == 2 {
			best = slices.Clone(m.table.Value.Data)
		}
		return Metrics{"auc": {Value: x, Low: x, High: x, Count: 1}}, nil
	}
	r := mustRun(t, m, o)
	if r.Reason != Stopped || r.BestEpoch != 1 || r.Epochs != 5 || r.Metrics["auc"].Value != 0.9 {
		t.Errorf("%+v", r)
	}
	if !slices.Equal(m.table.Value.Data, best) {
		t.Error("the model is not that of the best epoch")
	}
}

func TestLowerMetricsAreBetterWhereTheOptionsSaySo(t *testing.T) {
	m := newToy()
	o := options(m)
	o.Metric, o.Lower = "loss", true
	r := mustRun(t, m, o)
	least := math.Inf(1)
	o2 := options(newToy())
	o2.Metric, o2.Lower = "loss", true
	m2 := newToy()
	o2.Evaluate = func(ctx context.Context) (Metrics, error) {
		e, err := m2.evaluate(ctx)
		least = min(least, e["loss"].Value)
		return e, err
	}
	mustRun(t, m2, o2)
	if r.Metrics["loss"].Value != least {
		t.Errorf("%v, the least was %v", r.Metrics["loss"].Value, least)
	}
}

func TestProgressTellsEachStepAndEpoch(t *testing.T) {
	m := newToy()
	o := options(m)
	steps, epochs := 0, 0
	o.Progress = func(e Event) {
		if e.Metrics != nil {
			epochs++
			return
		}
		if steps++; e.Step != steps || e.Loss <= 0 || e.Rate <= 0 || e.Norm <= 0 {
			t.Errorf("%+v", e)
		}
	}
	mustRun(t, m, o)
	if steps != 30 || epochs != 6 {
		t.Errorf("%d steps, %d epochs", steps, epochs)
	}
}

func TestErrorsEndARun(t *testing.T) {
	broken := func(int) iter.Seq2[rows, error] {
		return func(yield func(rows, error) bool) { yield(rows{}, io.ErrUnexpectedEOF) }
	}
	if _, err := Run(t.Context(), newToy(), broken, options(newToy())); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("source: %v", err)
	}
	m := newToy()
	m.fail = io.ErrClosedPipe
	if _, err := Run(t.Context(), m, batches, options(m)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("gradient: %v", err)
	}
	m = newToy()
	m.spoil = true
	if _, err := Run(t.Context(), m, batches, options(m)); !errors.Is(err, ErrDiverged) {
		t.Errorf("loss: %v", err)
	}
	m = newToy()
	o := options(m)
	o.Evaluate = func(context.Context) (Metrics, error) { return Metrics{"auc": {Value: math.NaN()}}, nil }
	if _, err := Run(t.Context(), m, batches, o); !errors.Is(err, ErrDiverged) {
		t.Errorf("metric: %v", err)
	}
	o.Metric = "other"
	if _, err := Run(t.Context(), m, batches, o); !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), "auc") {
		t.Errorf("unknown metric: %v", err)
	}
}

func TestOptionsThatNoRunHasAreRefused(t *testing.T) {
	for what, spoil := range map[string]func(*Options){
		"epochs": func(o *Options) { o.Epochs = 0 }, "rate": func(o *Options) { o.Rate = nil },
		"metric without": func(o *Options) { o.Evaluate = nil }, "patience": func(o *Options) { o.Metric = "" },
		"clip": func(o *Options) { o.Clip = -1 }, "plateau": func(o *Options) { o.Plateau = 1 },
	} {
		o := options(newToy())
		spoil(&o)
		if _, err := Run(t.Context(), newToy(), batches, o); !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func part(b rows, i, n int) (rows, float32) {
	lo, hi := i*len(b.ids)/n, (i+1)*len(b.ids)/n
	return rows{b.ids[lo:hi], b.y[lo:hi]}, float32(hi-lo) / float32(len(b.ids))
}

// Without dropout and batch statistics, the gradient of parts is that of the whole.
func TestParallelGradientIsThatOfTheWholeBatch(t *testing.T) {
	m, alone := newToy(), newToy()
	b := batch(5)
	r := &run[rows]{m: plain{m}, params: m.Params(), part: part}
	if err := r.hire([]Model[rows]{plain{m.replica()}, plain{m.replica()}}); err != nil {
		t.Fatal(err)
	}
	loss, err := r.gradient(b)
	if err != nil {
		t.Fatal(err)
	}
	var tape nn.Tape
	want, err := plain{alone}.Gradient(&tape, b)
	if err != nil || math.Abs(loss-want) > 1e-6 {
		t.Errorf("loss %v, want %v (%v)", loss, want, err)
	}
	for k, p := range m.Params() {
		q := alone.Params()[k]
		if !slices.Equal(p.Touched(), q.Touched()) {
			t.Fatalf("%s: rows %v, want %v", p.Name, p.Touched(), q.Touched())
		}
		for i := range q.Grad.Data {
			if d := math.Abs(float64(p.Grad.Data[i] - q.Grad.Data[i])); d > 1e-6 {
				t.Fatalf("%s: gradient %d is off by %v", p.Name, i, d)
			}
		}
	}
}

// plain is toy without what depends on the division of a batch.
type plain struct{ *toy }

func (m plain) Gradient(t *nn.Tape, b rows) (float64, error) {
	t.Reset()
	loss := t.BCE(m.out.Forward(t, t.Tanh(m.hidden.Forward(t, t.Embed(m.table, b.ids)))), b.y, nil)
	t.Backward(loss)
	return float64(loss.Data[0]), nil
}

func TestParallelRunsAreExactAsWell(t *testing.T) {
	var ends [2][]byte
	var last []byte
	for i := range ends {
		m := newToy()
		o := options(m)
		if i == 1 {
			o.Resume = last
		}
		n := 0
		o.Every = 7
		o.Save = func(write func(io.Writer) error) error {
			if n++; n == 3 && i == 0 {
				return saver(&last)(write)
			}
			return nil
		}
		r, err := RunParallel(t.Context(), m, []Model[rows]{m.replica()}, part, batches, o)
		if err != nil || r.Steps != 30 || r.Metrics["auc"].Value < 0.9 {
			t.Fatalf("%+v, %v", r, err)
		}
		ends[i] = m.bytes()
	}
	if !bytes.Equal(ends[0], ends[1]) {
		t.Error("a resumed run differs from a straight one")
	}
}
