package bench

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/eiderdb/eider/embed/bottleneck"
	"github.com/eiderdb/eider/internal/metric"
)

// Bottleneck measures the discrete key-value bottleneck where classes come two at a time
// and are never seen again: accuracy over all classes at the end, beside the same
// where rows come mixed, a linear probe, a perceptron, nearest class mean, which must keep a sum of each
// class, and nearest neighbour, which must keep all rows. Features are the first 64
// principal components of the pixels, found without labels on the rows to train by. Then what unlearning a class does,
// and times of one thread. The set is mnist unless another of labelledSets is named. Errors:
// ErrOption, ErrSet, the context's.
func Bottleneck(ctx context.Context, o Options, w io.Writer) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	dir, _, err := dataDir(o.Data)
	if err != nil {
		return err
	}
	name := o.Set
	if name == "" {
		name = "mnist"
	}
	s, err := readLabelled(dir, name)
	if err != nil {
		return err
	}
	if o.Quick || o.Rows > 0 {
		rows := 6000
		if o.Rows > 0 {
			rows = o.Rows
		}
		rows = min(rows, len(s.trainY))
		s.train, s.trainY = s.train[:rows*s.dim], s.trainY[:rows]
	}
	if k := min(64, s.dim); k < s.dim {
		if err := s.reduce(ctx, k, 1); err != nil {
			return err
		}
	}
	b := &continual{s: s, o: o, r: newReport("bottleneck", name, o, w), seeds: 3, config: bottleneck.Config{Heads: 64, Keys: 1024, KeyDim: 14}, again: max(1, keyRows/len(s.trainY))}
	if o.Quick {
		b.seeds = 1
	}
	b.r.printf("%d rows to learn from, %d to test, %d components, %d classes two at a time, %d seeds, %s\n",
		len(s.trainY), len(s.testY), s.dim, s.classes, b.seeds, cpuName())
	if err := b.run(ctx); err != nil {
		return err
	}
	return b.r.finish(o)
}

type continual struct {
	s     *labelled
	o     Options
	r     *report
	seeds int

	config bottleneck.Config
	again  int // how many times over small sets are learned, so that as many rows come as in MNIST
}

// Of each stage: passes of the bottleneck, and of what learns by shared weights with its
// rate, that of batches of 256 at 0.1.
const (
	bottleneckPasses = 5
	probePasses      = 3
	probeRate        = 0.1 / 256
)

// keyRows is how many rows keys are made of, and probes learn in a pass: those of MNIST
// once, smaller sets several times.
const keyRows = 60_000

// stages is the order in which rows come: class by class, two at a time in the order
// given, passes times each, shuffled within; order nil mixes all.
func (s *labelled) stages(order []int, passes int, rng *rand.Rand, fn func(i int)) {
	var groups [][]int
	if order == nil {
		all := make([]int, len(s.trainY))
		for i := range all {
			all[i] = i
		}
		groups = append(groups, all)
	}
	for at := 0; at < len(order); at += 2 {
		var rows []int
		for i, y := range s.trainY {
			if y == order[at] || at+1 < len(order) && y == order[at+1] {
				rows = append(rows, i)
			}
		}
		groups = append(groups, rows)
	}
	for _, rows := range groups {
		for range passes {
			rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
			for _, i := range rows {
				fn(i)
			}
		}
	}
}

func (b *continual) run(ctx context.Context) error {
	s := b.s
	natural := make([]int, s.classes)
	for i := range natural {
		natural[i] = i
	}
	var staged, mixed, shuffled []float64
	for seed := range uint64(b.seeds) {
		seed += b.o.seed()
		m, keys, err := b.encode(ctx, seed)
		if err != nil {
			return err
		}
		order := rand.New(rand.NewPCG(seed, 7)).Perm(s.classes)
		for _, run := range []struct {
			order []int
			to    *[]float64
		}{{natural, &staged}, {nil, &mixed}, {order, &shuffled}} {
			l, err := b.learn(ctx, m, keys, run.order, seed)
			if err != nil {
				return err
			}
			y, err := b.predictions(l)
			if err != nil {
				return err
			}
			*run.to = append(*run.to, s.share(y, -1))
			if seed == b.o.seed() && run.to == &staged {
				if err := b.unlearn(l, y); err != nil {
					return err
				}
				if err := b.times(l); err != nil {
					return err
				}
			}
		}
	}
	own := metric.Mean(staged)
	b.r.against("mixed", "accuracy", own, metric.Mean(mixed), "", "higher", fmt.Sprintf("seeds %.4f, mixed %.4f, classes in another order %.4f", staged, mixed, shuffled))
	cost := metric.Mean(mixed) - math.Min(own, metric.Mean(shuffled))
	b.r.add("cost of stages", cost, "accuracy", "mixed rows less the worse of two orders of classes")
	for _, net := range []struct {
		name   string
		hidden int
	}{{"linear probe", 0}, {"MLP-128", 128}} {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		var iid float64
		scores := [2]float64{}
		for i, order := range [][]int{natural, nil} {
			rng := rand.New(rand.NewPCG(b.o.seed(), 3))
			n := newNetwork(s.dim, net.hidden, s.classes, rng)
			s.stages(order, probePasses*b.again, rng, func(i int) { n.learn(s.train[i*s.dim:][:s.dim], s.trainY[i], probeRate) })
			scores[i] = s.accuracy(n.predict)
		}
		iid = scores[1]
		b.r.against(net.name, "accuracy", own, scores[0], "", "higher", fmt.Sprintf("which has %.4f where rows come mixed", iid))
	}
	b.r.against("nearest class mean", "accuracy", own, s.meanShare(), "", "higher", "")
	b.r.against("1-NN", "accuracy", own, s.nearestShare(), "", "higher", "keeps every row")
	return nil
}

