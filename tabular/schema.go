package tabular

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// Type is how a column is read.
type Type string

// The types of columns.
const (
	Numeric     Type = "numeric"
	TwoValued   Type = "binary" // one of two values, the smaller text is 0
	Categorical Type = "categorical"
	Ignored     Type = "ignored"
)

// Column is a column that is not the target.
type Column struct {
	Name string `json:"name"`
	Type Type   `json:"type"`
	Note string `json:"note,omitempty"` // why it is of this type
}

// Schema says how the columns of a table are read and what is predicted.
type Schema struct {
	Target  string   `json:"target"`
	Kind    Kind     `json:"kind"`
	Note    string   `json:"note,omitempty"` // why it is of this kind
	Columns []Column `json:"columns"`
}

// Of inference.
const (
	fewRows      = 50   // below, texts that all differ are not taken for names
	manyValues   = 1024 // of texts: more are names, not categories
	manyClasses  = 20   // of whole numbers as a target: more are numbers
	rowsPerClass = 20   // that such a target has at least
	distinctMost = 0.5  // share of distinct texts above which they are names
)

// profile is what a column's rows say about it.
type profile struct {
	rows, absent, numbers, texts, others int
	whole                                bool
	low, high                            float64
	distinct                             map[string]int // up to manyValues+1, by key
	all                                  bool           // distinct has them all
	unique                               bool           // no number came twice
}

func (t *Table) profile(name string) profile {
	p := profile{whole: true, low: math.Inf(1), high: math.Inf(-1), distinct: map[string]int{}, all: true, unique: true}
	seen := map[float64]bool{}
	for _, v := range t.get(name) {
		p.rows++
		switch v.form {
		case absent:
			p.absent++
			continue
		case other:
			p.others++
			continue
		case number:
			p.numbers++
			p.whole = p.whole && v.num == math.Trunc(v.num)
			p.low, p.high = min(p.low, v.num), max(p.high, v.num)
			p.unique = p.unique && !seen[v.num]
			seen[v.num] = p.unique
		case text:
			p.texts++
		}
		if p.all {
			p.distinct[v.key()]++
			p.all = len(p.distinct) <= manyValues
		}
	}
	return p
}

// Infer finds out what the columns are and what kind of target there is. Every
// choice is in the schema with its reason, and Set overrules it. Error: ErrSchema if
// there is no such target or it has fewer than two values.
func Infer(t *Table, target string) (Schema, error) {
	s := Schema{Target: target}
	if t.get(target) == nil {
		return s, fmt.Errorf("%w: there is no column %q to predict among %s", ErrSchema, target, strings.Join(t.names, ", "))
	}
	p := t.profile(target)
	if len(p.distinct) < 2 {
		return s, fmt.Errorf("%w: the target %q has %d different values", ErrSchema, target, len(p.distinct))
	}
	s.Kind, s.Note = p.kind()
	for _, name := range t.names {
		if name != target {
			p := t.profile(name)
			typ, note := p.typ(name)
			s.Columns = append(s.Columns, Column{name, typ, note})
		}
	}
	return s, nil
}

// kind is what a target with these values is.
func (p *profile) kind() (Kind, string) {
	n := len(p.distinct)
	switch {
	case n == 2:
		return Binary, "two values: " + strings.Join(slices.Sorted(maps.Keys(p.distinct)), ", ")
	case p.texts > 0:
		return Multiclass, fmt.Sprintf("%d texts", n)
	case p.whole && n <= manyClasses && p.numbers >= n*rowsPerClass:
		return Multiclass, fmt.Sprintf("%d whole numbers", n)
	}
	return Regression, "numbers"
}

// typ is how a column with these values is read, and why.
func (p *profile) typ(name string) (Type, string) {
	present, n := p.numbers+p.texts, len(p.distinct)
	switch {
	case p.others > 0:
		return Ignored, "lists or objects"
	case present == 0:
		return Ignored, "no values"
	case n == 1 && p.absent == 0:
		return Ignored, "one value"
	case n == 1:
		return Categorical, "one value, or none"
	case n == 2 && p.absent == 0:
		return TwoValued, "two values: " + strings.Join(slices.Sorted(maps.Keys(p.distinct)), ", ")
	case p.texts == 0 && p.identifies(name):
		return Ignored, "whole numbers that all differ: an identifier"
	case p.texts == 0:
		return Numeric, "numbers" + p.gaps()
	case !p.all:
		return Ignored, fmt.Sprintf("more than %d texts", manyValues)
	case present >= fewRows && float64(n) > distinctMost*float64(present):
		return Ignored, "almost every row has a text of its own"
	}
	return Categorical, fmt.Sprintf("%d values", n) + p.gaps()
}

// identifies reports whether numbers count rows rather than measure something.
func (p *profile) identifies(name string) bool {
	name = strings.ToLower(name)
	named := strings.HasSuffix(name, "id") || name == "index" || name == "unnamed: 0"
	return p.rows >= fewRows && p.whole && p.unique && (named || p.high-p.low < 2*float64(p.rows))
}

func (p *profile) gaps() string {
	if p.absent == 0 {
		return ""
	}
	return fmt.Sprintf(", %d of %d missing", p.absent, p.rows)
}

// Set overrules the type of a column. Error: ErrSchema.
func (s *Schema) Set(name string, typ Type) error {
	i := slices.IndexFunc(s.Columns, func(c Column) bool { return c.Name == name })
	if i < 0 {
		return fmt.Errorf("%w: there is no column %q", ErrSchema, name)
	}
	if !slices.Contains([]Type{Numeric, TwoValued, Categorical, Ignored}, typ) {
		return fmt.Errorf("%w: column %q of type %q; use numeric, binary, categorical or ignored", ErrSchema, name, typ)
	}
	s.Columns[i].Type, s.Columns[i].Note = typ, "as told"
	return nil
}

// check refuses what no table can be read by.
func (s *Schema) check() error {
	if !slices.Contains([]Kind{Regression, Binary, Multiclass}, s.Kind) {
		return fmt.Errorf("%w: kind %q; use regression, binary or multiclass", ErrSchema, s.Kind)
	}
	seen := map[string]bool{s.Target: true}
	for _, c := range s.Columns {
		if seen[c.Name] {
			return fmt.Errorf("%w: column %q twice, or it is the target", ErrSchema, c.Name)
		}
		seen[c.Name] = true
	}
	return nil
}
