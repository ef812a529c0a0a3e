package eider

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/eiderdb/eider/internal/metric"
	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/internal/train"
	"github.com/eiderdb/eider/recsys"
	"github.com/eiderdb/eider/recsys/din"
	"github.com/eiderdb/eider/storage/format"
)

// Limits of vocabularies: what comes most often is in them.
const (
	maxDinItems = 1 << 20
	maxDinNames = 1 << 16 // of a field
)

// masked is one in how many offers hides which item it is, and one in how many
// requests has no history: so that items and users that come later have scores that
// were learned.
const masked = 20

// dinTrainer learns from clicks. While it learns an item has its number of the
// clicks; number + items is the same with its identity hidden.
type dinTrainer struct {
	spec    *TrainSpec
	clicks  *clicks
	model   *dinModel
	rows    []uint32 // by item, of the table of items
	docs    *examples
	choices []recsys.Example[uint32] // to learn from
	draws   *recsys.Sampler[uint32]
}

// newDinTrainer reads all that a training needs from one view; of events those up to
// an LSN, 0 for all.
func (db *DB) newDinTrainer(ctx context.Context, spec *TrainSpec, until uint64) (*dinTrainer, error) {
	fields, err := db.dinFields(spec.Collection, spec.Fields)
	if err != nil {
		return nil, err
	}
	view, err := db.viewAt(0)
	if err != nil {
		return nil, err
	}
	defer view.Release()
	t := &dinTrainer{spec: spec, model: &dinModel{config: newDinConfig(spec, fields)}}
	q := spec.clicks()
	q.until = until
	if t.clicks, err = readClicks(ctx, view, q); err != nil {
		return nil, err
	}
	s := dinScorer{dinModel: t.model, reads: t.model.needs()}
	if t.docs, err = t.clicks.catalogue(ctx, db, view, &loaded{scorer: &s, needs: s.reads}); err != nil {
		return nil, err
	}
	t.docs.view = nil // it ends here
	t.choices = slices.Collect(recsys.Examples(t.clicks.split.Train, spec.History))
	if len(t.choices) == 0 {
		return nil, fmt.Errorf("%w: %d users have one event each before those held out, and no user two; there is nothing to learn from", ErrInvalid, len(t.clicks.split.Train))
	}
	t.draws = recsys.NewUniform(recsys.Items(t.clicks.split.Train), recsys.NewSeen(t.clicks.split.Train))
	return t, t.build()
}

// newDinConfig is the configuration of a model to train; build gives the tables their
// rows.
func newDinConfig(spec *TrainSpec, fields []dinField) dinConfig {
	c := dinConfig{Fields: fields, Events: spec.Events, History: spec.History, Bytes: spec.Bytes,
		Training: dinTraining{Collection: spec.Collection, Split: spec.Split, Candidates: spec.Candidates, Repeats: spec.Repeats},
		Network: din.Config{Pooling: "attention", Softmax: true, Scaled: true, Product: true, Bias: true, Spread: 0.05, Lambda: 0.01,
			Item: []din.Field{{Name: dinItem, Dim: spec.Dim}},
			Unit: din.Layers{Hidden: []int{32, 16}, Activation: "sigmoid"}, Head: din.Layers{Hidden: []int{64, 32}, Activation: "prelu"}}}
	for _, f := range fields {
		c.Network.Item = append(c.Network.Item, din.Field{Name: dinTable(f.Name), Dim: spec.Dim / 2, Many: true})
	}
	return c
}

// build makes vocabularies of what is learned from, the catalogues of the artefact
// and of the clicks, and a model with fresh weights.
func (t *dinTrainer) build() error {
	k, m := t.clicks, t.model
	counts := make([]map[string]int, 1+len(m.config.Fields))
	for i := range counts {
		counts[i] = map[string]int{}
	}
	for it, n := range k.popular {
		if n == 0 {
			continue // it is not learned from
		}
		counts[0][k.items[it]] = int(n)
		for f := range m.config.Fields {
			for _, name := range featureNames(t.docs.row(it)[f]) {
				counts[f+1][name]++
			}
		}
	}
	for i, c := range counts {
		v, err := frequent(c, i)
		if err != nil {
			return err
		}
		m.vocabularies = append(m.vocabularies, v)
		m.config.Network.Item[i].Rows, m.config.Network.Item[i].Vocabulary = v.Len(), v.Hash()
	}
	number := map[string]int{}
	for it, name := range k.items {
		number[name] = it
		t.rows = append(t.rows, m.vocabularies[0].Row(name))
	}
	known := []int{-1} // by row of the table of items
	for _, name := range m.vocabularies[0].Names() {
		known = append(known, number[name])
	}
	both := make([]int, 0, 2*len(k.items))
	for range 2 {
		for it := range k.items {
			both = append(both, it)
		}
	}
	m.columns = t.columns(din.Column{}, known)
	own := t.columns(din.Column{IDs: append(slices.Clone(t.rows), make([]uint32, len(k.items))...)}, both)
	items, err := din.NewItems(len(both), m.config.Network.Item, own)
	if err == nil {
		m.net, err = din.New(m.config.Network, items, t.spec.Seed)
	}
	return err
}

