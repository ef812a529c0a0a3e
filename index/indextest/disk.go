package indextest

import (
	"context"
	"fmt"
	"sync"

	"github.com/eiderdb/eider/index"
)

// Coded is make with codes.
func Coded(make Factory, codes index.Codes) Factory {
	return func(cfg index.Config) (index.Index, error) {
		cfg.Codes = codes
		return make(cfg)
	}
}

// OnDisk is make with codes and a Source that keeps the vectors.
func OnDisk(make Factory, codes index.Codes) Factory {
	return func(cfg index.Config) (index.Index, error) {
		d := &disk{vecs: map[uint32][]float32{}}
		cfg.Codes, cfg.Source = codes, d
		x, err := make(cfg)
		if err != nil {
			return nil, err
		}
		d.Index = x
		return d, nil
	}
}

// disk is an index and the source of its vectors.
type disk struct {
	index.Index
	mu   sync.RWMutex
	vecs map[uint32][]float32
}

func (d *disk) Insert(ctx context.Context, id uint32, vec []float32) error {
	d.mu.Lock()
	old, had := d.vecs[id]
	d.vecs[id] = append([]float32(nil), vec...)
	d.mu.Unlock()
	err := d.Index.Insert(ctx, id, vec)
	if err != nil {
		d.mu.Lock()
		if delete(d.vecs, id); had {
			d.vecs[id] = old
		}
		d.mu.Unlock()
	}
	return err
}

func (d *disk) Read(id uint32, dst []float32) ([]float32, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	v, ok := d.vecs[id]
	if !ok {
		return dst, fmt.Errorf("id %d was never inserted", id)
	}
	return append(dst, v...), nil
}

// Nested is make with codes divided in the middle, where that is possible.
func Nested(make Factory, codes index.Codes) Factory {
	return func(cfg index.Config) (index.Index, error) {
		cfg.Codes = codes
		if cfg.Dim > 1 && cfg.Metric != index.IP {
			cfg.Widths = []int{(cfg.Dim + 1) / 2}
		}
		return make(cfg)
	}
}

// Rotated is Nested with codes of vectors that were rotated: reflected, for which a
// matrix is soon written.
func Rotated(make Factory, codes index.Codes) Factory {
	return Nested(func(cfg index.Config) (index.Index, error) {
		if len(cfg.Widths) > 0 {
			cfg.Rotate, cfg.Rotation = true, Reflection(cfg.Dim)
		}
		return make(cfg)
	}, codes)
}

// Reflection is an orthogonal matrix of dim × dim by rows, with no zeros in it.
func Reflection(dim int) []float32 {
	out := make([]float32, dim*dim)
	norm := 0.0
	for i := range dim {
		norm += float64((i + 1) * (i + 1))
	}
	for i := range dim {
		for j := range dim {
			x := -2 * float64((i+1)*(j+1)) / norm
			if i == j {
				x++
			}
			out[i*dim+j] = float32(x)
		}
	}
	return out
}
