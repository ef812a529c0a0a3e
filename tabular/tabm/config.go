// Package tabm predicts from tables without retrieval: TabM (Gorishniy et al., ICLR
// 2025), an ensemble of k multilayer perceptrons that share their weights and differ
// by vectors that scale inputs and outputs.
//
//	m, err := tabm.New(tabm.Default(), learn, seed)
//	result, err := m.Fit(ctx, learn, valid, tabm.Recipe(seed))
//	err = m.Predict(ctx, question, out)
//
// # The model
//
// For a row of numbers x, flags and categories, u is the concatenation of an embedding
// of each number, the flags, and the categories one-hot (an unknown one is all zeros).
// Layer l of member i, with s, r, b of its own and W shared:
//
//	y = s_i ⊙ (W·(r_i ⊙ u)) + b_i, then ReLU and dropout
//
// A head of each member's own makes its output. The k losses are averaged, not the k
// outputs; a prediction is the mean of the members' predictions, of probabilities for
// classes. All members of a batch are one product of matrices: rows are members of
// rows, (row, member), row-major.
//
// # Determinism
//
// Weights and batches are functions of seeds; equal seeds and data give equal bits on
// one path of simd, whatever the number of threads.
package tabm

import (
	"errors"
	"fmt"
	"slices"

	"github.com/eiderdb/eider/tabular"
)

// ErrConfig reports a configuration no model can have, ErrData rows that are not what
// the model reads, ErrTensor weights that do not fit; the message names what.
var (
	ErrConfig = errors.New("tabm: bad configuration")
	ErrData   = errors.New("tabm: data of another shape")
	ErrTensor = errors.New("tabm: bad tensor")
)

// Embedding is how numbers become vectors.
type Embedding string

// The embeddings. Piecewise is rtdl_num_embeddings' piecewise-linear embedding, version
// B: a linear one, and one of the number's place among quantiles of the training rows
// that begins as zeros. Periodic is PLR: relu(W_j·[cos 2πf_j·x_j, sin 2πf_j·x_j] + b_j).
const (
	None      Embedding = "none"
	Piecewise Embedding = "piecewise"
	Periodic  Embedding = "plr"
)

// Config is the shape of a model.
type Config struct {
	Members     int       `json:"members"` // k
	Blocks      int       `json:"blocks"`
	Width       int       `json:"width"`   // of a block
	Dropout     float32   `json:"dropout"` // after each block
	Embedding   Embedding `json:"embedding"`
	Dim         int       `json:"dim,omitempty"`         // of an embedded number
	Bins        int       `json:"bins,omitempty"`        // of Piecewise, at most
	Frequencies int       `json:"frequencies,omitempty"` // of Periodic
	Scale       float32   `json:"scale,omitempty"`       // deviation that frequencies begin with
}

// Default is the configuration of the paper with piecewise-linear embeddings.
func Default() Config {
	return Config{Members: 32, Blocks: 2, Width: 512, Dropout: 0.1, Embedding: Piecewise, Dim: 16, Bins: 48}
}

// Bounds of a configuration.
const (
	maxMembers = 1 << 10
	maxBlocks  = 64
	maxWidth   = 1 << 14
	maxNumbers = 1 << 30 // parameters of a model
)

// Check reports the first number out of its range: ErrConfig.
func (c Config) Check() error {
	for _, n := range []struct {
		name       string
		value, max int
		used       bool
	}{
		{"members", c.Members, maxMembers, true}, {"blocks", c.Blocks, maxBlocks, true}, {"width", c.Width, maxWidth, true},
		{"dim", c.Dim, maxWidth, c.Embedding != None}, {"bins", c.Bins, maxWidth, c.Embedding == Piecewise},
		{"frequencies", c.Frequencies, maxWidth, c.Embedding == Periodic},
	} {
		if n.used && (n.value < 1 || n.value > n.max) {
			return fmt.Errorf("%w: %s %d; between 1 and %d", ErrConfig, n.name, n.value, n.max)
		}
	}
	if !(c.Dropout >= 0 && c.Dropout < 1) {
		return fmt.Errorf("%w: dropout %v; at least 0, less than 1", ErrConfig, c.Dropout)
	}
	if !slices.Contains([]Embedding{None, Piecewise, Periodic}, c.Embedding) {
		return fmt.Errorf("%w: embedding %q; use none, piecewise or plr", ErrConfig, c.Embedding)
	}
	if c.Embedding == Periodic && !(c.Scale > 0 && c.Scale <= 1e6) {
		return fmt.Errorf("%w: scale %v of frequencies; use one over 0", ErrConfig, c.Scale)
	}
	return nil
}

