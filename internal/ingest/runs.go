package ingest

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/format"
)

// pageReader unpacks Parquet pages within their announced size.
type pageReader struct {
	raw, full []byte
	zstd      *zstd.Decoder
}

// unpack returns the content of a page, valid until the next call; it must be
// size bytes.
func (p *pageReader) unpack(codec format.CompressionCodec, packed []byte, size int) ([]byte, error) {
	var err error
	switch codec {
	case format.Uncompressed:
		p.full = append(p.full[:0], packed...)
	case format.Snappy:
		var n int
		if n, err = snappy.DecodedLen(packed); err != nil || n != size {
			return nil, fmt.Errorf("a page that unpacks to %d bytes instead of %d", n, size)
		}
		p.full, err = snappy.Decode(p.full[:cap(p.full)], packed)
	case format.Gzip:
		var z *gzip.Reader
		if z, err = gzip.NewReader(bytes.NewReader(packed)); err == nil {
			b := bytes.NewBuffer(p.full[:0])
			_, err = io.Copy(b, io.LimitReader(z, int64(size)+1))
			p.full = b.Bytes()
		}
	case format.Zstd:
		if p.zstd == nil {
			if p.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxPage)); err != nil {
				return nil, err
			}
		}
		p.full, err = p.zstd.DecodeAll(packed, p.full[:0])
	default:
		return nil, fmt.Errorf("compression %v is not read; save the file with zstd, snappy, gzip or none", codec)
	}
	if err == nil && len(p.full) != size {
		err = fmt.Errorf("it unpacks to %d bytes instead of %d", len(p.full), size)
	}
	if err != nil {
		return nil, fmt.Errorf("damaged page: %w", err)
	}
	return p.full, nil
}

func (p *pageReader) close() {
	if p.zstd != nil {
		p.zstd.Close()
	}
}

// checkData checks that the runs of a data page hold no more values than its
// header says: the library takes memory for whatever a run claims, and a run of
// a billion values is five bytes long.
func (p *pageReader) checkData(h *format.PageHeader, packed []byte, codec format.CompressionCodec, repetition, definition int) error {
	size := int(h.UncompressedPageSize)
	if h.Type == format.DataPageV2 {
		v := h.DataPageHeaderV2.V
		nr, nd := int(v.RepetitionLevelsByteLength), int(v.DefinitionLevelsByteLength)
		if nr < 0 || nd < 0 || nr > len(packed) || nd > len(packed)-nr || nr+nd > size {
			return errors.New("levels that are longer than their page")
		}
		for _, l := range []struct {
			b   []byte
			max int
		}{{packed[:nr], repetition}, {packed[nr : nr+nd], definition}} {
			if err := checkRuns(l.b, bits.Len(uint(l.max)), int64(v.NumValues)); err != nil {
				return err
			}
		}
		packed, size = packed[nr+nd:], size-nr-nd
		if v.IsCompressed.Valid && !v.IsCompressed.V {
			codec = format.Uncompressed
		}
		values, err := p.unpack(codec, packed, size)
		if err != nil {
			return err
		}
		return checkValues(v.Encoding, values, int64(v.NumValues))
	}
	v := h.DataPageHeader.V
	b, err := p.unpack(codec, packed, size)
	if err != nil {
		return err
	}
	for _, l := range []struct {
		max      int
		encoding format.Encoding
	}{{repetition, v.RepetitionLevelEncoding}, {definition, v.DefinitionLevelEncoding}} {
		if l.max == 0 {
			continue
		}
		if l.encoding != format.RLE {
			return fmt.Errorf("levels encoded as %v are not read", l.encoding)
		}
		var levels []byte
		if levels, b, err = cutPrefixed(b); err != nil {
			return err
		}
		if err := checkRuns(levels, bits.Len(uint(l.max)), int64(v.NumValues)); err != nil {
			return err
		}
	}
	return checkValues(v.Encoding, b, int64(v.NumValues))
}

// cutPrefixed cuts off bytes that come after their length.
func cutPrefixed(b []byte) (head, rest []byte, err error) {
	if len(b) < 4 || uint64(binary.LittleEndian.Uint32(b)) > uint64(len(b)-4) {
		return nil, nil, errors.New("levels that are longer than their page")
	}
	n := binary.LittleEndian.Uint32(b)
	return b[4 : 4+n], b[4+n:], nil
}

// plainDictionary is the old number of dictionary pages, which files still have.
const plainDictionary format.Encoding = 2

// checkValues checks the counts that an encoding announces in the values.
func checkValues(encoding format.Encoding, b []byte, values int64) error {
	switch encoding {
	case format.Plain, format.ByteStreamSplit:
		return nil // as long as their bytes
	case plainDictionary, format.RLEDictionary:
		if len(b) == 0 {
			return nil
		}
		if b[0] > 32 {
			return fmt.Errorf("dictionary indexes of %d bits", b[0])
		}
		return checkRuns(b[1:], int(b[0]), values)
	case format.RLE:
		runs, _, err := cutPrefixed(b)
		if err != nil {
			return err
		}
		return checkRuns(runs, 1, values)
	case format.DeltaBinaryPacked, format.DeltaLengthByteArray:
		var head [3]uint64 // block size, small blocks in it, values
		for i := range head {
			v, n := binary.Uvarint(b)
			if n <= 0 {
				return errors.New("damaged delta header")
			}
			head[i], b = v, b[n:]
		}
		if head[0] > 1<<16 || head[1] == 0 || head[1] > head[0] || head[2] > uint64(values) {
			return fmt.Errorf("delta blocks of %d values in %d parts, %d in all, in a page of %d", head[0], head[1], head[2], values)
		}
		return nil
	}
	return fmt.Errorf("values encoded as %v are not read; save the file with plain or dictionary encoding", encoding)
}

// checkRuns adds up a hybrid of runs and bit-packed groups of eight.
func checkRuns(b []byte, width int, values int64) error {
	limit := uint64(values)*2 + 1024 // the last group may be padded
	total := uint64(0)
	for len(b) > 0 {
		head, n := binary.Uvarint(b)
		if n <= 0 {
			return errors.New("damaged run")
		}
		b = b[n:]
		count, size := head>>1, uint64(width+7)/8
		if count > limit { // before it is multiplied
			return fmt.Errorf("a run of %d values in a page of %d", count, values)
		}
		if head&1 == 1 {
			count, size = count*8, count*uint64(width)
		}
		if total += count; total > limit {
			return fmt.Errorf("runs of %d values in a page of %d", total, values)
		}
		if size > uint64(len(b)) {
			return errors.New("a run that is longer than its page")
		}
		b = b[size:]
	}
	return nil
}
