package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"

	"github.com/eiderdb/eider/storage/format"
)

// An index snapshot is a stream of chunks under one generation number. The
// newest generation whose last chunk is there is the snapshot:
//
//	s coll field gen=7 chunk=0..n   whole   <- read
//	s coll field gen=8 chunk=0..k   no last chunk: a save that crashed
//
// SaveSnapshot writes generation 8, its last chunk synced last, and only then
// deletes 7. A crash before that sync leaves 7 whole; one between the sync and
// the delete leaves both, and 8 is read. Unfinished generations are deleted by
// the next save. Chunks have no LSN of their own and are not in the changelog:
// they are derived (S6).

func snapshotKey(coll uint32, field uint16) []byte {
	return be.AppendUint16(collKey(prefixSnapshot, coll), field)
}

func snapshotChunkKey(coll uint32, field uint16, gen uint64, seq uint32) []byte {
	return be.AppendUint32(be.AppendUint64(snapshotKey(coll, field), gen), seq)
}

// SaveSnapshot replaces the index snapshot of a vector field by what write
// writes, marked as reflecting the log up to lsn. write may take long; commits
// go on meanwhile. On any error, and after a crash at any moment, the snapshot
// before stays. Errors: ErrReadOnly, ErrClosed, ErrFull, ErrNotFound for the
// collection, ctx's, write's own.
func (s *Store) SaveSnapshot(ctx context.Context, coll uint32, field uint16, lsn uint64, write func(io.Writer) error) error {
	if s.opts.ReadOnly {
		return ErrReadOnly
	}
	v, err := s.Acquire() // keeps Close waiting
	if err != nil {
		return err
	}
	defer v.Release()
	if _, err := v.coll(coll); err != nil {
		return err
	}
	if err := s.quota.full(); err != nil {
		return err
	}
	s.snapshotMu.Lock()
	defer s.snapshotMu.Unlock()
	gens, err := s.generations(coll, field)
	if err != nil && !errors.Is(err, ErrCorrupt) {
		return err
	}
	gen := uint64(1)
	if len(gens) > 0 {
		gen = gens[len(gens)-1] + 1
	}
	w := &chunkWriter{ctx: ctx, s: s, coll: coll, field: field, gen: gen, lsn: lsn}
	err = write(w)
	if err == nil {
		err = w.finish()
	}
	lo, hi := snapshotChunkKey(coll, field, 0, 0), snapshotChunkKey(coll, field, gen, 0)
	if err != nil { // drop what was written, keep what was there
		lo, hi = hi, snapshotChunkKey(coll, field, gen+1, 0)
	}
	return errors.Join(err, s.db.DeleteRange(lo, hi, pebble.NoSync))
}

// chunkWriter cuts a stream into chunks.
type chunkWriter struct {
	ctx   context.Context
	s     *Store
	coll  uint32
	field uint16
	gen   uint64
	lsn   uint64
	seq   uint32
	buf   []byte
	out   []byte
}

// Write buffers p and stores whole chunks.
func (w *chunkWriter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if len(w.buf) == format.MaxChunk {
			if err := w.put(false); err != nil {
				return 0, err
			}
		}
		k := min(len(p), format.MaxChunk-len(w.buf))
		w.buf = append(w.buf, p[:k]...)
		p = p[k:]
	}
	return n, nil
}

func (w *chunkWriter) put(last bool) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	var err error
	w.out, err = format.AppendChunk(w.out[:0], format.Chunk{LSN: w.lsn, Seq: w.seq, Last: last, Data: w.buf})
	if err != nil {
		return err
	}
	opt := pebble.NoSync
	if last && !w.s.opts.InMemory {
		opt = pebble.Sync // syncs every chunk before it too: one log, in order
	}
	if err := w.s.db.Set(snapshotChunkKey(w.coll, w.field, w.gen, w.seq), w.out, opt); err != nil {
		return err
	}
	w.seq++
	w.buf = w.buf[:0]
	return nil
}

func (w *chunkWriter) finish() error { return w.put(true) }

// generations lists the generations that have any chunk, ascending.
func (s *Store) generations(coll uint32, field uint16) (gens []uint64, err error) {
	prefix := snapshotKey(coll, field)
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: successor(prefix)})
	if err != nil {
		return nil, readError("index snapshot", err)
	}
	for ok := it.First(); ok; {
		k := it.Key()[len(prefix):]
		if len(k) != 12 {
			err = fmt.Errorf("%w: index snapshot key", ErrCorrupt)
			break
		}
		gen := be.Uint64(k)
		gens = append(gens, gen)
		ok = it.SeekGE(snapshotChunkKey(coll, field, gen+1, 0))
	}
	return gens, errors.Join(err, readError("index snapshot", it.Close()))
}