// encode makes a model and the keys of all rows to learn from.
func (b *continual) encode(ctx context.Context, seed uint64) (*bottleneck.Model, []uint16, error) {
	c := b.config
	c.Dim, c.Seed, c.Closed = b.s.dim, seed, true
	for y := range b.s.classes {
		c.Classes = append(c.Classes, strconv.Itoa(y))
	}
	m, err := bottleneck.New(c)
	if err != nil {
		return nil, nil, err
	}
	began := time.Now()
	if err := m.Init(ctx, b.s.train, bottleneck.Start{Epochs: b.again}); err != nil {
		return nil, nil, err
	}
	made := time.Since(began)
	keys := make([]uint16, len(b.s.trainY)*m.Heads)
	began = time.Now()
	if err := m.Encode(keys, b.s.train); err != nil {
		return nil, nil, err
	}
	took := time.Since(began)
	if seed == b.o.seed() {
		b.r.add("keys", made.Seconds(), "s", fmt.Sprintf("moving averages over all rows, %d passes", b.again))
		b.r.add("encode, many", float64(took.Nanoseconds())/1e3/float64(len(b.s.trainY)), "µs/row", "one thread")
	}
	return m, keys, nil
}

// learn teaches rows that come in stages to a learner of its own.
func (b *continual) learn(ctx context.Context, m *bottleneck.Model, keys []uint16, order []int, seed uint64) (*bottleneck.Learner, error) {
	var w buffer
	if err := bottleneck.NewLearner(m).Write(&w); err != nil {
		return nil, err
	}
	l, err := bottleneck.Read(w)
	if err != nil {
		return nil, err
	}
	var r bottleneck.Record
	failed := ctx.Err()
	b.s.stages(order, bottleneckPasses, rand.New(rand.NewPCG(seed, 5)), func(i int) {
		if failed == nil {
			if _, failed = l.Teach(&r, "", keys[i*m.Heads:][:m.Heads], l.Classes[b.s.trainY[i]]); failed == nil {
				failed = l.Apply(&r)
			}
		}
	})
	return l, failed
}

// buffer collects what is written.
type buffer []byte

func (b *buffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

// predictions are the classes of the tests, -1 for none.
func (b *continual) predictions(l *bottleneck.Learner) ([]int, error) {
	keys := make([]uint16, len(b.s.testY)*l.Heads)
	if err := l.EncodeUsed(keys, b.s.test); err != nil {
		return nil, err
	}
	out, logits := make([]int, len(b.s.testY)), make([]float32, l.Width())
	for i := range out {
		if err := l.Predict(logits, keys[i*l.Heads:][:l.Heads]); err != nil {
			return nil, err
		}
		out[i] = -1
		if best := l.Best(logits); best != "" {
			out[i], _ = strconv.Atoi(best)
		}
	}
	return out, nil
}

// share is the accuracy on one class, or on all for -1.
func (s *labelled) share(y []int, class int) float64 {
	right, n := 0, 0
	for i := range y {
		if class < 0 || s.testY[i] == class {
			if n++; y[i] == s.testY[i] {
				right++
			}
		}
	}
	return float64(right) / float64(max(n, 1))
}

// unlearn takes the last class but one away, and compares.
func (b *continual) unlearn(l *bottleneck.Learner, before []int) error {
	class := b.s.classes - 2
	began := time.Now()
	if err := l.Apply(&bottleneck.Record{Op: bottleneck.UnlearnName, Label: strconv.Itoa(class)}); err != nil {
		return err
	}
	took := time.Since(began)
	after, err := b.predictions(l)
	if err != nil {
		return err
	}
	changed := 0
	for i := range after {
		if before[i] != class && after[i] != before[i] {
			changed++
		}
	}
	b.r.add("unlearned class", b.s.share(after, class), "accuracy",
		fmt.Sprintf("was %.4f; of the tests not predicted as that class before, %d changed; %v", b.s.share(before, class), changed, took.Round(time.Microsecond)))
	return nil
}

// times measures rows that come one at a time.
func (b *continual) times(l *bottleneck.Learner) error {
	s, rows := b.s, min(4096, len(b.s.testY))
	keys := make([]uint16, rows*l.Heads)
	began := time.Now()
	for i := range rows {
		if err := l.Encode(keys[i*l.Heads:][:l.Heads], s.test[i*s.dim:][:s.dim]); err != nil {
			return err
		}
	}
	each := func(what, note string) {
		b.r.add(what, float64(time.Since(began).Nanoseconds())/1e3/float64(rows), "µs/row", note)
		began = time.Now()
	}
	each("encode, one", "one thread")
	logits := make([]float32, l.Width())
	for i := range rows {
		if err := l.Predict(logits, keys[i*l.Heads:][:l.Heads]); err != nil {
			return err
		}
	}
	each("predict", "after encoding")
	names := make([]string, rows)
	for i := range names {
		names[i] = fmt.Sprint("row ", i)
	}
	began = time.Now()
	var r bottleneck.Record
	for _, named := range []bool{false, true} {
		for i := range rows {
			name := ""
			if named {
				name = names[i]
			}
			if _, err := l.Teach(&r, name, keys[i*l.Heads:][:l.Heads], l.Classes[0]); err != nil {
				return err
			}
			if err := l.Apply(&r); err != nil {
				return err
			}
		}
		if named {
			each("learn, named", "rows that can be unlearned and explain")
		} else {
			each("learn", "rows without a name, in memory")
		}
	}
	return nil
}
