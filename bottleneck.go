package eider

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/eiderdb/eider/embed/bottleneck"
	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/storage"
)

// BottleneckSpec is how a bottleneck is made. The zero value of a field is its default;
// Dim is that of the vector.
type BottleneckSpec struct {
	Vector string            `json:"vector,omitempty"` // name; may be left out if there is one
	Config bottleneck.Config `json:"config,omitzero"`
	Start  bottleneck.Start  `json:"start,omitzero"`   // of keys; 4 epochs by default
	Sample int               `json:"sample,omitempty"` // vectors that keys are made of, default 16384, at most 1,000,000
}

const (
	bottleneckSample = 16384
	bottleneckEpochs = 4
)

// BottleneckInfo describes a bottleneck as it is now.
type BottleneckInfo struct {
	Name    string            `json:"name"`
	Vector  string            `json:"vector"`
	Created time.Time         `json:"created"`
	Config  bottleneck.Config `json:"config"`
	Sampled int               `json:"sampled"` // vectors that keys were made of
	Classes []string          `json:"classes,omitempty"`
	Rows    int               `json:"rows"`  // documents by name that it learned from
	Pairs   int               `json:"pairs"` // heads times keys
	Used    int               `json:"used"`  // of them, by what was learned
	// LogBytes is what was learned since the snapshot that holds the rest, both in bytes.
	LogBytes      int64 `json:"log_bytes"`
	SnapshotBytes int64 `json:"snapshot_bytes"`
}

// Example is a row to learn from: a document by its id, with its stored vector unless one
// is given, or a vector alone, which cannot be unlearned or named later.
type Example struct {
	ID      string    `json:"id,omitempty"`
	Vector  []float32 `json:"vector,omitempty"`
	Label   string    `json:"label,omitempty"`
	Targets []float32 `json:"targets,omitempty"` // instead of a label, of a regression
}

// MaxExamples is how many examples one Learn, or rows one Classify, takes.
const MaxExamples = 10_000

// Learned says what a Learn did.
type Learned struct {
	Learned int     `json:"learned"`
	Loss    float64 `json:"loss"` // mean of the examples', each before its own step
	LSN     uint64  `json:"lsn"`
}

// Unclassified are rows to predict.
type Unclassified struct {
	IDs     []string    `json:"ids,omitempty"`
	Vectors [][]float32 `json:"vectors,omitempty"` // they come after IDs
	Explain int         `json:"explain,omitempty"` // how many of the rows that voted to name, at most 1000
	Target  int         `json:"target,omitempty"`  // which one to explain, of a regression
}

// Classified is the prediction for one row.
type Classified struct {
	ID      string             `json:"id,omitempty"`
	Label   string             `json:"label,omitempty"`   // best class; "" if none is learned
	Classes []bottleneck.Score `json:"classes,omitempty"` // best first
	Targets []float32          `json:"targets,omitempty"`
	Voters  []bottleneck.Voter `json:"voters,omitempty"` // those that add most first
	Voted   int                `json:"voted,omitempty"`  // how many there are
}

// CreateBottleneck attaches a classifier to a vector of the collection, which must have
// documents: keys are made of their vectors, whatever labels there will be, and
// never change. It takes some Sample·Epochs times 0.1 ms. Durable on return. Errors:
// ErrExists, ErrInvalid, ErrUnknownField; ErrFull, ErrReadOnly; ctx's.
func (c *Collection) CreateBottleneck(ctx context.Context, name string, spec BottleneckSpec) (*Bottleneck, error) {
	b, err := c.createBottleneck(ctx, name, spec)
	return b, c.fail("create bottleneck", name, err)
}

