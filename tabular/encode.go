package tabular

import (
	"fmt"
	"slices"
)

// Encode turns rows of t, nil for all, into Data: for training and measuring with
// labels, which every row must have then, for a question without. A column that t does
// not have is missing in every row. Error: ErrValue naming row and column.
// O(rows·columns), and a binary search in each transform and vocabulary.
func (e *Encoder) Encode(t *Table, rows []int, labels bool) (*Data, error) {
	rows = t.these(rows)
	d := e.empty(len(rows))
	for j, c := range e.numeric {
		column := t.get(c.Name)
		for r, i := range rows {
			switch v := cell(column, i); v.form {
			case number:
				d.Num[r*d.NumWidth+j] = c.apply(e.options.Method, v.num)
			case absent:
				d.Num[r*d.NumWidth+j] = c.apply(e.options.Method, c.Mean)
			default:
				return nil, notNumber(i, c.Name, v)
			}
		}
	}
	e.flags(t, rows, d)
	for j, c := range e.categorical {
		column := t.get(c.Name)
		for r, i := range rows {
			d.Cat[r*len(d.CatSizes)+j] = c.code(cell(column, i))
		}
	}
	if !labels {
		return d, nil
	}
	return d, e.labels(t, rows, d)
}

// empty is Data of so many rows with nothing in it.
func (e *Encoder) empty(rows int) *Data {
	d := &Data{
		Rows: rows, NumWidth: len(e.numeric), BinWidth: len(e.binary),
		Kind: e.schema.Kind, Classes: len(e.classes), Mean: e.mean, Std: e.std,
	}
	for _, c := range e.numeric {
		if c.Indicator {
			d.BinWidth++
		}
	}
	for _, c := range e.categorical {
		d.CatSizes = append(d.CatSizes, len(c.Values))
	}
	d.Num = make([]float32, rows*d.NumWidth)
	d.Bin = make([]float32, rows*d.BinWidth)
	d.Cat = make([]int32, rows*len(d.CatSizes))
	return d
}

// flags fills binary columns and indicators.
func (e *Encoder) flags(t *Table, rows []int, d *Data) {
	for j, c := range e.binary {
		column := t.get(c.Name)
		for r, i := range rows {
			is := c.Common
			if v := cell(column, i); v.form != absent {
				if k := slices.Index(c.Values, v.key()); k >= 0 {
					is = k
				}
			}
			d.Bin[r*d.BinWidth+j] = float32(is)
		}
	}
	j := len(e.binary)
	for _, c := range e.numeric {
		if !c.Indicator {
			continue
		}
		column := t.get(c.Name)
		for r, i := range rows {
			if cell(column, i).form == absent {
				d.Bin[r*d.BinWidth+j] = 1
			}
		}
		j++
	}
}

// code is the row of v in the vocabulary, the size of it if there is none.
func (c *vocabulary) code(v value) int32 {
	if i, ok := slices.BinarySearch(c.Values, v.key()); ok {
		return int32(i)
	}
	return int32(len(c.Values))
}

func (e *Encoder) labels(t *Table, rows []int, d *Data) error {
	column, name := t.get(e.schema.Target), e.schema.Target
	d.Y = make([]float32, len(rows))
	for r, i := range rows {
		v := cell(column, i)
		if e.schema.Kind == Regression {
			if v.form != number {
				return notNumber(i, name, v)
			}
			d.Y[r] = float32((v.num - e.mean) / e.std)
			continue
		}
		k, ok := slices.BinarySearch(e.classes, v.key())
		if !ok || v.form == absent {
			return fmt.Errorf("%w: row %d: training rows do not have the class %.60q", ErrValue, i+1, v.key())
		}
		d.Y[r] = float32(k)
	}
	return nil
}