// LoadSnapshot returns the newest whole index snapshot of a vector field.
// Errors: ErrNotFound if there is none; ErrCorrupt, from here or from Read, if
// it is damaged: rebuild the index. Close it soon; it holds a view.
func (s *Store) LoadSnapshot(coll uint32, field uint16) (r *Snapshot, err error) {
	v, err := s.Acquire() // keeps Close waiting
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			v.Release()
		}
	}()
	gens, err := s.generations(coll, field)
	if err != nil {
		return nil, err
	}
	for i := len(gens) - 1; i >= 0; i-- {
		c, err := s.lastChunk(coll, field, gens[i])
		if err != nil {
			return nil, err
		}
		if !c.Last {
			continue // a save that did not finish
		}
		prefix := be.AppendUint64(snapshotKey(coll, field), gens[i])
		it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: successor(prefix)})
		if err != nil {
			return nil, readError("index snapshot", err)
		}
		return &Snapshot{LSN: c.LSN, v: v, it: it}, nil
	}
	return nil, fmt.Errorf("%w: index snapshot of vector field %d", ErrNotFound, field)
}

func (s *Store) lastChunk(coll uint32, field uint16, gen uint64) (c format.Chunk, err error) {
	prefix := be.AppendUint64(snapshotKey(coll, field), gen)
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: successor(prefix)})
	if err != nil {
		return c, readError("index snapshot", err)
	}
	if it.Last() {
		value, verr := it.ValueAndErr()
		if err = readError("index snapshot", verr); err == nil {
			c, err = format.ParseChunk(value)
		}
		c.Data = nil
	}
	return c, errors.Join(err, readError("index snapshot", it.Close()))
}

// Snapshot is an io.ReadCloser over a saved index snapshot. For one goroutine.
type Snapshot struct {
	LSN uint64 // the log position SaveSnapshot was given

	v    *View
	it   *pebble.Iterator
	seq  uint32
	last bool
	data []byte
	err  error
}

// Read returns ErrCorrupt at the first chunk that is damaged or missing.
func (r *Snapshot) Read(p []byte) (int, error) {
	for len(r.data) == 0 && r.err == nil {
		r.err = r.next()
	}
	if len(r.data) == 0 {
		return 0, r.err
	}
	n := copy(p, r.data)
	r.data = r.data[n:]
	return n, nil
}

func (r *Snapshot) next() error {
	ok := false
	if r.it == nil {
		return ErrClosed
	}
	if r.seq == 0 {
		ok = r.it.First()
	} else {
		ok = r.it.Next()
	}
	if !ok {
		if err := r.it.Error(); err != nil {
			return readError("index snapshot", err)
		}
		if r.last {
			return io.EOF
		}
		return fmt.Errorf("%w: index snapshot ends after %d chunks", ErrCorrupt, r.seq)
	}
	value, err := r.it.ValueAndErr()
	if err != nil {
		return readError("index snapshot", err)
	}
	c, err := format.ParseChunk(value)
	if err != nil {
		return fmt.Errorf("index snapshot chunk %d: %w", r.seq, err)
	}
	if r.last || c.Seq != r.seq || c.LSN != r.LSN || be.Uint32(r.it.Key()[len(r.it.Key())-4:]) != r.seq {
		return fmt.Errorf("%w: index snapshot chunk %d is out of place", ErrCorrupt, r.seq)
	}
	r.data, r.last = bytes.Clone(c.Data), c.Last
	r.seq++
	return nil
}

// Close releases the snapshot. Idempotent.
func (r *Snapshot) Close() error {
	if r.it == nil {
		return nil
	}
	err := readError("index snapshot", r.it.Close())
	r.it, r.data, r.err = nil, nil, ErrClosed
	r.v.Release()
	return err
}

// DropSnapshot deletes the index snapshot of a vector field, if there is one.
func (s *Store) DropSnapshot(coll uint32, field uint16) error {
	if s.opts.ReadOnly {
		return ErrReadOnly
	}
	v, err := s.Acquire()
	if err != nil {
		return err
	}
	defer v.Release()
	s.snapshotMu.Lock()
	defer s.snapshotMu.Unlock()
	prefix := snapshotKey(coll, field)
	return s.db.DeleteRange(prefix, successor(prefix), pebble.NoSync)
}
