package tabr

import (
	"errors"
	"fmt"
	"math"

	"github.com/eiderdb/eider/tabular"
)

// Errors of this package, wrapped with detail.
var (
	ErrConfig = errors.New("tabr: bad configuration")
	ErrData   = errors.New("tabr: rows do not fit the model")
	ErrTensor = errors.New("tabr: tensors do not fit the model")
)

// Embedding is how numbers enter the network.
type Embedding string

// The embeddings of numbers.
const (
	Plain    Embedding = ""         // as they are: TabR-S
	Linear   Embedding = "lr"       // relu(x_j w_j + b_j)
	Periodic Embedding = "plr-lite" // relu(W [cos 2πf_j x_j, sin 2πf_j x_j] + b), W shared
)

// Config is the shape of a model. The hidden layers of blocks and of T are 2·Dim wide.
type Config struct {
	Kind    tabular.Kind `json:"kind"`
	Classes int          `json:"classes,omitzero"` // of Multiclass; 2 or 0 for Binary
	Num     int          `json:"num,omitzero"`     // numeric columns
	Bin     int          `json:"bin,omitzero"`     // binary columns
	Cat     []int        `json:"cat,omitzero"`     // sizes of vocabularies
	Mean    float64      `json:"mean,omitzero"`    // of Regression: a prediction is y·Std + Mean
	Std     float64      `json:"std,omitzero"`

	Dim        int     `json:"dim"`
	Encoders   int     `json:"encoders,omitzero"`
	Predictors int     `json:"predictors"`
	Context    int     `json:"context"` // candidates a prediction reads
	ContextP   float64 `json:"context_dropout"`
	DropoutP   float64 `json:"dropout"`

	Embedding   Embedding `json:"embedding,omitzero"`
	EmbedDim    int       `json:"embed_dim,omitzero"`   // numbers that each column becomes
	Frequencies int       `json:"frequencies,omitzero"` // of Periodic, for each column
	Sigma       float64   `json:"sigma,omitzero"`       // deviation of the first frequencies
}

// Default is TabR-S with the paper's default hyper-parameters, for rows like those of
// d, which must have been of training: kind and classes are taken from it.
func Default(d *tabular.Data) Config {
	return Config{
		Kind: d.Kind, Classes: d.Classes, Num: d.NumWidth, Bin: d.BinWidth, Cat: d.CatSizes, Mean: d.Mean, Std: d.Std,
		Dim: 265, Predictors: 1, Context: 96, ContextP: 0.38920071545944357, DropoutP: 0.38852797479169876,
	}
}

// Limits of a configuration, which bound what a decoder allocates.
const (
	maxWidth   = 1 << 16
	maxDim     = 4096
	maxBlocks  = 16
	maxContext = 4096
)

// Check reports what no model can have; the error wraps ErrConfig.
func (c *Config) Check() error {
	bad := func(format string, a ...any) error {
		return fmt.Errorf("%w: %s", ErrConfig, fmt.Sprintf(format, a...))
	}
	switch c.Kind {
	case tabular.Regression:
		if c.Classes != 0 {
			return bad("%d classes of a regression", c.Classes)
		}
		if !(c.Std > 0) || math.IsInf(c.Std, 0) || math.IsNaN(c.Mean) || math.IsInf(c.Mean, 0) {
			return bad("targets of mean %v and deviation %v", c.Mean, c.Std)
		}
	case tabular.Binary:
		if c.Classes != 0 && c.Classes != 2 {
			return bad("%d classes, binary has 2", c.Classes)
		}
	case tabular.Multiclass:
		if c.Classes < 2 || c.Classes > maxWidth {
			return bad("%d classes, want 2 to %d", c.Classes, maxWidth)
		}
	default:
		return bad("kind %q", c.Kind)
	}
	if c.Num < 0 || c.Bin < 0 || c.Num > maxWidth || c.Bin > maxWidth || len(c.Cat) > maxWidth {
		return bad("%d numeric, %d binary, %d categorical columns", c.Num, c.Bin, len(c.Cat))
	}
	for _, n := range c.Cat {
		if n < 0 || n > maxWidth {
			return bad("a vocabulary of %d, want at most %d", n, maxWidth)
		}
	}
	if w := c.width(); w < 1 || w > maxWidth {
		return bad("rows of %d numbers, want 1 to %d", w, maxWidth)
	}
	switch {
	case c.Dim < 1 || c.Dim > maxDim:
		return bad("dim %d, want 1 to %d", c.Dim, maxDim)
	case c.Encoders < 0 || c.Encoders > maxBlocks || c.Predictors < 0 || c.Predictors > maxBlocks:
		return bad("%d encoder and %d predictor blocks, want 0 to %d", c.Encoders, c.Predictors, maxBlocks)
	case c.Context < 1 || c.Context > maxContext:
		return bad("a context of %d, want 1 to %d", c.Context, maxContext)
	case !(c.ContextP >= 0 && c.ContextP < 1 && c.DropoutP >= 0 && c.DropoutP < 1):
		return bad("dropout %v of contexts, %v of layers, want 0 to below 1", c.ContextP, c.DropoutP)
	}
	return c.checkEmbedding(bad)
}

