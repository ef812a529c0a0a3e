package tabular

import (
	"fmt"
	"slices"
)

// Options of an encoder. The zero value is the quantile transform with seed 0.
type Options struct {
	Method Method `json:"method"` // "" is Quantile
	Seed   uint64 `json:"seed"`   // of the noise
}

// Encoder turns rows of a table into Data. What it knows it has from the rows it was
// fitted on: transforms, vocabularies, classes, mean and deviation of the target. It
// does not change, and serves many goroutines.
//
// A missing number is taken for the mean of the training rows; where training rows
// miss some, an indicator of it (1: missing) follows the binary columns. A binary
// column that misses its value, or has a third one, has the commoner value. A category
// that is missing is a category of its own if training rows miss it, else unknown,
// as any value they do not have.
type Encoder struct {
	schema      Schema
	options     Options
	numeric     []numeric
	binary      []pair
	categorical []vocabulary
	classes     []string // of the target, sorted as texts; nil for regression
	mean, std   float64  // of the target; 0 and 1 of classes
}

// numeric is a fitted numeric column.
type numeric struct {
	Name string `json:"name"`
	transform
	Indicator bool `json:"indicator,omitempty"`
}

// pair is a fitted binary column.
type pair struct {
	Name   string   `json:"name"`
	Values []string `json:"values"` // one or two, in order of text
	Common int      `json:"common"` // the value that more rows have
}

// vocabulary is a fitted categorical column: values in order of text, "" for missing.
type vocabulary struct {
	Name   string   `json:"name"`
	Values []string `json:"values"`
}

// Fit makes an encoder from the training rows of t, nil for all, and no others.
// Errors: ErrSchema; ErrValue naming a row and column, or a column without a value.
// O(rows·columns·log rows).
func Fit(t *Table, rows []int, s Schema, o Options) (*Encoder, error) {
	if o.Method == "" {
		o.Method = Quantile
	}
	if !slices.Contains([]Method{Quantile, Standard, Identity}, o.Method) {
		return nil, fmt.Errorf("%w: transform %q; use quantile, standard or none", ErrSchema, o.Method)
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	s.Columns = slices.Clone(s.Columns)
	e := &Encoder{schema: s, options: o, std: 1}
	rows = t.these(rows)
	for _, c := range s.Columns {
		if err := e.fit(t, rows, c); err != nil {
			return nil, err
		}
	}
	return e, e.fitTarget(t, rows)
}

// these is rows, or all of them.
func (t *Table) these(rows []int) []int {
	if rows == nil {
		for i := range t.rows {
			rows = append(rows, i)
		}
	}
	return rows
}

func (e *Encoder) fit(t *Table, rows []int, c Column) error {
	column := t.get(c.Name)
	switch c.Type {
	case Ignored:
	case Numeric:
		values, err := numbers(column, rows, c.Name)
		if err != nil {
			return err
		}
		if len(values) == 0 {
			return fmt.Errorf("%w: no training row has a number in column %q", ErrValue, c.Name)
		}
		f := newTransform(e.options.Method, values, e.options.Seed, uint64(len(e.numeric)))
		e.numeric = append(e.numeric, numeric{c.Name, f, len(values) < len(rows)})
	case TwoValued:
		values, counts := keys(column, rows, false)
		if n := len(values); n < 1 || n > 2 {
			return fmt.Errorf("%w: training rows have %d values in the binary column %q", ErrValue, n, c.Name)
		}
		p := pair{Name: c.Name, Values: values}
		if len(values) == 2 && counts[values[1]] > counts[values[0]] {
			p.Common = 1
		}
		e.binary = append(e.binary, p)
	case Categorical:
		values, _ := keys(column, rows, true)
		e.categorical = append(e.categorical, vocabulary{c.Name, values})
	default:
		return fmt.Errorf("%w: column %q of type %q; use numeric, binary, categorical or ignored", ErrSchema, c.Name, c.Type)
	}
	return nil
}

// numbers collects the numbers of a column, without the missing ones. Error: ErrValue
// if one is something else.
func numbers(column []value, rows []int, name string) ([]float64, error) {
	values := make([]float64, 0, len(rows))
	for _, i := range rows {
		switch v := cell(column, i); v.form {
		case number:
			values = append(values, v.num)
		case text, other:
			return nil, notNumber(i, name, v)
		}
	}
	return values, nil
}

func notNumber(row int, name string, v value) error {
	return fmt.Errorf("%w: row %d, column %q: %.60q is not a number", ErrValue, row+1, name, v.text)
}

// keys counts the values of a column and lists them in order of text.
func keys(column []value, rows []int, absentToo bool) ([]string, map[string]int) {
	counts := map[string]int{}
	for _, i := range rows {
		if v := cell(column, i); absentToo || v.form != absent {
			counts[v.key()]++
		}
	}
	values := make([]string, 0, len(counts))
	for k := range counts {
		values = append(values, k)
	}
	slices.Sort(values)
	return values, counts
}

func (e *Encoder) fitTarget(t *Table, rows []int) error {
	column, name := t.get(e.schema.Target), e.schema.Target
	if e.schema.Kind == Regression {
		values, err := numbers(column, rows, name)
		if err != nil {
			return err
		}
		if len(values) == 0 || len(values) < len(rows) {
			return fmt.Errorf("%w: %d of %d training rows have the target %q", ErrValue, len(values), len(rows), name)
		}
		e.mean, e.std = moments(values)
		if e.std == 0 {
			return fmt.Errorf("%w: all training rows have the same target %q", ErrValue, name)
		}
		return nil
	}
	e.classes, _ = keys(column, rows, true)
	if e.classes[0] == "" {
		return fmt.Errorf("%w: training rows without the target %q", ErrValue, name)
	}
	if n := len(e.classes); n < 2 || e.schema.Kind == Binary && n != 2 {
		return fmt.Errorf("%w: the target %q has %d classes in training rows and is %s", ErrValue, name, n, e.schema.Kind)
	}
	return nil
}

// Schema is what the encoder reads. Its columns are the encoder's.
func (e *Encoder) Schema() Schema { return e.schema }

// Classes are the names of the target's classes in order of their numbers, nil for a
// regression. The slice is the encoder's.
func (e *Encoder) Classes() []string { return e.classes }

// Names lists what the columns of Data mean, in order: of Num, of Bin, where an
// indicator is the column's name and " is missing", and of Cat.
func (e *Encoder) Names() (num, bin, cat []string) {
	for _, c := range e.binary {
		bin = append(bin, c.Name)
	}
	for _, c := range e.numeric {
		num = append(num, c.Name)
		if c.Indicator {
			bin = append(bin, c.Name+" is missing")
		}
	}
	for _, c := range e.categorical {
		cat = append(cat, c.Name)
	}
	return num, bin, cat
}