func (c *Collection) createBottleneck(ctx context.Context, name string, spec BottleneckSpec) (*Bottleneck, error) {
	if err := checkName("bottleneck", name); err != nil {
		return nil, err
	}
	if c.db.opts.ReadOnly {
		return nil, ErrReadOnly
	}
	view, err := c.db.viewAt(0)
	if err != nil {
		return nil, err
	}
	defer view.Release()
	if _, err := view.Setting(headKey(c.id, name)); err == nil {
		return nil, fmt.Errorf("%w: bottleneck %q", ErrExists, name)
	}
	st, err := c.stateAt(view.LSN())
	if err != nil {
		return nil, err
	}
	lv, err := st.vector(spec.Vector)
	if err != nil {
		return nil, locate("/vector", err)
	}
	spec.Config.Dim = lv.spec.Dim
	spec.Sample = cmp.Or(spec.Sample, bottleneckSample)
	spec.Start.Epochs = cmp.Or(spec.Start.Epochs, bottleneckEpochs)
	if spec.Sample < 1 || spec.Sample > 1_000_000 {
		return nil, locate("/sample", fmt.Errorf("%w: sample %d; use 1 to 1,000,000", ErrInvalid, spec.Sample))
	}
	m, err := bottleneck.New(spec.Config)
	if err != nil {
		return nil, err
	}
	rows, err := sampleVectors(ctx, view, lv, spec.Sample, spec.Config.Seed)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("%w: no document has vector %q, and keys are made of vectors; write documents first", ErrInvalid, lv.name)
	}
	if err := m.Init(ctx, rows, spec.Start); err != nil {
		return nil, err
	}
	h := head{Version: 1, Vector: lv.name, Field: lv.id, Created: c.db.opts.Now().UTC(), Sampled: len(rows) / lv.spec.Dim, Seq: 1}
	return c.db.bottlenecks.create(ctx, c, name, h, bottleneck.NewLearner(m))
}

// sampleVectors draws n stored vectors, the same of the same documents.
func sampleVectors(ctx context.Context, view *storage.View, lv *live, n int, seed uint64) (rows []float32, err error) {
	rng := rand.New(rand.NewPCG(seed, 0x73616d70))
	dim, met := lv.spec.Dim, 0
	var buf []float32
	err = view.ForEachVector(lv.coll, lv.id, 0, view.Limit(lv.coll), func(_ uint32, raw []byte) error {
		met++
		at := met - 1
		if at >= n {
			if at = rng.IntN(met); at >= n {
				return nil
			}
		} else {
			rows = append(rows, make([]float32, dim)...)
		}
		buf, err = decodeVector(lv.spec, raw, buf[:0])
		if err == nil {
			copy(rows[at*dim:], buf)
		}
		if met%1024 == 0 && err == nil {
			err = ctx.Err()
		}
		return err
	})
	return rows, err
}

// Bottleneck opens the bottleneck of a name. Error: ErrNotFound.
func (c *Collection) Bottleneck(name string) (*Bottleneck, error) {
	b, err := c.db.bottlenecks.get(c, name)
	return b, c.fail("bottleneck", name, err)
}

// Bottlenecks describes those of the collection, by name. It loads those that were not
// used since the database was opened.
func (c *Collection) Bottlenecks(ctx context.Context) ([]BottleneckInfo, error) {
	all := []BottleneckInfo{}
	names, err := c.bottleneckNames()
	for _, name := range names {
		var b *Bottleneck
		var info BottleneckInfo
		if b, err = c.Bottleneck(name); err == nil {
			info, err = b.Info(ctx)
		}
		if err != nil {
			break
		}
		all = append(all, info)
	}
	return all, c.fail("list bottlenecks", "", err)
}

// DropBottleneck removes a bottleneck with all it learned. Error: ErrNotFound.
func (c *Collection) DropBottleneck(ctx context.Context, name string) error {
	return c.fail("drop bottleneck", name, c.db.bottlenecks.drop(ctx, c, name))
}

