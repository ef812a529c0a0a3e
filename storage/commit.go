package storage

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/eiderdb/eider/storage/format"
)

// Caps of one call and of one group.
const (
	MaxOps       = 100_000   // operations of one Commit
	MaxCallBytes = 128 << 20 // bodies and vectors of one Commit
	groupCalls   = 1024      // calls that share a sync
	groupBytes   = 16 << 20  // bytes from which a group is closed
)

// OpKind says what an Op does.
type OpKind uint8

// The operations of Commit.
const (
	Put    OpKind = 1 // store Body and Vectors as a new version of ID
	Delete OpKind = 2 // remove ID; removing what is not there does nothing
	Patch  OpKind = 3 // like Put, of what Op.Patch returns
	Set    OpKind = 4 // store Body as the setting Name; nil Body removes it
)

// Vec is the bytes of one vector field, little-endian elements.
type Vec struct {
	Field uint16
	Data  []byte // 1..format.MaxVector bytes
}

// Condition restricts an Op to a state of its document.
type Condition struct {
	kind    uint8
	version uint64
}

const (
	condAny = iota
	condAbsent
	condExists
	condVersion
)

// Conditions without a parameter. The zero Condition is Any.
var (
	Any    = Condition{}                 // whatever is there
	Absent = Condition{kind: condAbsent} // else ErrExists
	Exists = Condition{kind: condExists} // else ErrNotFound
)

// Version is the condition that the document exists in version n, else
// ErrConflict.
func Version(n uint64) Condition { return Condition{condVersion, n} }

// Update is what a Patch function makes of a document: the whole new version.
type Update struct {
	Body     []byte
	Vectors  []Vec // every vector field of the new version
	ExpireAt int64
}

// Op is one operation of a Commit. A document whose ExpireAt has passed counts
// as absent.
type Op struct {
	Kind       OpKind
	Collection uint32
	ID         string
	Name       string // Set: the setting, 1..format.MaxID bytes
	Body       []byte
	Vectors    []Vec // at most one per field
	ExpireAt   int64 // nanoseconds since 1970 UTC, 0 for never
	If         Condition

	// Patch is called in the committer with the newest version, operations before
	// this one included, or with nil if there is none; it must be quick and must
	// not call the Store. An error rejects the call.
	Patch func(old *Record) (Update, error)
}

// Result says what a Commit did.
type Result struct {
	LSN uint64 // of the call; of the store if the call changed nothing
	Ops []OpResult
}

// OpResult says what one operation did.
type OpResult struct {
	Ord     uint32 // Put, Patch: the new version's ordinal
	OldOrd  uint32 // if Existed: the ordinal that died
	Existed bool   // a version was there before
	Version uint64 // Put, Patch: the new version, equal to Result.LSN
}

// call is one caller's wait for the committer.
type call struct {
	ops    []Op
	terms  []prepared         // parallel to ops
	fn     func(*group) error // instead of ops
	frees  bool               // allowed when the disk is full
	sync   bool               // sync even under Async
	bytes  int
	taken  atomic.Int32 // callQueued, callTaken or callLeft
	done   chan struct{}
	result Result
	err    error
}

const (
	callQueued = iota
	callTaken
	callLeft // the caller's context ended first; the committer skips it
)

// prepared is the postings of a Put, computed by the caller.
type prepared struct {
	terms      []Term
	generation uint64 // of the Terms function used; 0 for none
}

// Commit applies ops atomically (S1) and returns when they are durable and
// visible (S3). An op sees the effects of the ops before it. The slices of ops
// are not kept, but are read until Commit returns; after an ErrUnknown they
// must not be changed.
//
// Errors: an OpError around ErrConflict, ErrExists, ErrNotFound, ErrID,
// ErrLimit, ErrValue or the Patch function's own; ErrFull, ErrReadOnly,
// ErrClosed, ErrFailed. If ctx ends while the call waits for its turn, ctx's
// error, and nothing is applied; after that, ErrUnknown.
func (s *Store) Commit(ctx context.Context, ops []Op) (Result, error) {
	c := &call{ops: ops, frees: true}
	if len(ops) > MaxOps {
		return Result{}, fmt.Errorf("%w: %d operations in one commit, at most %d; split it", ErrLimit, len(ops), MaxOps)
	}
	for i := range ops {
		op := &ops[i]
		c.bytes += len(op.Body) + 64
		for _, v := range op.Vectors {
			c.bytes += len(v.Data)
		}
		c.frees = c.frees && (op.Kind == Delete || op.Kind == Set && op.Body == nil)
		if err := op.check(); err != nil {
			return Result{}, &OpError{i, op.ID, err}
		}
	}
	if c.bytes > MaxCallBytes {
		return Result{}, fmt.Errorf("%w: %d bytes in one commit, at most %d; split it", ErrLimit, c.bytes, MaxCallBytes)
	}
	if err := s.prepare(c); err != nil {
		return Result{}, err
	}
	err := s.submit(ctx, c)
	if err != nil {
		return Result{}, err
	}
	return c.result, nil
}

