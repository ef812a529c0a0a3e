package eider

import (
	"context"
	"fmt"
	"math"

	"github.com/eiderdb/eider/rank/linear"
	"github.com/eiderdb/eider/storage/format"
	"github.com/eiderdb/eider/storage/registry"
)

// The kind "linear": a weighted sum of numeric and boolean fields of documents,
// which rank/linear computes.

func linearConfig(m *format.Model) (linear.Config, error) {
	c, err := linear.Parse(m.Config)
	for _, f := range c.Fields {
		if err == nil && !validField(f) {
			err = fmt.Errorf("%.140q is not a field name", f)
		}
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return c, err
}

func checkLinear(m *format.Model) error {
	c, err := linearConfig(m)
	if err != nil {
		return err
	}
	return registry.Expect{Tensors: map[string]registry.Shape{
		"weight": {DType: "F32", Dims: []int{1, len(c.Fields)}},
		"bias":   {DType: "F32", Dims: []int{1}},
	}}.Match(m)
}

func loadLinear(m *format.Model, tensors map[string]format.Tensor) (scorer, error) {
	c, err := linearConfig(m)
	if err != nil {
		return nil, err
	}
	model, err := linear.New(c, floats(tensors["weight"]), floats(tensors["bias"])[0])
	if err != nil {
		return nil, err
	}
	l := &linearScorer{model: model}
	for _, f := range c.Fields {
		l.fields = append(l.fields, input{name: f, types: []FieldType{Int64, Float64, Bool}})
	}
	return l, nil
}

type linearScorer struct {
	model  *linear.Model
	fields []input
}

func (l *linearScorer) needs() needs { return needs{fields: l.fields} }

func (l *linearScorer) score(_ context.Context, in *examples, out []float64, why []map[string]float64) error {
	row := make([]float64, 0, len(l.fields))
	for i := range out {
		row = numbers(row[:0], in.row(i))
		out[i] = l.model.Score(row)
		if why != nil {
			why[i] = l.explain(row)
		}
	}
	return nil
}

// explain is what each field adds to the sum, before the link; fields that add
// nothing are left out.
func (l *linearScorer) explain(row []float64) map[string]float64 {
	why := make(map[string]float64, len(l.fields))
	for j, t := range l.model.Terms(nil, row) {
		if t != 0 {
			why[l.fields[j].name] = t
		}
	}
	return why
}

// numbers appends values as numbers to dst, NaN for those that are none.
func numbers(dst []float64, values []format.Value) []float64 {
	for _, v := range values {
		x := math.NaN()
		switch v.Kind() {
		case format.KindInt64:
			x = float64(v.Int64())
		case format.KindFloat64:
			x = v.Float64()
		case format.KindBool:
			if x = 0; v.Bool() {
				x = 1
			}
		}
		dst = append(dst, x)
	}
	return dst
}
