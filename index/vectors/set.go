package vectors

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/index/quant"
	"github.com/eiderdb/eider/internal/arena"
	"github.com/eiderdb/eider/simd"
)

// MaxSlots is the largest number of slots: slot numbers fit 31 bits, so that a
// graph walk may keep a mark in the 32nd.
const MaxSlots = 1<<31 - 1

// Room is the address space that rows get where there is enough of it, and
// MinRoom the least that is worth trying.
const (
	Room    = 64 << 30
	MinRoom = 1 << 30
)

// maxHalf is the largest magnitude that does not round to infinity in binary16.
const maxHalf = 65519

// Set is a growing collection of vectors by slot. All methods may be called
// from many goroutines at once unless they say otherwise.
type Set struct {
	dim    int
	stride int // elements from row to row
	metric index.Metric
	half   bool
	grow   func(capacity int) error
	room   int

	codec    *quant.Codec // nil without codes
	codeSize int          // bytes from code to code
	walked   index.Metric // of distances by codes
	unit     float32      // what makes them distances of metric
	source   index.Source // of vectors, if rows is nil
	extent   extent       // of the codes
	rotation *rotation    // of the vectors that codes are made of; nil for none
	filled   atomic.Bool  // rows exist and hold the vectors
	owed     marks        // slots whose row is not filled yet
	scratch  sync.Pool    // of *[]float32
	halves   sync.Pool    // of *[]uint16

	rows, ids, live, codes *arena.Region
	view                   atomic.Pointer[View]

	plan atomic.Pointer[[]part] // of ScoreWithin, nil until Learn

	slots pages // id -> slot+1
	died  pages // slot -> LSN of its delete, 0 while live or free

	n     atomic.Int64 // slots below n have been reserved at some time
	nlive atomic.Int64
	ndead atomic.Int64 // dead, not freed
	// shadowed counts dead slots whose id has a newer slot.
	shadowed atomic.Int64
	moving   atomic.Int64 // StartMoves less EndMoves
	closed   atomic.Bool
	epochs   epochs

	mu    sync.Mutex // guards free and twins, and the order of reservations
	free  []uint32
	twins map[uint32]uint32 // the slot that an id has -> another that searches find as well; see move.go
	// Move excludes writers of slot memory while it moves. Readers need not take
	// it: where memory moves they keep the old copy.
	Move sync.RWMutex
}

// View is the memory of a Set as of one growth. Slots below Cap have memory.
type View struct {
	Cap  int
	F32  []float32 // rows, Stride apart; nil under Float16
	F16  []uint16
	IDs  []uint32 // slot -> id; access atomically or under the rules of the package
	Live []uint32 // bit set of live slots; access atomically
	Code []byte   // codes of the rows, if the set keeps any
}

// Check reports whether cfg names a set that New can make: index.ErrOption.
func Check(cfg index.Config) error {
	switch {
	case cfg.Dim < 1 || cfg.Dim > index.MaxDim:
		return fmt.Errorf("%w: dim %d is not in 1..%d", index.ErrOption, cfg.Dim, index.MaxDim)
	case cfg.Metric != "" && !cfg.Metric.Valid():
		return fmt.Errorf("%w: metric %q is none of l2, ip, cosine", index.ErrOption, cfg.Metric)
	case len(cfg.Widths) > 0 && (cfg.Codes == index.None || cfg.Metric == index.IP):
		return fmt.Errorf("%w: widths need codes, and metric l2 or cosine", index.ErrOption)
	case cfg.Rotation != nil && (len(cfg.Widths) == 0 || len(cfg.Rotation) != cfg.Dim*cfg.Dim):
		return fmt.Errorf("%w: a rotation needs widths, and %d numbers, not %d", index.ErrOption, cfg.Dim*cfg.Dim, len(cfg.Rotation))
	case cfg.Source != nil && cfg.Codes == index.None:
		return fmt.Errorf("%w: vectors that stay on disk need codes to be searched by; set codes to int8", index.ErrOption)
	case cfg.Storage != "" && cfg.Storage != index.Float32 && cfg.Storage != index.Float16:
		return fmt.Errorf("%w: storage %q is none of float32, float16", index.ErrOption, cfg.Storage)
	}
	return nil
}

