package hnsw

import (
	"context"
	"math"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/eiderdb/eider/index"
)

// Calibration measures what share of the true nearest a walk finds with a pool of
// each size, so that a search may ask for recall instead of a pool. One walk by
// the largest pool passes through the states in which every smaller one would
// have ended, so a query costs one exact answer and one long walk.
//
// Queries are those that were asked lately; until there are enough, stored
// vectors: each is asked for its neighbours as if it had never been stored. The
// walk does not see it, and so cannot profit by its links, which lead to just the
// nodes sought. That errs to the safe side: some lists of others dropped a link
// because this node stood between.

const (
	counted  = 10       // hits that recall is counted over
	ties     = 10       // further hits looked at: as near as the last, they count too
	samples  = 96       // queries of a calibration
	fewest   = 32       // queries of a calibration where each costs much
	scanned  = 10 << 30 // bytes that the exact answers of one calibration may read
	fourfold = 4        // a graph this many times as large is calibrated while it grows
	beyond   = 6        // places of the grid after the one where all was found
)

// polite is a context whose holder lets others run whenever it looks at it: scans
// do so every 0.1 ms.
type polite struct{ context.Context }

func (p polite) Done() <-chan struct{} {
	runtime.Gosched()
	return p.Context.Done()
}

// stale reports whether the graph should be calibrated: it has no curve, half as
// many nodes were linked since as it had then, a third of them are gone, or there
// are real queries now and the curve is of stored vectors. While linkers work it
// waits, and for repairs, and after loading for the vectors to be in memory. Called
// under upkeep.mu.
func (x *Index) stale() bool {
	n := x.set.Len() - x.fresh.len()
	if n <= small || x.entry.Load() == noEntry || x.cfg.Source == nil && !x.set.Resident() {
		return false
	}
	c := x.curve.Load()
	u := &x.upkeep
	linked := u.linked.Load()
	if u.linkers > 0 || x.fresh.len() > 0 {
		return !x.set.Moving() && c != nil && linked >= int64((fourfold-1)*c.n)
	}
	if u.tending || len(u.due) > 0 {
		return false
	}
	return c == nil || linked >= int64(c.n/2) || n < c.n*2/3 || !c.tried && x.asked.full()
}

// calibrate measures until nothing is stale.
func (x *Index) calibrate() {
	u := &x.upkeep
	c := newSearcher(x.serial.Add(1), x.m0)
	ctx := polite{u.ctx}
	for {
		linked := u.linked.Load()
		curve, err := x.gauge(ctx, c)
		u.mu.Lock()
		if err == nil {
			x.curve.Store(curve)
			u.linked.Add(-linked)
		}
		u.failed = err != nil
		if u.stopped || err != nil || !x.stale() {
			u.calibrating = false
			u.notify()
			u.mu.Unlock()
			x.wake() // what waited for this may be put in order
			return
		}
		u.mu.Unlock()
	}
}

// meter is a calibration under way.
type meter struct {
	x      *Index
	c      *searcher
	tracks []*track // by the last block of codes that walks go by
	truth  []index.Hit
	want   []uint32 // slots of truth that count
	copy   []entry
	hits   []index.Hit
	scan   time.Duration // shortest of an exact answer
}

// track is what walks by some blocks of the codes did.
type track struct {
	grid   []int
	found  [][]float64     // by query and place in grid: share of the true nearest
	scored []int           // by place in grid: distances of all queries
	took   []time.Duration // shortest of walks, by place in grid
	toll   time.Duration   // shortest of what a search does beside its walk
	unit   float64         // shortest of a distance in a whole walk, nanoseconds
}

func newTrack(grid []int) *track {
	return &track{
		grid:   grid,
		scored: make([]int, len(grid)),
		took:   slices.Repeat([]time.Duration{math.MaxInt64}, len(grid)),
		toll:   math.MaxInt64,
		unit:   math.Inf(1),
	}
}

// add adds what o measured, as far as both went.
func (t *track) add(o *track) {
	t.grid = t.grid[:min(len(t.grid), len(o.grid))]
	for i := range t.grid {
		t.scored[i] += o.scored[i]
		t.took[i] = min(t.took[i], o.took[i])
	}
	t.found = append(t.found, o.found...)
	t.toll, t.unit = min(t.toll, o.toll), min(t.unit, o.unit)
}

