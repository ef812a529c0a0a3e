package tabular

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
)

// An encoder is stored as JSON with this version and these bounds.
const (
	encoderFormat = 1
	maxBytes      = 64 << 20
	maxColumns    = 1 << 14
	maxValues     = 1 << 20 // of one vocabulary
)

// stored is the JSON of an encoder.
type stored struct {
	Format      int          `json:"format"`
	Schema      Schema       `json:"schema"`
	Options     Options      `json:"options"`
	Numeric     []numeric    `json:"numeric"`
	Binary      []pair       `json:"binary"`
	Categorical []vocabulary `json:"categorical"`
	Classes     []string     `json:"classes,omitempty"`
	Mean        float64      `json:"mean"`
	Std         float64      `json:"std"`
}

// MarshalJSON writes the encoder: equal encoders give equal bytes.
func (e *Encoder) MarshalJSON() ([]byte, error) {
	return json.Marshal(stored{encoderFormat, e.schema, e.options, e.numeric, e.binary, e.categorical, e.classes, e.mean, e.std})
}

// ParseEncoder reads what MarshalJSON wrote and checks that Encode can rely on it:
// sorted vocabularies without repeats, rising quantiles, finite numbers, columns that
// are the schema's. Error: ErrEncoder.
func ParseEncoder(b []byte) (*Encoder, error) {
	if len(b) > maxBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are read", ErrEncoder, len(b), maxBytes)
	}
	var s stored
	in := json.NewDecoder(bytes.NewReader(b))
	in.DisallowUnknownFields()
	if err := in.Decode(&s); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrEncoder, err)
	}
	if _, err := in.Token(); err != io.EOF {
		return nil, fmt.Errorf("%w: something follows it", ErrEncoder)
	}
	if s.Format != encoderFormat {
		return nil, fmt.Errorf("%w: format %d, this program reads %d", ErrEncoder, s.Format, encoderFormat)
	}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEncoder, err)
	}
	return &Encoder{s.Schema, s.Options, s.Numeric, s.Binary, s.Categorical, s.Classes, s.Mean, s.Std}, nil
}

func (s *stored) check() error {
	if err := s.Schema.check(); err != nil {
		return err
	}
	if len(s.Schema.Columns) > maxColumns {
		return fmt.Errorf("%d columns, at most %d are read", len(s.Schema.Columns), maxColumns)
	}
	if err := s.columns(); err != nil {
		return err
	}
	for _, c := range s.Numeric {
		if err := c.check(s.Options.Method); err != nil {
			return fmt.Errorf("column %q: %w", c.Name, err)
		}
	}
	for _, c := range s.Binary {
		if err := sorted(c.Values, 1); err != nil {
			return fmt.Errorf("column %q: %w", c.Name, err)
		}
		if len(c.Values) > 2 || c.Common < 0 || c.Common >= len(c.Values) {
			return fmt.Errorf("column %q: %d values, number %d the common one", c.Name, len(c.Values), c.Common)
		}
	}
	for _, c := range s.Categorical {
		if err := sorted(c.Values, 0); err != nil {
			return fmt.Errorf("column %q: %w", c.Name, err)
		}
	}
	return s.target()
}

// columns compares the fitted columns with those of the schema.
func (s *stored) columns() error {
	var fitted, want [3][]string
	for _, c := range s.Numeric {
		fitted[0] = append(fitted[0], c.Name)
	}
	for _, c := range s.Binary {
		fitted[1] = append(fitted[1], c.Name)
	}
	for _, c := range s.Categorical {
		fitted[2] = append(fitted[2], c.Name)
	}
	for _, c := range s.Schema.Columns {
		i := slices.Index([]Type{Numeric, TwoValued, Categorical}, c.Type)
		if i >= 0 {
			want[i] = append(want[i], c.Name)
		} else if c.Type != Ignored {
			return fmt.Errorf("column %q of type %q", c.Name, c.Type)
		}
	}
	for i := range want {
		if !slices.Equal(fitted[i], want[i]) {
			return fmt.Errorf("columns %q were fitted, the schema has %q", fitted[i], want[i])
		}
	}
	return nil
}

func (c *numeric) check(m Method) error {
	if !slices.Contains([]Method{Quantile, Standard, Identity}, m) {
		return fmt.Errorf("transform %q", m)
	}
	if !finite(c.Mean) || !finite(c.Std) || c.Std <= 0 {
		return fmt.Errorf("mean %v, deviation %v", c.Mean, c.Std)
	}
	if n := len(c.Quantiles); (m == Quantile) != (n > 0) || n > mostQuantiles {
		return fmt.Errorf("%d quantiles for the transform %q", n, m)
	}
	if !slices.IsSorted(c.Quantiles) {
		return fmt.Errorf("its quantiles fall")
	}
	return nil
}

func (s *stored) target() error {
	if !finite(s.Mean) || !finite(s.Std) || s.Std <= 0 {
		return fmt.Errorf("target: mean %v, deviation %v", s.Mean, s.Std)
	}
	n := len(s.Classes)
	if s.Schema.Kind == Regression && n > 0 || s.Schema.Kind == Binary && n != 2 {
		return fmt.Errorf("target: %d classes, and %s", n, s.Schema.Kind)
	}
	if s.Schema.Kind == Regression {
		return nil
	}
	if s.Mean != 0 || s.Std != 1 {
		return fmt.Errorf("target: classes with mean %v and deviation %v", s.Mean, s.Std)
	}
	return sorted(s.Classes, 2)
}

// sorted checks a vocabulary of at least so many values.
func sorted(values []string, least int) error {
	if len(values) < least || len(values) > maxValues {
		return fmt.Errorf("%d values; between %d and %d are read", len(values), least, maxValues)
	}
	for i := 1; i < len(values); i++ {
		if values[i] <= values[i-1] {
			return fmt.Errorf("%.60q follows %.60q", values[i], values[i-1])
		}
	}
	return nil
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
