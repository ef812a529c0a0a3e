package storage

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eiderdb/eider/storage/format"
)

// An index snapshot is a stream cut into chunks under one generation number. The
// newest generation whose last chunk is there is the snapshot:
//
//	s coll field gen=7 chunk=0..n   whole   <- read
//	s coll field gen=8 chunk=0..k   no last chunk: a save of an old version that crashed
//
// SaveSnapshot writes generation 8 to a table of its own beside the directory of
// Pebble, SNAPSHOT, which Pebble then takes in as a whole: nothing of it passes
// through the log, the memory table and compactions, and it is not compressed,
// so that opening reads it at the speed of the disk. Before that the log is
// synced, because a snapshot must not outlive the writes it reflects; after it 7
// is deleted. A crash before the table is in leaves 7 whole; one between that
// and the delete leaves both, and 8 is read. Chunks have no LSN of their own and
// are not in the changelog: they are derived (S6).

// snapshotFile is the table that SaveSnapshot is writing. Open removes one that a
// crash left.
const snapshotFile = "SNAPSHOT"

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
	gens, err := generations(s.db, coll, field)
	if err != nil && !errors.Is(err, ErrCorrupt) {
		return err
	}
	gen := uint64(1)
	if len(gens) > 0 {
		gen = gens[len(gens)-1] + 1
	}
	if err := s.ingest(ctx, coll, field, gen, lsn, write); err != nil {
		return err
	}
	return s.db.DeleteRange(snapshotChunkKey(coll, field, 0, 0), snapshotChunkKey(coll, field, gen, 0), pebble.NoSync)
}

// ingest writes one generation and hands it to Pebble, durable.
func (s *Store) ingest(ctx context.Context, coll uint32, field uint16, gen, lsn uint64, write func(io.Writer) error) (err error) {
	path := s.fs.PathJoin(s.dir, snapshotFile)
	if s.opts.InMemory {
		path = s.fs.PathJoin(s.dir, dbDir, snapshotFile) // the one directory there is
	}
	f, err := s.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("index snapshot: %w", err)
	}
	defer func() {
		if err != nil {
			s.fs.Remove(path)
		}
	}()
	f = vfs.NewSyncingFile(f, vfs.SyncingFileOptions{BytesPerSync: 1 << 20})
	options := s.pebbleOptions()
	options.EnsureDefaults()
	o := options.MakeWriterOptions(0, s.db.FormatMajorVersion().MaxTableFormat())
	o.Compression, o.FilterPolicy = sstable.NoCompression, nil
	w := &chunkWriter{ctx: ctx, coll: coll, field: field, gen: gen, lsn: lsn,
		table: sstable.NewWriter(objstorageprovider.NewFileWritable(f), o)}
	err = write(w)
	if err == nil {
		err = w.put(true)
	}
	if cerr := w.table.Close(); err == nil && cerr != nil { // which syncs
		err = fmt.Errorf("index snapshot: %w", cerr)
	}
	if err == nil && !s.opts.InMemory {
		err = s.db.LogData(nil, pebble.Sync)
	}
	if err == nil {
		err = s.db.Ingest(ctx, []string{path})
	}
	return err
}

// chunkWriter cuts a stream into chunks.
type chunkWriter struct {
	ctx   context.Context
	table *sstable.Writer
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
	if err := w.table.Set(snapshotChunkKey(w.coll, w.field, w.gen, w.seq), w.out); err != nil {
		return fmt.Errorf("index snapshot: %w", err)
	}
	w.seq++
	w.buf = w.buf[:0]
	return nil
}

// generations lists the generations that have any chunk, ascending.
func generations(r pebble.Reader, coll uint32, field uint16) (gens []uint64, err error) {
	prefix := snapshotKey(coll, field)
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: successor(prefix)})
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
		c, size, err := lastChunk(snap, prefix)
		if err != nil {
			return nil, err
		}
		if c.Last {
			return &Snapshot{LSN: c.LSN, v: v, snap: snap, prefix: prefix, last: c.Seq, size: size}, nil
		}
	}
	return nil, fmt.Errorf("%w: index snapshot of vector field %d", ErrNotFound, field)
}

