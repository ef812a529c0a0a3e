package eider

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/eiderdb/eider/embed/bottleneck"
	"github.com/eiderdb/eider/storage"
	"github.com/eiderdb/eider/storage/format"
)

// A bottleneck is settings of the store: a head, a snapshot in parts that the head names,
// and a log of what was learned since. What was learned is a value of the log, committed
// before it is acknowledged; it holds the steps themselves, so that applying it gives
// the values bit for bit.
//
//	bottleneck/head/<coll>/<name>                          head, JSON
//	bottleneck/part/<coll>/<name>/<generation>/<number>    ≤ 1 MiB of a snapshot
//	bottleneck/log/<coll>/<name>/<seq>                     records: uvarint length, bytes, each
//
// A snapshot is parts of a new generation, which nothing names, then the head: before that
// the old one and the log are the truth, after it the new one and what of the log
// is not before head.Seq. The rest is removed then, or the next time.
const bottleneckKeys = "bottleneck/"

// Numbers in keys are hexadecimal of fixed width, in order.
func headKey(coll uint32, name string) string {
	return fmt.Sprintf(bottleneckKeys+"head/%08x/%s", coll, name)
}

func partsKey(coll uint32, name string) string {
	return fmt.Sprintf(bottleneckKeys+"part/%08x/%s/", coll, name)
}

func partKey(coll uint32, name string, generation uint64, i int) string {
	return fmt.Sprintf("%s%016x/%08x", partsKey(coll, name), generation, i)
}

func logsKey(coll uint32, name string) string {
	return fmt.Sprintf(bottleneckKeys+"log/%08x/%s/", coll, name)
}

func logKey(coll uint32, name string, seq uint64) string {
	return fmt.Sprintf("%s%016x", logsKey(coll, name), seq)
}

// head is the value of a head.
type head struct {
	Version int       `json:"version"` // 1
	Vector  string    `json:"vector"`
	Field   uint16    `json:"field"` // the vector's number, which no other will have
	Created time.Time `json:"created"`
	Sampled int       `json:"sampled"`

	Generation uint64 `json:"generation"` // of the parts
	Parts      int    `json:"parts"`
	Size       int64  `json:"size"`   // bytes of all parts
	Sum        uint32 `json:"crc32c"` // of all parts
	Seq        uint64 `json:"seq"`    // first of the log that the snapshot does not hold
}

// bottlenecks are those that were used since the database was opened.
type bottlenecks struct {
	mu   sync.Mutex // creating, dropping and opening
	open map[string]*Bottleneck
}

// Bottleneck is a classifier on a vector of a collection that learns row by row, in any
// order, forgets nothing, and names the rows that it predicts by. See package
// embed/bottleneck. All methods may be called from many goroutines; after its drop they
// give ErrNotFound.
type Bottleneck struct {
	c    *Collection
	name string

	queue   sync.Mutex
	waiting []*lesson
	turn    chan struct{} // holds one: who puts it in commits all that waits

	mu      sync.RWMutex
	learner *bottleneck.Learner // nil before its first use, and after a commit that failed
	head    head
	next    uint64 // of the log
	logged  int64  // bytes of the log since the snapshot
	stale   []string
	dropped bool
}

// lesson is one call that changes a bottleneck.
type lesson struct {
	examples []Example
	keys     []uint16
	unlearn  *bottleneck.Record // instead of examples

	done chan struct{}
	loss float64
	lsn  uint64
	err  error
}

const (
	groupLessons = 8 << 20  // bytes from which a commit takes no more calls
	mostLessons  = 32 << 20 // bytes of one call
)

// snapshotDue tells when a log of so many bytes is worth a new snapshot, where the last
// has size bytes.
var snapshotDue = func(logged, size int64) bool { return logged >= max(4<<20, size) }

func newBottleneck(c *Collection, name string, h head) *Bottleneck {
	return &Bottleneck{c: c, name: name, head: h, turn: make(chan struct{}, 1)}
}

// get opens a bottleneck without loading it.
func (s *bottlenecks) get(c *Collection, name string) (*Bottleneck, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := headKey(c.id, name)
	if b := s.open[key]; b != nil {
		return b, nil
	}
	view, err := c.db.viewAt(0)
	if err != nil {
		return nil, err
	}
	defer view.Release()
	h, err := readHead(view, key)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, fmt.Errorf("%w: bottleneck %q", ErrNotFound, name)
	} else if err != nil {
		return nil, err
	}
	b := newBottleneck(c, name, h)
	s.keep(key, b)
	return b, nil
}

func (s *bottlenecks) keep(key string, b *Bottleneck) {
	if s.open == nil {
		s.open = map[string]*Bottleneck{}
	}
	s.open[key] = b
}

