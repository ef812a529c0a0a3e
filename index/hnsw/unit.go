package hnsw

import (
	"encoding/binary"
	"hash/crc32"
	"runtime"
	"sync/atomic"
)

// piece is how many bytes are read and summed at a time, few enough to stay in the
// caches in between.
const piece = 1 << 18

// unit reads the part of the run in a unit into b, which is as long as it.
func (l *loader) unit(number uint32, b []byte) error {
	at := int64(number) * unitSize
	sum := seal(l.head.crc, number, nil)
	for from := 0; from < len(b); from += piece {
		part := b[from:min(from+piece, len(b))]
		if n, err := l.r.ReadAt(part, at+int64(from)); n < len(part) {
			return short(err)
		}
		sum = crc32.Update(sum, castagnoli, part)
	}
	var tail [4]byte
	if n, err := l.r.ReadAt(tail[:], at+int64(len(b))); n < len(tail) {
		return short(err)
	}
	if sum != binary.LittleEndian.Uint32(tail[:]) {
		return damaged("checksum of unit %d", number)
	}
	return nil
}

// bounds are those of a unit in the run.
func (l *loader) bounds(u int) (from, to uint64) {
	from = uint64(u) * unitRun
	return from, min(from+unitRun, l.size)
}

// inBody reports whether a unit holds links and codes only.
func (l *loader) inBody(u int) bool {
	from, to := l.bounds(u)
	return from >= l.starts[3] && to <= l.starts[5]
}

// readFrame reads every unit that holds anything but links and codes.
func (l *loader) readFrame() error {
	return l.read(false, func(int) error { return nil })
}

// readBody reads the other units and checks all links and codes: those that are
// whole in a unit with it, the others at the end.
func (l *loader) readBody() error {
	var body []int
	for u := range l.count() {
		if l.inBody(u) && littleEndian {
			body = append(body, u)
		}
	}
	err := l.read(true, func(u int) error {
		if !littleEndian {
			return nil
		}
		return l.checkRows(func(start, size uint64) (int, int) { return l.rows(u, start, size) })
	})
	if err != nil {
		return err
	}
	if !littleEndian {
		numbers(l.x.view.Load().links[:int(l.head.n)*l.x.m0], l.parts[3])
	}
	return l.checkSeams(body)
}

// checkSeams checks the links and codes that are not whole in one of the units.
func (l *loader) checkSeams(units []int) error {
	for i := range len(units) + 1 {
		err := l.checkRows(func(start, size uint64) (from, to int) {
			to = int(l.head.n)
			if i > 0 {
				_, from = l.rows(units[i-1], start, size)
			}
			if i < len(units) {
				to, _ = l.rows(units[i], start, size)
			}
			return from, to
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// rows are the slots whose rows, of so many bytes in the section from start, are
// whole in a unit; of a unit before or after the section none, at its ends.
func (l *loader) rows(u int, start, size uint64) (from, to int) {
	lo, hi := l.bounds(u)
	at := func(x uint64) uint64 { return min(max(x, start)-start, size*uint64(l.head.n)) }
	from, to = int((at(lo)+size-1)/size), int(at(hi)/size)
	return from, max(from, to)
}

// checkRows checks the links and the codes of the slots that in names by start and
// size of a row.
func (l *loader) checkRows(in func(start, size uint64) (from, to int)) error {
	k := &links{x: l.x, levels: l.levels, whole: len(l.vacant) == 0}
	from, to := in(l.starts[3], 4*uint64(l.x.m0))
	if err := k.checkBase(from, to); err != nil || l.head.codes == 0 {
		return err
	}
	from, to = in(l.starts[4], uint64(l.x.set.CodeSize()))
	return l.x.set.Admit(from, to, func(slot int) bool { return l.levels[slot] != absent })
}

// count is the number of units.
func (l *loader) count() int { return int((l.size + unitRun - 1) / unitRun) }

// read reads every unit of the body, or of the frame, and then calls do with it.
func (l *loader) read(body bool, do func(u int) error) error {
	var next atomic.Int64
	count := l.count()
	return each(min(runtime.GOMAXPROCS(0), count), func() error {
		var buf []byte
		for {
			u := int(next.Add(1)) - 1
			if u >= count {
				return nil
			}
			if l.inBody(u) != body {
				continue
			}
			err := l.ctx.Err()
			if err == nil {
				if buf, err = l.fetch(u, buf); err == nil {
					err = do(u)
				}
			}
			if err != nil {
				next.Store(int64(count)) // the others need not go on
				return err
			}
		}
	})
}

// fetch reads a unit to where its bytes belong: through buf, which it returns,
// where they are of several sections.
func (l *loader) fetch(u int, buf []byte) ([]byte, error) {
	from, to := l.bounds(u)
	for i, part := range l.parts {
		if at := l.starts[i]; from >= at && to <= at+uint64(len(part)) {
			return buf, l.unit(uint32(u), part[from-at:to-at])
		}
	}
	if buf == nil {
		buf = make([]byte, min(unitRun, l.size))
	}
	b := buf[:to-from]
	if err := l.unit(uint32(u), b); err != nil {
		return buf, err
	}
	for i, part := range l.parts {
		at := l.starts[i]
		if lo, hi := max(from, at), min(to, at+uint64(len(part))); lo < hi {
			copy(part[lo-at:], b[lo-from:hi-from])
		}
	}
	return buf, nil
}
