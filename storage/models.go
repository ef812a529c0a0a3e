package storage

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/eiderdb/eider/storage/format"
)

// The door of the model registry (package registry): its keys, the chunks of
// tensors, and edits that are calls of the one log.
//
//	Upload.Write ── chunk ── chunk ── EditModels: manifest + changelog entry, one batch
//	                     crash: chunks that no manifest names; SweepWeights
//
// Chunks are committed without an LSN, since nothing can name them before the
// manifest does. They are earlier in Pebble's log than it is, so wherever the
// manifest survives they do.

func modelKey(key []byte) []byte { return append([]byte{prefixModel}, key...) }

func weightsKey(id uint64) []byte { return be.AppendUint64([]byte{prefixWeights}, id) }

func weightsChunkKey(id uint64, seq uint32) []byte { return be.AppendUint32(weightsKey(id), seq) }

// ModelReader reads the keys of the registry, which are those of package format
// (format.VersionKey and so on).
type ModelReader struct{ r pebble.Reader }

// Models reads the registry as of the view, while that is held.
func (v *View) Models() ModelReader { return ModelReader{v.snap} }

// Get returns the value of a key, owned by the caller. Errors: ErrNotFound,
// ErrCorrupt.
func (m ModelReader) Get(key []byte) ([]byte, error) {
	b, closer, err := m.r.Get(modelKey(key))
	if err != nil {
		return nil, readError("model registry", err)
	}
	b = bytes.Clone(b)
	return b, closer.Close()
}

// Scan calls fn for the keys that begin with prefix, in order, until fn returns
// an error, which Scan returns. key and value are valid during the call.
func (m ModelReader) Scan(prefix []byte, fn func(key, value []byte) error) error {
	lo := modelKey(prefix)
	return scan(m.r, lo, successor(lo), func(key, value []byte) error { return fn(key[1:], value) })
}

// Last returns the value of the last key that begins with prefix. Errors:
// ErrNotFound, ErrCorrupt.
func (m ModelReader) Last(prefix []byte) (value []byte, err error) {
	lo := modelKey(prefix)
	it, err := m.r.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: successor(lo)})
	if err != nil {
		return nil, readError("model registry", err)
	}
	found := it.Last()
	if found {
		value, err = it.ValueAndErr()
		value = bytes.Clone(value)
	}
	if err = readError("model registry", errors.Join(err, it.Close())); err == nil && !found {
		err = fmt.Errorf("%w: model registry", ErrNotFound)
	}
	return value, err
}

// Weights appends the bytes of one chunk to dst, checked. Error: ErrCorrupt,
// also for a chunk that is not there.
func (m ModelReader) Weights(id uint64, seq uint32, dst []byte) ([]byte, error) {
	b, closer, err := m.r.Get(weightsChunkKey(id, seq))
	if err == pebble.ErrNotFound {
		return dst, fmt.Errorf("%w: chunk %d of a model's tensors is missing", ErrCorrupt, seq)
	} else if err != nil {
		return dst, readError("tensors of a model", err)
	}
	defer closer.Close()
	w, err := format.ParseWeights(b)
	if err == nil && (w.ID != id || w.Seq != seq) {
		err = fmt.Errorf("%w: it is of another place", ErrCorrupt)
	}
	if err != nil {
		return dst, fmt.Errorf("chunk %d of a model's tensors: %w", seq, err)
	}
	return append(dst, w.Data...), nil
}

// weightIDs calls fn with the id of every set of chunks.
func (m ModelReader) weightIDs(fn func(id uint64)) error {
	it, err := m.r.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixWeights}, UpperBound: []byte{prefixWeights + 1}})
	if err != nil {
		return readError("tensors of models", err)
	}
	for ok := it.First(); ok; {
		if len(it.Key()) != 13 {
			err = fmt.Errorf("%w: key %x", ErrCorrupt, it.Key())
			break
		}
		id := be.Uint64(it.Key()[1:])
		fn(id)
		ok = it.SeekGE(successor(weightsKey(id)))
	}
	return readError("tensors of models", errors.Join(err, it.Close()))
}