func readHead(view *storage.View, key string) (h head, err error) {
	raw, err := view.Setting(key)
	if err != nil {
		return h, err
	}
	if err = json.Unmarshal(raw, &h); err == nil && h.Version != 1 {
		err = fmt.Errorf("version %d", h.Version)
	}
	if err != nil {
		err = fmt.Errorf("%w: head of a bottleneck: %w", ErrCorrupt, err)
	}
	return h, err
}

func (c *Collection) bottleneckNames() (names []string, err error) {
	view, err := c.db.viewAt(0)
	if err != nil {
		return nil, err
	}
	defer view.Release()
	prefix := headKey(c.id, "")
	err = view.Settings(prefix, func(key string, _ []byte) bool {
		names = append(names, strings.TrimPrefix(key, prefix))
		return true
	})
	return names, err
}

// create stores a learner under a new name.
func (s *bottlenecks) create(ctx context.Context, c *Collection, name string, h head, l *bottleneck.Learner) (*Bottleneck, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := headKey(c.id, name)
	view, err := c.db.viewAt(0)
	if err != nil {
		return nil, err
	}
	defer view.Release()
	if _, err := view.Setting(key); err == nil {
		return nil, fmt.Errorf("%w: bottleneck %q", ErrExists, name)
	}
	if _, err := c.stateAt(view.LSN()); err != nil {
		return nil, err
	}
	b := newBottleneck(c, name, h)
	if err := b.clean(ctx, view, func(string) bool { return true }); err != nil {
		return nil, err // what a drop left that was killed
	}
	b.learner, b.next = l, h.Seq
	if err := b.snapshot(ctx); err != nil {
		return nil, err
	}
	s.keep(key, b)
	return b, nil
}

// drop removes the head, which is all there is to see of a bottleneck, then the rest.
func (s *bottlenecks) drop(ctx context.Context, c *Collection, name string) error {
	b, err := s.get(c, name)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b.turn <- struct{}{} // commits under way end first
	defer func() { <-b.turn }()
	if b.dropped {
		return fmt.Errorf("%w: bottleneck %q", ErrNotFound, name)
	}
	if _, err := c.db.store.Commit(ctx, []storage.Op{{Kind: storage.Set, Name: headKey(c.id, name)}}); err != nil {
		return err
	}
	b.mu.Lock()
	b.dropped, b.learner = true, nil
	b.mu.Unlock()
	delete(s.open, headKey(c.id, name))
	view, err := c.db.viewAt(0)
	if err != nil {
		return err
	}
	defer view.Release()
	return b.clean(ctx, view, func(string) bool { return true })
}

// dropAll drops those of a collection.
func (s *bottlenecks) dropAll(ctx context.Context, c *Collection) error {
	names, err := c.bottleneckNames()
	for _, name := range names {
		err = errors.Join(err, s.drop(ctx, c, name))
	}
	return err
}

// clean removes parts and log that old tells.
func (b *Bottleneck) clean(ctx context.Context, view *storage.View, old func(key string) bool) error {
	var keys []string
	for _, prefix := range []string{partsKey(b.c.id, b.name), logsKey(b.c.id, b.name)} {
		err := view.Settings(prefix, func(key string, _ []byte) bool {
			if old(key) {
				keys = append(keys, key)
			}
			return true
		})
		if err != nil {
			return err
		}
	}
	return b.remove(ctx, keys)
}

func (b *Bottleneck) remove(ctx context.Context, keys []string) error {
	for part := range slices.Chunk(keys, 10_000) {
		ops := make([]storage.Op, len(part))
		for i, key := range part {
			ops[i] = storage.Op{Kind: storage.Set, Name: key}
		}
		if _, err := b.c.db.store.Commit(ctx, ops); err != nil {
			return err
		}
	}
	return nil
}

// read calls fn with the learner, which does not change meanwhile.
func (b *Bottleneck) read(ctx context.Context, fn func(*bottleneck.Learner) error) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		b.mu.RLock()
		if l := b.learner; l != nil {
			defer b.mu.RUnlock()
			return fn(l)
		}
		b.mu.RUnlock()
		// A commit that failed may leave it unloaded while others wait to commit.
		select {
		case b.turn <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		b.mu.Lock()
		err := b.load()
		b.mu.Unlock()
		<-b.turn
		if err != nil {
			return err
		}
	}
}

