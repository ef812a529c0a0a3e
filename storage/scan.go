package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/cockroachdb/pebble/v2"

	"github.com/eiderdb/eider/storage/format"
)

// errStop ends a scan from inside.
var errStop = errors.New("stop")

func stopped(err error) error {
	if err == errStop {
		return nil
	}
	return err
}

// ForEachVector calls fn with the vectors of one field whose ords are in
// [lo, hi), ascending; data is valid during the call. Several goroutines may
// scan disjoint ranges of one view at once. An error of fn ends the scan and is
// returned.
func (v *View) ForEachVector(coll uint32, field uint16, lo, hi uint32, fn func(ord uint32, data []byte) error) error {
	if lo >= hi {
		return nil
	}
	const ordAt = 1 + 4 + 2
	return scan(v.snap, vectorKey(coll, field, lo), vectorKey(coll, field, hi), func(key, value []byte) error {
		return fn(be.Uint32(key[ordAt:]), value)
	})
}

// ForEachRecord calls fn with the documents whose ords are in [lo, hi),
// ascending. The record's Body is valid during the call.
func (v *View) ForEachRecord(coll uint32, lo, hi uint32, fn func(Record) error) error {
	c, err := v.coll(coll)
	if err != nil || lo >= hi {
		return err
	}
	const ordAt = 1 + 4
	return scan(v.snap, recordKey(coll, lo), recordKey(coll, hi), func(key, value []byte) error {
		r, err := v.parseRecord(c, be.Uint32(key[ordAt:]), value)
		if err != nil {
			return err
		}
		return fn(r)
	})
}

// Records calls fn with the documents of ords in the order given, which is
// fastest ascending; an ord without a document is skipped. The record's Body is
// owned by the caller.
func (v *View) Records(ctx context.Context, coll uint32, ords []uint32, fn func(Record) error) error {
	for i, ord := range ords {
		if i%64 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		r, err := v.Record(coll, ord)
		if errors.Is(err, ErrNotFound) && v.colls[coll] != nil {
			continue
		} else if err != nil {
			return err
		}
		if err := fn(r); err != nil {
			return err
		}
	}
	return nil
}

// ScanIDs calls fn with every document after the id after ("" for all), in id
// order, until fn returns false. Errors: ErrNotFound, ErrID, ErrCorrupt.
func (v *View) ScanIDs(coll uint32, after string, fn func(id string, ord uint32, version uint64) bool) error {
	c, err := v.coll(coll)
	if err != nil {
		return err
	}
	lo, hi := collRange(prefixID, coll)
	head := len(lo)
	if after != "" {
		key, err := format.EncodeID(c.info.Kind, after)
		if err != nil {
			return err
		}
		lo = append(idKey(coll, key), 0)
	}
	return stopped(scan(v.snap, lo, hi, func(key, value []byte) error {
		id, err := format.DecodeID(c.info.Kind, key[head:])
		if err != nil {
			return err
		}
		ord, version, err := parseIDValue(value)
		if err != nil {
			return fmt.Errorf("id %q: %w", id, err)
		}
		if !fn(id, ord, version) {
			return errStop
		}
		return nil
	}))
}

// Expired returns the ords of documents whose expiry is at or before now
// (nanoseconds since 1970 UTC); O(1) if no document of the collection expires.
// Shared: read only.
func (v *View) Expired(coll uint32, now int64) (*roaring.Bitmap, error) {
	c, err := v.coll(coll)
	if err != nil {
		return nil, err
	}
	if c.ttl == 0 || now <= 0 {
		return empty, nil
	}
	bm := roaring.New()
	lo, _ := collRange(prefixExpire, coll)
	const ordAt = 1 + 4 + 8
	err = scan(v.snap, lo, expireKey(coll, now+1, 0), func(key, _ []byte) error {
		bm.Add(be.Uint32(key[ordAt:]))
		return nil
	})
	return bm, err
}