// New returns an empty set whose rows may take room bytes of address space. grow, if not nil, is called, one call at a time,
// before slots below capacity come into use. Errors: index.ErrOption, index.ErrCorrupt
// for a rotation that is none, those of package arena. The caller must Close it.
func New(cfg index.Config, room int, grow func(capacity int) error) (*Set, error) {
	if err := Check(cfg); err != nil {
		return nil, err
	}
	s := &Set{dim: cfg.Dim, metric: cfg.Metric, half: cfg.Storage == index.Float16, grow: grow, room: room}
	if s.metric == "" {
		s.metric = index.L2
	}
	s.stride = stride(cfg.Dim, s.width())
	var err error
	s.scratch.New = func() any { b := make([]float32, cfg.Dim); return &b }
	s.halves.New = func() any { b := make([]uint16, cfg.Dim); return &b }
	if cfg.Codes != index.None {
		if s.codec, err = quant.New(cfg.Codes, cfg.Dim, cfg.Widths...); err != nil {
			return nil, err
		}
		s.codeSize, s.source = s.codec.Size(), cfg.Source
		if cfg.Rotation != nil {
			if err := s.Rotate(cfg.Rotation); err != nil {
				return nil, err
			}
		}
		s.walked, s.unit = s.metric, 1
		if s.codec.Levels() > 1 && s.metric == index.Cosine {
			s.walked, s.unit = index.L2, 0.5 // |a-b|² = 2(1-a·b) for unit vectors, and adds up
		}
	}
	if s.source == nil {
		s.rows, err = arena.Reserve(s.reserve(s.stride * s.width()))
	}
	if err == nil {
		if s.ids, err = arena.Reserve(s.reserve(4)); err == nil {
			s.live, err = arena.Reserve(s.reserve(1))
			if err == nil && s.codec != nil {
				s.codes, err = arena.Reserve(s.reserve(s.codeSize))
			}
		}
	}
	if err != nil {
		s.release()
		return nil, err
	}
	s.view.Store(&View{})
	s.filled.Store(s.rows != nil)
	return s, nil
}

// width is the number of bytes of an element.
func (s *Set) width() int {
	if s.half {
		return 2
	}
	return 4
}

// stride pads a row to whole cache lines if that costs at most a sixteenth, else
// to 16 bytes.
func stride(dim, width int) int {
	line := 64 / width
	if padded := (dim + line - 1) / line * line; (padded-dim)*16 <= dim {
		return padded
	}
	quarter := line / 4
	return (dim + quarter - 1) / quarter * quarter
}

// reserve is the address space for a region of size bytes a slot.
func (s *Set) reserve(size int) int64 {
	return int64(s.most()) * int64(size)
}

// most is the number of slots the set has address space for.
func (s *Set) most() int {
	if s.source != nil {
		return min(MaxSlots, s.room/s.codeSize)
	}
	return min(MaxSlots, s.room/(s.stride*s.width()))
}

// Most is the number of slots the set can ever have.
func (s *Set) Most() int { return s.most() }

// Dim is the dimension, Metric the metric, Half whether rows are binary16.
func (s *Set) Dim() int             { return s.dim }
func (s *Set) Metric() index.Metric { return s.metric }
func (s *Set) Half() bool           { return s.half }

// Enter lets a reader in, until Leave; false after Close. hint spreads readers
// over counters.
func (s *Set) Enter(hint uint32) (Ticket, bool) {
	t := s.epochs.enter(hint)
	if s.closed.Load() {
		s.epochs.leave(t)
		return 0, false
	}
	return t, true
}

// Leave lets the reader out.
func (s *Set) Leave(t Ticket) { s.epochs.leave(t) }

// Wait returns when every reader that entered before the call has left. A
// reader must not call it.
func (s *Set) Wait() { s.epochs.sync() }

// View is the memory as it is now. Take it after Enter, and again when a slot is
// not below its Cap.
func (s *Set) View() *View { return s.view.Load() }