// named returns the ids of the chunks that manifests name.
func (m ModelReader) named() (map[uint64]bool, error) {
	ids := map[uint64]bool{}
	err := m.Scan([]byte{format.KeyVersion}, func(_, value []byte) error {
		v, err := format.ParseModel(value)
		if err != nil {
			return err
		}
		ids[v.Weights] = true
		return nil
	})
	return ids, err
}

// ModelEdit is a change of the registry in the making. It reads the newest
// state, which no other edit changes meanwhile; what it writes is not read back.
type ModelEdit struct {
	ModelReader
	LSN  uint64 // the edit's, if it is accepted
	Time int64  // nanoseconds since 1970 UTC

	sets    [][2][]byte // a nil value deletes
	drops   []uint64
	changes []Change
}

// Set stores a key.
func (e *ModelEdit) Set(key, value []byte) { e.sets = append(e.sets, [2][]byte{key, value}) }

// Delete removes a key.
func (e *ModelEdit) Delete(key []byte) { e.sets = append(e.sets, [2][]byte{key, nil}) }

// DropWeights removes the chunks of an id. Views acquired before still read them.
func (e *ModelEdit) DropWeights(id uint64) { e.drops = append(e.drops, id) }

// Log adds a change to the edit's changelog entry; every edit that writes has one.
func (e *ModelEdit) Log(op format.ChangeOp, model, alias string, version uint32) {
	e.changes = append(e.changes, Change{Op: op, Name: model, Alias: alias, ModelVersion: version})
}

// EditModels calls fn in the committer and commits what it wrote, with the changes
// it logged, under one LSN; durable and visible on return (S1, S3). fn must be
// quick and must not call the Store. An error of fn rejects the edit, and an edit
// that logs nothing writes nothing. frees says that the edit may go on when the
// disk is full. Errors: fn's and those of Commit.
func (s *Store) EditModels(ctx context.Context, frees bool, fn func(*ModelEdit) error) error {
	s.modelsMu.Lock() // so that no group has two edits, of which one would not see the other
	defer s.modelsMu.Unlock()
	return s.submit(ctx, &call{frees: frees, fn: func(g *group) error {
		e := &ModelEdit{ModelReader: ModelReader{s.db}, LSN: s.state.lsn + 1, Time: g.now}
		if err := callEdit(fn, e); err != nil || len(e.changes) == 0 {
			return err
		}
		err := g.raise(formatModels)
		for _, kv := range e.sets {
			if kv[1] == nil {
				err = errors.Join(err, g.batch.Delete(modelKey(kv[0]), nil))
			} else {
				err = errors.Join(err, g.batch.Set(modelKey(kv[0]), kv[1], nil))
			}
		}
		for _, id := range e.drops {
			lo := weightsKey(id)
			err = errors.Join(err, g.batch.DeleteRange(lo, successor(lo), nil))
		}
		if err != nil {
			return s.fail(err)
		}
		return g.next(e.changes...)
	}})
}

func callEdit(fn func(*ModelEdit) error, e *ModelEdit) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: edit of the model registry panicked: %v", ErrValue, p)
		}
	}()
	return fn(e)
}

// raise makes the directory one of format n, so that binaries which would not
// keep what the group writes refuse it.
func (g *group) raise(n uint32) error {
	m := g.s.Format()
	if m.Format >= n {
		return nil
	}
	m.Format = n
	if err := g.batch.Set(keyMeta, format.AppendMeta(nil, m), nil); err != nil {
		return err
	}
	g.s.format.Store(n)
	return nil
}

// Upload is a set of chunks that no manifest names yet. For one goroutine.
type Upload struct {
	s   *Store
	id  uint64
	seq uint32
	buf []byte
}