// Term returns the ords of documents that have key in index. Shared: read only.
// Cached while unchanged.
func (v *View) Term(coll, index uint32, key []byte) (*roaring.Bitmap, error) {
	prefix := appendTermKey(make([]byte, 0, 64), coll, index, key)
	return v.s.cache.get(prefix, v.lsn, func() (*roaring.Bitmap, error) {
		return v.union(prefix, successor(prefix))
	})
}

// union reads the postings with keys in [lo, hi).
func (v *View) union(lo, hi []byte) (*roaring.Bitmap, error) {
	var r bitmapReader
	if err := scan(v.snap, lo, hi, r.add); err != nil {
		return nil, fmt.Errorf("postings: %w", err)
	}
	return r.bitmap()
}

// bounds turns a range of terms into a range of keys. nil means open. A term's
// keys are its escaped bytes, a terminator and a chunk, so "above a term" is
// "above every key that starts with the terminated term".
func bounds(coll, index uint32, lo, hi []byte, loIncl, hiIncl bool) (from, to []byte) {
	all := indexKey(coll, index)
	from, to = all, successor(all)
	if lo != nil {
		if from = appendTermKey(nil, coll, index, lo); !loIncl {
			from = successor(from)
		}
	}
	if hi != nil {
		if to = appendTermKey(nil, coll, index, hi); hiIncl {
			to = successor(to)
		}
	}
	return from, to
}

// TermRange returns the ords of documents that have in index any key between
// lo and hi by byte order; nil is open. Shared: read only. O(keys in range);
// cached while the index is unchanged.
func (v *View) TermRange(coll, index uint32, lo, hi []byte, loIncl, hiIncl bool) (*roaring.Bitmap, error) {
	from, to := bounds(coll, index, lo, hi, loIncl, hiIncl)
	if bytes.Compare(from, to) >= 0 {
		return empty, nil
	}
	return v.s.cache.get(rangeCacheKey(from, to), v.lsn, func() (*roaring.Bitmap, error) {
		return v.union(from, to)
	})
}

// TermScan selects keys for Terms.
type TermScan struct {
	Lo, Hi         []byte // nil is open
	LoIncl, HiIncl bool
	Descending     bool
}

// Terms calls fn with the keys of index in byte order, or against it, and the
// ords of each, until fn returns false. key and bm are valid during the call.
func (v *View) Terms(ctx context.Context, coll, index uint32, q TermScan, fn func(key []byte, bm *roaring.Bitmap) bool) (err error) {
	from, to := bounds(coll, index, q.Lo, q.Hi, q.LoIncl, q.HiIncl)
	if bytes.Compare(from, to) >= 0 {
		return nil
	}
	it, err := v.snap.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return readError("postings", err)
	}
	defer func() {
		if cerr := it.Close(); err == nil {
			err = readError("postings", cerr)
		}
	}()
	step, ok := it.Next, it.First()
	if q.Descending {
		step, ok = it.Prev, it.Last()
	}
	var term []byte // escaped, of the run of chunks being read
	var r bitmapReader
	flush := func() (bool, error) {
		key, rest, err := format.ParseTerm(term)
		if err != nil || len(rest) > 0 {
			return false, fmt.Errorf("%w: posting key", ErrCorrupt)
		}
		bm, err := r.bitmap()
		if err != nil {
			return false, err
		}
		r.reset()
		return bm.IsEmpty() || fn(key, bm), nil
	}
	for n := 0; ok; ok, n = step(), n+1 {
		if n%256 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		key := it.Key()
		if len(key) < indexKeyLen+2+2 {
			return fmt.Errorf("%w: posting key of %d bytes", ErrCorrupt, len(key))
		}
		t := key[indexKeyLen : len(key)-2]
		if term != nil && !bytes.Equal(t, term) {
			if more, err := flush(); err != nil || !more {
				return err
			}
		}
		term = append(term[:0], t...)
		value, err := it.ValueAndErr()
		if err != nil {
			return readError("postings", err)
		}
		if err := r.add(key, value); err != nil {
			return err
		}
	}
	if term != nil {
		_, err = flush()
	}
	return err
}
