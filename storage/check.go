package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/maphash"
	"io"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/cockroachdb/pebble/v2"

	"github.com/eiderdb/eider/storage/format"
)

// maxProblems is how many problems a Report lists; more are only counted.
const maxProblems = 1000

// Report is what Check found.
type Report struct {
	LSN       uint64           `json:"lsn"`     // the state that was checked
	Checked   map[string]int64 `json:"checked"` // keys read, by kind
	Problems  []Problem        `json:"problems"`
	Unlisted  int64            `json:"unlisted_problems"` // past the first 1000
	Documents int64            `json:"documents"`
}

// Problem is one disagreement in a store.
type Problem struct {
	Kind       string `json:"kind"`       // record, id, live, posting, vector, expiry, changelog, catalog, setting, snapshot, rotation, model, event, orphan
	Collection string `json:"collection"` // "" for the store itself
	Detail     string `json:"detail"`
}

// OK reports whether nothing was found.
func (r *Report) OK() bool { return len(r.Problems) == 0 }

// Check reads everything as of now and verifies that it agrees with itself:
// every record decodes; ids and ords name each other both ways; live bitmaps,
// postings, vectors and expiry keys are exactly those the records call for; the
// changelog is dense; counts match; models are whole; events, their ids and
// their users name each other. It only reads, from a view, beside
// everything else. Memory O(live/8) bytes. Problems are in the Report; an error
// is ErrClosed or ctx's.
func (s *Store) Check(ctx context.Context) (Report, error) {
	v, err := s.Acquire()
	if err != nil {
		return Report{}, err
	}
	defer v.Release()
	c := &checker{ctx: ctx, v: v, seed: maphash.MakeSeed(), Report: Report{LSN: v.lsn, Checked: map[string]int64{}, Problems: []Problem{}}}
	c.changelog()
	c.settings()
	c.models()
	c.events()
	c.orphans()
	for _, info := range v.Collections() {
		c.collection(v.colls[info.ID])
	}
	return c.Report, ctx.Err()
}

// checker compares what records call for with what is stored by order-free
// sums of hashes, so that neither side has to be kept or sorted.
type checker struct {
	Report
	ctx  context.Context
	v    *View
	seed maphash.Seed
}

// sum is a multiset in 16 bytes: equal multisets have equal sums, different
// ones differ but for one chance in 2^64.
type sum struct {
	n   int64
	sum uint64
}

func (s *sum) add(hash uint64) {
	s.n++
	s.sum += hash
}

func (c *checker) problem(kind, coll, detail string, args ...any) {
	if len(c.Problems) == maxProblems {
		c.Unlisted++
		return
	}
	c.Problems = append(c.Problems, Problem{kind, coll, fmt.Sprintf(detail, args...)})
}

// scan reads a range, counting keys as kind; damage becomes a problem.
func (c *checker) scan(kind, coll string, lo, hi []byte, fn func(key, value []byte) error) {
	err := scan(c.v.snap, lo, hi, func(key, value []byte) error {
		c.Checked[kind]++
		if c.Checked[kind]%256 == 0 && c.ctx.Err() != nil {
			return errStop
		}
		return fn(key, value)
	})
	if err != nil && err != errStop {
		c.problem(kind, coll, "%v", err)
	}
}

func (c *checker) changelog() {
	want := c.v.first
	c.scan("changelog", "", changeKey(0), changeKey(1<<64-1), func(key, value []byte) error {
		e, err := format.ParseEntry(value)
		if err != nil {
			c.problem("changelog", "", "LSN %d: %v", be.Uint64(key[1:]), err)
		} else if e.LSN != want || !bytes.Equal(key, changeKey(want)) {
			c.problem("changelog", "", "LSN %d where %d belongs", e.LSN, want)
			want = e.LSN
		}
		want++
		return nil
	})
	if want != c.v.lsn+1 && !(c.v.lsn == 0 && want == 1) {
		c.problem("changelog", "", "ends at LSN %d, the store is at %d", want-1, c.v.lsn)
	}
}

func (c *checker) settings() {
	c.scan("setting", "", []byte{prefixSetting}, []byte{prefixSetting + 1}, func(key, value []byte) error {
		if _, _, err := format.OpenEnvelope(value, format.EnvSetting, 1); err != nil {
			c.problem("setting", "", "%q: %v", key[1:], err)
		}
		return nil
	})
}

