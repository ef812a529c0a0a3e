package api

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

func TestGateRefusesWhenFullAndAdmitsWhenFree(t *testing.T) {
	g := newGate(1, 1, 20*time.Millisecond)
	leave, err := g.enter(ctx, "a", 1)
	if err != nil {
		t.Fatal(err)
	}
	first := make(chan error, 1)
	go func() { _, err := g.enter(ctx, "a", 1); first <- err }()
	eventually(t, "one waits", func() bool { _, n := g.load(); return n == 1 })
	var p *problem
	if _, err := g.enter(ctx, "a", 1); !errors.As(err, &p) || p.Code != codeRate {
		t.Fatalf("a full queue gives %v", err)
	}
	if err := <-first; !errors.As(err, &p) || problemOf(err).Status != 503 {
		t.Fatalf("a long wait gives %v", err)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := g.enter(canceled, "a", 1); !errors.Is(err, context.Canceled) {
		t.Fatalf("a canceled wait gives %v", err)
	}
	leave()
	if leave, err = g.enter(ctx, "a", 5); err != nil {
		t.Fatalf("a cost beyond the gate: %v", err)
	}
	leave()
	if used, waiting := g.load(); used != 0 || waiting != 0 {
		t.Fatalf("%d units used, %d waiting at the end", used, waiting)
	}
}

// TestGreedyKeyWaitsBehindItself: with one unit and two keys, the other key is
// served second, however many requests the greedy one has queued.
func TestGreedyKeyWaitsBehindItself(t *testing.T) {
	g := newGate(1, 100, time.Minute)
	leave, _ := g.enter(ctx, "greedy", 1)
	var mu sync.Mutex
	var order []string
	var wg sync.WaitGroup
	wait := func(key string, n int) {
		for range n {
			wg.Go(func() {
				done, err := g.enter(ctx, key, 1)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				order = append(order, key)
				mu.Unlock()
				done()
			})
		}
	}
	wait("greedy", 50)
	eventually(t, "fifty wait", func() bool { _, n := g.load(); return n == 50 })
	wait("modest", 1)
	eventually(t, "all wait", func() bool { _, n := g.load(); return n == 51 })
	leave()
	wg.Wait()
	for i, key := range order {
		if key == "modest" && i > 1 {
			t.Fatalf("the modest key was served as number %d", i+1)
		}
	}
}