// Info describes the bottleneck as it is now.
func (b *Bottleneck) Info(ctx context.Context) (info BottleneckInfo, err error) {
	err = b.read(ctx, func(l *bottleneck.Learner) error {
		info = BottleneckInfo{Name: b.name, Vector: b.head.Vector, Created: b.head.Created, Config: l.Config, Sampled: b.head.Sampled,
			Classes: l.ClassNames(), Rows: l.Rows(), Pairs: l.Heads * l.Config.Keys, Used: l.Used(), LogBytes: b.logged, SnapshotBytes: b.head.Size}
		return nil
	})
	return info, b.c.fail("bottleneck", b.name, err)
}

// Learn teaches examples in their order, all or none. On return they are durable, and
// every prediction that begins later uses them; one that runs meanwhile may use some. A document
// that is taught again adds a step to its others; if its vector has changed since, it
// first loses what it taught by the old one. Errors: ErrInvalid, ErrDimension, ErrNotFound
// with the place of the example; ErrTooLarge, ErrFull, ErrReadOnly, ErrClosed; ctx's, with nothing
// learned.
func (b *Bottleneck) Learn(ctx context.Context, examples ...Example) (Learned, error) {
	out, err := b.learn(ctx, examples)
	return out, b.c.fail("learn", "", err)
}

func (b *Bottleneck) learn(ctx context.Context, examples []Example) (Learned, error) {
	if len(examples) == 0 || len(examples) > MaxExamples {
		return Learned{}, fmt.Errorf("%w: %d examples; give 1 to %d", ErrInvalid, len(examples), MaxExamples)
	}
	ids, vectors := make([]string, len(examples)), make([][]float32, len(examples))
	for i := range examples {
		ids[i], vectors[i] = examples[i].ID, examples[i].Vector
	}
	rows, m, err := b.vectors(ctx, "/examples", ids, vectors)
	if err != nil {
		return Learned{}, err
	}
	x := &lesson{examples: examples, keys: make([]uint16, len(examples)*m.Heads*m.Top)}
	if err := m.Encode(x.keys, rows); err != nil {
		return Learned{}, err
	}
	if err := b.submit(ctx, x); err != nil {
		return Learned{}, err
	}
	return Learned{Learned: len(examples), Loss: x.loss / float64(len(examples)), LSN: x.lsn}, nil
}

// Unlearn takes away what the document of that id taught, wherever it is now. Durable on
// return. What its steps changed in the steps of others stays; where it was the only
// one under a key, nothing is left. Its name stays in the log until the next snapshot. Error:
// ErrNotFound.
func (b *Bottleneck) Unlearn(ctx context.Context, id string) error {
	return b.c.fail("unlearn", id, b.submit(ctx, &lesson{unlearn: &bottleneck.Record{Op: bottleneck.UnlearnRow, Row: id}}))
}

// UnlearnClass takes a class away: it is never predicted again, unless it is learned anew,
// and no other class' logits change. Its rows are forgotten. Durable on return. Error: ErrNotFound.
func (b *Bottleneck) UnlearnClass(ctx context.Context, label string) error {
	return b.c.fail("unlearn", "", b.submit(ctx, &lesson{unlearn: &bottleneck.Record{Op: bottleneck.UnlearnName, Label: label}}))
}

// Classify predicts rows by what was learned. Errors: ErrInvalid, ErrDimension, ErrNotFound
// with the place of the row.
func (b *Bottleneck) Classify(ctx context.Context, in Unclassified) ([]Classified, error) {
	out, err := b.classify(ctx, &in)
	return out, b.c.fail("classify", "", err)
}

