package din

import (
	"fmt"
	"slices"
)

// Shapes lists the tensors of a model of c and their shapes, without making room
// for its tables. most bounds the numbers that the model may have, so that what a
// configuration promises is not believed before it is there. Errors: ErrConfig, and
// ErrTensor if most is not enough.
func Shapes(c Config, most int64) (map[string][]int, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if want := int64(c.numbers()); most < want {
		return nil, fmt.Errorf("%w: %d numbers in all tensors, the model has %d", ErrTensor, most, want)
	}
	fields := slices.Concat(c.Item, c.User)
	small := c
	small.Item, small.User = one(c.Item), one(c.User)
	items := &Items{0, small.Item, make([]Column, len(c.Item))}
	for i := range items.columns {
		if small.Item[i].Many {
			items.columns[i].Start = []int32{0}
		}
	}
	m, err := New(small, items, 0)
	if err != nil {
		return nil, err
	}
	all := map[string][]int{}
	for name, s := range m.slots() {
		all[name] = s.shape
	}
	for _, f := range fields {
		all[tableName(f.Name)][0] = f.Rows
	}
	if c.Bias {
		all[biasName][0] = c.Item[0].Rows
	}
	return all, nil
}

// one is fields with one row each.
func one(fields []Field) []Field {
	out := slices.Clone(fields)
	for i := range out {
		out[i].Rows = 1
	}
	return out
}
