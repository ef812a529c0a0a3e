package din

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// ErrConfig reports a configuration that no model has; ErrBatch ids, labels or
// offsets that do not fit the model; ErrTensor weights that are not the model's.
// Messages name the field, or the tensor.
var (
	ErrConfig = errors.New("din: bad configuration")
	ErrBatch  = errors.New("din: bad batch")
	ErrTensor = errors.New("din: weights do not fit")
)

// Limits of a configuration, so that one from a file sizes nothing unbounded.
const (
	maxFields = 64
	maxLayers = 16
	maxWidth  = 1 << 14 // of a layer, and of an item's vector
	maxRows   = 1 << 31
)

// Field is one feature: ids from 0 to Rows-1, each with a vector of Dim numbers.
type Field struct {
	Name string `json:"name"` // the table's
	Rows int    `json:"rows"`
	Dim  int    `json:"dim"`
	// Many: an item has any number of ids here, whose vectors are averaged.
	Many bool `json:"many,omitempty"`
	// Alias is the name under which other programs store the same table again,
	// for the history; Load checks that both are equal.
	Alias string `json:"alias,omitempty"`
	// Vocabulary identifies the map from what users call things to ids: a hash.
	Vocabulary string `json:"vocabulary,omitempty"`
}

// Layers is a network of hidden layers, each linear, then batch-norm if Norm, then
// Activation (sigmoid, relu, tanh, prelu or dice), then Dropout, and one linear
// output. With Input, which the activation unit cannot have, a batch-norm is before
// all of them.
type Layers struct {
	Input      bool    `json:"input,omitempty"`
	Hidden     []int   `json:"hidden"`
	Activation string  `json:"activation"`
	Norm       bool    `json:"norm,omitempty"`
	Dropout    float32 `json:"dropout,omitempty"` // in [0, 1)
}

// Config is what a model is beside its weights. Its JSON is the configuration of
// the artefact.
type Config struct {
	Item    []Field `json:"item"`           // of items, the one offered and those of the history
	User    []Field `json:"user,omitempty"` // of the user and the context, one id each
	Pooling string  `json:"pooling"`        // "attention", or "mean" for the base model
	Unit    Layers  `json:"unit"`           // activation unit; unused with "mean"
	Softmax bool    `json:"softmax,omitempty"`
	Scaled  bool    `json:"scaled,omitempty"`  // scores are divided by √d
	Project bool    `json:"project,omitempty"` // v_U goes through a batch-norm and a linear layer of d x d
	Head    Layers  `json:"head"`
	Product bool    `json:"product,omitempty"` // the head also reads v_U⊙v_A
	Bias    bool    `json:"bias,omitempty"`    // a number of the item, the id in Item[0], is added to its logit
	// Spread is the standard deviation of fresh vectors, Lambda the regularisation
	// by mini-batch. Both are for training.
	Spread float32 `json:"spread"`
	Lambda float32 `json:"lambda,omitempty"`
}

// Default is the configuration this package recommends for fields of items and
// users: a softmax of scaled scores, a unit of 80-40 and a head of 200-80 with
// Dice.
func Default(item, user []Field) Config {
	return Config{
		Item: item, User: user, Pooling: "attention", Softmax: true, Scaled: true, Product: true, Bias: true,
		Unit:   Layers{Hidden: []int{80, 40}, Activation: "dice"},
		Head:   Layers{Hidden: []int{200, 80}, Activation: "dice", Norm: true},
		Spread: 0.05, Lambda: 0.01,
	}
}

// Official is the configuration of the authors' program on Amazon Electronics,
// whose items are an id and a category of 64 numbers each, without a field of
// users. Its batch-norms never train; these do, and see clicks and others in one
// batch, as the authors' do since a leak was mended. Its embeddings are drawn from
// a uniform distribution of about this spread. It has no regularisation.
func Official(item []Field) Config {
	return Config{
		Item: item, Pooling: "attention", Softmax: true, Scaled: true, Project: true, Product: true, Bias: true,
		Unit:   Layers{Hidden: []int{80, 40}, Activation: "sigmoid"},
		Head:   Layers{Hidden: []int{80, 40}, Activation: "sigmoid", Input: true},
		Spread: 0.006,
	}
}

// BARS is the configuration of the benchmark's DIN on Amazon Electronics, whose
// fields are vectors of 64: unit 512-256, head 1024-512-256, Dice, dropout, softmax
// of unscaled scores. Its decay is not of this kind: λ is 0.
func BARS(item, user []Field) Config {
	return Config{
		Item: item, User: user, Pooling: "attention", Softmax: true,
		Unit:   Layers{Hidden: []int{512, 256}, Activation: "dice", Dropout: 0.1},
		Head:   Layers{Hidden: []int{1024, 512, 256}, Activation: "dice", Norm: true, Dropout: 0.1},
		Spread: 1e-4,
	}
}

