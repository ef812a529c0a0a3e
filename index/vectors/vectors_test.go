package vectors

import (
	"context"
	"errors"
	"math/rand"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eiderdb/eider/index"
)

func TestWaitReturnsOnlyAfterEarlierReadersLeft(t *testing.T) {
	s, err := New(index.Config{Dim: 2}, MinRoom, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ticket, _ := s.Enter(3)
	var waited atomic.Bool
	ended := make(chan struct{})
	go func() {
		s.Wait()
		waited.Store(true)
		close(ended)
	}()
	time.Sleep(5 * time.Millisecond)
	if waited.Load() {
		t.Fatal("wait returned with a reader inside")
	}
	s.Leave(ticket)
	<-ended
}

func TestScoreWithinKeepsWhatIsBelowTheLimit(t *testing.T) {
	const n, dim = 400, 520
	for _, m := range []index.Metric{index.L2, index.IP, index.Cosine} {
		for _, st := range []index.Storage{index.Float32, index.Float16} {
			s, err := New(index.Config{Dim: dim, Metric: m, Storage: st}, MinRoom, nil)
			if err != nil {
				t.Fatal(err)
			}
			r := rand.New(rand.NewSource(1))
			vec := make([]float32, dim)
			slots := make([]uint32, n)
			for i := range slots {
				for j := range vec {
					vec[j] = float32(r.NormFloat64()) * float32(j%7)
				}
				slot, err := s.Reserve(uint32(i))
				if err != nil {
					t.Fatal(err)
				}
				s.Write(slot, vec)
				s.Publish(slot)
				slots[i] = slot
			}
			s.Learn()
			v := s.View()
			q, _ := s.Query(vec, nil)
			want, got := make([]float32, n), make([]float32, n)
			s.Score(v, q, slots, want)
			var p Partial
			for _, limit := range []float32{want[3], want[70], want[n-1] + 1} {
				s.ScoreWithin(v, q, slots, got, limit, &p)
				for i, d := range want {
					slack := 1e-4 * max(d, -d, 1e-2)
					if d < limit-slack && max(got[i]-d, d-got[i]) > slack || d > limit+slack && got[i] < limit {
						t.Fatalf("%s %s: limit %v: row %d is at %v, got %v", m, st, limit, i, d, got[i])
					}
				}
			}
			s.Close()
		}
	}
}

func TestAScanOnTwoThreadsFindsWhatOneFinds(t *testing.T) {
	const n, dim = 9000, 1024 // beyond what a scan splits at
	s, err := New(index.Config{Dim: dim}, MinRoom, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := rand.New(rand.NewSource(2))
	vec := make([]float32, dim)
	for i := range n {
		vec[i%dim] = r.Float32()
		slot, err := s.Reserve(uint32(i))
		if err != nil {
			t.Fatal(err)
		}
		s.Write(slot, vec)
		s.Publish(slot)
	}
	s.Delete(77, 5)
	var p Probe
	s.Trace(&p, vec)
	one, two := Scan{}, Scan{Threads: 2}
	ctx := context.Background()
	for _, at := range []uint64{0, 4, 5} {
		if _, err := one.All(ctx, s, s.View(), &p, at, 20, nil); err != nil {
			t.Fatal(err)
		}
		scored, err := two.All(ctx, s, s.View(), &p, at, 20, nil)
		if err != nil || scored < n {
			t.Fatalf("%d scored, %v", scored, err)
		}
		a, b := one.Top.Sort(), two.Top.Sort()
		for i := range a {
			if a[i] != b[i] {
				t.Fatalf("at %d: hit %d is %v on two threads, %v on one", at, i, b[i], a[i])
			}
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := two.All(ctx, s, s.View(), &p, 0, 20, nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
}
