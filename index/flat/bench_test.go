package flat_test

import (
	"context"
	"math/rand"
	"testing"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/index/flat"
	"github.com/eiderdb/eider/simd"
)

// BenchmarkScan compares an exact search over memory far beyond the caches with
// the time simd.Probe takes to read as many bytes.
func BenchmarkScan(b *testing.B) {
	const n, dim = 300_000, 128
	x, err := flat.New(index.Config{Dim: dim, Workers: 1})
	if err != nil {
		b.Fatal(err)
	}
	defer x.Close()
	r := rand.New(rand.NewSource(1))
	vec := make([]float32, dim)
	same := make([]float32, n*dim)
	for i := range n {
		for j := range vec {
			vec[j] = r.Float32()
		}
		copy(same[i*dim:], vec)
		if err := x.Insert(context.Background(), uint32(i), vec); err != nil {
			b.Fatal(err)
		}
	}
	var hits []index.Hit
	b.Run("search", func(b *testing.B) {
		b.SetBytes(n * dim * 4)
		for b.Loop() {
			if hits, _, err = x.Search(context.Background(), vec, index.Params{K: 10}, hits[:0]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("probe", func(b *testing.B) {
		b.SetBytes(n * dim * 4)
		for b.Loop() {
			simd.Probe(same)
		}
	})
}
