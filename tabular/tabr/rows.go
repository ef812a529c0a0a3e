package tabr

import (
	"fmt"
	"math"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/tabular"
)

// fits reports rows that are not of the shape that c was made for, and numbers that are
// not finite.
func (c *Config) fits(d *tabular.Data) error {
	switch {
	case d.Rows < 0 || d.NumWidth != c.Num || d.BinWidth != c.Bin || len(d.CatSizes) != len(c.Cat):
		return fmt.Errorf("%w: %d numeric, %d binary, %d categorical columns, want %d, %d, %d", ErrData,
			d.NumWidth, d.BinWidth, len(d.CatSizes), c.Num, c.Bin, len(c.Cat))
	case len(d.Num) != d.Rows*c.Num || len(d.Bin) != d.Rows*c.Bin || len(d.Cat) != d.Rows*len(c.Cat):
		return fmt.Errorf("%w: %d rows of %d, %d, %d values", ErrData, d.Rows, len(d.Num), len(d.Bin), len(d.Cat))
	}
	for _, s := range [][]float32{d.Num, d.Bin} {
		for i, x := range s {
			if v := float64(x); math.IsNaN(v) || math.IsInf(v, 0) {
				return fmt.Errorf("%w: value %d is %v", ErrData, i, x)
			}
		}
	}
	return nil
}

// labelled reports rows without labels, or with such as c cannot have.
func (c *Config) labelled(d *tabular.Data) error {
	if err := c.fits(d); err != nil {
		return err
	}
	if len(d.Y) != d.Rows {
		return fmt.Errorf("%w: %d labels of %d rows", ErrData, len(d.Y), d.Rows)
	}
	classes := c.labels()
	for i, y := range d.Y {
		v := float64(y)
		if math.IsNaN(v) || math.IsInf(v, 0) || c.Kind != tabular.Regression && (y < 0 || y >= float32(classes) || y != float32(int(y))) {
			return fmt.Errorf("%w: label %d is %v", ErrData, i, y)
		}
	}
	return nil
}

// spread writes row i of d to dst, of width numbers: numbers, binary, one-hot. A code
// that is not in the vocabulary is all zeros.
func (c *Config) spread(dst []float32, d *tabular.Data, i int) {
	n := copy(dst, d.Num[i*c.Num:][:c.Num])
	n += copy(dst[n:], d.Bin[i*c.Bin:][:c.Bin])
	clear(dst[n:])
	for j, size := range c.Cat {
		if code := d.Cat[i*len(c.Cat)+j]; code >= 0 && int(code) < size {
			dst[n+int(code)] = 1
		}
		n += size
	}
}

func (c *Config) matrix(d *tabular.Data) nn.Matrix {
	m := nn.NewMatrix(d.Rows, c.width())
	for i := range d.Rows {
		c.spread(m.Row(i), d, i)
	}
	return m
}