// orphans looks for keys of collections that do not exist, and of unknown kind.
func (c *checker) orphans() {
	it, err := c.v.snap.NewIter(nil)
	if err != nil {
		c.problem("orphan", "", "%v", err)
		return
	}
	for ok := it.First(); ok && c.ctx.Err() == nil; {
		k := it.Key()
		switch k[0] {
		case prefixMeta, prefixAlias, prefixChange, prefixSetting, prefixModel, prefixWeights, prefixUser, prefixHistory, prefixEvent:
			ok = it.SeekGE([]byte{k[0] + 1})
			continue
		case prefixCollection, prefixID, prefixRecord, prefixVector, prefixTerm, prefixLive, prefixExpire, prefixSnapshot, prefixRotation:
		default:
			c.problem("orphan", "", "key of unknown kind %q", k[0])
			ok = k[0] < 0xff && it.SeekGE([]byte{k[0] + 1})
			continue
		}
		if len(k) < 5 {
			c.problem("orphan", "", "key %x is too short", k)
			ok = it.Next()
			continue
		}
		coll := be.Uint32(k[1:])
		if c.v.colls[coll] == nil && k[0] != prefixSnapshot { // a late snapshot of a dropped collection is only waste
			c.problem("orphan", "", "%q keys of collection %d, which does not exist", k[0], coll)
		}
		ok = it.SeekGE(successor(k[:5]))
	}
	if err := it.Close(); err != nil {
		c.problem("orphan", "", "%v", err)
	}
}

// expect is what the records of one collection call for.
type expect struct {
	records  *roaring.Bitmap
	ids      sum
	expiry   sum
	vectors  map[uint16]*sum
	postings map[uint32]*sum
}

func (c *checker) collection(cv *collView) {
	name, coll := cv.info.Name, cv.info.ID
	want := &expect{records: roaring.New(), vectors: map[uint16]*sum{}, postings: map[uint32]*sum{}}
	c.records(cv, want)
	c.Documents += int64(want.records.GetCardinality())
	if live := cv.bitmap(); !live.Equals(want.records) {
		c.problem("live", name, "%d documents are live in memory, %d records are stored", live.GetCardinality(), want.records.GetCardinality())
	}
	var stored bitmapReader
	lo, hi := collRange(prefixLive, coll)
	c.scan("live", name, lo, hi, stored.add)
	if bm, err := stored.bitmap(); err != nil || !bm.Equals(want.records) {
		c.problem("live", name, "the stored live bitmap differs from the records")
	}
	c.ids(cv, want)
	c.vectors(cv, want)
	c.postings(cv, want)
	var got sum
	lo, hi = collRange(prefixExpire, coll)
	c.scan("expiry", name, lo, hi, func(key, _ []byte) error {
		got.add(c.hash(key))
		return nil
	})
	if got != want.expiry {
		c.problem("expiry", name, "%d expiry keys, the records call for %d", got.n, want.expiry.n)
	}
	lo, hi = collRange(prefixSnapshot, coll)
	c.scan("snapshot", name, lo, hi, func(key, value []byte) error {
		if err := c.snapshot(key, value); err != nil {
			c.problem("snapshot", name, "index snapshot of vector field %d: %v; it will be derived again", be.Uint16(key[5:]), err)
		}
		return nil
	})
	lo, hi = collRange(prefixRotation, coll)
	c.scan("rotation", name, lo, hi, func(key, value []byte) error {
		if _, err := format.ParseRotation(value); err != nil || len(key) != 7 {
			c.problem("rotation", name, "rotation of vector field %x: %v; it will be learned again", key[5:], err)
		}
		return nil
	})
}

// snapshot checks the value of a snapshot key, and the file it refers to.
func (c *checker) snapshot(key, value []byte) error {
	if isChunk(value) {
		_, err := format.ParseChunk(value)
		return err
	}
	ref, err := format.ParseFile(value)
	if err != nil {
		return err
	}
	f, err := c.v.s.openFile(snapshotName(be.Uint32(key[1:]), be.Uint16(key[5:]), ref.Tag), ref.Size)
	if err != nil {
		if now, gerr := c.v.s.get(key); errors.Is(gerr, ErrNotFound) || gerr == nil && !bytes.Equal(now, value) {
			return nil // replaced meanwhile
		}
		return err
	}
	defer f.close()
	h := crc32.New(castagnoli)
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	if h.Sum32() != ref.Sum {
		return fmt.Errorf("%w: checksum of its file", ErrCorrupt)
	}
	return nil
}

