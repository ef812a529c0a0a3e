package storage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eiderdb/eider/storage/format"
)

// An index snapshot is a file of its own in the directory snapshots beside that
// of Pebble, so that an index reads it straight to where it belongs, and a key of
// Pebble that refers to it:
//
//	write a file of a name never used before ── sync it and the directory
//	commit the key and the removal of the key before it, synced
//	delete the files that no key names
//
// The commit syncs the log up to the snapshot's LSN too, because a snapshot must
// not outlive the writes that it reflects. A crash before the commit leaves the
// snapshot before, and a file that the next open deletes; one after it leaves
// the new snapshot, and the same. The key is derived and not in the changelog
// (S6). What snapshots of older versions are is in chunks.go.

// snapshotDir holds the files of index snapshots, named coll-field-tag.
const snapshotDir = "snapshots"

func snapshotName(coll uint32, field uint16, tag uint64) string {
	return fmt.Sprintf("%d-%d-%016x", coll, field, tag)
}

func snapshotKey(coll uint32, field uint16) []byte {
	return be.AppendUint16(collKey(prefixSnapshot, coll), field)
}

func snapshotChunkKey(coll uint32, field uint16, gen uint64, seq uint32) []byte {
	return be.AppendUint32(be.AppendUint64(snapshotKey(coll, field), gen), seq)
}

func (s *Store) snapshots() string { return s.fs.PathJoin(s.dir, snapshotDir) }

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
	defer s.sweepSnapshots()
	gens, err := generations(s.db, coll, field)
	if err != nil && !errors.Is(err, ErrCorrupt) {
		return err
	}
	gen := uint64(1)
	if len(gens) > 0 {
		gen = gens[len(gens)-1] + 1
	}
	ref, err := s.writeSnapshot(ctx, coll, field, lsn, write)
	if err != nil {
		return err
	}
	b := s.db.NewBatch()
	defer b.Close()
	err = errors.Join(
		b.DeleteRange(snapshotChunkKey(coll, field, 0, 0), snapshotChunkKey(coll, field, gen, 0), nil),
		b.Set(snapshotChunkKey(coll, field, gen, 0), ref, nil))
	if err == nil {
		err = b.Commit(pebble.Sync)
	}
	return err
}

