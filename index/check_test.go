package index_test

import (
	"errors"
	"math"
	"testing"

	"github.com/eiderdb/eider/index"
)

func TestOneBadComponentAnywhereIsRefused(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	for dim := 1; dim < 12; dim++ {
		for i := range dim {
			for _, c := range []struct {
				x    float32
				want error
			}{
				{nan, index.ErrNotFinite}, {inf, index.ErrNotFinite}, {math.MaxFloat32, index.ErrNotFinite},
				{1e15, nil}, {math.SmallestNonzeroFloat32, nil}, {0, index.ErrZeroVector},
			} {
				v := make([]float32, dim)
				v[i] = c.x
				if err := index.CheckVector(index.Cosine, dim, v); !errors.Is(err, c.want) {
					t.Errorf("component %d of %d is %v: %v, want %v", i, dim, c.x, err, c.want)
				}
			}
		}
	}
	if err := index.CheckVector(index.L2, 3, make([]float32, 3)); err != nil {
		t.Errorf("a zero vector under l2: %v", err)
	}
	if err := index.CheckVector(index.L2, 3, make([]float32, 4)); !errors.Is(err, index.ErrDimension) {
		t.Errorf("4 components of 3: %v", err)
	}
}
