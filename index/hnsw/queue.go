package hnsw

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/eiderdb/eider/index"
)

// queue holds the fresh slots in order of insertion. Linkers claim them from the
// front and finish in any order; searches copy what is unfinished without a lock.
//
//	positions  ... | finished | claimed, some finished | waiting | ...
//	              head                                next      tail
type queue struct {
	ring       atomic.Pointer[[]atomic.Uint32] // length is a power of two
	head, tail atomic.Int64
	limit      int64 // push blocks from this length on

	mu     sync.Mutex
	next   int64
	done   []bool        // by position in ring
	room   chan struct{} // closed when head moves
	closed bool
}

func (q *queue) init(limit int) {
	q.limit = int64(limit)
	ring := make([]atomic.Uint32, 64)
	q.ring.Store(&ring)
	q.done = make([]bool, len(ring))
	q.room = make(chan struct{})
}

// len is the number of fresh slots.
func (q *queue) len() int { return int(q.tail.Load() - q.head.Load()) }

// wait blocks while the queue is at its limit, until ctx ends or close.
func (q *queue) wait(ctx context.Context) error {
	for int64(q.len()) >= q.limit {
		q.mu.Lock()
		room, closed := q.room, q.closed
		q.mu.Unlock()
		if closed {
			return index.ErrClosed
		}
		if int64(q.len()) < q.limit {
			break
		}
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// push appends slot.
func (q *queue) push(slot uint32) {
	q.mu.Lock()
	defer q.mu.Unlock()
	ring := *q.ring.Load()
	h, t := q.head.Load(), q.tail.Load()
	if t-h >= int64(len(ring))/2 { // half is kept free so that readers rarely retry
		grown := make([]atomic.Uint32, 2*len(ring))
		done := make([]bool, len(grown))
		for i := h; i < t; i++ {
			from, to := i&int64(len(ring)-1), i&int64(len(grown)-1)
			grown[to].Store(ring[from].Load())
			done[to] = q.done[from]
		}
		q.done = done
		q.ring.Store(&grown)
		ring = grown
	}
	i := t & int64(len(ring)-1)
	ring[i].Store(slot)
	q.done[i] = false
	q.tail.Store(t + 1)
}

// claim takes the next waiting slot; the caller must finish its position.
func (q *queue) claim() (slot uint32, position int64, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.next == q.tail.Load() {
		return 0, 0, false
	}
	ring := *q.ring.Load()
	position = q.next
	q.next++
	return ring[position&int64(len(ring)-1)].Load(), position, true
}

// waiting is the number of slots nobody has claimed.
func (q *queue) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return int(q.tail.Load() - q.next)
}

// finish marks a claimed position as linked.
func (q *queue) finish(position int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	mask := int64(len(q.done) - 1)
	q.done[position&mask] = true
	h := q.head.Load()
	from := h
	for h < q.next && q.done[h&mask] {
		h++
	}
	if h != from {
		q.head.Store(h)
		close(q.room)
		q.room = make(chan struct{})
	}
}

// close wakes all who wait and ends claims.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.closed = true
		close(q.room)
		q.room = make(chan struct{})
	}
}

// copy appends the fresh slots to dst. It takes no lock: a place is overwritten
// only once tail is a whole ring beyond it, which is looked at afterwards.
func (q *queue) copy(dst []uint32) []uint32 {
	n := len(dst)
	for {
		h, t := q.head.Load(), q.tail.Load()
		if h == t {
			return dst
		}
		p := q.ring.Load()
		ring := *p
		if t-h < int64(len(ring)) {
			for i := h; i < t; i++ {
				dst = append(dst, ring[i&int64(len(ring)-1)].Load())
			}
			if q.ring.Load() == p && q.tail.Load()-h < int64(len(ring)) {
				return dst
			}
		}
		dst = dst[:n]
	}
}