// course sums a track up, where a scan takes so long.
func (t *track) course(prefix int, scan time.Duration) course {
	c := newCourse(prefix, t.grid, t.found, t.scored)
	c.unit, c.toll = t.unit, float64(t.toll)
	for i, ef := range t.grid {
		if t.took[i] > scan && len(t.found) > 0 {
			c.most = ef
			break
		}
	}
	return c
}

// gauge returns the curve of the graph as it is. Errors: the context's, those
// of a source of vectors.
func (x *Index) gauge(ctx context.Context, on *searcher) (*curve, error) {
	n := x.set.Len()
	s := x.survey(on)
	row := x.cfg.Dim
	if !x.set.Coded() {
		row *= 4
	}
	want := min(samples, max(fewest, scanned/(n*row)))
	asked := x.asked.take(want)
	err := s.measure(ctx, want, len(asked), func(i int, _ []float32) ([]float32, uint32, bool) { return asked[i], none, true })
	if err != nil {
		return nil, err
	}
	real := s.count() >= want/2
	if !real {
		s.restart()
		err := s.measure(ctx, want, 8*want, func(i int, buf []float32) ([]float32, uint32, bool) {
			slot, id, ok := x.draw(uint64(i))
			if ok {
				buf, ok = x.set.Vector(id, buf[:0])
			}
			return buf, slot, ok
		})
		if err != nil {
			return nil, err
		}
	}
	c := &curve{n: n, asked: real, tried: len(asked) > 0}
	for level, t := range s.meters[0].tracks {
		if len(t.found) > 0 {
			r := t.course(x.set.Width(level), s.meters[0].scan)
			c.courses, c.points = append(c.courses, r), append(c.points, r.points...)
		}
	}
	return c, nil
}

// count is the number of queries measured.
func (m *meter) count() int { return len(m.tracks[0].found) }

// draw is the i-th of an even sequence of live nodes that are not above level 0,
// where a walk would meet them on its way down; false for a slot that is none.
func (x *Index) draw(i uint64) (slot, id uint32, ok bool) {
	v, sv := x.view.Load(), x.set.View()
	n := min(x.set.Slots(), v.cap, sv.Cap)
	// Steps of the golden ratio spread any number of draws evenly.
	slot = uint32(uint64(n) * (((i + 1) * 0x9e3779b97f4a7c15) >> 40) >> 24)
	if !x.set.IsLive(slot) || atomic.LoadUint32(&v.towers[slot]) != 1 {
		return 0, 0, false
	}
	return slot, atomic.LoadUint32(&sv.IDs[slot]), true
}

// ask measures the walks of one query. With skip, a slot that holds it, that one
// is left out of what is sought and of what is met; so is one found to equal q.
func (m *meter) ask(ctx context.Context, q []float32, skip uint32) error {
	x, c := m.x, m.c
	t, ok := x.set.Enter(c.hint)
	if !ok {
		return index.ErrClosed
	}
	defer x.set.Leave(t)
	c.enter(x)
	if c.entry == noEntry {
		return nil
	}
	x.set.Trace(&c.probe, q)
	var err error
	start := time.Now()
	if m.truth, _, err = c.scan.Exact(ctx, x.set, &c.probe, index.Params{K: counted + ties + 1}, m.truth[:0]); err != nil {
		return ctx.Err() // what cannot be read is not measured
	}
	m.scan = min(m.scan, time.Since(start))
	if skip == none && len(m.truth) > 0 && x.cfg.Metric != index.IP && m.truth[0].Distance <= same {
		if skip, ok = x.set.Slot(m.truth[0].ID); !ok {
			return nil
		}
	}
	if skip != none && (skip >= c.limit || atomic.LoadUint32(&c.gv.towers[skip]) != 1) {
		return nil
	}
	if !m.seek(skip) {
		return nil
	}
	for level := range m.tracks {
		x.set.Trace(&c.probe, q)
		if err := m.walk(ctx, level, skip); err != nil {
			return err
		}
		if err := m.settle(q, level); err != nil {
			return err
		}
	}
	return nil
}

