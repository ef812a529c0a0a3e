package eider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/eiderdb/eider/recsys/din"
	"github.com/eiderdb/eider/storage"
	"github.com/eiderdb/eider/storage/format"
	"github.com/eiderdb/eider/storage/registry"
)

// The kind "din": the Deep Interest Network of recsys/din, for documents as items
// and events as history. An artefact has the network's tensors under FuxiCTR's
// names, and besides
//
//	vocabulary.item                 U8   names of items, of rows 1.. of its table
//	vocabulary.item.<field>         U8   values of a field, the same
//	catalogue.item.<field>          U32  rows of the values that items had
//	catalogue.item.<field>.start    I32  where those of item i begin, i from 0 to rows
//
// so that a history is read without its documents, as they were when it learned.
// Row 0 of the table of items is of items that it does not know. Missing and
// unknown values of fields count for nothing.

// Limits of a model of this kind.
const (
	maxDinHistory = 500 // events
	maxDinFields  = 32
	maxDinValues  = 64 // of one field of one item; of longer lists the first
)

const dinItem = "item" // the table of items; those of fields are item.<field>

// dinConfig is the configuration of an artefact.
type dinConfig struct {
	Network din.Config `json:"network"`
	// Fields are the fields of documents that Network.Item has after the item itself.
	Fields []dinField `json:"fields"`
	// Events are the types of events that make a history, all if empty; History is
	// how many of the newest it has.
	Events  []string `json:"events,omitempty"`
	History int      `json:"history"`
	// Bytes keeps vectors as bytes when it serves.
	Bytes bool `json:"bytes,omitempty"`
	// Training is what it learned from, for evaluation.
	Training dinTraining `json:"training,omitzero"`
}

// dinTraining is what a model learned from, so that another can be measured alike.
type dinTraining struct {
	Collection string `json:"collection"`
	Split      string `json:"split"`      // see TrainSpec
	Candidates int    `json:"candidates"` // what an event held out is ranked among
}

// dinField is a field and its type in the schema: keyword, int64 or bool.
type dinField struct {
	Name string    `json:"name"`
	Type FieldType `json:"type"`
}

func parseDin(m *format.Model) (dinConfig, error) {
	var c dinConfig
	d := json.NewDecoder(bytes.NewReader(m.Config))
	d.DisallowUnknownFields()
	err := d.Decode(&c)
	if err == nil {
		err = c.check()
	}
	if err != nil {
		err = fmt.Errorf("%w: configuration of a din model: %w", ErrInvalid, err)
	}
	return c, err
}

func (c *dinConfig) check() error {
	n := &c.Network
	if err := n.Check(); err != nil {
		return err
	}
	switch {
	case c.History < 1 || c.History > maxDinHistory:
		return fmt.Errorf("a history of %d events; use 1 to %d", c.History, maxDinHistory)
	case len(n.User) != 0:
		return fmt.Errorf("%d fields of users; a model that is served has none", len(n.User))
	case len(n.Item) != 1+len(c.Fields) || len(c.Fields) > maxDinFields:
		return fmt.Errorf("%d fields of items in the network, %d of documents, at most %d", len(n.Item), len(c.Fields), maxDinFields)
	case n.Item[0].Name != dinItem || n.Item[0].Many:
		return fmt.Errorf("the first field is %q, with one id of the item; want %q", n.Item[0].Name, dinItem)
	}
	for i, f := range c.Fields {
		of := &n.Item[i+1]
		switch {
		case !validField(f.Name) || of.Name != dinTable(f.Name) || !of.Many:
			return fmt.Errorf("field %d is %.140q of documents and %.140q of the network, with many ids", i, f.Name, of.Name)
		case !slices.Contains(dinTypes, f.Type):
			return fmt.Errorf("field %q is of type %q; use %v", f.Name, f.Type, dinTypes)
		}
	}
	return nil
}

// dinTypes are the types of fields that are features.
var dinTypes = []FieldType{Keyword, Int64, Bool}

func dinTable(field string) string { return dinItem + "." + field }

