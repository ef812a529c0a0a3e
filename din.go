package eider

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/eiderdb/eider/recsys/din"
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
	Repeats    bool   `json:"repeats,omitempty"`
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
