package hnsw

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/eiderdb/eider/index"
)

// # Snapshot layout
//
// A snapshot holds the structure of the graph and the codes of the vectors, not
// the vectors. Integers are little-endian. n, M, the levels, the kind of code and
// the number of loose ids and doubts decide the length of everything, so there are no other
// lengths to be wrong.
//
//	header, 64 bytes
//	 0  8  magic "EIDRHNSW"
//	 8  4  version = 2
//	12  4  dimension
//	16  4  M
//	20  1  metric: 0 l2, 1 ip, 2 cosine
//	21  1  storage: 0 float32, 1 float16
//	22  1  codes: 0 none, 1 int8, 2 int4, 3 bit; plus 128 if they are of rotated vectors
//	23  1  version of the codes = 1, 0 without codes
//	24  4  n, slots
//	28  4  nodes: slots whose level is not 255
//	32  4  entry slot, 2^32-1 if there are no nodes
//	36  4  entry level
//	40  8  seed of the level generator
//	48  8  lists: number of upper lists, the sum of the levels
//	56  4  loose: number of loose ids and of doubts
//	60  4  CRC32C of bytes 0..59 and of the widths that divide codes, 4 bytes each
//	sections
//	levels   n × 1 byte: highest level of the slot, 0..31; 255: not in the graph
//	ids      n × 4 bytes: id of the slot, 0 if not in the graph
//	uppers   lists × M × 4 bytes: for each slot by number, its levels 1, 2, ..
//	links    n × 2M × 4 bytes: level 0 of each slot
//	codes    n × size bytes: the code of the slot (package index/quant), zeros if
//	         it is not in the graph; nothing without codes
//	loose    loose × 4 bytes: ids that were live and not yet in the graph; then ids of
//	         nodes in doubt, which may not be found by their vectors since links to
//	         them are lacking, and 2^32-1 in every unused place; the last is 2^32-2
//	         instead if they had no room: then all are in doubt
//	rotation dimension² × 4 bytes: float32 by rows, what vectors were multiplied with
//	         before codes were made of them; nothing if byte 22 says so
//
// A list holds slot numbers, then 2^32-1 in every unused place. Header and
// sections are one run of bytes, which is written in units:
//
//	unit: up to 2^20-4 bytes of the run, then 4 bytes CRC32C of
//	  the header's CRC (4), the unit's number (4), its bytes
//
// Every unit but the last is 1 MiB long, so that a reader finds any part of any
// section. The snapshot ends with the last unit.
//
// # Version 1
//
// It has neither codes nor loose; bytes 22, 23 and 56..59 of the header are zero.
// The header stands bare, and each section is a run of chunks: up to 1 MiB of the
// section, then 4 bytes CRC32C of the header's CRC (4), the chunk's number in the
// snapshot (4), its bytes.
const (
	magic       = "EIDRHNSW"
	version     = 2
	codeVersion = 1
	headerSize  = 64
	chunkSize   = 1 << 20      // of version 1
	unitSize    = 1 << 20      // with its checksum
	unitRun     = unitSize - 4 // bytes of the run in it
	absent      = 255          // level of a slot that is not in the graph
	turned      = 0x80         // mark of rotated vectors, beside the kind of code
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is the decoded head of a snapshot.
type header struct {
	version         uint32
	dim, m          uint32
	metric, storage uint8
	codes           uint8
	rotated         bool
	n, nodes        uint32
	entry, level    uint32
	seed            int64
	lists           uint64
	loose           uint32
	widths          []int
	crc             uint32
}

// code is the header's number for what cfg says.
func code(cfg index.Config) (metric, storage, codes uint8) {
	switch cfg.Metric {
	case index.IP:
		metric = 1
	case index.Cosine:
		metric = 2
	}
	if cfg.Storage == index.Float16 {
		storage = 1
	}
	switch cfg.Codes {
	case index.Int8:
		codes = 1
	case index.Int4:
		codes = 2
	case index.Bit:
		codes = 3
	}
	return metric, storage, codes
}

// head is the checksum of a header, b. It covers widths because codes mean nothing
// without them.
func head(b []byte, widths []int) uint32 {
	sum := crc32.Checksum(b, castagnoli)
	for _, w := range widths {
		sum = crc32.Update(sum, castagnoli, binary.LittleEndian.AppendUint32(nil, uint32(w)))
	}
	return sum
}

// encode returns the header's bytes and sets h.crc.
func (h *header) encode() []byte {
	b := make([]byte, 0, headerSize)
	le := binary.LittleEndian
	b = append(b, magic...)
	b = le.AppendUint32(b, version)
	b = le.AppendUint32(b, h.dim)
	b = le.AppendUint32(b, h.m)
	kind := h.codes
	if h.rotated {
		kind |= turned
	}
	b = append(b, h.metric, h.storage, kind, min(h.codes, 1)*codeVersion)
	b = le.AppendUint32(b, h.n)
	b = le.AppendUint32(b, h.nodes)
	b = le.AppendUint32(b, h.entry)
	b = le.AppendUint32(b, h.level)
	b = le.AppendUint64(b, uint64(h.seed))
	b = le.AppendUint64(b, h.lists)
	b = le.AppendUint32(b, h.loose)
	h.crc = head(b, h.widths)
	return le.AppendUint32(b, h.crc)
}

// sections are the lengths of the sections of version 2, in bytes and in order;
// size is that of a code.
func (h *header) sections(size int) [7]uint64 {
	n, m := uint64(h.n), uint64(h.m)
	s := [7]uint64{n, 4 * n, 4 * m * h.lists, 8 * m * n, 0, 4 * uint64(h.loose)}
	if h.codes != 0 {
		s[4] = uint64(size) * n
	}
	if h.rotated {
		s[6] = 4 * uint64(h.dim) * uint64(h.dim)
	}
	return s
}

// run is the length of header and sections.
func (h *header) run(size int) uint64 {
	total := uint64(headerSize)
	for _, s := range h.sections(size) {
		total += s
	}
	return total
}

// damaged is an ErrCorrupt that says where.
func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{index.ErrCorrupt}, args...)...)
}

