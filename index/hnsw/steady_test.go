package hnsw_test

import (
	"context"
	"errors"
	"math/rand"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/index/hnsw"
)

func TestASearchAllocatesNothingInSteadyState(t *testing.T) {
	if race {
		t.Skip("the race detector makes pools drop what they hold")
	}
	ctx := context.Background()
	vecs := clustered(rand.New(rand.NewSource(31)), 5000, 16)
	x, _ := pair(t, index.Config{Dim: 16, Metric: index.Cosine})
	fill(t, x, vecs)
	hits := make([]index.Hit, 0, 32)
	accept := func(id uint32) bool { return id != 7 }
	for _, c := range []struct {
		name string
		p    index.Params
	}{
		{"walk", index.Params{K: 10}},
		{"recall", index.Params{K: 10, Recall: 0.95}},
		{"accept", index.Params{K: 10, Accept: accept}},
		{"exact", index.Params{K: 10, Exact: true}},
	} {
		i := 0
		got := testing.AllocsPerRun(200, func() {
			i++
			if _, _, err := x.Search(ctx, vecs[i], c.p, hits); err != nil {
				t.Fatal(err)
			}
		})
		if got >= 1 {
			t.Errorf("%s: %v allocations a search", c.name, got)
		}
	}
	// A filter costs what its own iterator allocates.
	allow := roaring.New()
	allow.AddRange(0, 4500)
	i := 0
	if got := testing.AllocsPerRun(200, func() {
		i++
		x.Search(ctx, vecs[i], index.Params{K: 10, Allow: allow}, hits)
	}); got > 4 {
		t.Errorf("filter: %v allocations a search", got)
	}
}

func TestASearchEndsSoonAfterItsContext(t *testing.T) {
	x, _ := pair(t, index.Config{Dim: 1024, MaxFresh: 1 << 20})
	r := rand.New(rand.NewSource(32))
	n := size(12000, 12000)
	v := gaussian(r, 1024, nil, 1)
	for i := range n {
		v[i%1024] = r.Float32()
		if err := x.Insert(context.Background(), uint32(i), v); err != nil {
			t.Fatal(err)
		}
	}
	var worst time.Duration
	for range 5 {
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan time.Time, 1)
		time.AfterFunc(time.Millisecond, func() { ended <- time.Now(); cancel() })
		for {
			if _, _, err := x.Search(ctx, v, index.Params{K: 10, Exact: true}, nil); err != nil {
				if !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
				break
			}
		}
		worst = max(worst, time.Since(<-ended))
	}
	t.Logf("%v", worst)
	if limit := 10 * time.Millisecond; worst > limit && !race {
		t.Logf("%v is over %v on a busy machine", worst, limit)
	}
	if worst > 500*time.Millisecond {
		t.Errorf("a search went on for %v", worst)
	}
}

func TestInsertWaitsForTheLinkersAndForItsContext(t *testing.T) {
	x, _ := pair(t, index.Config{Dim: 256, MaxFresh: 4, Workers: 1})
	r := rand.New(rand.NewSource(33))
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, cancel)
	inserted := 0
	for ; ; inserted++ {
		err := x.Insert(ctx, uint32(inserted), gaussian(r, 256, nil, 1))
		if errors.Is(err, context.Canceled) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if fresh := x.Stats().Fresh; fresh > 5 {
			t.Fatalf("%d fresh vectors, the limit is 4", fresh)
		}
	}
	if x.Len() != inserted {
		t.Fatalf("%d vectors after %d inserts", x.Len(), inserted)
	}
}

func TestEqualInputGivesAnEqualGraph(t *testing.T) {
	// More than are looked after one by one before a load counts as bulk.
	vecs := clustered(rand.New(rand.NewSource(34)), 12000, 8)
	var first []byte
	for _, fresh := range []int{1 << 20, 300, 1 << 20} { // how far inserts are ahead of the linker does not count
		x, err := hnsw.New(index.Config{Dim: 8, EfConstruction: 30, Workers: 1, Seed: 5, MaxFresh: fresh})
		if err != nil {
			t.Fatal(err)
		}
		fill(t, x, vecs)
		b := save(t, x)
		x.Close()
		if first == nil {
			first = b
		} else if string(first) != string(b) {
			t.Fatal("two builds of the same vectors differ")
		}
	}
}

func TestManyDuplicatesStayReachable(t *testing.T) {
	ctx := context.Background()
	r := rand.New(rand.NewSource(35))
	x, f := pair(t, index.Config{Dim: 8})
	vecs := clustered(r, 5000, 8)
	for i := range vecs {
		if i%2 == 0 {
			vecs[i] = vecs[i%10]
		}
	}
	fill(t, x, vecs)
	fill(t, f, vecs)
	if err := x.Check(ctx); err != nil {
		t.Fatal(err)
	}
	var odd [][]float32
	for i := 1; i < 1000; i += 2 {
		odd = append(odd, vecs[i])
	}
	if got := recall(t, x, f, odd, index.Params{K: 10}); got < 0.97 {
		t.Errorf("recall %.3f among duplicates", got)
	}
}

func TestStatsSayThatSearchesGoOn(t *testing.T) {
	x, _ := pair(t, index.Config{Dim: 8})
	fill(t, x, clustered(rand.New(rand.NewSource(52)), 100, 8))
	if x.Stats().Busy {
		t.Error("an index that was never searched is busy")
	}
	if _, _, err := x.Search(context.Background(), make([]float32, 8), index.Params{K: 1}, nil); err != nil {
		t.Fatal(err)
	}
	if !x.Stats().Busy {
		t.Error("an index is not busy right after a search")
	}
}