// columns is a catalogue of items by number, -1 for none, after the column of the
// items themselves.
func (t *dinTrainer) columns(first din.Column, items []int) []din.Column {
	all := []din.Column{first}
	for f := range t.model.config.Fields {
		c := din.Column{Start: []int32{0}, IDs: []uint32{}}
		for _, it := range items {
			if it >= 0 {
				c.IDs = appendRows(c.IDs, t.model.vocabularies[f+1], t.docs.row(it)[f])
			}
			c.Start = append(c.Start, int32(len(c.IDs)))
		}
		all = append(all, c)
	}
	return all
}

// frequent is the vocabulary of the names that count most, those first, of items or
// of field i-1.
func frequent(counts map[string]int, i int) (*din.Vocabulary, error) {
	most := maxDinNames
	if i == 0 {
		most = maxDinItems
	}
	names := slices.Collect(maps.Keys(counts))
	names = slices.DeleteFunc(names, func(n string) bool { return len(n) > din.MaxName })
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(counts[b]-counts[a], cmp.Compare(a, b)) })
	return din.NewVocabulary(names[:min(len(names), most)])
}

// run trains until it is done, and returns why it ended; o has what the job decides.
// Errors: the context's, train.ErrDiverged, train.ErrCheckpoint.
func (t *dinTrainer) run(ctx context.Context, j *Job, o train.Options) (string, error) {
	k, net := t.clicks, t.model.net
	for b, err := range t.source(0) { // n_j, with the negatives of the first epoch
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = net.Count(b)
		}
		if err != nil {
			return "", err
		}
		giveWay()
	}
	j.update(func(s *JobState) {
		p := &s.Progress
		p.Users, p.Items, p.Examples, p.LSN, p.Epochs = k.users, len(k.items), len(t.choices), k.lsn, t.spec.Epochs
		p.Epoch, p.Batches = max(1, p.Epoch), (len(t.choices)+t.spec.Batch-1)/t.spec.Batch
	})
	o.Epochs, o.Seed, o.Optimizer, o.Rate, o.Clip = t.spec.Epochs, t.spec.Seed, nn.Adam{}, nn.Constant(float32(t.spec.Rate)), 10
	o.Yield = giveWay
	o.Progress = func(e train.Event) {
		j.update(func(s *JobState) { s.Progress.follow(e) })
		giveWay()
	}
	if len(k.valid) > 0 {
		o.Evaluate, o.Metric, o.Patience = t.validate, "gauc", t.spec.Patience
	}
	var replicas []train.Model[*din.Batch]
	for range t.spec.Threads - 1 {
		replicas = append(replicas, net.Replica())
	}
	r, err := train.RunParallel(ctx, net, replicas, (*din.Batch).Part, t.source, o)
	return r.Reason, err
}

// giveWay lets others have the processor: a training is in no hurry.
func giveWay() { runtime.Gosched() }

func (p *TrainProgress) follow(e train.Event) {
	p.Epoch, p.Step, p.Batch, p.Loss = e.Epoch+1, e.Step, e.Batch, e.Loss
	if g, ok := e.Metrics["gauc"]; ok {
		p.GAUC, p.Best = g.Value, max(p.Best, g.Value)
	}
}

// source yields the examples in an order of the epoch, each with its negatives.
func (t *dinTrainer) source(epoch int) iter.Seq2[*din.Batch, error] {
	return func(yield func(*din.Batch, error) bool) {
		rng := rand.New(rand.NewPCG(t.spec.Seed, uint64(epoch)))
		var b din.Batch
		b.Reset()
		hide := uint32(len(t.clicks.items))
		labels := make([]float32, 1+t.spec.Negatives)
		labels[0] = 1
		var offer, past []uint32
		for n, i := range rng.Perm(len(t.choices)) {
			e := &t.choices[i]
			offer = t.draws.Draw(rng, e.Target.User, t.spec.Negatives, append(offer[:0], e.Target.Item))
			for c := range offer {
				if rng.IntN(masked) == 0 {
					offer[c] += hide
				}
			}
			if past = t.past(e.History, past[:0]); rng.IntN(masked) == 0 {
				past = past[:0]
			}
			b.Add(nil, past, offer, labels[:len(offer)])
			if b.Requests() == t.spec.Batch || n == len(t.choices)-1 {
				if !yield(&b, nil) {
					return
				}
				b.Reset()
			}
		}
	}
}

// past appends the items of a history that have rows.
func (t *dinTrainer) past(history []recsys.Event[uint32], past []uint32) []uint32 {
	for _, e := range history {
		if t.rows[e.Item] != 0 {
			past = append(past, e.Item)
		}
	}
	return past
}

// validate ranks what is held out to find the best epoch.
func (t *dinTrainer) validate(ctx context.Context) (train.Metrics, error) {
	s := t.model.net.Scorer(false)
	var past []uint32
	j, err := judge(ctx, t.clicks.valid, func(h *heldOut, out []float32) error {
		past = t.past(h.past, past[:0])
		return s.Score(din.Request{Past: past, Items: h.items}, out, nil)
	})
	return train.Metrics{"gauc": metric.GAUC(j.scores, j.labels, j.start)}, err
}

// measure ranks what is held out to measure as it would be served.
func (t *dinTrainer) measure(ctx context.Context) ([]Metric, error) {
	s := t.model.scorer()
	return t.clicks.measureOn(ctx, t.docs, &loaded{scorer: s, model: &format.Model{Name: t.spec.Model}, needs: s.reads})
}

// revision is the commit that this binary was built from, "" if it does not know.
var revision = sync.OnceValue(func() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
})