func (c *checker) hash(key []byte) uint64 { return maphash.Bytes(c.seed, key) }

// pair hashes a key and an ord under it.
func (c *checker) pair(key []byte, ord uint32) uint64 {
	var h maphash.Hash
	h.SetSeed(c.seed)
	h.Write(key)
	var b [4]byte
	be.PutUint32(b[:], ord)
	h.Write(b[:])
	return h.Sum64()
}

func (c *checker) records(cv *collView, want *expect) {
	name, coll := cv.info.Name, cv.info.ID
	lo, hi := collRange(prefixRecord, coll)
	var buf []byte
	c.scan("record", name, lo, hi, func(key, value []byte) error {
		if len(key) != 9 {
			c.problem("record", name, "key %x", key)
			return nil
		}
		ord := be.Uint32(key[5:])
		want.records.Add(ord)
		r, err := format.ParseRecord(value)
		if err == nil {
			_, err = format.DecodeID(cv.info.Kind, r.Key)
		}
		if err != nil {
			c.problem("record", name, "ord %d: %v", ord, err)
			return nil
		}
		if r.LSN > c.v.lsn || r.LSN < cv.info.Created {
			c.problem("record", name, "ord %d is of LSN %d, outside the collection's %d to %d", ord, r.LSN, cv.info.Created, c.v.lsn)
		}
		if b, err := c.v.get(idKey(coll, r.Key)); err != nil || !bytes.Equal(b, idValue(ord, r.LSN)) {
			c.problem("id", name, "record of ord %d: its id names another version or none", ord)
		}
		want.ids.add(c.pair(r.Key, ord))
		if r.ExpireAt > 0 {
			want.expiry.add(c.hash(expireKey(coll, r.ExpireAt, ord)))
		}
		for _, f := range cv.info.fields(r.Fields) {
			if want.vectors[f] == nil {
				want.vectors[f] = new(sum)
			}
			want.vectors[f].add(c.hash(vectorKey(coll, f, ord)))
		}
		terms, err := derive(cv.terms, bytes.Clone(r.Body))
		if err != nil {
			c.problem("record", name, "ord %d: %v", ord, err)
		}
		slices.SortFunc(terms, func(a, b Term) int {
			if a.Index != b.Index {
				return int(int64(a.Index) - int64(b.Index))
			}
			return bytes.Compare(a.Key, b.Key)
		})
		for i, t := range terms {
			if i > 0 && t.Index == terms[i-1].Index && bytes.Equal(t.Key, terms[i-1].Key) {
				continue
			}
			if want.postings[t.Index] == nil {
				want.postings[t.Index] = new(sum)
			}
			buf = be.AppendUint16(appendTermKey(buf[:0], coll, t.Index, t.Key), uint16(ord>>16))
			want.postings[t.Index].add(c.pair(buf, ord))
		}
		return nil
	})
}

func (c *checker) ids(cv *collView, want *expect) {
	var got sum
	lo, hi := collRange(prefixID, cv.info.ID)
	c.scan("id", cv.info.Name, lo, hi, func(key, value []byte) error {
		ord, _, err := parseIDValue(value)
		if err != nil || !want.records.Contains(ord) {
			c.problem("id", cv.info.Name, "id key %x names ord %d, which has no record", key[5:], ord)
		}
		got.add(c.pair(key[5:], ord))
		return nil
	})
	if got != want.ids {
		c.problem("id", cv.info.Name, "%d ids, %d records; they do not name each other", got.n, want.ids.n)
	}
}

