package eider

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/eiderdb/eider/internal/metric"
	"github.com/eiderdb/eider/storage"
)

// EvalSpec says on which events a version is measured; what is left out is as the
// version was trained, and for kinds that are not trained here as TrainSpec has it.
// The members mean what they do there.
type EvalSpec struct {
	Collection string    `json:"collection,omitempty"`
	Events     []string  `json:"events,omitempty"`
	Since      time.Time `json:"since,omitzero"`
	Repeats    bool      `json:"repeats,omitempty"`
	Split      string    `json:"split,omitempty"`
	Candidates int       `json:"candidates,omitempty"`
}

// Evaluation is what a version scored.
type Evaluation struct {
	Model   string   `json:"model"`
	Version uint32   `json:"version"`
	Metrics []Metric `json:"metrics"` // in order of name; gauc-popularity is of ranking by number of events
	LSN     uint64   `json:"lsn"`     // that events and documents are as of
}

// Evaluate measures a version on events that are held out: each is ranked among items
// that its user never had, after the history before it. Numbers compare where the
// metrics' Set is the same. A version that was trained on later events than a test
// holds out has seen them; measure it by the split it was trained with. Kinds that
// read a user are measured if they can be told a history. O(events held out *
// Candidates). Errors: ErrNotFound, ErrInvalid, ErrTooLarge, ErrMismatch, the context's.
func (db *DB) Evaluate(ctx context.Context, ref string, spec EvalSpec) (Evaluation, error) {
	e, err := db.evaluate(ctx, ref, spec)
	if err != nil {
		return Evaluation{}, db.Models().fail("evaluate", err)
	}
	return e, nil
}

func (db *DB) evaluate(ctx context.Context, ref string, spec EvalSpec) (Evaluation, error) {
	if err := ctx.Err(); err != nil {
		return Evaluation{}, err
	}
	view, err := db.viewAt(0)
	if err != nil {
		return Evaluation{}, err
	}
	defer view.Release()
	l, err := db.serving.at(ctx, view, ref)
	if err != nil {
		return Evaluation{}, err
	}
	if _, ok := l.scorer.(follower); l.needs.user && !ok {
		return Evaluation{}, fmt.Errorf("%w: kind %s takes no history but the user's own", ErrInvalid, l.model.Kind)
	}
	full := TrainSpec{Model: l.model.Name, Collection: spec.Collection, Events: spec.Events, Since: spec.Since, Repeats: spec.Repeats,
		Split: spec.Split, Candidates: spec.Candidates}
	if d, ok := l.scorer.(*dinScorer); ok {
		d.config.like(&full)
	}
	if err := full.complete(); err != nil {
		return Evaluation{}, err
	}
	k, err := readClicks(ctx, view, full.clicks())
	if err != nil {
		return Evaluation{}, err
	}
	metrics, err := k.measure(ctx, db, view, l)
	return Evaluation{Model: l.model.Name, Version: l.model.Version, Metrics: metrics, LSN: view.LSN()}, err
}

// clicks are the events that a specification is about.
func (s *TrainSpec) clicks() clickQuery {
	return clickQuery{collection: s.Collection, events: s.Events, since: s.Since, repeats: s.Repeats, history: s.History, split: s.Split, candidates: s.Candidates}
}

// like fills in what a specification leaves out as the model was trained.
func (c *dinConfig) like(s *TrainSpec) {
	s.History = c.History
	if s.Collection == "" {
		s.Collection = c.Training.Collection
	}
	if len(s.Events) == 0 {
		s.Events = c.Events
	}
	if s.Split == "" {
		s.Split = c.Training.Split
	}
	if s.Candidates == 0 {
		s.Candidates = c.Training.Candidates
	}
	s.Repeats = s.Repeats || c.Training.Repeats
}

// judged is the scores of events held out, a group for each.
type judged struct {
	scores, labels []float32
	start          []int32
}

// judge asks score for the items of each event held out.
func judge(ctx context.Context, tests []heldOut, score func(h *heldOut, out []float32) error) (judged, error) {
	j := judged{start: []int32{0}}
	for i := range tests {
		if ctx.Err() != nil {
			return j, ctx.Err()
		}
		h, at := &tests[i], len(j.scores)
		j.scores = append(j.scores, make([]float32, len(h.items))...)
		j.labels = append(j.labels, make([]float32, len(h.items))...)
		j.labels[at] = 1
		j.start = append(j.start, int32(len(j.scores)))
		if err := score(h, j.scores[at:]); err != nil {
			return j, err
		}
		giveWay()
	}
	return j, nil
}

// follower is a scorer whose scores depend on a history, and are logits.
type follower interface {
	// after scores examples after a history of items, oldest first.
	after(in *examples, past []string, logits []float32) error
}

// measure ranks what is held out to measure by a version, with the values that
// documents have in a view.
func (k *clicks) measure(ctx context.Context, db *DB, view *storage.View, l *loaded) ([]Metric, error) {
	all, err := k.catalogue(ctx, db, view, l)
	if err != nil {
		return nil, err
	}
	return k.measureOn(ctx, all, l)
}

// measureOn ranks what is held out to measure, of a catalogue of the items. The
// metrics are in order of name.
func (k *clicks) measureOn(ctx context.Context, all *examples, l *loaded) ([]Metric, error) {
	width := len(l.needs.fields)
	follows, ok := l.scorer.(follower)
	j, err := judge(ctx, k.test, func(h *heldOut, out []float32) error {
		x := examples{n: len(h.items), view: all.view}
		for _, it := range h.items {
			x.ids = append(x.ids, all.ids[it])
			x.values = append(x.values, all.values[int(it)*width:(int(it)+1)*width]...)
		}
		if ok {
			var past []string
			for _, e := range h.past {
				past = append(past, k.items[e.Item])
			}
			return follows.after(&x, past, out)
		}
		wide := make([]float64, len(out))
		err := l.score(ctx, &x, wide, nil)
		for i, s := range wide {
			out[i] = float32(s)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	floor, err := judge(ctx, k.test, func(h *heldOut, out []float32) error {
		for i, it := range h.items {
			out[i] = k.popular[it]
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	metrics := []Metric{k.metric("auc", metric.AUC(j.scores, j.labels)), k.metric("gauc", metric.GAUC(j.scores, j.labels, j.start)),
		k.metric("gauc-popularity", metric.GAUC(floor.scores, floor.labels, floor.start))}
	if ok {
		loss := k.metric("logloss", metric.LogLoss(j.scores, j.labels))
		loss.Lower = true
		metrics = append(metrics, loss)
	}
	for _, m := range metrics {
		if math.IsNaN(m.Value) || math.IsInf(m.High, 0) {
			return nil, fmt.Errorf("%w: %s of %v is not a finite number", ErrInvalid, m.Name, l)
		}
	}
	return metrics, nil
}

func (k *clicks) metric(name string, e metric.Estimate) Metric {
	return Metric{Name: name, Value: e.Value, Low: e.Low, High: e.High, Count: uint64(e.Count), Set: k.set()}
}
