package bottleneck

import (
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

var (
	// ErrConfig reports a configuration that no model can have.
	ErrConfig = errors.New("bottleneck: not a valid configuration")
	// ErrInput reports a vector, label, row or target that does not fit the model.
	ErrInput = errors.New("bottleneck: input does not fit the model")
	// ErrState reports a snapshot or record that is not of a bottleneck, or not of this one.
	ErrState = errors.New("bottleneck: not a valid state")
	// ErrUnknown reports a row or a class that was never learned, or is unlearned.
	ErrUnknown = errors.New("bottleneck: nothing learned under this name")
)

// Caps of a configuration.
const (
	MaxDim     = 1 << 16
	MaxHeads   = 4096
	MaxKeys    = 1<<16 - 1
	MaxTop     = 64
	MaxClasses = 1 << 16 // unlearned ones count
	MaxName    = 512     // bytes of the name of a row or a class
	MaxFloats  = 1 << 28 // of keys, of projections, of values
)

// Split says how a vector is cut into heads.
type Split string

const (
	Project Split = "project" // random projections with columns of length 1
	Chunk   Split = "chunk"   // equal pieces, in order
)

// Config is the shape of a model and how it learns. The zero value of a field is its
// default.
type Config struct {
	Dim    int    `json:"dim"`             // of vectors
	Heads  int    `json:"heads"`           // C; default 64
	Keys   int    `json:"keys"`            // K, of each head; default 1024
	KeyDim int    `json:"key_dim"`         // default 14; of chunks Dim/Heads
	Top    int    `json:"top,omitempty"`   // nearest keys of a head that give a value; default 1
	Split  Split  `json:"split,omitempty"` // default Project
	Seed   uint64 `json:"seed,omitempty"`  // of projections and keys

	// Classes that are known beforehand. Closed says that there will be no others.
	// An open model has one more class that stands for all not seen yet: it takes
	// part in learning and is never predicted, and a new class begins as its copy.
	Classes []string `json:"classes,omitempty"`
	Closed  bool     `json:"closed,omitempty"`

	// Targets, if not 0, makes it a regression of so many numbers. It has no classes.
	Targets int `json:"targets,omitempty"`

	// Steps of gradient descent, of softmax cross-entropy or half the squared error.
	Rate      float64  `json:"rate,omitempty"`      // default 0.3; of a regression 0.3·Heads/Top, so that a step takes 0.3 of the error away
	Smoothing *float64 `json:"smoothing,omitempty"` // of labels, [0, 1); default 0.1
	Clip      *float64 `json:"clip,omitempty"`      // most norm of a row's whole gradient, 0 for none; default 1, of a regression 0
}

// Default returns c with defaults in place of zeros. It does not check.
func (c Config) Default() Config {
	or := func(x *int, y int) {
		if *x == 0 {
			*x = y
		}
	}
	or(&c.Heads, 64)
	or(&c.Keys, 1024)
	or(&c.Top, 1)
	if c.Split == "" {
		c.Split = Project
	}
	if c.Split == Chunk && c.Heads > 0 {
		or(&c.KeyDim, c.Dim/c.Heads)
	}
	or(&c.KeyDim, 14)
	smoothing, clip := 0.1, 1.0
	if c.Targets != 0 {
		smoothing, clip = 0, 0
	}
	if c.Smoothing == nil {
		c.Smoothing = &smoothing
	}
	if c.Clip == nil {
		c.Clip = &clip
	}
	if c.Rate == 0 {
		if c.Rate = 0.3; c.Targets != 0 && c.Top > 0 {
			c.Rate *= float64(c.Heads) / float64(c.Top)
		}
	}
	return c
}

// Check reports a configuration that no model can have: ErrConfig. Defaults must be in
// place.
func (c Config) Check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{ErrConfig}, args...)...)
	}
	for _, x := range []struct {
		name    string
		n, most int
	}{{"dim", c.Dim, MaxDim}, {"heads", c.Heads, MaxHeads}, {"keys", c.Keys, MaxKeys}, {"key_dim", c.KeyDim, MaxDim}, {"top", c.Top, min(MaxTop, c.Keys)}} {
		if x.n < 1 || x.n > x.most {
			return bad("%s is %d, want 1 to %d", x.name, x.n, x.most)
		}
	}
	switch {
	case c.Split != Project && c.Split != Chunk:
		return bad("split is %.40q, want %q or %q", c.Split, Project, Chunk)
	case c.Split == Chunk && c.KeyDim*c.Heads != c.Dim:
		return bad("%d chunks of %d components are not a vector of %d", c.Heads, c.KeyDim, c.Dim)
	case c.Heads*c.Keys*c.KeyDim > MaxFloats || c.Heads*c.KeyDim*c.Dim > MaxFloats:
		return bad("keys or projections of more than %d numbers", MaxFloats)
	case c.Targets < 0 || c.Targets > MaxClasses:
		return bad("targets is %d, want 0 to %d", c.Targets, MaxClasses)
	case c.Targets > 0 && (len(c.Classes) > 0 || c.Closed):
		return bad("a regression has no classes")
	case c.Closed && len(c.Classes) == 0:
		return bad("closed, but no classes")
	case c.width() > MaxClasses || c.Heads*c.Keys*max(c.width(), 1) > MaxFloats:
		return bad("values of more than %d numbers", MaxFloats)
	case !(c.Rate > 0) || c.Rate > 1e6:
		return bad("rate is %v, want above 0, at most 1e6", c.Rate)
	case c.Smoothing == nil || !(*c.Smoothing >= 0 && *c.Smoothing < 1):
		return bad("smoothing must be given, at least 0, below 1")
	case c.Clip == nil || !(*c.Clip >= 0) || math.IsInf(*c.Clip, 0):
		return bad("clip must be given, at least 0")
	}
	seen := map[string]bool{}
	for _, name := range c.Classes {
		if err := checkName(name); err != nil || seen[name] {
			return bad("class %.80q is empty, too long, not UTF-8, or given twice", name)
		}
		seen[name] = true
	}
	return nil
}

// width is how many columns the values have to begin with.
func (c *Config) width() int { return max(c.Targets, len(c.Classes)) }

// open reports a model that takes new classes.
func (c *Config) open() bool { return c.Targets == 0 && !c.Closed }

// checkName reports a name of a row or a class that cannot be one: ErrInput.
func checkName(name string) error {
	if name == "" || len(name) > MaxName || !utf8.ValidString(name) {
		return fmt.Errorf("%w: name %.80q: want 1 to %d bytes of UTF-8", ErrInput, name, MaxName)
	}
	return nil
}
