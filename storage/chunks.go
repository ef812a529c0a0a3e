package storage

import (
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"

	"github.com/eiderdb/eider/storage/format"
)

// Versions before snapshot files kept an index snapshot as a stream cut into
// chunks under one generation number:
//
//	s coll field gen=7 chunk=0..n   whole   <- read
//	s coll field gen=8 chunk=0..k   no last chunk: a save that crashed
//
// They are still read. The next save replaces them by a file.

// isChunk reports whether the value of a snapshot key is a chunk.
func isChunk(value []byte) bool { return len(value) == 0 || value[0] != format.EnvFile }

// generations lists the generations that have any chunk or file, ascending.
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

// chunked is a snapshot in chunks.
type chunked struct {
	r      pebble.Reader
	prefix []byte
	lsn    uint64
	last   uint32 // number of the last chunk
	bytes  int64
}

// openChunks returns the snapshot whose chunks' keys begin with prefix, and its
// LSN; nil if the last chunk is not there.
func openChunks(r pebble.Reader, prefix []byte) (source, uint64, error) {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: successor(prefix)})
	if err != nil {
		return nil, 0, readError("index snapshot", err)
	}
	var c format.Chunk
	if it.Last() {
		value, verr := it.ValueAndErr()
		if err = readError("index snapshot", verr); err == nil {
			c, err = format.ParseChunk(value)
		}
	}
	size := int64(c.Seq)*format.MaxChunk + int64(len(c.Data))
	if err = errors.Join(err, readError("index snapshot", it.Close())); err != nil || !c.Last {
		return nil, 0, err
	}
	return &chunked{r: r, prefix: prefix, lsn: c.LSN, last: c.Seq, bytes: size}, c.LSN, nil
}

func (c *chunked) size() int64  { return c.bytes }
func (c *chunked) close() error { return nil }

// ReadAt implements io.ReaderAt. Every chunk that it touches is read and checked
// as a whole, so it is fastest with whole chunks: format.MaxChunk bytes from a
// multiple of that. Error: ErrCorrupt at a chunk that is damaged or missing.
func (c *chunked) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("index snapshot: offset %d is negative", off)
	}
	for n < len(p) {
		if off >= c.bytes {
			return n, io.EOF
		}
		m, err := c.copy(p[n:], uint32(off/format.MaxChunk), int(off%format.MaxChunk))
		n += m
		off += int64(m)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// copy copies from the bytes of a chunk from off on.
func (c *chunked) copy(p []byte, number uint32, off int) (int, error) {
	value, closer, err := c.r.Get(be.AppendUint32(c.prefix[:len(c.prefix):len(c.prefix)], number))
	if err == pebble.ErrNotFound {
		return 0, fmt.Errorf("%w: index snapshot lacks chunk %d of %d", ErrCorrupt, number, c.last+1)
	} else if err != nil {
		return 0, readError("index snapshot", err)
	}
	defer closer.Close()
	chunk, err := format.ParseChunk(value)
	if err != nil {
		return 0, fmt.Errorf("index snapshot chunk %d: %w", number, err)
	}
	want := format.MaxChunk
	if number == c.last {
		want = int(c.bytes - int64(number)*format.MaxChunk)
	}
	if chunk.Seq != number || chunk.LSN != c.lsn || chunk.Last != (number == c.last) || len(chunk.Data) != want {
		return 0, fmt.Errorf("%w: index snapshot chunk %d is out of place", ErrCorrupt, number)
	}
	return copy(p, chunk.Data[off:]), nil
}