func checkDin(m *format.Model) error {
	c, err := parseDin(m)
	if err != nil {
		return err
	}
	shapes, err := din.Shapes(c.Network, m.Size()) // a number is a byte at least
	if errors.Is(err, din.ErrTensor) {
		return fmt.Errorf("%w: %w", registry.ErrMismatch, err)
	} else if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	expect := registry.Expect{Tensors: map[string]registry.Shape{}}
	for name, dims := range shapes {
		expect.Tensors[name] = registry.Shape{DType: "F32", Dims: dims}
	}
	for i, f := range c.Network.Item {
		expect.Tensors["vocabulary."+f.Name] = registry.Shape{DType: "U8", Dims: []int{-1}}
		if i > 0 {
			expect.Tensors["catalogue."+f.Name] = registry.Shape{DType: "U32", Dims: []int{-1}}
			expect.Tensors["catalogue."+f.Name+".start"] = registry.Shape{DType: "I32", Dims: []int{c.Network.Item[0].Rows + 1}}
		}
	}
	for _, t := range m.Tensors { // PyTorch's count of batches says nothing
		if norm, ok := strings.CutSuffix(t.Name, "num_batches_tracked"); ok && shapes[norm+"running_mean"] != nil {
			expect.Tensors[t.Name] = registry.Shape{DType: t.DType, Dims: t.Shape}
		}
	}
	if m.Features != [32]byte{} {
		expect.Features = c.Network.Hash()
	}
	return expect.Match(m)
}

// dinModel is all that an artefact of the kind holds.
type dinModel struct {
	config       dinConfig
	vocabularies []*din.Vocabulary // of Network.Item
	columns      []din.Column      // of Network.Item, of the rows of the table of items
	net          *din.Model
}

// manifest is that of the artefact, but for what is known of its training.
func (d *dinModel) manifest(name string) format.Model {
	config, err := json.Marshal(d.config)
	if err != nil {
		panic(err) // texts and finite numbers
	}
	return format.Model{Name: name, Kind: "din", Config: config, Features: d.config.Network.Hash()}
}

// tensors are those of the artefact.
func (d *dinModel) tensors() map[string]format.Tensor {
	all := d.net.Tensors()
	for i, f := range d.config.Network.Item {
		all["vocabulary."+f.Name] = d.vocabularies[i].Tensor()
		if i > 0 {
			all["catalogue."+f.Name] = integers("U32", d.columns[i].IDs)
			all["catalogue."+f.Name+".start"] = integers("I32", d.columns[i].Start)
		}
	}
	return all
}

// openDin reads an artefact that passed checkDin.
func openDin(m *format.Model, tensors map[string]format.Tensor) (*dinModel, error) {
	c, err := parseDin(m)
	if err != nil {
		return nil, err
	}
	d := &dinModel{config: c, columns: []din.Column{{}}}
	weights := map[string]format.Tensor{}
	for name, t := range tensors {
		if !strings.HasPrefix(name, "vocabulary.") && !strings.HasPrefix(name, "catalogue.") {
			weights[name] = t
		}
	}
	for i := range c.Network.Item {
		f := &c.Network.Item[i]
		v, err := din.ParseVocabulary(tensors["vocabulary."+f.Name])
		switch {
		case err != nil:
			return nil, fmt.Errorf("%w: tensor %q: %w", registry.ErrMismatch, "vocabulary."+f.Name, err)
		case v.Len() != f.Rows:
			return nil, fmt.Errorf("%w: tensor %q has %d names, the table has %d rows for them", registry.ErrMismatch, "vocabulary."+f.Name, v.Len()-1, f.Rows-1)
		case f.Vocabulary != "" && f.Vocabulary != v.Hash():
			return nil, fmt.Errorf("%w: tensor %q is not the vocabulary that field %s was trained with", registry.ErrMismatch, "vocabulary."+f.Name, f.Name)
		}
		d.vocabularies = append(d.vocabularies, v)
		if i > 0 {
			d.columns = append(d.columns, din.Column{IDs: integersOf[uint32](tensors["catalogue."+f.Name]), Start: integersOf[int32](tensors["catalogue."+f.Name+".start"])})
		}
	}
	items, err := din.NewItems(c.Network.Item[0].Rows, c.Network.Item, d.columns)
	if err == nil {
		d.net, err = din.Load(c.Network, items, weights, m.Features)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", registry.ErrMismatch, err)
	}
	return d, nil
}

func loadDin(m *format.Model, tensors map[string]format.Tensor) (scorer, error) {
	d, err := openDin(m, tensors)
	if err != nil {
		return nil, err
	}
	return d.scorer(), nil
}

// dinScorer scores with a copy of a model. A score is the chance of an event as the
// model has it, of positives among as many negatives as it learned with.
type dinScorer struct {
	*dinModel
	serve *din.Scorer
	reads needs
}

func (d *dinModel) scorer() *dinScorer {
	s := &dinScorer{dinModel: d, serve: d.net.Scorer(d.config.Bytes), reads: needs{user: true, ids: true}}
	for _, f := range d.config.Fields {
		s.reads.fields = append(s.reads.fields, input{name: f.Name, types: []FieldType{f.Type}, many: true})
	}
	return s
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
