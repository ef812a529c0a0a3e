package storage

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// compactor is a Pebble that allows itself some compactions and has more to run.
type compactor struct {
	allowed, started atomic.Int32
	began            chan pebble.CompactionGrantHandle
}

func (c *compactor) GetAllowedWithoutPermission() int { return int(c.allowed.Load()) }

func (c *compactor) GetWaitingCompaction() (bool, pebble.WaitingCompaction) {
	return true, pebble.WaitingCompaction{}
}

func (c *compactor) Schedule(h pebble.CompactionGrantHandle) bool {
	c.started.Add(1)
	c.began <- h
	return true
}

func TestCompactionsBeginWhenTheStoreIsOpen(t *testing.T) {
	db := &compactor{began: make(chan pebble.CompactionGrantHandle, 8)}
	db.allowed.Store(2)
	s := newScheduler()
	s.Register(2, db)
	s.UpdateGetAllowedWithoutPermission()
	if ok, _ := s.TrySchedule(); ok {
		t.Fatal("a compaction was granted while Pebble opens")
	}
	s.release()
	first, _ := <-db.began, <-db.began
	if ok, _ := s.TrySchedule(); ok {
		t.Fatal("a third compaction was granted where two are allowed")
	}
	first.Done()
	<-db.began // the one that was waiting
	s.Unregister()
	first.Done()
	if ok, _ := s.TrySchedule(); ok || db.started.Load() != 3 {
		t.Fatalf("granted %v after Unregister, %d compactions in all, want 3", ok, db.started.Load())
	}
}

func TestMoreCompactionsRunWhenPebbleAllowsMore(t *testing.T) {
	db := &compactor{began: make(chan pebble.CompactionGrantHandle, 8)}
	s := newScheduler()
	s.Register(2, db)
	s.release()
	defer s.Unregister()
	db.allowed.Store(1)
	s.UpdateGetAllowedWithoutPermission()
	select {
	case <-db.began:
	case <-time.After(30 * time.Second):
		t.Fatal("nothing was granted after Pebble allowed a compaction")
	}
}

func TestAFailedOpenLeavesNothingRunning(t *testing.T) {
	s := newScheduler()
	s.Register(2, &compactor{})
	s.Unregister() // returns although nothing was ever released
}