// NewUpload begins one, under an id drawn at random that was never used, or a fresh
// one if that is 0; the caller must Keep or Close it. Error: ErrReadOnly.
func (s *Store) NewUpload(id uint64) (*Upload, error) {
	if s.opts.ReadOnly {
		return nil, ErrReadOnly
	}
	if id == 0 {
		var b [8]byte
		if _, err := rand.Read(b[:]); err != nil {
			return nil, err
		}
		id = binary.LittleEndian.Uint64(b[:])
	}
	u := &Upload{s: s, id: id}
	s.uploadsMu.Lock()
	defer s.uploadsMu.Unlock()
	s.uploads = append(s.uploads, u.id)
	return u, nil
}

// ID is what format.Model.Weights is to be.
func (u *Upload) ID() uint64 { return u.id }

// Write adds bytes, committing every chunk that is full. p is not kept. Errors:
// those of Commit.
func (u *Upload) Write(ctx context.Context, p []byte) error {
	for len(p) > 0 {
		n := min(len(p), format.MaxChunk-len(u.buf))
		u.buf = append(u.buf, p[:n]...)
		p = p[n:]
		if len(u.buf) == format.MaxChunk {
			if err := u.Flush(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// Flush commits the last chunk; nothing may be written after it. Errors: those of
// Commit.
func (u *Upload) Flush(ctx context.Context) error {
	if len(u.buf) == 0 {
		return nil
	}
	b, err := format.AppendWeights(nil, format.Weights{ID: u.id, Seq: u.seq, Data: u.buf})
	if err != nil {
		return err
	}
	key := weightsChunkKey(u.id, u.seq)
	u.seq++
	u.buf = u.buf[:0]
	return u.s.submit(ctx, &call{bytes: len(b), fn: func(g *group) error {
		if err := errors.Join(g.raise(formatModels), g.batch.Set(key, b, nil)); err != nil {
			return g.s.fail(err)
		}
		return nil
	}})
}

// Keep ends the upload when a manifest names its chunks.
func (u *Upload) Keep() {
	u.s.uploadsMu.Lock()
	defer u.s.uploadsMu.Unlock()
	if i := slices.Index(u.s.uploads, u.id); i >= 0 {
		u.s.uploads = slices.Delete(u.s.uploads, i, i+1)
	}
}

// Close ends the upload where it is not known that a manifest names its chunks:
// if none does they go. Errors: those of SweepWeights, whose next call does what
// is left.
func (u *Upload) Close() error {
	u.Keep()
	_, err := u.s.SweepWeights(context.WithoutCancel(u.s.ctx))
	return err
}

// SweepWeights deletes the chunks that neither a manifest names nor an Upload is
// writing, what a crash leaves of versions half written, and returns how many sets
// there were. Errors: ErrCorrupt for a manifest that cannot be read, and those of
// Commit.
func (s *Store) SweepWeights(ctx context.Context) (n int, err error) {
	s.modelsMu.Lock()
	defer s.modelsMu.Unlock()
	err = s.submit(ctx, &call{frees: true, fn: func(g *group) error {
		m := ModelReader{s.db}
		keep, err := m.named()
		if err != nil {
			return err
		}
		s.uploadsMu.Lock()
		for _, id := range s.uploads {
			keep[id] = true
		}
		s.uploadsMu.Unlock()
		n, err = m.dropOthers(g.batch, keep)
		return err
	}})
	return n, err
}

// dropOthers deletes the chunks of every id that is not in keep.
func (m ModelReader) dropOthers(batch *pebble.Batch, keep map[uint64]bool) (n int, err error) {
	var failed error
	err = m.weightIDs(func(id uint64) {
		if !keep[id] {
			lo := weightsKey(id)
			failed = errors.Join(failed, batch.DeleteRange(lo, successor(lo), nil))
			n++
		}
	})
	return n, errors.Join(err, failed)
}
