package index_test

import (
	"math/rand"
	"slices"
	"testing"

	"github.com/eiderdb/eider/index"
)

func TestTopKeepsTheLeastHitsWhateverTheOrder(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	for _, k := range []int{0, 1, 2, 7, 64, 300} {
		var all []index.Hit
		for i := range 200 {
			all = append(all, index.Hit{ID: uint32(i), Distance: float32(r.Intn(20))})
		}
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		var top index.Top
		top.Reset(k)
		for _, h := range all {
			top.Push(h)
		}
		slices.SortFunc(all, func(a, b index.Hit) int {
			if a.Less(b) {
				return -1
			}
			return 1
		})
		want := all[:min(k, len(all))]
		if got := top.Sort(); !slices.Equal(got, want) {
			t.Fatalf("k=%d: got %v want %v", k, got, want)
		}
	}
}
