package hnsw

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eiderdb/eider/index"
)

const (
	alone = 256                   // nodes up to which one linker works, so that they meet
	rest  = 50 * time.Millisecond // least pause before a small repair, to batch deletes
	idle  = 10                    // a small repair waits this many times the last one's time

	stint  = 16   // links that a linker makes a turn when it is behind
	behind = 4096 // fresh vectors, which each search scans

	lull = 100 * time.Millisecond // after a search, until another is not expected

	calm   = time.Second      // without inserts, until what they left is tidied unasked
	endure = 10 * time.Second // with that, where inserts never cease for so long
)

// grave is a dead slot and the LSN of its delete.
type grave struct {
	lsn  uint64
	slot uint32
}

// upkeep is the state of the background work: linkers, which drain the queue, one
// tender, which repairs after deletes and looks for nodes that are not found, and one
// that calibrates recall. They are started when there is work and end when there
// is none, so an idle index has no goroutines.
type upkeep struct {
	mu       sync.Mutex
	graves   []grave  // dead that readers may still need, in order of LSN
	due      []uint32 // dead that none needs, not yet repaired
	released uint64
	linkers  int
	tending  bool
	pausing  bool // the tender waits for more to be due
	draining int  // callers of Drain: work is urgent
	stopped  bool
	changed  chan struct{} // closed at every change that a waiter may wait for
	took     time.Duration // of the last repair
	untidy   time.Time     // since when what inserts left waits for calm, or zero
	err      error         // why linking failed, for Drain and Check

	dirty     atomic.Int64 // lists changed since the last sweep
	vacated   atomic.Int64 // slots freed since the last compaction
	unsure    atomic.Int64 // nodes that came or went since all were audited
	audited   atomic.Int64 // nodes that there were then, or after loading
	unsettled atomic.Int64 // nodes linked in bulk and not audited since
	unordered atomic.Int64 // nodes that were linked since the last ordering
	worth     int          // bytes of what walks read from which an ordering pays
	spare     sync.Pool    // of *linker

	came  atomic.Int64 // Unix nanoseconds of the last insert
	asked atomic.Bool  // a search began since someone looked
	until atomic.Int64 // Unix nanoseconds to which searches count as going on

	calibrating bool
	failed      bool            // a calibration, for good
	linked      atomic.Int64    // nodes linked since the last calibration
	ctx         context.Context // of calibrations
	cancel      context.CancelFunc
}

func (u *upkeep) init() {
	u.changed = make(chan struct{})
	u.worth = worth
	u.ctx, u.cancel = context.WithCancel(context.Background())
}

// notify wakes all waiters. Called under mu.
func (u *upkeep) notify() {
	close(u.changed)
	u.changed = make(chan struct{})
}

// bury notes a dead slot. O(1) where deletes come in order of LSN.
func (u *upkeep) bury(slot uint32, lsn uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if lsn <= u.released {
		u.due = append(u.due, slot)
		return
	}
	u.graves = append(u.graves, grave{lsn, slot})
	for i := len(u.graves) - 1; i > 0 && u.graves[i-1].lsn > u.graves[i].lsn; i-- {
		u.graves[i-1], u.graves[i] = u.graves[i], u.graves[i-1]
	}
}

// release makes the dead of up to lsn due, and ends the pause before a repair if
// they are enough then. O(their number), in steps between which deletes go on.
func (u *upkeep) release(lsn uint64, enough int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.released = max(u.released, lsn)
	for n := 16 * freed; n == 16*freed; {
		for n = 0; n < min(16*freed, len(u.graves)) && u.graves[n].lsn <= u.released; n++ {
			u.due = append(u.due, u.graves[n].slot)
		}
		u.graves = u.graves[n:]
		u.mu.Unlock()
		u.mu.Lock()
	}
	if len(u.graves) == 0 {
		u.graves = nil // the array is as long as all that were ever in it
	}
	if u.pausing && len(u.due) >= enough {
		u.pausing = false
		u.notify()
	}
}

// stop tells the goroutines to end.
func (u *upkeep) stop() {
	u.mu.Lock()
	u.stopped = true
	u.cancel()
	u.notify()
	u.mu.Unlock()
}

// join returns when they have.
func (u *upkeep) join() {
	for {
		u.mu.Lock()
		ended, changed := u.linkers == 0 && !u.tending && !u.calibrating, u.changed
		u.mu.Unlock()
		if ended {
			return
		}
		<-changed
	}
}

func (u *upkeep) isStopped() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.stopped
}

