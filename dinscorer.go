package eider

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/eiderdb/eider/recsys/din"
	"github.com/eiderdb/eider/storage"
	"github.com/eiderdb/eider/storage/format"
)

// dinScorer scores with a copy of a model. A score is the chance of an event as the
// model has it, of positives among as many negatives as it learned with.
type dinScorer struct {
	*dinModel
	serve *din.Scorer
	reads needs
}

func (d *dinModel) scorer() *dinScorer {
	return &dinScorer{dinModel: d, serve: d.net.Scorer(d.config.Bytes), reads: d.needs()}
}

func (d *dinModel) needs() needs {
	n := needs{user: true, ids: true}
	for _, f := range d.config.Fields {
		n.fields = append(n.fields, input{name: f.Name, types: []FieldType{f.Type}, many: true})
	}
	return n
}

func (s *dinScorer) needs() needs { return s.reads }

func (s *dinScorer) score(ctx context.Context, in *examples, out []float64, why []map[string]float64) error {
	past, err := s.history(ctx, in.view, in.user)
	if err != nil {
		return err
	}
	logits := make([]float32, in.n)
	var weights []float32
	if why != nil {
		weights = make([]float32, in.n*len(past))
	}
	if err := s.rate(in, past, logits, weights); err != nil {
		return err
	}
	for i, z := range logits {
		out[i] = 1 / (1 + math.Exp(-float64(z)))
	}
	for i := range why {
		why[i] = make(map[string]float64, len(past))
		for j, row := range past {
			why[i][s.vocabularies[0].Names()[row-1]] += float64(weights[i*len(past)+j])
		}
	}
	return nil
}

// history lists the rows of a user's newest events, oldest first. What the model
// does not know is passed over. Of one user it looks at MaxHistory events at most.
func (s *dinScorer) history(ctx context.Context, view *storage.View, user string) ([]uint32, error) {
	if user == "" {
		return nil, nil
	}
	var past []uint32
	looked := 0
	err := view.History(ctx, user, storage.AllEvents, func(e storage.Event) bool {
		looked++
		if len(s.config.Events) == 0 || slices.Contains(s.config.Events, e.Type) {
			if row := s.vocabularies[0].Row(e.Item); row != 0 {
				past = append(past, row)
			}
		}
		return len(past) < s.config.History && looked < MaxHistory
	})
	slices.Reverse(past)
	return past, err
}

// after is what follower asks for.
func (s *dinScorer) after(in *examples, past []string, logits []float32) error {
	var rows []uint32
	for _, item := range past {
		if row := s.vocabularies[0].Row(item); row != 0 {
			rows = append(rows, row)
		}
	}
	return s.rate(in, rows[max(0, len(rows)-s.config.History):], logits, nil)
}

// rate writes the logit of each example after a history of rows, and the weights
// of that history for it, unless weights is nil.
func (s *dinScorer) rate(in *examples, past []uint32, logits, weights []float32) error {
	r, err := s.request(in, past)
	if err == nil {
		err = s.serve.Score(r, logits, weights)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInternal, err)
	}
	return nil
}

// request numbers the candidates from 0 and the history after them, in a catalogue
// of their own: candidates have the values of now.
func (s *dinScorer) request(in *examples, past []uint32) (din.Request, error) {
	r := din.Request{Items: make([]uint32, in.n), Past: make([]uint32, len(past))}
	ids := make([]uint32, in.n, in.n+len(past))
	for i := range in.n {
		r.Items[i] = uint32(i)
		if in.ids != nil {
			ids[i] = s.vocabularies[0].Row(in.ids[i])
		}
	}
	for j := range past {
		r.Past[j] = uint32(in.n + j)
	}
	columns := []din.Column{{IDs: append(ids, past...)}}
	for f := range s.config.Fields {
		known := &s.columns[f+1]
		c := din.Column{Start: make([]int32, 1, in.n+len(past)+1), IDs: []uint32{}}
		for i := range in.n {
			c.IDs = appendRows(c.IDs, s.vocabularies[f+1], in.row(i)[f])
			c.Start = append(c.Start, int32(len(c.IDs)))
		}
		for _, row := range past {
			c.IDs = append(c.IDs, known.IDs[known.Start[row]:known.Start[row+1]]...)
			c.Start = append(c.Start, int32(len(c.IDs)))
		}
		columns = append(columns, c)
	}
	var err error
	r.Catalogue, err = din.NewItems(in.n+len(past), s.config.Network.Item, columns)
	return r, err
}

// appendRows appends the rows of a value, or of the first values of a list, those
// that have one.
func appendRows(rows []uint32, v *din.Vocabulary, x format.Value) []uint32 {
	for _, name := range featureNames(x) {
		if row := v.Row(name); row != 0 {
			rows = append(rows, row)
		}
	}
	return rows
}

// featureNames are the texts that stand for a value, or for the first of a list.
func featureNames(x format.Value) (names []string) {
	switch x.Kind() {
	case format.KindString:
		names = append(names, x.Text())
	case format.KindInt64:
		names = append(names, strconv.FormatInt(x.Int64(), 10))
	case format.KindBool:
		names = append(names, strconv.FormatBool(x.Bool()))
	case format.KindList:
		list := x.List()
		for _, e := range list[:min(len(list), maxDinValues)] {
			names = append(names, featureNames(e)...)
		}
	}
	return names
}