// check refuses what can be refused without the store.
func (op *Op) check() error {
	switch op.Kind {
	case Put:
		return checkUpdate(&Update{op.Body, op.Vectors, op.ExpireAt})
	case Delete:
		return nil
	case Patch:
		if op.Patch == nil {
			return fmt.Errorf("%w: Patch operation without a Patch function", ErrValue)
		}
		return nil
	case Set:
		if op.Name == "" || len(op.Name) > format.MaxID {
			return fmt.Errorf("%w: setting name of %d bytes, 1 to %d are allowed", ErrLimit, len(op.Name), format.MaxID)
		}
		return nil
	default:
		return fmt.Errorf("%w: operation kind %d", ErrValue, op.Kind)
	}
}

func checkUpdate(u *Update) error {
	if len(u.Body) > format.MaxBody-4096 { // room for the record's head
		return fmt.Errorf("%w: document of %d bytes", ErrLimit, len(u.Body))
	}
	if u.ExpireAt < 0 {
		return fmt.Errorf("%w: expiry before 1970", ErrValue)
	}
	if len(u.Vectors) > format.MaxVectors {
		return fmt.Errorf("%w: %d vectors, at most %d", ErrLimit, len(u.Vectors), format.MaxVectors)
	}
	for i, v := range u.Vectors {
		if len(v.Data) == 0 || len(v.Data) > format.MaxVector {
			return fmt.Errorf("%w: vector of %d bytes, 1 to %d are allowed", ErrLimit, len(v.Data), format.MaxVector)
		}
		for _, w := range u.Vectors[:i] {
			if w.Field == v.Field {
				return fmt.Errorf("%w: two vectors for field %d", ErrValue, v.Field)
			}
		}
	}
	return nil
}

// prepare derives the postings of puts in the caller's goroutine, so that the
// committer's one core does not do it for everybody.
func (s *Store) prepare(c *call) error {
	v, err := s.Acquire()
	if err != nil {
		return err
	}
	defer v.Release()
	c.terms = make([]prepared, len(c.ops))
	for i := range c.ops {
		op := &c.ops[i]
		cv := v.colls[op.Collection]
		if op.Kind != Put || cv == nil || cv.terms == nil {
			continue
		}
		terms, err := derive(cv.terms, op.Body)
		if err != nil {
			return &OpError{i, op.ID, err}
		}
		c.terms[i] = prepared{terms, cv.generation}
	}
	return nil
}

// derive calls a Terms function, checks what it returns and drops repeats.
func derive(fn Terms, body []byte) (terms []Term, err error) {
	if fn == nil {
		return nil, nil
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: deriving postings panicked: %v", ErrValue, p)
		}
	}()
	terms = fn(nil, body)
	for _, t := range terms {
		if len(t.Key) == 0 || len(t.Key) > format.MaxTerm {
			return nil, fmt.Errorf("%w: term of %d bytes in index %d, 1 to %d are allowed", ErrLimit, len(t.Key), t.Index, format.MaxTerm)
		}
	}
	return terms, nil
}

// submit queues a call and waits for the committer.
func (s *Store) submit(ctx context.Context, c *call) error {
	if s.opts.ReadOnly {
		return ErrReadOnly
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	c.done = make(chan struct{})
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return ErrClosed
	}
	s.waiting = append(s.waiting, c)
	s.mu.Unlock()
	s.poke()
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
	}
	if c.taken.CompareAndSwap(callQueued, callLeft) {
		return ctx.Err()
	}
	select { // prefer an answer that is there already
	case <-c.done:
		return c.err
	default:
		return fmt.Errorf("%w: %w", ErrUnknown, ctx.Err())
	}
}

func (s *Store) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run is the committer.
func (s *Store) run() {
	defer close(s.stopped)
	for {
		calls, closing := s.take()
		if len(calls) == 0 {
			if closing {
				return
			}
			<-s.wake
			continue
		}
		s.commitGroup(calls)
		for _, c := range calls {
			close(c.done)
		}
	}
}

// take removes the next group from the queue.
func (s *Store) take() (calls []*call, closing bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, bytes := 0, 0
	for _, c := range s.waiting {
		if n > 0 && (len(calls) >= groupCalls || bytes+c.bytes > groupBytes) {
			break
		}
		n++
		if c.taken.CompareAndSwap(callQueued, callTaken) {
			calls = append(calls, c)
			bytes += c.bytes
		}
	}
	s.waiting = slices.Delete(s.waiting, 0, n)
	if n > 0 && len(calls) == 0 {
		s.poke() // everything taken had left; look again
	}
	return calls, s.closing && len(s.waiting) == 0
}

// fail stops the store: every later call gets err.
func (s *Store) fail(err error) error {
	err = fmt.Errorf("%w: %w", ErrFailed, err)
	s.failed.CompareAndSwap(nil, &err)
	return err
}