// crew is the number of goroutines that work in the background at a time: half of
// the workers while searches go on, which else wait behind them for a processor.
func (x *Index) crew() int {
	if x.upkeep.searching() {
		return (x.cfg.Workers + 1) / 2
	}
	return x.cfg.Workers
}

// searching reports whether a search began within lull, or since someone looked.
func (u *upkeep) searching() bool {
	now := time.Now().UnixNano()
	if u.asked.Load() && u.asked.CompareAndSwap(true, false) {
		u.until.Store(now + int64(lull))
	}
	return now < u.until.Load()
}

// noteSearch notes that a search began. It writes only if nobody did since someone
// looked, so searches on many processors do not wait for each other.
func (u *upkeep) noteSearch() {
	if !u.asked.Load() {
		u.asked.Store(true)
	}
}

// wake starts what goroutines the work at hand needs.
func (x *Index) wake() {
	if !x.ready.Load() {
		return
	}
	waiting := x.fresh.waiting()
	u := &x.upkeep
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.stopped {
		return
	}
	want := min(x.crew(), waiting)
	if x.set.Slots()-waiting < alone {
		want = min(want, 1)
	}
	for ; u.linkers < want; u.linkers++ {
		go x.linkAll()
	}
	if !u.tending && x.chores() {
		u.tending = true
		go x.tend()
	}
	if !u.calibrating && !u.failed && x.stale() {
		u.calibrating = true
		go x.calibrate()
	}
}

// chores reports whether there is work for the tender. Called under mu.
func (x *Index) chores() bool {
	u := &x.upkeep
	if len(u.due) > 0 {
		return true
	}
	if u.linkers > 0 || x.fresh.len() > 0 {
		return false
	}
	return x.roomy() || x.scattered() && !u.calibrating || x.untidied() || x.suspects.some.Load() || u.draining > 0 && x.doubtful()
}

// untidied reports whether enough lists changed for a sweep, any while someone waits in
// Drain. Called under upkeep.mu.
func (x *Index) untidied() bool {
	d := x.upkeep.dirty.Load()
	return d > 0 && x.upkeep.draining > 0 || d > x.slack()
}

// slack is how many changed lists make the tender look after the graph unasked.
func (x *Index) slack() int64 { return int64(x.set.Slots()/4 + 1000) }

// linkAll links fresh slots until none waits.
func (x *Index) linkAll() {
	u := &x.upkeep
	c := x.hire()
	for n := 0; ; n++ {
		if n > 0 && n%alone == 0 {
			x.wake() // the graph may be large enough for other linkers now, or searches be over
		}
		if n%8 == 7 && x.resign() {
			break
		}
		slot, position, ok := x.fresh.claim()
		if ok {
			x.linkOne(c, slot, position)
			// Linkers take every core for as long as there is work. Whoever waits for
			// one, a commit or a search, then waits for one link and not for the
			// scheduler's 10 ms. The linker itself waits as long for its turn where searches
			// take every core, so if it is behind it then links several a turn.
			if n%stint == 0 || x.fresh.len() < min(x.cfg.MaxFresh/2, behind) || !u.searching() {
				runtime.Gosched()
			}
			continue
		}
		u.mu.Lock()
		if u.stopped || x.fresh.waiting() == 0 {
			u.linkers--
			u.notify()
			u.mu.Unlock()
			break
		}
		u.mu.Unlock()
	}
	u.spare.Put(c)
	x.wake()
}

// hire is a linker that is idle, or a new one. Whoever hires it puts it back.
func (x *Index) hire() *linker {
	if c, ok := x.upkeep.spare.Get().(*linker); ok {
		return c
	}
	return x.newLinker()
}

// resign ends a linker, and reports true, if there are more than crew allows.
func (x *Index) resign() bool {
	u := &x.upkeep
	crew := x.crew()
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.linkers <= crew {
		return false
	}
	u.linkers--
	u.notify()
	return true
}

// linkOne links a claimed slot; one that is dead and released gets no links and
// is left to repair.
func (x *Index) linkOne(c *linker, slot uint32, position int64) {
	defer x.fresh.finish(position)
	t, ok := x.set.Enter(c.hint)
	if !ok {
		return
	}
	defer x.set.Leave(t)
	u := &x.upkeep
	u.mu.Lock()
	released, stopped := u.released, u.stopped
	u.mu.Unlock()
	if stopped {
		return
	}
	if died := x.set.Died(slot); died != 0 && died <= released {
		x.set.Move.RLock()
		atomic.StoreUint32(&x.view.Load().towers[slot], 1)
		x.set.Move.RUnlock()
		return
	}
	if err := x.link(c, slot); err != nil {
		u.mu.Lock()
		u.err = err
		u.mu.Unlock()
		return
	}
	u.dirty.Add(1)
	u.linked.Add(1)
	u.unsure.Add(1)
	u.unordered.Add(1)
}