// Dim is d, the width of an item's vector.
func (c *Config) Dim() int { return width(c.Item) }

func width(fields []Field) int {
	n := 0
	for _, f := range fields {
		n += f.Dim
	}
	return n
}

// inputs is what the head reads.
func (c *Config) inputs() int {
	n := width(c.User) + 2*c.Dim()
	if c.Product {
		n += c.Dim()
	}
	return n
}

// numbers counts the trained numbers of a model, without norms and activations.
func (c *Config) numbers() int {
	n := 0
	for _, f := range slices.Concat(c.Item, c.User) {
		n += f.Rows * f.Dim
	}
	if c.Pooling == "attention" {
		n += c.Unit.numbers(4 * c.Dim())
	}
	if c.Project {
		n += (c.Dim() + 1) * c.Dim()
	}
	return n + c.Head.numbers(c.inputs())
}

func (l *Layers) numbers(in int) (n int) {
	for _, out := range append(slices.Clone(l.Hidden), 1) {
		n += (in + 1) * out
		in = out
	}
	return n
}

// Hash identifies the features: names, sizes and vocabularies of all fields, in
// order. Weights trained for one hash mean nothing under another. It is what the
// manifest of a model keeps of its features.
func (c *Config) Hash() [32]byte {
	b, err := json.Marshal([2][]Field{c.Item, c.User})
	if err != nil {
		panic(err) // strings, numbers and booleans
	}
	return sha256.Sum256(b)
}

// Check reports what is wrong with c: ErrConfig.
func (c *Config) Check() error {
	if len(c.Item) == 0 || len(c.Item) > maxFields || len(c.User) > maxFields {
		return fmt.Errorf("%w: %d fields of items and %d of users; want 1 to %d and at most %d", ErrConfig, len(c.Item), len(c.User), maxFields, maxFields)
	}
	names := map[string]bool{}
	for i, f := range slices.Concat(c.Item, c.User) {
		if f.Name == "" || names[f.Name] {
			return fmt.Errorf("%w: field %d has the name %q, empty or of another field", ErrConfig, i, f.Name)
		}
		names[f.Name] = true
		if f.Rows < 1 || f.Rows > maxRows || f.Dim < 1 || f.Dim > maxWidth {
			return fmt.Errorf("%w: field %s is %d x %d", ErrConfig, f.Name, f.Rows, f.Dim)
		}
		if f.Many && i >= len(c.Item) {
			return fmt.Errorf("%w: field %s of users has many ids", ErrConfig, f.Name)
		}
	}
	if c.Bias && c.Item[0].Many {
		return fmt.Errorf("%w: the bias is of field %s, which has many ids", ErrConfig, c.Item[0].Name)
	}
	if c.inputs() > maxWidth {
		return fmt.Errorf("%w: the head reads %d numbers, at most %d", ErrConfig, c.inputs(), maxWidth)
	}
	if c.Spread < 0 || c.Lambda < 0 {
		return fmt.Errorf("%w: spread %v and lambda %v, neither below 0", ErrConfig, c.Spread, c.Lambda)
	}
	switch c.Pooling {
	case "attention":
		if err := c.Unit.check("unit"); err != nil {
			return err
		}
		if c.Unit.Input {
			return fmt.Errorf("%w: the unit has a norm of its input", ErrConfig)
		}
	case "mean":
	default:
		return fmt.Errorf("%w: pooling %q; use attention or mean", ErrConfig, c.Pooling)
	}
	return c.Head.check("head")
}

func (l *Layers) check(name string) error {
	if len(l.Hidden) == 0 || len(l.Hidden) > maxLayers {
		return fmt.Errorf("%w: the %s has %d hidden layers, want 1 to %d", ErrConfig, name, len(l.Hidden), maxLayers)
	}
	for _, n := range l.Hidden {
		if n < 1 || n > maxWidth {
			return fmt.Errorf("%w: the %s has a layer of %d", ErrConfig, name, n)
		}
	}
	if !slices.Contains([]string{"sigmoid", "relu", "tanh", "prelu", "dice"}, l.Activation) {
		return fmt.Errorf("%w: activation %q of the %s; use sigmoid, relu, tanh, prelu or dice", ErrConfig, l.Activation, name)
	}
	if !(l.Dropout >= 0 && l.Dropout < 1) {
		return fmt.Errorf("%w: dropout %v of the %s", ErrConfig, l.Dropout, name)
	}
	return nil
}
