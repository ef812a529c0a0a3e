package storage

import (
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// scheduler grants Pebble its compactions: none until release, then as many at
// once as Pebble allows itself. Pebble, when it opens, waits for the compactions
// that it has just started, which after a bulk load take seconds; with nothing
// granted it opens at once.
//
// Pebble asks with its mutex held (TrySchedule), so grants that call back into
// Pebble are made by a goroutine of their own, from release to Unregister.
type scheduler struct {
	db pebble.DBForCompaction

	mu      sync.Mutex
	granted int  // running now
	open    bool // between release and Unregister

	poke    chan struct{} // capacity 1
	stop    chan struct{} // closed by Unregister
	stopped chan struct{} // closed when the goroutine has ended
}

func newScheduler() *scheduler {
	return &scheduler{poke: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{})}
}

// regrant is how often what Pebble allows itself is looked at again: it may rise
// without a word when a flush ends.
const regrant = 100 * time.Millisecond

// Register implements pebble.CompactionScheduler.
func (s *scheduler) Register(_ int, db pebble.DBForCompaction) { s.db = db }

// release begins to grant compactions. Call it once, before Unregister can be
// called.
func (s *scheduler) release() {
	s.mu.Lock()
	s.open = true
	s.mu.Unlock()
	go s.run()
}

func (s *scheduler) run() {
	defer close(s.stopped)
	tick := time.NewTicker(regrant)
	defer tick.Stop()
	for {
		s.grant()
		select {
		case <-tick.C:
		case <-s.poke:
		case <-s.stop:
			return
		}
	}
}

// grant starts the compactions that Pebble would like to run and may.
func (s *scheduler) grant() {
	for s.take() {
		if waiting, _ := s.db.GetWaitingCompaction(); !waiting || !s.db.Schedule(s) {
			s.mu.Lock()
			s.granted--
			s.mu.Unlock()
			return
		}
	}
}

// take counts one more compaction if it is allowed.
func (s *scheduler) take() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open || s.granted >= s.db.GetAllowedWithoutPermission() {
		return false
	}
	s.granted++
	return true
}

// Unregister implements pebble.CompactionScheduler: no grants after it returns.
func (s *scheduler) Unregister() {
	s.mu.Lock()
	released := s.open
	s.open = false
	s.mu.Unlock()
	if released {
		close(s.stop)
		<-s.stopped
	}
}

// TrySchedule implements pebble.CompactionScheduler. What it refuses Pebble
// keeps for GetWaitingCompaction.
func (s *scheduler) TrySchedule() (bool, pebble.CompactionGrantHandle) {
	if s.take() {
		return true, s
	}
	return false, nil
}

// UpdateGetAllowedWithoutPermission implements pebble.CompactionScheduler.
func (s *scheduler) UpdateGetAllowedWithoutPermission() {
	select {
	case s.poke <- struct{}{}:
	default:
	}
}

// Done implements pebble.CompactionGrantHandle: one compaction has ended.
func (s *scheduler) Done() {
	s.mu.Lock()
	s.granted--
	s.mu.Unlock()
	s.UpdateGetAllowedWithoutPermission()
}

// Started implements pebble.CompactionGrantHandle.
func (*scheduler) Started() {}

// MeasureCPU implements pebble.CompactionGrantHandle.
func (*scheduler) MeasureCPU(pebble.CompactionGoroutineKind) {}

// CumulativeStats implements pebble.CompactionGrantHandle.
func (*scheduler) CumulativeStats(pebble.CompactionGrantHandleStats) {}