// Len is the number of live vectors, Dead that of dead slots not yet freed, and
// Slots one more than the highest slot ever reserved.
func (s *Set) Len() int   { return int(s.nlive.Load()) }
func (s *Set) Dead() int  { return int(s.ndead.Load()) }
func (s *Set) Slots() int { return int(s.n.Load()) }

// Reserve takes a slot for id. It is not visible until Publish. Errors:
// index.ErrExists if id has a live or reserved slot, those of package arena.
func (s *Set) Reserve(id uint32) (uint32, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.slots.get(id)
	if old != 0 && s.died.get(uint32(old-1)) == 0 {
		return 0, fmt.Errorf("%w: %d", index.ErrExists, id)
	}
	slot, err := s.take()
	if err != nil {
		return 0, err
	}
	if old != 0 {
		s.shadowed.Add(1)
	}
	atomic.StoreUint32(&s.view.Load().IDs[slot], id)
	s.slots.set(id, uint64(slot)+1)
	return slot, nil
}

// take pops a free slot or extends the set by one. Called under mu.
func (s *Set) take() (uint32, error) {
	if n := len(s.free); n > 0 {
		slot := s.free[n-1]
		s.free = s.free[:n-1]
		return slot, nil
	}
	slot := int(s.n.Load())
	if err := s.reach(slot + 1); err != nil {
		return 0, err
	}
	s.n.Store(int64(slot) + 1)
	return uint32(slot), nil
}

// Extend makes the set n slots long, all new ones free but for what the caller
// puts in them with Restore. For loading, before any other use. Errors: those
// of package arena.
func (s *Set) Extend(n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.reach(n); err != nil {
		return err
	}
	s.n.Store(int64(n))
	return nil
}

// Restore binds slot to id as Reserve would. It reports false if id has a slot.
// It may run for several slots at once.
func (s *Set) Restore(slot, id uint32) bool {
	if !s.slots.claim(id, uint64(slot)+1) {
		return false
	}
	s.view.Load().IDs[slot] = id
	return true
}

// reach grows memory to at least want slots. Called under mu.
func (s *Set) reach(want int) error {
	v := s.view.Load()
	if want <= v.Cap {
		return nil
	}
	if want > s.most() {
		return fmt.Errorf("%w: %d slots", arena.ErrFull, s.most())
	}
	capacity := min((max(want, v.Cap+v.Cap/2, 1024)+63)&^63, s.most())
	if !s.ids.Stable() {
		s.Move.Lock()
		defer s.Move.Unlock()
	}
	if s.rows != nil {
		if err := s.rows.Grow(int64(capacity) * int64(s.stride*s.width())); err != nil {
			return err
		}
	}
	if err := s.ids.Grow(int64(capacity) * 4); err != nil {
		return err
	}
	if err := s.live.Grow(int64(capacity+31) / 32 * 4); err != nil {
		return err
	}
	if s.codes != nil {
		if err := s.codes.Grow(int64(capacity) * int64(s.codeSize)); err != nil {
			return err
		}
	}
	if s.grow != nil {
		if err := s.grow(capacity); err != nil {
			return err
		}
	}
	next := &View{Cap: capacity, IDs: arena.Whole[uint32](s.ids), Live: arena.Whole[uint32](s.live)}
	switch {
	case s.rows == nil:
	case s.half:
		next.F16 = arena.Whole[uint16](s.rows)
	default:
		next.F32 = arena.Whole[float32](s.rows)
	}
	if s.codes != nil {
		next.Code = arena.Whole[byte](s.codes)
	}
	s.view.Store(next)
	return nil
}

// CheckQuery reports why q cannot be searched for: see index.CheckVector. One pass
// of a kernel clears nearly every vector: a NaN, an infinity or an overflow would
// leave the range.
func (s *Set) CheckQuery(q []float32) error {
	if len(q) == s.dim {
		if n := simd.Norm(q); n > 1e-30 && n < math.MaxFloat32/8 {
			return nil
		}
	}
	return index.CheckVector(s.metric, s.dim, q)
}

