package hnsw

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/eiderdb/eider/index"
)

// # Snapshot layout, version 1
//
// A snapshot holds the structure of the graph, not the vectors. Integers are
// little-endian. n, M, and the levels decide the length of everything, so there
// are no other lengths to be wrong.
//
//	header, 64 bytes
//	 0  8  magic "EIDRHNSW"
//	 8  4  version = 1
//	12  4  dimension
//	16  4  M
//	20  1  metric: 0 l2, 1 ip, 2 cosine
//	21  1  storage: 0 float32, 1 float16
//	22  2  zero
//	24  4  n, slots
//	28  4  nodes: slots whose level is not 255
//	32  4  entry slot, 2^32-1 if there are no nodes
//	36  4  entry level
//	40  8  seed of the level generator
//	48  8  lists: number of upper lists, the sum of the levels
//	56  4  zero
//	60  4  CRC32C of bytes 0..59
//	sections, each a run of chunks
//	levels   n × 1 byte: highest level of the slot, 0..31; 255: not in the graph
//	ids      n × 4 bytes: id of the slot, 0 if not in the graph
//	uppers   lists × M × 4 bytes: for each slot by number, its levels 1, 2, ..
//	links    n × 2M × 4 bytes: level 0 of each slot
//	chunk: up to 1 MiB of the section, then 4 bytes CRC32C of
//	  the header's CRC (4), the chunk's number in the snapshot (4), its bytes
//
// Chunks of uppers and links hold whole multiples of 4 bytes. A list holds slot
// numbers, then 2^32-1 in every unused place. The snapshot ends with the last
// chunk.
const (
	magic      = "EIDRHNSW"
	version    = 1
	headerSize = 64
	chunkSize  = 1 << 20
	absent     = 255 // level of a slot that is not in the graph
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is the decoded head of a snapshot.
type header struct {
	dim, m          uint32
	metric, storage uint8
	n, nodes        uint32
	entry, level    uint32
	seed            int64
	lists           uint64
	crc             uint32
}

// code is the header's number for what cfg says.
func code(cfg index.Config) (metric, storage uint8) {
	switch cfg.Metric {
	case index.IP:
		metric = 1
	case index.Cosine:
		metric = 2
	}
	if cfg.Storage == index.Float16 {
		storage = 1
	}
	return metric, storage
}

// encode returns the header's bytes and sets h.crc.
func (h *header) encode() []byte {
	b := make([]byte, 0, headerSize)
	le := binary.LittleEndian
	b = append(b, magic...)
	b = le.AppendUint32(b, version)
	b = le.AppendUint32(b, h.dim)
	b = le.AppendUint32(b, h.m)
	b = append(b, h.metric, h.storage, 0, 0)
	b = le.AppendUint32(b, h.n)
	b = le.AppendUint32(b, h.nodes)
	b = le.AppendUint32(b, h.entry)
	b = le.AppendUint32(b, h.level)
	b = le.AppendUint64(b, uint64(h.seed))
	b = le.AppendUint64(b, h.lists)
	b = le.AppendUint32(b, 0)
	h.crc = crc32.Checksum(b, castagnoli)
	return le.AppendUint32(b, h.crc)
}

// damaged is an ErrCorrupt that says where.
func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{index.ErrCorrupt}, args...)...)
}

// decode reads the header and checks it against itself and cfg.
func (h *header) decode(b []byte, cfg index.Config, most int) error {
	le := binary.LittleEndian
	h.crc = le.Uint32(b[60:])
	switch {
	case string(b[:8]) != magic:
		return damaged("it does not begin with %q", magic)
	case crc32.Checksum(b[:60], castagnoli) != h.crc:
		return damaged("checksum of the header")
	case le.Uint32(b[8:]) != version:
		return damaged("version %d, this program reads %d", le.Uint32(b[8:]), version)
	case le.Uint16(b[22:]) != 0 || le.Uint32(b[56:]) != 0:
		return damaged("reserved bytes are not zero")
	}
	h.dim, h.m = le.Uint32(b[12:]), le.Uint32(b[16:])
	h.metric, h.storage = b[20], b[21]
	h.n, h.nodes = le.Uint32(b[24:]), le.Uint32(b[28:])
	h.entry, h.level = le.Uint32(b[32:]), le.Uint32(b[36:])
	h.seed, h.lists = int64(le.Uint64(b[40:])), le.Uint64(b[48:])
	metric, storage := code(cfg)
	switch {
	case h.dim != uint32(cfg.Dim) || h.m != uint32(cfg.M) || h.metric != metric || h.storage != storage:
		return damaged("it is of an index with other options (dim %d, M %d)", h.dim, h.m)
	case int64(h.n) > int64(most) || h.nodes > h.n || h.lists > uint64(h.nodes)*maxLevel:
		return damaged("%d slots, %d nodes, %d upper lists", h.n, h.nodes, h.lists)
	case (h.nodes == 0) != (h.entry == none) || h.nodes > 0 && (h.entry >= h.n || h.level > maxLevel):
		return damaged("entry point %d at level %d of %d slots", h.entry, h.level, h.n)
	}
	return nil
}

// chunks reads or writes the chunks that follow a header.
type chunks struct {
	r      io.Reader
	w      *bufio.Writer
	crc    uint32 // of the header
	number uint32
}

// sum is the checksum of the next chunk.
func (c *chunks) sum(b []byte) uint32 {
	var seal [8]byte
	binary.LittleEndian.PutUint32(seal[:], c.crc)
	binary.LittleEndian.PutUint32(seal[4:], c.number)
	c.number++
	return crc32.Update(crc32.Checksum(seal[:], castagnoli), castagnoli, b)
}

// write writes one chunk.
func (c *chunks) write(b []byte) error {
	var tail [4]byte
	binary.LittleEndian.PutUint32(tail[:], c.sum(b))
	if _, err := c.w.Write(b); err != nil {
		return err
	}
	_, err := c.w.Write(tail[:])
	return err
}

// read fills b, of at most chunkSize bytes, from one chunk.
func (c *chunks) read(b []byte) error {
	var tail [4]byte
	number := c.number
	if _, err := io.ReadFull(c.r, b); err != nil {
		return short(err)
	}
	if _, err := io.ReadFull(c.r, tail[:]); err != nil {
		return short(err)
	}
	if c.sum(b) != binary.LittleEndian.Uint32(tail[:]) {
		return damaged("checksum of chunk %d", number)
	}
	return nil
}

// short turns the end of the input into damage and keeps other errors.
func short(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return damaged("it ends too early")
	}
	return err
}
