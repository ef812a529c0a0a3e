package storage

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// quota refuses writes before the disk or the quota is used up, because Pebble
// cannot survive a log write that fails for want of space (S7):
//
//	free space    0 ........ MinFree/4 ........ MinFree ............
//	puts          refused    refused            go on
//	deletes       refused    go on              go on
//	ballast       given back given back         held
//
// The ballast is a file of MinFree/4 that is deleted when free space runs below
// MinFree, so that flushes and compactions of what is already accepted, and
// deletes, have room on a disk that somebody else has filled.
type quota struct {
	s     *Store
	level atomic.Int32 // of the last look
	why   atomic.Pointer[string]
	quit  chan struct{}
	done  sync.WaitGroup

	written int64 // bytes accepted since the committer last looked; the committer's

	mu      sync.Mutex
	looked  time.Time
	ballast bool
}

const (
	spaceOK    = iota
	spaceLow   // only calls that free space
	spaceEmpty // nothing
)

// lookEvery is how old a look at the disk may be when a write depends on it.
const lookEvery = 250 * time.Millisecond

func newQuota(s *Store) *quota {
	q := &quota{s: s, quit: make(chan struct{})}
	if s.opts.ReadOnly {
		return q
	}
	q.look()
	q.done.Add(1)
	go q.watch()
	return q
}

func (q *quota) watch() {
	defer q.done.Done()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-q.quit:
			return
		case <-tick.C:
			q.look()
			if n >= 3 {
				q.keepBallast()
			}
			if n%4 == 0 && q.s.opts.Durability == Async && !q.s.opts.InMemory {
				if err := q.s.db.LogData(nil, pebble.Sync); err != nil {
					q.s.opts.Logger.Error("storage: background sync", "error", err)
				}
			}
		}
	}
}

func (q *quota) stop() {
	select {
	case <-q.quit:
	default:
		close(q.quit)
	}
	q.done.Wait()
}

// look measures space and sets the level.
func (q *quota) look() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.looked = time.Now()
	level, why := spaceOK, ""
	o := &q.s.opts
	if o.MaxBytes > 0 {
		used := int64(q.s.db.Metrics().DiskSpaceUsage()) + q.s.snapshotBytes.Load() + q.s.jobSize.Load()
		if used >= o.MaxBytes {
			level, why = spaceLow, fmt.Sprintf("%d bytes used of a quota of %d", used, o.MaxBytes)
		}
	}
	if o.MinFree > 0 {
		usage, err := q.s.fs.GetDiskUsage(q.s.dir)
		if err == nil {
			free := int64(min(usage.AvailBytes, 1<<62))
			switch {
			case free < o.MinFree/4:
				level, why = spaceEmpty, fmt.Sprintf("%d bytes free, %d are kept free", free, o.MinFree)
			case free < o.MinFree:
				level, why = spaceLow, fmt.Sprintf("%d bytes free, %d are kept free", free, o.MinFree)
			}
			if free < o.MinFree {
				q.dropBallast(free)
			}
		}
	}
	q.why.Store(&why)
	q.level.Store(int32(level))
}

// dropBallast gives the ballast's space back. The caller holds mu.
func (q *quota) dropBallast(free int64) {
	if q.s.fs.Remove(q.s.fs.PathJoin(q.s.dir, ballast)) == nil {
		q.s.opts.Logger.Warn("storage: disk nearly full, ballast given back", "free_bytes", free)
	}
	q.ballast = false
}

// keepBallast writes the ballast when there is ample room for it; not in Open,
// which it would slow down. Failing is harmless: it is only a reserve.
func (q *quota) keepBallast() {
	fs, size := q.s.fs, q.s.opts.MinFree/4
	q.mu.Lock()
	have := q.ballast
	q.mu.Unlock()
	if have || size <= 0 {
		return
	}
	usage, err := fs.GetDiskUsage(q.s.dir)
	if err != nil || int64(min(usage.AvailBytes, 1<<62)) < 2*q.s.opts.MinFree+size {
		return
	}
	name := fs.PathJoin(q.s.dir, ballast)
	if info, err := fs.Stat(name); err != nil || info.Size() != size {
		if err := writeFile(fs, name, make([]byte, size)); err != nil {
			q.s.opts.Logger.Debug("storage: writing the ballast", "error", err)
			_ = fs.Remove(name)
			return
		}
	}
	q.mu.Lock()
	q.ballast = true
	q.mu.Unlock()
}

// refusal returns which calls of a group get ErrFull. A full store looks at the
// disk again for each group, so writes resume with the first one after space
// returned; one with room looks again after every sixteenth of the reserve, so
// that a burst cannot outrun the clock.
func (q *quota) refusal() func(*call) error {
	if q.written > max(q.s.opts.MinFree, q.s.opts.MaxBytes/4)/16 {
		q.written = 0
		q.look()
	}
	level := q.level.Load()
	if level != spaceOK {
		q.mu.Lock()
		old := time.Since(q.looked) > lookEvery/5
		q.mu.Unlock()
		if old {
			q.look()
			level = q.level.Load()
		}
	}
	return func(c *call) error {
		if level == spaceOK || level == spaceLow && c.frees {
			q.written += int64(c.bytes)
			return nil
		}
		return fmt.Errorf("%w: %s", ErrFull, *q.why.Load())
	}
}

// full returns ErrFull if puts are refused now; for writers beside the
// committer.
func (q *quota) full() error {
	if q.level.Load() == spaceOK {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrFull, *q.why.Load())
}