// lastChunk returns the last chunk there is of a generation, without its data,
// and how many bytes all of them hold.
func lastChunk(r pebble.Reader, prefix []byte) (c format.Chunk, size int64, err error) {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: successor(prefix)})
	if err != nil {
		return c, 0, readError("index snapshot", err)
	}
	if it.Last() {
		value, verr := it.ValueAndErr()
		if err = readError("index snapshot", verr); err == nil {
			c, err = format.ParseChunk(value)
		}
		size = int64(c.Seq)*format.MaxChunk + int64(len(c.Data))
		c.Data = nil
	}
	return c, size, errors.Join(err, readError("index snapshot", it.Close()))
}

// Snapshot is a saved index snapshot: an io.Reader for one goroutine, and an
// io.ReaderAt for any number at once, until Close.
type Snapshot struct {
	LSN uint64 // the log position SaveSnapshot was given

	v      *View
	snap   *pebble.Snapshot
	prefix []byte
	last   uint32 // number of the last chunk
	size   int64

	at   int64 // of Read
	buf  []byte
	data []byte // of buf, not yet read
	err  error
}

// Size is the number of bytes of the snapshot.
func (r *Snapshot) Size() int64 { return r.size }

// Read returns ErrCorrupt at the first chunk that is damaged or missing.
func (r *Snapshot) Read(p []byte) (int, error) {
	if len(r.data) == 0 && r.err == nil {
		if r.buf == nil {
			r.buf = make([]byte, min(r.size, format.MaxChunk))
		}
		var n int
		n, r.err = r.ReadAt(r.buf, r.at)
		r.at += int64(n)
		r.data = r.buf[:n]
	}
	if len(r.data) == 0 {
		return 0, r.err
	}
	n := copy(p, r.data)
	r.data = r.data[n:]
	return n, nil
}

// ReadAt implements io.ReaderAt. Every chunk that it touches is read and checked
// as a whole, so it is fastest with whole chunks: format.MaxChunk bytes from a
// multiple of that. Error: ErrCorrupt at a chunk that is damaged or missing.
func (r *Snapshot) ReadAt(p []byte, off int64) (n int, err error) {
	if r.snap == nil {
		return 0, ErrClosed
	}
	if off < 0 {
		return 0, fmt.Errorf("index snapshot: offset %d is negative", off)
	}
	for n < len(p) {
		if off >= r.size {
			return n, io.EOF
		}
		m, err := r.copy(p[n:], uint32(off/format.MaxChunk), int(off%format.MaxChunk))
		n += m
		off += int64(m)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// copy copies from the bytes of a chunk from off on.
func (r *Snapshot) copy(p []byte, chunk uint32, off int) (int, error) {
	value, closer, err := r.snap.Get(be.AppendUint32(r.prefix[:len(r.prefix):len(r.prefix)], chunk))
	if err == pebble.ErrNotFound {
		return 0, fmt.Errorf("%w: index snapshot lacks chunk %d of %d", ErrCorrupt, chunk, r.last+1)
	} else if err != nil {
		return 0, readError("index snapshot", err)
	}
	defer closer.Close()
	c, err := format.ParseChunk(value)
	if err != nil {
		return 0, fmt.Errorf("index snapshot chunk %d: %w", chunk, err)
	}
	want := format.MaxChunk
	if chunk == r.last {
		want = int(r.size - int64(chunk)*format.MaxChunk)
	}
	if c.Seq != chunk || c.LSN != r.LSN || c.Last != (chunk == r.last) || len(c.Data) != want {
		return 0, fmt.Errorf("%w: index snapshot chunk %d is out of place", ErrCorrupt, chunk)
	}
	return copy(p, c.Data[off:]), nil
}

// Close releases the snapshot; no ReadAt may be running. Idempotent.
func (r *Snapshot) Close() error {
	if r.snap == nil {
		return nil
	}
	err := readError("index snapshot", r.snap.Close())
	r.snap, r.data, r.err = nil, nil, ErrClosed
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