// Verify reports why vec cannot be stored: see CheckQuery; under Float16 also a
// component beyond what binary16 holds.
func (s *Set) Verify(vec []float32) error {
	if err := s.CheckQuery(vec); err != nil {
		return err
	}
	if s.half && s.metric != index.Cosine {
		for i, x := range vec {
			if x > maxHalf || x < -maxHalf {
				return fmt.Errorf("%w: component %d is %v, beyond float16; use storage float32 or scale down",
					index.ErrNotFinite, i, x)
			}
		}
	}
	return nil
}

// Write copies vec, which must have passed Verify, to the row of a slot that the
// caller has reserved: normalised under cosine, rounded under Float16; and its
// code.
func (s *Set) Write(slot uint32, vec []float32) {
	s.Move.RLock()
	defer s.Move.RUnlock()
	v := s.view.Load()
	if s.rows != nil && !s.half {
		row := v.F32[int(slot)*s.stride:][:s.dim]
		s.direct(row, vec)
		s.encode(v, slot, row)
		return
	}
	b := s.scratch.Get().(*[]float32)
	defer s.scratch.Put(b)
	row := *b
	s.direct(row, vec)
	if s.rows != nil {
		half := v.F16[int(slot)*s.stride:][:s.dim]
		simd.ToHalf(half, row)
		simd.FromHalf(row, half)
	}
	s.encode(v, slot, row)
}

// direct writes vec to row, normalised under cosine.
func (s *Set) direct(row, vec []float32) {
	if s.metric == index.Cosine {
		Normalise(row, vec)
	} else {
		copy(row, vec)
	}
}

// encode writes the code of row.
func (s *Set) encode(v *View, slot uint32, row []float32) {
	if s.codec == nil {
		return
	}
	code := s.code(v, slot)
	if s.rotation == nil {
		s.codec.Encode(code, row)
	} else {
		b := s.scratch.Get().(*[]float32)
		s.rotation.apply(*b, row)
		s.codec.Encode(code, *b)
		s.scratch.Put(b)
		s.codec.Loosen(code, s.rotation.slack(row))
	}
	s.extent.add(s.codec.Measure(code, 0))
}

// code is the code row of slot.
func (s *Set) code(v *View, slot uint32) []byte {
	off := int(slot) * s.codeSize
	return v.Code[off : off+s.codeSize : off+s.codeSize]
}

// Normalise writes vec scaled to length one to dst, which may be vec. The sum of
// squares is taken in float64 so that tiny and huge vectors keep their direction.
func Normalise(dst, vec []float32) {
	var sum float64
	for _, x := range vec {
		sum += float64(x) * float64(x)
	}
	f := 1 / math.Sqrt(sum)
	for i, x := range vec {
		dst[i] = float32(float64(x) * f)
	}
}

// Publish makes a written slot live: every reader that takes a bit of Live or
// asks Visible afterwards sees it.
func (s *Set) Publish(slot uint32) {
	s.Move.RLock()
	old := atomic.OrUint32(&s.view.Load().Live[slot/32], 1<<(slot%32))
	s.Move.RUnlock()
	if old&(1<<(slot%32)) == 0 {
		s.nlive.Add(1)
	}
}

// Delete makes the live slot of id dead as of lsn and returns it; false if id
// has none.
func (s *Set) Delete(id uint32, lsn uint64) (uint32, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.slots.get(id)
	if at == 0 {
		return 0, false
	}
	slot := uint32(at - 1)
	s.Move.RLock()
	defer s.Move.RUnlock()
	live := s.view.Load().Live
	if atomic.LoadUint32(&live[slot/32])&(1<<(slot%32)) == 0 {
		return 0, false
	}
	// Before the bit: a reader that finds the bit clear must find the LSN.
	s.died.set(slot, max(lsn, 1))
	atomic.AndUint32(&live[slot/32], ^(uint32(1) << (slot % 32)))
	if from, ok := s.twins[slot]; ok {
		s.died.set(from, max(lsn, 1))
		atomic.AndUint32(&live[from/32], ^(uint32(1) << (from % 32)))
	}
	s.nlive.Add(-1)
	s.ndead.Add(1)
	return slot, true
}