// settle notes what a search by the blocks up to level spends beside its walk: on
// making the query ready, on the blocks after those, and on the vectors that decide.
func (m *meter) settle(q []float32, level int) (err error) {
	x, c, r := m.x, m.c, m.tracks[level]
	if len(m.tracks) == 1 {
		r.toll = 0 // there is nothing to compare with
		return nil
	}
	m.copy = append(m.copy[:0], c.pool.e[:min(4*counted, len(c.pool.e))]...)
	start := time.Now()
	x.set.Trace(&c.probe, q)
	x.set.Reach(&c.probe, level)
	var w index.Work
	m.hits, err = x.hits(c, m.copy, index.Params{K: counted}, m.hits[:0], &w)
	r.toll = min(r.toll, time.Since(start))
	return err
}

// seek puts the slots of the true nearest in m.want, those that tie with the last
// included. It reports false where more tie than were looked at: a walk may then
// have found as good ones as any.
func (m *meter) seek(skip uint32) bool {
	m.want = m.want[:0]
	var last float32
	for _, h := range m.truth {
		slot, ok := m.x.set.Slot(h.ID)
		if !ok {
			return false
		}
		switch {
		case slot == skip:
			continue
		case len(m.want) < counted:
			last = h.Distance
		case h.Distance > last:
			return true
		}
		m.want = append(m.want, slot)
	}
	return false
}

// walk notes, at each place of the grid of a level, the share of m.want in a pool of
// that size. Where a walk has scored half of all vectors a scan is cheaper, and the
// grid ends.
func (m *meter) walk(ctx context.Context, level int, skip uint32) error {
	x, c, r := m.x, m.c, m.tracks[level]
	x.set.Reach(&c.probe, level)
	scored := c.scored // before this walk
	c.copies = x.m0 / 4
	c.turn()
	if skip != none {
		c.seen[skip] = c.epoch
	}
	at, d := x.descend(c, &c.probe, c.entry, 0)
	c.pool.reset(r.grid[len(r.grid)-1])
	if c.see(at) {
		c.pool.insert(d, at)
	}
	shares := make([]float64, 0, len(r.grid))
	var took time.Duration
	for i, ef := range r.grid {
		start := time.Now()
		if err := x.walkTo(ctx, c, &c.probe, 0, ef); err != nil {
			return err
		}
		took += time.Since(start)
		r.took[i] = min(r.took[i], took)
		shares = append(shares, m.share(ef))
		r.scored[i] += c.scored - scored
		if c.scored-scored > x.set.Len()/2 {
			r.grid = r.grid[:i+1]
			break
		}
	}
	r.found = append(r.found, shares)
	r.unit = min(r.unit, float64(took)/float64(max(1, c.scored-scored)))
	return nil
}

// narrow ends the grid not far beyond the place where walks found everything.
func (t *track) narrow() {
	for i := range t.grid {
		if i+beyond >= len(t.grid) {
			return
		}
		if !slices.ContainsFunc(t.found, func(shares []float64) bool { return shares[i] < 1 }) {
			t.grid = t.grid[:i+beyond]
			return
		}
	}
}

// share is the recall of the first ef of the pool, as a search would choose among
// them.
func (m *meter) share(ef int) float64 {
	e := m.c.pool.e[:min(ef, len(m.c.pool.e))]
	if m.x.set.Levels() > 1 {
		m.copy = append(m.copy[:0], e...)
		e, _ = m.x.funnel(m.c, m.copy, counted, m.x.cfg.Dim)
	}
	hits := 0
	for _, s := range e {
		if slices.Contains(m.want, s.slot&slotMask) {
			hits++
		}
	}
	return float64(min(hits, counted)) / counted
}

// pools is the grid of pool sizes for n vectors.
func pools(n int) []int {
	grid := []int{counted}
	for f := float64(counted); ; {
		f *= math.Sqrt2
		if f > 4096 || f >= float64(n)/2 {
			return grid
		}
		grid = append(grid, int(f))
	}
}