func (b *Bottleneck) classify(ctx context.Context, in *Unclassified) ([]Classified, error) {
	n := len(in.IDs) + len(in.Vectors)
	if n == 0 || n > MaxExamples || in.Explain < 0 || in.Explain > 1000 {
		return nil, fmt.Errorf("%w: %d rows, explain %d; give 1 to %d rows, and at most 1000 to explain", ErrInvalid, n, in.Explain, MaxExamples)
	}
	rows, _, err := b.vectors(ctx, "/ids", in.IDs, make([][]float32, len(in.IDs)))
	if err != nil {
		return nil, err
	}
	given, m, err := b.vectors(ctx, "/vectors", make([]string, len(in.Vectors)), in.Vectors)
	if err != nil {
		return nil, err
	}
	rows = append(rows, given...)
	out := make([]Classified, n)
	const together = 32 // rows that learners wait for
	for at := 0; at < n; at += together {
		k := min(together, n-at)
		err := b.read(ctx, func(l *bottleneck.Learner) error {
			return classifyRows(l, out[at:at+k], rows[at*m.Dim:(at+k)*m.Dim], in)
		})
		if err != nil {
			return nil, err
		}
	}
	for i, id := range in.IDs {
		out[i].ID = id
	}
	return out, nil
}

func classifyRows(l *bottleneck.Learner, out []Classified, rows []float32, in *Unclassified) error {
	each := l.Heads * l.Top
	keys, y := make([]uint16, len(out)*each), make([]float32, l.Width())
	if err := l.EncodeUsed(keys, rows); err != nil {
		return err
	}
	for i := range out {
		own, o := keys[i*each:(i+1)*each], &out[i]
		if err := l.Predict(y, own); err != nil {
			return err
		}
		if l.Config.Targets > 0 {
			o.Targets = slices.Clone(y)
		} else if o.Classes = l.Rank(y); len(o.Classes) > 0 {
			o.Label = o.Classes[0].Label
		}
		if in.Explain > 0 && (o.Label != "" || l.Config.Targets > 0) {
			var err error
			if o.Voters, o.Voted, err = l.Voters(own, o.Label, in.Target, in.Explain); err != nil {
				return locate("/target", err)
			}
		}
	}
	return nil
}

// vectors reads or checks the vectors of rows, one after the other, and returns the model
// that they fit.
func (b *Bottleneck) vectors(ctx context.Context, at string, ids []string, given [][]float32) (rows []float32, m *bottleneck.Model, err error) {
	var h head
	if err := b.read(ctx, func(l *bottleneck.Learner) error { m, h = l.Model, b.head; return nil }); err != nil {
		return nil, nil, err
	}
	view, err := b.c.db.viewAt(0)
	if err != nil {
		return nil, nil, err
	}
	defer view.Release()
	st, err := b.c.stateAt(view.LSN())
	if err != nil {
		return nil, nil, err
	}
	field, spec := st.stored.VectorID[h.Vector], st.stored.Schema.Vectors[h.Vector]
	if field != h.Field || spec.Dim != m.Dim {
		return nil, nil, fmt.Errorf("%w: vector %q, which the bottleneck was made for, is gone", ErrInvalid, h.Vector)
	}
	rows = make([]float32, 0, len(ids)*m.Dim)
	for i := range ids {
		where := fmt.Sprintf("%s/%d", at, i)
		v := given[i]
		if i%256 == 0 && ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		switch {
		case v != nil:
			err = index.CheckVector(index.L2, m.Dim, v)
		case ids[i] == "":
			err = fmt.Errorf("%w: a row has neither id nor vector", ErrInvalid)
		default:
			v, err = storedVector(view, st, field, spec, ids[i])
		}
		if err != nil {
			return nil, nil, locate(where, err)
		}
		rows = append(rows, v...)
	}
	return rows, m, nil
}

// storedVector reads the vector of a document that must have one.
func storedVector(view *storage.View, st *state, field uint16, spec Vector, id string) ([]float32, error) {
	ord, _, ok, err := view.Lookup(st.id, id)
	if err == nil && !ok {
		err = fmt.Errorf("%w: document %q", ErrNotFound, id)
	}
	if err != nil {
		return nil, err
	}
	v, err := st.readVector(view, field, spec, ord)
	if err == nil && v == nil {
		err = fmt.Errorf("%w: document %q has no such vector", ErrNotFound, id)
	}
	return v, err
}