// Inputs is what a model reads and how wide its prediction is: the shape of Data.
type Inputs struct {
	Numbers    int          `json:"numbers"`
	Flags      int          `json:"flags"`
	Categories []int        `json:"categories"` // sizes of vocabularies
	Kind       tabular.Kind `json:"kind"`
	Classes    int          `json:"classes,omitempty"`
	Mean       float64      `json:"mean"` // of the targets
	Std        float64      `json:"std"`
}

// inputsOf is the shape of d.
func inputsOf(d *tabular.Data) Inputs {
	return Inputs{d.NumWidth, d.BinWidth, slices.Clone(d.CatSizes), d.Kind, d.Classes, d.Mean, d.Std}
}

// check reports a shape no model reads: ErrConfig.
func (in *Inputs) check() error {
	sum := in.Flags
	for _, n := range in.Categories {
		if n < 0 || n > maxNumbers {
			return fmt.Errorf("%w: a vocabulary of %d", ErrConfig, n)
		}
		sum += n
	}
	classes := map[tabular.Kind]bool{tabular.Regression: true, tabular.Binary: true, tabular.Multiclass: in.Classes > 1 && in.Classes <= maxWidth}
	switch {
	case in.Numbers < 0 || in.Flags < 0 || in.Numbers > maxWidth || in.Flags > maxWidth || sum > maxNumbers || in.Numbers+sum == 0:
		return fmt.Errorf("%w: %d numbers, %d flags and categories", ErrConfig, in.Numbers, sum)
	case !classes[in.Kind]:
		return fmt.Errorf("%w: target of kind %q with %d classes", ErrConfig, in.Kind, in.Classes)
	case !(in.Std > 0):
		return fmt.Errorf("%w: targets of deviation %v", ErrConfig, in.Std)
	}
	return nil
}

// outputs is how many numbers a member's head has.
func (in *Inputs) outputs() int {
	if in.Kind == tabular.Multiclass {
		return in.Classes
	}
	return 1
}

// fits reports data of another shape, or codes out of range: ErrData.
func (in *Inputs) fits(d *tabular.Data, labels bool) error {
	switch {
	case d.NumWidth != in.Numbers || d.BinWidth != in.Flags || !slices.Equal(d.CatSizes, in.Categories) || d.Kind != in.Kind || d.Kind != tabular.Regression && d.Classes != in.Classes:
		return fmt.Errorf("%w: it has %d numbers, %d flags and vocabularies %v, %s; the model reads %d, %d and %v, %s",
			ErrData, d.NumWidth, d.BinWidth, d.CatSizes, d.Kind, in.Numbers, in.Flags, in.Categories, in.Kind)
	case len(d.Num) != d.Rows*d.NumWidth || len(d.Bin) != d.Rows*d.BinWidth || len(d.Cat) != d.Rows*len(d.CatSizes):
		return fmt.Errorf("%w: slices are not of %d rows", ErrData, d.Rows)
	case labels && (len(d.Y) != d.Rows || d.Rows == 0):
		return fmt.Errorf("%w: %d labels of %d rows", ErrData, len(d.Y), d.Rows)
	}
	for i, code := range d.Cat {
		if size := d.CatSizes[i%len(d.CatSizes)]; code < 0 || int(code) > size {
			return fmt.Errorf("%w: code %d in a vocabulary of %d", ErrData, code, size)
		}
	}
	if labels && d.Kind != tabular.Regression {
		for _, y := range d.Y {
			if y < 0 || int(y) >= max(2, in.Classes) || y != float32(int(y)) {
				return fmt.Errorf("%w: label %v of %d classes", ErrData, y, in.Classes)
			}
		}
	}
	return nil
}