// load reads snapshot and log, if that is due. The caller holds turn and mu.
func (b *Bottleneck) load() error {
	switch {
	case b.dropped:
		return fmt.Errorf("%w: bottleneck %q", ErrNotFound, b.name)
	case b.learner != nil:
		return nil
	}
	view, err := b.c.db.viewAt(0)
	if err != nil {
		return err
	}
	defer view.Release()
	h, err := readHead(view, headKey(b.c.id, b.name))
	if err != nil {
		return err
	}
	var stale []string
	var raw []byte
	parts := 0
	err = view.Settings(partsKey(b.c.id, b.name), func(key string, value []byte) bool {
		if key != partKey(b.c.id, b.name, h.Generation, parts) || parts == h.Parts {
			stale = append(stale, key)
			return true
		}
		parts++
		raw = append(raw, value...)
		return true
	})
	if err == nil && (parts != h.Parts || int64(len(raw)) != h.Size || crc32.Checksum(raw, castagnoli) != h.Sum) {
		err = fmt.Errorf("%w: snapshot of bottleneck %q: %d of %d parts, %d of %d bytes", ErrCorrupt, b.name, parts, h.Parts, len(raw), h.Size)
	}
	if err != nil {
		return err
	}
	l, err := bottleneck.Read(raw)
	if err != nil {
		return err
	}
	next, logged := h.Seq, int64(0)
	var failed error
	prefix := logsKey(b.c.id, b.name)
	err = view.Settings(prefix, func(key string, value []byte) bool {
		seq, err := strconv.ParseUint(strings.TrimPrefix(key, prefix), 16, 64)
		if err == nil && seq < h.Seq {
			stale = append(stale, key)
			return true
		}
		if err == nil && seq != next {
			err = fmt.Errorf("%w: log of bottleneck %q has %d where %d is due", ErrCorrupt, b.name, seq, next)
		}
		if err == nil {
			err = replay(l, value)
		}
		next, logged, failed = next+1, logged+int64(len(value)), err
		return err == nil
	})
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	b.head, b.learner, b.next, b.logged, b.stale = h, l, next, logged, stale
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// replay applies the records of one value of the log.
func replay(l *bottleneck.Learner, value []byte) error {
	for len(value) > 0 {
		n, k := binary.Uvarint(value)
		if k <= 0 || n > uint64(len(value)-k) {
			return fmt.Errorf("%w: log of a bottleneck is cut", ErrCorrupt)
		}
		r, err := bottleneck.ParseRecord(value[k : k+int(n)])
		if err == nil {
			err = l.Apply(&r)
		}
		if err != nil {
			return &translated{ErrCorrupt, err}
		}
		value = value[k+int(n):]
	}
	return nil
}

// submit waits until x is committed: by this goroutine, with all that waits, or by
// another.
func (b *Bottleneck) submit(ctx context.Context, x *lesson) error {
	if b.c.db.opts.ReadOnly {
		return ErrReadOnly
	}
	x.done = make(chan struct{})
	b.queue.Lock()
	b.waiting = append(b.waiting, x)
	b.queue.Unlock()
	select {
	case <-x.done:
		return x.err
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		if b.withdraw(x) {
			return ctx.Err()
		}
		<-x.done
		return x.err
	}
	for {
		select {
		case <-x.done:
			if err := b.tidy(); err != nil {
				b.c.db.log.Warn("snapshot of a bottleneck failed; its log grows", "bottleneck", b.name, "err", err)
			}
			return x.err
		default:
			b.commit()
		}
	}
}

// withdraw takes a lesson back that nobody has begun.
func (b *Bottleneck) withdraw(x *lesson) bool {
	b.queue.Lock()
	defer b.queue.Unlock()
	i := slices.Index(b.waiting, x)
	if i >= 0 {
		b.waiting = slices.Delete(b.waiting, i, i+1)
	}
	return i >= 0
}

// commit applies lessons that wait and commits them as one value of the log. The caller
// holds turn.
func (b *Bottleneck) commit() {
	var group []*lesson
	var body []byte
	b.mu.Lock()
	err := b.load()
	for err == nil && len(body) < groupLessons {
		x := b.pop()
		if x == nil {
			break
		}
		was := len(body)
		if body, x.err = b.apply(body, x); x.err == nil {
			group = append(group, x)
			continue
		}
		close(x.done)
		if len(body) > was { // some of it was learned: begin anew, without it
			b.learner = nil
			b.push(group)
			b.mu.Unlock()
			return
		}
	}
	b.mu.Unlock()
	var res storage.Result
	if err == nil && len(group) > 0 {
		res, err = b.c.db.store.Commit(context.WithoutCancel(b.c.db.ctx), []storage.Op{{Kind: storage.Set, Name: logKey(b.c.id, b.name, b.next), Body: body}})
	}
	if err != nil && len(group) == 0 {
		if x := b.pop(); x != nil { // it cannot be loaded
			group = append(group, x)
		}
	}
	b.mu.Lock()
	if err != nil {
		b.learner = nil // what it learned is not stored
	} else if len(group) > 0 {
		b.next++
		b.logged += int64(len(body))
	}
	b.mu.Unlock()
	for _, x := range group {
		x.err, x.lsn = err, res.LSN
		close(x.done)
	}
}

// push puts lessons back before all that wait.
func (b *Bottleneck) push(group []*lesson) {
	b.queue.Lock()
	defer b.queue.Unlock()
	for _, x := range group {
		x.loss = 0
	}
	b.waiting = slices.Concat(group, b.waiting)
}

func (b *Bottleneck) pop() *lesson {
	b.queue.Lock()
	defer b.queue.Unlock()
	if len(b.waiting) == 0 {
		return nil
	}
	x := b.waiting[0]
	b.waiting = b.waiting[1:]
	return x
}

// apply changes the learner and appends the records. The caller holds mu.
func (b *Bottleneck) apply(body []byte, x *lesson) ([]byte, error) {
	l := b.learner
	if x.unlearn != nil {
		if err := l.Apply(x.unlearn); err != nil {
			return body, err
		}
		return appendRecord(body, x.unlearn), nil
	}
	if each := 2*l.Heads*l.Top + 4*(l.Width()+len(x.examples)); each*len(x.examples) > mostLessons {
		return body, fmt.Errorf("%w: %d examples of some %d bytes in one call, at most %d bytes; split it", ErrTooLarge, len(x.examples), each, mostLessons)
	}
	for i := range x.examples {
		e := &x.examples[i]
		if err := l.CheckExample(e.ID, e.Label, e.Targets); err != nil {
			return body, locate(fmt.Sprintf("/examples/%d", i), err)
		}
	}
	var r bottleneck.Record
	each := l.Heads * l.Top
	for i := range x.examples {
		e := &x.examples[i]
		var loss float64
		var err error
		if l.Config.Targets > 0 {
			loss, err = l.TeachTargets(&r, e.ID, x.keys[i*each:][:each], e.Targets)
		} else {
			loss, err = l.Teach(&r, e.ID, x.keys[i*each:][:each], e.Label)
		}
		if err == nil {
			err = l.Apply(&r)
		}
		if err != nil {
			return append(body, 0), locate(fmt.Sprintf("/examples/%d", i), err)
		}
		x.loss += loss
		body = appendRecord(body, &r)
	}
	return body, nil
}

func appendRecord(body []byte, r *bottleneck.Record) []byte {
	record := bottleneck.AppendRecord(nil, r)
	return append(binary.AppendUvarint(body, uint64(len(record))), record...)
}

// tidy stores a snapshot when the log is as large. The caller holds turn.
func (b *Bottleneck) tidy() error {
	if b.learner == nil || !snapshotDue(b.logged, b.head.Size) {
		return nil
	}
	return b.snapshot(b.c.db.ctx)
}

// snapshot stores the learner and removes the log. The caller holds turn, or nobody else
// knows b.
func (b *Bottleneck) snapshot(ctx context.Context) error {
	var raw bytes.Buffer
	b.mu.RLock()
	err := b.learner.Write(&raw)
	h, old, first := b.head, b.head, b.head.Seq
	b.mu.RUnlock()
	if err != nil {
		return err
	}
	h.Generation++
	h.Size, h.Sum, h.Seq, h.Parts = int64(raw.Len()), crc32.Checksum(raw.Bytes(), castagnoli), b.next, 0
	var ops []storage.Op
	for part := range slices.Chunk(raw.Bytes(), format.MaxChunk) {
		ops = append(ops, storage.Op{Kind: storage.Set, Name: partKey(b.c.id, b.name, h.Generation, h.Parts), Body: part})
		if h.Parts++; len(ops) == 16 {
			if _, err := b.c.db.store.Commit(ctx, ops); err != nil {
				return err
			}
			ops = nil
		}
	}
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	ops = append(ops, storage.Op{Kind: storage.Set, Name: headKey(b.c.id, b.name), Body: text})
	if _, err := b.c.db.store.Commit(ctx, ops); err != nil {
		return err
	}
	gone := b.stale
	for i := range old.Parts {
		gone = append(gone, partKey(b.c.id, b.name, old.Generation, i))
	}
	for seq := first; seq < h.Seq; seq++ {
		gone = append(gone, logKey(b.c.id, b.name, seq))
	}
	b.mu.Lock()
	b.head, b.logged, b.stale = h, 0, nil
	b.mu.Unlock()
	if err := b.remove(ctx, gone); err != nil {
		b.mu.Lock()
		b.stale = gone
		b.mu.Unlock()
		return err
	}
	return nil
}