// decode reads the header and checks it against itself and cfg.
func (h *header) decode(b []byte, cfg index.Config, most int) error {
	le := binary.LittleEndian
	h.crc = le.Uint32(b[60:])
	switch h.version = le.Uint32(b[8:]); {
	case string(b[:8]) != magic:
		return damaged("it does not begin with %q", magic)
	case head(b[:60], cfg.Widths) != h.crc:
		return damaged("checksum of the header, or it is of an index with other widths")
	case h.version != 1 && h.version != version:
		return damaged("version %d, this program reads 1 and %d", h.version, version)
	case h.version == 1 && (le.Uint16(b[22:]) != 0 || le.Uint32(b[56:]) != 0):
		return damaged("reserved bytes are not zero")
	case b[23] != min(b[22], 1)*codeVersion:
		return damaged("codes of version %d, this program reads %d", b[23], codeVersion)
	}
	h.dim, h.m = le.Uint32(b[12:]), le.Uint32(b[16:])
	h.metric, h.storage, h.codes, h.rotated = b[20], b[21], b[22]&^turned, b[22]&turned != 0
	h.n, h.nodes = le.Uint32(b[24:]), le.Uint32(b[28:])
	h.entry, h.level = le.Uint32(b[32:]), le.Uint32(b[36:])
	h.seed, h.lists = int64(le.Uint64(b[40:])), le.Uint64(b[48:])
	h.loose = le.Uint32(b[56:])
	metric, storage, codes := code(cfg)
	switch {
	case h.dim != uint32(cfg.Dim) || h.m != uint32(cfg.M) || h.metric != metric || h.storage != storage:
		return damaged("it is of an index with other options (dim %d, M %d)", h.dim, h.m)
	case h.version > 1 && h.codes != codes:
		return damaged("it is of an index with other codes")
	case h.rotated && (!cfg.Rotate || h.codes == 0):
		return damaged("it is of an index that rotates vectors")
	case int64(h.n) > int64(most) || h.nodes > h.n || h.lists > uint64(h.nodes)*maxLevel || int64(h.loose) > int64(most):
		return damaged("%d slots, %d nodes, %d upper lists, %d loose", h.n, h.nodes, h.lists, h.loose)
	case (h.nodes == 0) != (h.entry == none) || h.nodes > 0 && (h.entry >= h.n || h.level > maxLevel):
		return damaged("entry point %d at level %d of %d slots", h.entry, h.level, h.n)
	}
	return nil
}

// seal is the checksum of a unit, or of a chunk of version 1.
func seal(crc, number uint32, b []byte) uint32 {
	var s [8]byte
	binary.LittleEndian.PutUint32(s[:], crc)
	binary.LittleEndian.PutUint32(s[4:], number)
	return crc32.Update(crc32.Checksum(s[:], castagnoli), castagnoli, b)
}

// units writes a run in units.
type units struct {
	w      io.Writer
	crc    uint32 // of the header
	number uint32
	buf    []byte
}

// write appends b to the run.
func (u *units) write(b []byte) error {
	for len(b) > 0 {
		if len(u.buf) == unitRun {
			if err := u.flush(); err != nil {
				return err
			}
		}
		k := min(len(b), unitRun-len(u.buf))
		u.buf = append(u.buf, b[:k]...)
		b = b[k:]
	}
	return nil
}

// add appends a number to the run.
func (u *units) add(v uint32) error {
	if len(u.buf)+4 > unitRun {
		return u.write(binary.LittleEndian.AppendUint32(nil, v))
	}
	u.buf = binary.LittleEndian.AppendUint32(u.buf, v)
	return nil
}

// flush writes what there is as a unit.
func (u *units) flush() error {
	if len(u.buf) == 0 {
		return nil
	}
	u.buf = binary.LittleEndian.AppendUint32(u.buf, seal(u.crc, u.number, u.buf))
	u.number++
	_, err := u.w.Write(u.buf)
	u.buf = u.buf[:0]
	return err
}

// short turns the end of the input into damage and keeps other errors.
func short(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return damaged("it ends too early")
	}
	return err
}