// tend repairs and sweeps until there is nothing to do.
func (x *Index) tend() {
	u := &x.upkeep
	c := x.hire()
	defer u.spare.Put(c)
	for paused := false; ; {
		u.mu.Lock()
		if u.stopped || !x.chores() {
			u.tending = false
			u.notify()
			u.mu.Unlock()
			x.wake() // what waits for the order may be calibrated
			return
		}
		owed := len(u.due)
		pause, changed := max(rest, idle*u.took), u.changed
		if owed > 0 && u.draining == 0 && owed < x.plenty() && !paused {
			u.pausing = true
			u.mu.Unlock()
			paused = x.sleep(pause, changed)
			continue
		}
		if wait := x.unrest(); owed == 0 && wait > 0 {
			u.mu.Unlock()
			x.sleep(wait, changed)
			continue
		}
		paused, u.pausing, u.untidy = false, false, time.Time{}
		untidied := x.untidied()
		u.mu.Unlock()
		batch := x.exhume()
		start := time.Now()
		whole := false
		if len(batch) > 0 {
			whole = x.repair(c, batch)
		}
		if owed > 0 && len(batch) == 0 {
			// The dead are still fresh: a linker is about to get to them.
			x.sleep(time.Millisecond, changed)
			continue
		}
		if owed == 0 && x.roomy() {
			x.compact()
		}
		if !whole && (len(batch) > 0 || untidied) {
			x.sweep(c)
		}
		x.audit(c)
		x.reask(c, nil)
		u.mu.Lock()
		scattered := owed == 0 && x.scattered() && !u.calibrating
		u.mu.Unlock()
		if scattered {
			x.order()
		}
		u.mu.Lock()
		u.took = time.Since(start)
		u.notify()
		u.mu.Unlock()
	}
}

// unrest is how long the tender waits before it tidies what inserts left: until no
// more come. Where a load merely falters it would else come in between, and equal
// input not make equal graphs. Called under mu.
func (x *Index) unrest() time.Duration {
	u := &x.upkeep
	if u.draining > 0 || x.roomy() {
		return 0
	}
	if x.set.Filling() {
		return calm // nodes would be asked for by their codes
	}
	now := time.Now()
	if u.untidy.IsZero() {
		u.untidy = now
	}
	return min(time.Unix(0, u.came.Load()).Add(calm).Sub(now), u.untidy.Add(endure).Sub(now))
}

// sleep waits for d, or until changed; it reports whether d passed.
func (x *Index) sleep(d time.Duration, changed <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-changed:
		return false
	}
}

// plenty is how many due dead are worth a repair at once.
func (x *Index) plenty() int { return x.set.Slots()/100 + 1 }

// exhume takes the dead that are due and in the graph; those that a linker has
// yet to get to remain due.
func (x *Index) exhume() []uint32 {
	u := &x.upkeep
	u.mu.Lock()
	due := u.due
	u.due = nil
	u.mu.Unlock()
	v := x.view.Load()
	var fresh []uint32
	batch := due[:0]
	for _, s := range due {
		if v.linked(s) {
			batch = append(batch, s)
		} else {
			fresh = append(fresh, s)
		}
	}
	u.mu.Lock()
	u.due = append(u.due, fresh...)
	u.mu.Unlock()
	return batch
}

// Drain returns when no vector is fresh, no released delete awaits repair,
// every live node is reachable, and recall is calibrated for what there is.
func (x *Index) Drain(ctx context.Context) error {
	u := &x.upkeep
	u.mu.Lock()
	u.draining++
	u.notify()
	u.mu.Unlock()
	defer func() {
		u.mu.Lock()
		u.draining--
		u.mu.Unlock()
	}()
	for {
		x.wake()
		u.mu.Lock()
		err, stopped, changed := u.err, u.stopped, u.changed
		busy := u.linkers > 0 || u.tending || u.calibrating || x.fresh.len() > 0 || x.chores()
		u.mu.Unlock()
		switch {
		case stopped:
			return index.ErrClosed
		case err != nil:
			return err
		case !busy:
			return ctx.Err()
		case !x.ready.Load():
			return ctx.Err()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