func (c *checker) vectors(cv *collView, want *expect) {
	got := map[uint16]*sum{}
	lo, hi := collRange(prefixVector, cv.info.ID)
	c.scan("vector", cv.info.Name, lo, hi, func(key, value []byte) error {
		if len(key) != 11 || len(value) == 0 || len(value) > format.MaxVector {
			c.problem("vector", cv.info.Name, "key %x holds %d bytes", key, len(value))
			return nil
		}
		f := be.Uint16(key[5:])
		if got[f] == nil {
			got[f] = new(sum)
		}
		got[f].add(c.hash(key))
		return nil
	})
	compare(got, want.vectors, func(f uint16, g, w sum) {
		c.problem("vector", cv.info.Name, "field %d: %d vectors, the records call for %d", f, g.n, w.n)
	})
}

func (c *checker) postings(cv *collView, want *expect) {
	got := map[uint32]*sum{}
	lo, hi := collRange(prefixTerm, cv.info.ID)
	c.scan("posting", cv.info.Name, lo, hi, func(key, value []byte) error {
		if len(key) < indexKeyLen+4 {
			c.problem("posting", cv.info.Name, "key %x", key)
			return nil
		}
		o, err := format.ParseOperand(value)
		if err != nil {
			c.problem("posting", cv.info.Name, "key %x: %v", key, err)
			return nil
		}
		index := be.Uint32(key[5:])
		if got[index] == nil {
			got[index] = new(sum)
		}
		chunk := uint32(be.Uint16(key[len(key)-2:])) << 16
		o.Each(func(x uint16) { got[index].add(c.pair(key, chunk|uint32(x))) })
		return nil
	})
	if cv.info.Stale {
		return // known to be incomplete
	}
	compare(got, want.postings, func(index uint32, g, w sum) {
		c.problem("posting", cv.info.Name, "index %d: %d postings differ from the %d that the documents give; rebuild it", index, g.n, w.n)
	})
}

// compare calls differ for every key whose sums are not equal.
func compare[K comparable](got, want map[K]*sum, differ func(k K, got, want sum)) {
	for k, g := range got {
		w := want[k]
		if w == nil {
			w = new(sum)
		}
		if *g != *w {
			differ(k, *g, *w)
		}
	}
	for k, w := range want {
		if got[k] == nil {
			differ(k, sum{}, *w)
		}
	}
}

// finishRestore derives the postings of collections that were restored from
// documents, or whose Rebuild did not end. It runs in Open, before anything
// else uses the store. A crash leaves the collection marked; the next Open
// starts over.
func (s *Store) finishRestore() error {
	for _, c := range s.state.colls {
		if !c.info.Stale {
			continue
		}
		if s.opts.ReadOnly {
			return fmt.Errorf("%w: collection %q was restored or rebuilt but not finished; open the directory for writing once", ErrCorrupt, c.info.Name)
		}
		if err := s.derivePostings(c); err != nil {
			return fmt.Errorf("deriving the postings of %q: %w", c.info.Name, err)
		}
	}
	return nil
}

// deriveBytes bounds one batch of derivePostings.
const deriveBytes = 4 << 20

func (s *Store) derivePostings(c *collection) error {
	lo, hi := collRange(prefixTerm, c.info.ID)
	if err := s.db.DeleteRange(lo, hi, pebble.NoSync); err != nil {
		return err
	}
	g := &group{s: s, batch: s.db.NewBatch(), postings: map[string]*posting{}}
	defer func() { g.batch.Close() }()
	flush := func() error {
		if err := g.flushPostings(); err != nil {
			return err
		}
		g.posted = nil
		if err := s.db.Apply(g.batch, pebble.NoSync); err != nil {
			return err
		}
		g.batch.Reset()
		return nil
	}
	size := 0
	err := s.each(collKey(prefixRecord, c.info.ID), func(key, value []byte) error {
		r, err := format.ParseRecord(value)
		if err != nil {
			return err
		}
		terms, err := derive(c.terms, bytes.Clone(r.Body))
		if err != nil {
			return err
		}
		g.post(c, terms, be.Uint32(key[5:]), true)
		if size += len(value); size > deriveBytes {
			size = 0
			return flush()
		}
		return nil
	})
	if err == nil {
		err = flush()
	}
	if err != nil {
		return err
	}
	info := c.info
	info.Stale = false
	err = errors.Join(g.putCatalog(&info), s.db.Apply(g.batch, pebble.Sync))
	if err == nil {
		c.info = info
	}
	return err
}