// writeSnapshot makes a file of what write writes, durable, and returns the
// value of the key that refers to it.
func (s *Store) writeSnapshot(ctx context.Context, coll uint32, field uint16, lsn uint64, write func(io.Writer) error) ([]byte, error) {
	var tag [8]byte
	if _, err := rand.Read(tag[:]); err != nil {
		return nil, err
	}
	dir := s.snapshots()
	if err := makeDir(s.fs, dir); err != nil {
		return nil, fmt.Errorf("index snapshot: %w", err)
	}
	ref := format.File{LSN: lsn, Tag: be.Uint64(tag[:])}
	f, err := s.fs.Create(s.fs.PathJoin(dir, snapshotName(coll, field, ref.Tag)), vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, fmt.Errorf("index snapshot: %w", err)
	}
	w := &snapshotWriter{ctx: ctx, f: vfs.NewSyncingFile(f, vfs.SyncingFileOptions{BytesPerSync: 1 << 20})}
	if err = write(w); err == nil {
		if err = w.f.Sync(); err == nil {
			err = syncDir(s.fs, dir)
		}
	}
	if err = errors.Join(err, w.f.Close()); err != nil {
		return nil, fmt.Errorf("index snapshot: %w", err)
	}
	ref.Size, ref.Sum = w.size, w.sum
	return format.AppendFile(nil, ref)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// snapshotWriter counts and sums what it writes. It writes copies, because a
// vfs.File, unlike an io.Writer, may change the bytes that it is given.
type snapshotWriter struct {
	ctx  context.Context
	f    vfs.File
	size int64
	sum  uint32
	copy []byte
}

func (w *snapshotWriter) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		if err := w.ctx.Err(); err != nil {
			return done, err
		}
		part := p[done:min(len(p), done+1<<20)]
		w.copy = append(w.copy[:0], part...)
		n, err := w.f.Write(w.copy)
		done += n
		w.size += int64(n)
		w.sum = crc32.Update(w.sum, castagnoli, part[:n])
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// sweepSnapshots deletes the snapshot files that no key names, and counts the
// bytes of those that stay. The caller holds snapshotMu, or is Open.
func (s *Store) sweepSnapshots() {
	dir := s.snapshots()
	names, err := s.fs.List(dir)
	if err != nil {
		return // there is none
	}
	var kept int64
	for _, n := range names {
		path := s.fs.PathJoin(dir, n)
		if s.stale(n) {
			if err = s.fs.Remove(path); err == nil {
				continue
			}
			s.opts.Logger.Debug("storage: deleting an index snapshot that nothing refers to", "file", path, "error", err)
		}
		if info, err := s.fs.Stat(path); err == nil {
			kept += info.Size()
		}
	}
	s.snapshotBytes.Store(kept)
}

// stale reports whether name is that of a snapshot file and surely no key's.
func (s *Store) stale(name string) bool {
	coll, field, ok := parseSnapshotName(name)
	if !ok {
		return false
	}
	gens, err := generations(s.db, coll, field)
	if err != nil {
		return false
	}
	for _, gen := range gens {
		b, err := s.get(snapshotChunkKey(coll, field, gen, 0))
		if errors.Is(err, ErrNotFound) || err == nil && isChunk(b) {
			continue
		}
		ref, perr := format.ParseFile(b)
		if err != nil || perr != nil || snapshotName(coll, field, ref.Tag) == name {
			return false
		}
	}
	return true
}

// parseSnapshotName is the collection and the field of a snapshot file.
func parseSnapshotName(name string) (coll uint32, field uint16, ok bool) {
	var tag uint64
	if n, err := fmt.Sscanf(name, "%d-%d-%x", &coll, &field, &tag); n != 3 || err != nil {
		return 0, 0, false
	}
	return coll, field, snapshotName(coll, field, tag) == name
}

// LoadSnapshot returns the newest whole index snapshot of a vector field.
// Errors: ErrNotFound if there is none; ErrVersion if a newer version wrote it;
// ErrCorrupt, from here or from reading, if it is damaged or its file is missing:
// rebuild the index. Close it soon; it holds a view.
func (s *Store) LoadSnapshot(coll uint32, field uint16) (r *Snapshot, err error) {
	v, err := s.Acquire() // keeps Close waiting
	if err != nil {
		return nil, err
	}
	snap := s.db.NewSnapshot()
	defer func() {
		if err != nil {
			snap.Close()
			v.Release()
		}
	}()
	gens, err := generations(snap, coll, field)
	if err != nil {
		return nil, err
	}
	for i := len(gens) - 1; i >= 0; i-- {
		prefix := be.AppendUint64(snapshotKey(coll, field), gens[i])
		var in source
		in, lsn, err := s.openSnapshot(snap, coll, field, prefix)
		if err != nil {
			return nil, err
		}
		if in != nil {
			return &Snapshot{LSN: lsn, source: in, v: v, snap: snap}, nil
		}
	}
	return nil, fmt.Errorf("%w: index snapshot of vector field %d", ErrNotFound, field)
}

// openSnapshot opens the snapshot whose key begins with prefix; nil if it is not
// whole.
func (s *Store) openSnapshot(r pebble.Reader, coll uint32, field uint16, prefix []byte) (source, uint64, error) {
	value, closer, err := r.Get(be.AppendUint32(prefix[:len(prefix):len(prefix)], 0))
	if err != nil && err != pebble.ErrNotFound {
		return nil, 0, readError("index snapshot", err)
	}
	if err == pebble.ErrNotFound || isChunk(value) {
		if closer != nil {
			closer.Close()
		}
		return openChunks(r, prefix)
	}
	ref, err := format.ParseFile(value)
	closer.Close()
	if err != nil {
		return nil, 0, fmt.Errorf("index snapshot: %w", err)
	}
	f, err := s.openFile(snapshotName(coll, field, ref.Tag), ref.Size)
	if err != nil {
		return nil, 0, err
	}
	return f, ref.LSN, nil
}

// openFile opens a snapshot file of so many bytes. A read-only opener looks in
// its private copy first; what was saved since that was made is in the store's.
func (s *Store) openFile(name string, size int64) (*fileSource, error) {
	var f vfs.File
	err := os.ErrNotExist
	if s.temp != "" {
		f, err = s.fs.Open(s.fs.PathJoin(s.temp, snapshotDir, name))
	}
	if errors.Is(err, os.ErrNotExist) {
		f, err = s.fs.Open(s.fs.PathJoin(s.snapshots(), name))
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: index snapshot %s is missing", ErrCorrupt, name)
	} else if err != nil {
		return nil, fmt.Errorf("index snapshot: %w", err)
	}
	info, err := f.Stat()
	if err == nil && info.Size() != size {
		err = fmt.Errorf("%w: index snapshot %s has %d bytes, %d were written", ErrCorrupt, name, info.Size(), size)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &fileSource{f, size}, nil
}

// source is the bytes of a snapshot.
type source interface {
	io.ReaderAt
	size() int64
	close() error
}

// fileSource is a snapshot in a file.
type fileSource struct {
	vfs.File
	bytes int64
}

func (f *fileSource) size() int64  { return f.bytes }
func (f *fileSource) close() error { return f.Close() }

// Snapshot is a saved index snapshot: an io.Reader for one goroutine, and an
// io.ReaderAt for any number at once, until Close.
type Snapshot struct {
	LSN uint64 // the log position SaveSnapshot was given

	source source // nil after Close
	v      *View
	snap   *pebble.Snapshot
	at     int64 // of Read
}

// Size is the number of bytes of the snapshot.
func (r *Snapshot) Size() int64 { return r.source.size() }

// Read implements io.Reader; errors are those of ReadAt.
func (r *Snapshot) Read(p []byte) (int, error) {
	n, err := r.ReadAt(p, r.at)
	r.at += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

// ReadAt implements io.ReaderAt. Errors: ErrClosed; ErrCorrupt at bytes known to
// be damaged or missing. The bytes of a file are not checked here: the index that
// wrote them does that.
func (r *Snapshot) ReadAt(p []byte, off int64) (n int, err error) {
	if r.source == nil {
		return 0, ErrClosed
	}
	return r.source.ReadAt(p, off)
}

// Close releases the snapshot; no ReadAt may be running. Idempotent.
func (r *Snapshot) Close() error {
	if r.source == nil {
		return nil
	}
	err := errors.Join(readError("index snapshot", r.snap.Close()), r.source.close())
	r.source = nil
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
	err = s.db.DeleteRange(prefix, successor(prefix), pebble.NoSync)
	s.sweepSnapshots()
	return err
}

// linkSnapshots makes the snapshot files part of the copy of the store in dir,
// which shares their bytes where the file system can.
func (s *Store) linkSnapshots(dir string) error {
	names, err := s.fs.List(s.snapshots())
	if err != nil || len(names) == 0 {
		return nil // there is none
	}
	to := s.fs.PathJoin(dir, snapshotDir)
	if err := s.fs.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, n := range names {
		if strings.Contains(n, ".") {
			continue
		}
		err := vfs.LinkOrCopy(s.fs, s.fs.PathJoin(s.snapshots(), n), s.fs.PathJoin(to, n))
		if err != nil && !errors.Is(err, os.ErrNotExist) { // a save may have replaced it
			return err
		}
	}
	return nil
}
