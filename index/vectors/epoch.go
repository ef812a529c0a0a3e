package vectors

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// stripes spreads the reader counts over cache lines.
const stripes = 8

// epochs counts the readers inside, in two generations, so that a writer can
// wait for those who entered before it without stopping those who come later
// (sleepable read-copy-update).
type epochs struct {
	now   atomic.Uint32
	count [2][stripes]struct {
		n atomic.Int64
		_ [56]byte
	}
	wait sync.Mutex
}

// Ticket is proof of Enter, to be given back to Leave once.
type Ticket uint32

// enter counts a reader in; hint spreads callers over stripes.
func (e *epochs) enter(hint uint32) Ticket {
	g, s := e.now.Load()&1, hint%stripes
	e.count[g][s].n.Add(1)
	return Ticket(g*stripes + s)
}

// leave counts the reader out.
func (e *epochs) leave(t Ticket) { e.count[t/stripes][t%stripes].n.Add(-1) }

// sync returns when every reader that entered before the call has left. It
// turns the generation twice: a reader that loaded the generation before the
// first turn and counted itself only after the wait is caught by the second. It
// may also wait for some who enter meanwhile, never for all who come.
func (e *epochs) sync() {
	e.wait.Lock()
	defer e.wait.Unlock()
	for range 2 {
		old := e.now.Load() & 1
		e.now.Add(1)
		for s := range stripes {
			for spin := 0; e.count[old][s].n.Load() != 0; spin++ {
				if spin < 64 {
					runtime.Gosched()
				} else {
					time.Sleep(20 * time.Microsecond)
				}
			}
		}
	}
}
