package vectors

import (
	"math"
	"math/rand"
	"sync"
	"testing"
)

func TestPagesRememberWhatWasSet(t *testing.T) {
	var p pages
	want := map[uint32]uint64{}
	r := rand.New(rand.NewSource(1))
	for range 5000 {
		i := uint32(r.Intn(1 << r.Intn(32)))
		want[i] = r.Uint64()
		p.set(i, want[i])
	}
	for _, i := range []uint32{0, math.MaxUint32, 1 << 31} {
		want[i] = uint64(i) + 1
		p.set(i, want[i])
	}
	for i, v := range want {
		if got := p.get(i); got != v {
			t.Fatalf("at %d: %d, want %d", i, got, v)
		}
	}
	for range 1000 {
		if i := r.Uint32(); want[i] == 0 && p.get(i) != 0 {
			t.Fatalf("at %d: %d, never set", i, p.get(i))
		}
	}
}

func TestPagesSetByManyGoroutinesLoseNothing(t *testing.T) {
	var p pages
	var wg sync.WaitGroup
	const n = 20000
	for g := range uint32(4) {
		wg.Go(func() {
			for i := g; i < n; i += 4 {
				p.set(i*37, uint64(i)+1)
			}
		})
	}
	wg.Wait()
	for i := range uint32(n) {
		if p.get(i*37) != uint64(i)+1 {
			t.Fatalf("lost %d", i)
		}
	}
}
