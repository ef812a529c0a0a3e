package api

import (
	"context"
	"sync"
	"time"
)

// gate admits work up to a number of units at once. Work beyond that waits in
// one queue per key; freed units go to the keys in turn, so a greedy key
// delays itself and not the others.
type gate struct {
	mu      sync.Mutex
	units   int // free units
	cap     int
	perKey  int
	patient time.Duration
	queues  map[string][]*waiter
	turn    []string // keys that wait, in the order they are served
}

type waiter struct {
	cost  int
	ready chan struct{}
	done  bool // admitted, under gate.mu
}

func newGate(units, perKey int, patient time.Duration) *gate {
	return &gate{units: units, cap: units, perKey: perKey, patient: patient, queues: map[string][]*waiter{}}
}

// enter waits for cost units and returns the function that gives them back. It
// refuses with 429 when the key's queue is full, with 503 when the wait is too
// long, with the context's error when the client leaves.
func (g *gate) enter(ctx context.Context, key string, cost int) (leave func(), err error) {
	cost = min(cost, g.cap)
	g.mu.Lock()
	if len(g.turn) == 0 && g.units >= cost {
		g.units -= cost
		g.mu.Unlock()
		return func() { g.leave(cost) }, nil
	}
	q := g.queues[key]
	if len(q) >= g.perKey {
		g.mu.Unlock()
		return nil, &problem{Code: codeRate, Detail: "too many requests of this key are waiting", Hint: "retry after the time given, with fewer at once"}
	}
	w := &waiter{cost: cost, ready: make(chan struct{})}
	if len(q) == 0 {
		g.turn = append(g.turn, key)
	}
	g.queues[key] = append(q, w)
	g.mu.Unlock()

	timer := time.NewTimer(g.patient)
	defer timer.Stop()
	select {
	case <-w.ready:
		return func() { g.leave(cost) }, nil
	case <-timer.C:
		err = &problem{Code: "overloaded", Detail: "the server is busy and did not start the request in time", Hint: "retry after the time given"}
	case <-ctx.Done():
		err = ctx.Err()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.done { // admitted at the last moment
		return func() { g.leave(cost) }, nil
	}
	g.forget(key, w)
	g.admit()
	return nil, err
}

func (g *gate) leave(cost int) {
	g.mu.Lock()
	g.units += cost
	g.admit()
	g.mu.Unlock()
}

// admit gives free units to the waiting keys in turn. Callers hold mu.
func (g *gate) admit() {
	for len(g.turn) > 0 {
		key := g.turn[0]
		w := g.queues[key][0]
		if w.cost > g.units {
			return
		}
		g.units -= w.cost
		w.done = true
		close(w.ready)
		g.turn = g.turn[1:]
		if q := g.queues[key][1:]; len(q) > 0 {
			g.queues[key] = q
			g.turn = append(g.turn, key)
		} else {
			delete(g.queues, key)
		}
	}
}

// forget removes a waiter that gave up. Callers hold mu.
func (g *gate) forget(key string, w *waiter) {
	q := g.queues[key]
	for i := range q {
		if q[i] == w {
			g.queues[key] = append(q[:i:i], q[i+1:]...)
			break
		}
	}
	if len(g.queues[key]) > 0 {
		return
	}
	delete(g.queues, key)
	for i := range g.turn {
		if g.turn[i] == key {
			g.turn = append(g.turn[:i:i], g.turn[i+1:]...)
			return
		}
	}
}

// load reports the units in use and the waiters.
func (g *gate) load() (used, waiting int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, q := range g.queues {
		waiting += len(q)
	}
	return g.cap - g.units, waiting
}
