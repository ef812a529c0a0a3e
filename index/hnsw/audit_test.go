package hnsw_test

import (
	"context"
	"math/rand"
	"testing"
	"time"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/index/hnsw"
)

// unfound is the number of live vectors that a search by themselves with a pool of
// ten does not put first.
func unfound(t *testing.T, x *hnsw.Index, vecs [][]float32, live func(i int) bool) (lost int) {
	t.Helper()
	for i, v := range vecs {
		if !live(i) {
			continue
		}
		hits, _, err := x.Search(context.Background(), v, index.Params{K: 1, Ef: 10}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(hits) == 0 || hits[0].ID != uint32(i) {
			lost++
		}
	}
	return lost
}

// Vectors of many dimensions around few centres have neighbours that all prefer each
// other: some are linked to from places only that no walk comes by.
func TestEveryVectorIsFoundByItsOwnQuery(t *testing.T) {
	ctx := context.Background()
	n := size(6000, 20000)
	vecs := clustered(rand.New(rand.NewSource(51)), 2*n, 48)
	for name, codes := range map[string]index.Codes{"float32": index.None, "int8": index.Int8} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x, _ := pair(t, index.Config{Dim: 48, M: 6, EfConstruction: 30, Codes: codes})
			fill(t, x, vecs[:n])
			if lost := unfound(t, x, vecs[:n], func(int) bool { return true }); lost > 0 {
				t.Errorf("%d of %d are not found after a build", lost, n)
			}
			// Half of them die and as many come, in four turns.
			lsn := uint64(0)
			for turn := range 4 {
				for i := turn; i < n; i += 8 {
					lsn++
					x.Delete(uint32(i), lsn)
				}
				x.Release(lsn)
				for i := n + turn*n/8; i < n+(turn+1)*n/8; i++ {
					if err := x.Insert(ctx, uint32(i), vecs[i]); err != nil {
						t.Fatal(err)
					}
				}
				if err := x.Drain(ctx); err != nil {
					t.Fatal(err)
				}
			}
			live := func(i int) bool { return i < n && i%8 > 3 || i >= n && i < n+n/2 }
			if lost := unfound(t, x, vecs, live); lost > 0 {
				t.Errorf("%d of %d are not found after half were replaced", lost, n)
			}
			if err := x.Check(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}

// Where every second vector is one of a hundred copies, lists are full of copies that
// nothing else leads to, and not all can have room.
func TestDrainEndsAndFindsAllAmongCopies(t *testing.T) {
	n, dim, copies := size(6000, 20000), 64, 100
	vecs := clustered(rand.New(rand.NewSource(5)), n, dim)
	for i := 0; i < n; i += 2 {
		vecs[i] = vecs[1+2*(i/2/copies)]
	}
	x, _ := pair(t, index.Config{Dim: dim, M: 8, EfConstruction: 64, Workers: 1, MaxFresh: n})
	for i, v := range vecs {
		if err := x.Insert(context.Background(), uint32(i), v); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := x.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	for i, v := range vecs {
		hits, _, err := x.Search(context.Background(), v, index.Params{K: 1, Ef: 10}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(hits) == 0 || hits[0].Distance != 0 {
			t.Fatalf("neither vector %d nor a copy of it is found", i)
		}
	}
	if err := x.Check(context.Background()); err != nil {
		t.Error(err)
	}
}

// strangers are vectors that are about as far from each other as from all others.
func strangers(r *rand.Rand, n, dim int) [][]float32 {
	out := make([][]float32, n)
	for i := range out {
		out[i] = gaussian(r, dim, nil, 1)
	}
	return out
}

// natives are vectors that a random basis of a fifth of dim and some noise make.
func natives(r *rand.Rand, n, dim int) [][]float32 {
	basis, out := strangers(r, dim/5, dim), strangers(r, n, dim)
	for _, v := range out {
		for j := range v {
			v[j] *= 0.1
		}
		for _, b := range basis {
			f := float32(r.NormFloat64())
			for j, x := range b {
				v[j] += f * x
			}
		}
	}
	return out
}

// What is far from everything is the last in every list that has it, and gives way to
// whatever comes near. No audit comes before thousands more are written.
func TestSingleWritesStayFoundUntilAnAudit(t *testing.T) {
	ctx := context.Background()
	for name, codes := range map[string]index.Codes{"float32": index.None, "int8": index.Int8} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewSource(7))
			n := size(2000, 20000)
			vecs := append(natives(r, n, 64), strangers(r, 300, 64)...)
			x, _ := pair(t, index.Config{Dim: 64, Metric: index.Cosine, Codes: codes, EfConstruction: 60})
			fill(t, x, vecs[:n])
			dead := map[int]bool{}
			for i := n; i < len(vecs); i++ {
				if err := x.Insert(ctx, uint32(i), vecs[i]); err != nil {
					t.Fatal(err)
				}
				if i > n+50 && i%2 == 0 {
					gone := n + r.Intn(i-n)
					dead[gone] = true
					x.Delete(uint32(gone), uint64(i))
					x.Release(uint64(i))
				}
				if i%25 > 0 {
					continue
				}
				for x.Stats().Fresh > 0 {
					time.Sleep(time.Millisecond)
				}
				if lost := unfound(t, x, vecs[:i+1], func(j int) bool { return j >= n && !dead[j] }); lost > 0 {
					t.Fatalf("%d of %d single writes are not found", lost, i-n-len(dead)+1)
				}
			}
		})
	}
}
