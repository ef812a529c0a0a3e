package bench

import (
	"errors"
	"io"
	"testing"

	"github.com/eiderdb/eider/internal/arena"
	"github.com/eiderdb/eider/simd"
)

func TestKernelsScoreAsTheSameInCDoes(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles C")
	}
	const size = 4 << 20
	region, err := arena.Reserve(size)
	if err == nil {
		err = region.Grow(size)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer region.Free()
	m, isa := newRowSpace(region), simd.Available()[0]
	c, err := compileKernels(t.Context(), t.TempDir(), isa, size)
	if errors.Is(err, errKernels) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	r := newReport("kernels", "", Options{}, io.Discard)
	if err := errors.Join(compareKernels(t.Context(), r, m, c, isa, 1), c.close()); err != nil {
		t.Error(err)
	}
	if len(r.all) != len(kernels()) {
		t.Errorf("%d figures of %d kernels", len(r.all), len(kernels()))
	}
}