func (c *Config) checkEmbedding(bad func(string, ...any) error) error {
	switch c.Embedding {
	case Plain:
		if c.EmbedDim != 0 || c.Frequencies != 0 {
			return bad("sizes of an embedding without one")
		}
		return nil
	case Linear:
		if c.Frequencies != 0 {
			return bad("frequencies of a linear embedding")
		}
	case Periodic:
		if c.Frequencies < 1 || c.Frequencies > maxDim || !(c.Sigma >= 0 && c.Sigma < 1e6) {
			return bad("%d frequencies of deviation %v", c.Frequencies, c.Sigma)
		}
	default:
		return bad("embedding %q", c.Embedding)
	}
	if c.Num < 1 || c.EmbedDim < 1 || c.EmbedDim > maxDim || c.inputs() > 1<<20 {
		return bad("an embedding of %d columns in %d numbers each", c.Num, c.EmbedDim)
	}
	return nil
}

// width is the numbers of a row: numeric, binary, one-hot.
func (c *Config) width() int {
	n := c.Num + c.Bin
	for _, size := range c.Cat {
		n += size
	}
	return n
}

// inputs is the width of u.
func (c *Config) inputs() int {
	if c.Embedding == Plain {
		return c.width()
	}
	return c.width() + c.Num*(c.EmbedDim-1)
}

// hidden is the width of hidden layers, out that of predictions, and labels the number
// of sums that Y is applied to: Σp·y and Σp, or the share of each class.
func (c *Config) hidden() int { return 2 * c.Dim }

func (c *Config) out() int {
	if c.Kind == tabular.Multiclass {
		return c.Classes
	}
	return 1
}

func (c *Config) labels() int {
	if c.Kind == tabular.Multiclass {
		return c.Classes
	}
	return 2
}

// affine reports that keys are an affine function of rows, of no more dimensions than
// keys have: distances can be had in the space of rows.
func (c *Config) affine() bool {
	return c.Encoders == 0 && c.Embedding == Plain && c.width() <= c.Dim
}

// narrowWidth is the width up to which W_T1 W_K W_in is applied to differences of rows,
// rather than to rows.
const narrowWidth = 32

func (c *Config) narrow() bool { return c.affine() && c.width() <= narrowWidth }

// numbers counts the parameters.
func (c *Config) numbers() int {
	d, h := c.Dim, c.hidden()
	block := h*d + h + d*h + d
	n := d*c.inputs() + d + d*d + d + h*d + h + d*h + c.out()*d + c.out() + 2*d
	n += c.labels() * d
	n += c.Predictors * (block + 2*d)
	if c.Encoders > 0 {
		n += c.Encoders*(block+2*d) - 2*d + 2*d
	}
	switch c.Embedding {
	case Linear:
		n += 2 * c.Num * c.EmbedDim
	case Periodic:
		n += c.Num*c.Frequencies + 2*c.Frequencies*c.EmbedDim + c.EmbedDim
	}
	return n
}
