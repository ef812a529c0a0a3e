package hnsw_test

import (
	"context"
	"fmt"
	"math/rand"
	"slices"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/index/flat"
)

// predicate returns ids of n that a filter of some share allows: at random, the
// nearest to a point, or the farthest from it.
func predicate(t testing.TB, f *flat.Index, kind string, share float64, centre []float32, n int, r *rand.Rand) *roaring.Bitmap {
	allow := roaring.New()
	want := max(1, int(share*float64(n)))
	if kind == "random" {
		for _, id := range r.Perm(n)[:want] {
			allow.Add(uint32(id))
		}
		return allow
	}
	hits, _, err := f.Search(context.Background(), centre, index.Params{K: n}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if kind == "far" {
		slices.Reverse(hits)
	}
	for _, h := range hits[:want] {
		allow.Add(h.ID)
	}
	return allow
}

func TestFilteredRecallHoldsAtEveryShare(t *testing.T) {
	n, dim := size(10000, 100000), 32
	r := rand.New(rand.NewSource(21))
	for _, data := range []string{"gaussian", "clustered"} {
		vecs := clustered(r, n, dim)
		if data == "gaussian" {
			for i := range vecs {
				vecs[i] = gaussian(r, dim, nil, 1)
			}
		}
		x, f := pair(t, index.Config{Dim: dim})
		fill(t, x, vecs)
		fill(t, f, vecs)
		for _, kind := range []string{"random", "near", "far"} {
			for _, share := range []float64{0.9, 0.5, 0.3, 0.2, 0.1, 0.05, 0.01, 0.001} {
				t.Run(fmt.Sprintf("%s/%s/%g", data, kind, share), func(t *testing.T) {
					var got float64
					var cost, allowed int
					queries := size(40, 50)
					for range queries {
						q := gaussian(r, dim, vecs[r.Intn(n)], 0.3)
						allow := predicate(t, f, kind, share, q, n, r)
						p := index.Params{K: 10, Allow: allow}
						got += recall(t, x, f, [][]float32{q}, p) / float64(queries)
						_, w, _ := x.Search(context.Background(), q, p, nil)
						cost += w.Distances
						allowed = int(allow.GetCardinality())
					}
					t.Logf("recall %.4f, %d distances of %d", got, cost/queries, allowed)
					if got < 0.98 {
						t.Errorf("recall %.4f < 0.98", got)
					}
					if cost/queries > 2*allowed+500 {
						t.Errorf("%d distances, an exact scan takes %d", cost/queries, allowed)
					}
				})
			}
		}
	}
}
