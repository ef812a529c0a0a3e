// Package linear scores examples by a weighted sum of numbers: a linear model, or
// with the logistic link the probability of a logistic regression.
//
// Its tensors are those of torch.nn.Linear(n, 1): "weight" [1 n] and "bias" [1].
package linear

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// MaxFields is the most numbers that a model reads.
const MaxFields = 1024

// Link turns the weighted sum into the score.
type Link string

// The links.
const (
	Identity Link = "identity" // the sum itself
	Logistic Link = "logistic" // 1/(1+exp(-sum)), in (0, 1)
)

// Config is what a model is beside its weights.
type Config struct {
	// Fields names the numbers, in the order of the weights; no name twice.
	Fields []string `json:"fields"`
	// Link is Identity unless given.
	Link Link `json:"link,omitempty"`
	// Missing are the numbers that stand for absent ones, by field; all 0 unless
	// given. The mean of the training data is a good choice.
	Missing []float64 `json:"missing,omitempty"`
}

// Parse reads a configuration and fills its defaults in. It refuses members that
// it does not know. The error says what is wrong.
func Parse(config []byte) (Config, error) {
	var c Config
	d := json.NewDecoder(bytes.NewReader(config))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return c, fmt.Errorf("configuration of a linear model: %w", err)
	}
	if c.Link == "" {
		c.Link = Identity
	}
	if c.Missing == nil {
		c.Missing = make([]float64, len(c.Fields))
	}
	switch {
	case len(c.Fields) == 0 || len(c.Fields) > MaxFields:
		return c, fmt.Errorf("a linear model reads 1 to %d fields, this one %d", MaxFields, len(c.Fields))
	case c.Link != Identity && c.Link != Logistic:
		return c, fmt.Errorf("link %.40q; use %s or %s", c.Link, Identity, Logistic)
	case len(c.Missing) != len(c.Fields):
		return c, fmt.Errorf("%d numbers stand for missing ones, of %d fields", len(c.Missing), len(c.Fields))
	}
	seen := make(map[string]bool, len(c.Fields))
	for _, f := range c.Fields {
		if f == "" || seen[f] {
			return c, fmt.Errorf("field %.140q is empty or given twice", f)
		}
		seen[f] = true
	}
	return c, nil
}

// Model is a linear model. It never changes: many goroutines may score with it.
type Model struct {
	Config
	weights []float64 // [n]
	bias    float64
}

// New makes a model of n weights, one for each of c's fields, which is a Config of
// Parse. The weights are copied. It fails for another number of them.
func New(c Config, weights []float32, bias float32) (*Model, error) {
	if len(weights) != len(c.Fields) {
		return nil, errors.New("a linear model has one weight for each field")
	}
	m := &Model{Config: c, weights: make([]float64, len(weights)), bias: float64(bias)}
	for i, w := range weights {
		m.weights[i] = float64(w)
	}
	return m, nil
}

// Score is the score of an example, one number for each field, NaN where it has
// none. Sums are of float64, in the order of the fields. The score is not finite
// only if the numbers or their products are not. O(n).
func (m *Model) Score(example []float64) float64 {
	sum := m.bias
	for i, x := range example {
		sum += m.term(i, x)
	}
	if m.Link == Logistic {
		return 1 / (1 + math.Exp(-sum))
	}
	return sum
}

// Terms appends what each field adds to the sum of an example, before the link,
// to dst. The bias makes up the rest.
func (m *Model) Terms(dst, example []float64) []float64 {
	for i, x := range example {
		dst = append(dst, m.term(i, x))
	}
	return dst
}

func (m *Model) term(i int, x float64) float64 {
	if math.IsNaN(x) {
		x = m.Missing[i]
	}
	return m.weights[i] * x
}