// Drop makes a slot that was restored but never published dead, for all
// readers; for a slot that is live or dead it does nothing and returns false.
func (s *Set) Drop(slot uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.IsLive(slot) || s.died.get(slot) != 0 {
		return false
	}
	s.died.set(slot, 1)
	s.ndead.Add(1)
	return true
}

// Free gives dead slots to be reserved again. The caller has made them
// unreachable and then called Wait.
func (s *Set) Free(slots []uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := s.view.Load().IDs
	for _, slot := range slots {
		id := atomic.LoadUint32(&ids[slot])
		if s.slots.get(id) == uint64(slot)+1 {
			s.slots.set(id, 0)
		} else {
			s.shadowed.Add(-1)
		}
		s.died.set(slot, 0)
		s.ndead.Add(-1)
		s.owed.clear(slot)
	}
	s.free = append(s.free, slots...)
}

// Vacate puts slots that never held anything on the free list. For loading.
func (s *Set) Vacate(slots []uint32) {
	s.mu.Lock()
	s.free = append(s.free, slots...)
	s.mu.Unlock()
}

// Slot is the slot that id has, live or dead; false if none. A reserved slot
// whose vector is not yet published counts as none.
func (s *Set) Slot(id uint32) (uint32, bool) {
	at := s.slots.get(id)
	if at == 0 {
		return 0, false
	}
	slot := uint32(at - 1)
	if !s.IsLive(slot) && s.died.get(slot) == 0 {
		return 0, false
	}
	return slot, true
}

// Bound is the slot that Reserve or Restore gave id, whatever its state.
func (s *Set) Bound(id uint32) (uint32, bool) {
	at := s.slots.get(id)
	return uint32(at - 1), at != 0
}

// IsLive reports whether slot is live.
func (s *Set) IsLive(slot uint32) bool {
	v := s.view.Load()
	return int(slot) < v.Cap && atomic.LoadUint32(&v.Live[slot/32])&(1<<(slot%32)) != 0
}

// Died is the LSN at which slot was deleted, 0 if it was not.
func (s *Set) Died(slot uint32) uint64 { return s.died.get(slot) }

// Visible reports whether a search as of at finds slot: it is live, or at is not
// 0 and it died after at.
func (s *Set) Visible(slot uint32, at uint64) bool {
	return s.IsLive(slot) || at != 0 && s.died.get(slot) > at
}

// Append appends the vector of slot, which must be resident, to dst, widened to
// float32.
func (s *Set) Append(slot uint32, dst []float32) []float32 {
	v := s.view.Load()
	off := int(slot) * s.stride
	if !s.half {
		return append(dst, v.F32[off:off+s.dim]...)
	}
	n := len(dst)
	for range s.dim {
		dst = append(dst, 0)
	}
	simd.FromHalf(dst[n:], v.F16[off:off+s.dim])
	return dst
}

// VectorBytes is the memory of rows in use, CodeBytes that of their codes, and MapBytes that of ids, states
// and the map from ids to slots.
func (s *Set) VectorBytes() int64 {
	if s.rows == nil {
		return 0
	}
	return s.n.Load() * int64(s.stride*s.width())
}
func (s *Set) CodeBytes() int64 { return s.n.Load() * int64(s.codeSize) }
func (s *Set) MapBytes() int64 {
	return s.n.Load()*4 + (s.n.Load()+7)/8 + s.slots.bytes() + s.died.bytes()
}

// Close frees the memory once every reader has left. Writers must have stopped.
// Idempotent.
func (s *Set) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.Wait()
	return s.release()
}

// Shadowed reports whether some id has both a dead slot and a newer one, so that
// a search as of an old LSN may meet it twice.
func (s *Set) Shadowed() bool { return s.shadowed.Load() != 0 }

// Closed reports whether Close was called.
func (s *Set) Closed() bool { return s.closed.Load() }

func (s *Set) release() error {
	var first error
	for _, r := range []*arena.Region{s.rows, s.ids, s.live, s.codes} {
		if r == nil {
			continue
		}
		if err := r.Free(); err != nil && first == nil {
			first = err
		}
	}
	return first
}
