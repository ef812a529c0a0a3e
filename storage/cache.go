package storage

import (
	"container/list"
	"math"
	"strings"
	"sync"

	"github.com/RoaringBitmap/roaring/v2"
)

// bitmapCache keeps decoded postings between views. An entry is right for the
// views whose LSN is in [from, until):
//
//	view 10 reads term t ── registers [10, ∞) ── loads ── ready
//	                              │
//	commit 12 changes t ──────────┴─ until = 12 (before view 12 is published)
//
// An entry is registered before its load begins, so that a commit during the
// load finds it; and only by a view at the LSN the committer notified last, so
// that no change lies between view and registration.
type bitmapCache struct {
	mu    sync.Mutex
	limit int64
	bytes int64
	lsn   uint64 // of the last notified commit
	items map[string]*cacheItem
	order list.List // most recently used first

	hits, misses uint64
}

type cacheItem struct {
	key         string
	from, until uint64
	ready       chan struct{} // closed when bm or err is set
	bm          *roaring.Bitmap
	err         error
	bytes       int64
	place       *list.Element
}

func newBitmapCache(limit int64) *bitmapCache {
	return &bitmapCache{limit: limit, items: map[string]*cacheItem{}}
}

// get returns the bitmap of key as a view at lsn sees it, loading it at most
// once per change. The bitmap is shared: read only.
func (c *bitmapCache) get(key []byte, lsn uint64, load func() (*roaring.Bitmap, error)) (*roaring.Bitmap, error) {
	c.mu.Lock()
	if it := c.items[string(key)]; it != nil && lsn >= it.from && lsn < it.until {
		c.order.MoveToFront(it.place)
		c.hits++
		c.mu.Unlock()
		<-it.ready
		return it.bm, it.err
	}
	c.misses++
	if lsn != c.lsn {
		c.mu.Unlock()
		return load()
	}
	it := &cacheItem{key: string(key), from: lsn, until: math.MaxUint64, ready: make(chan struct{})}
	c.remove(c.items[it.key])
	c.items[it.key] = it
	it.place = c.order.PushFront(it)
	c.mu.Unlock()

	it.bm, it.err = load()
	close(it.ready)

	c.mu.Lock()
	defer c.mu.Unlock()
	if c.items[it.key] == it {
		if it.err != nil {
			c.remove(it)
		} else {
			it.bytes = int64(it.bm.GetSizeInBytes()) + int64(len(it.key)) + 256
			c.bytes += it.bytes
			c.evict()
		}
	}
	return it.bm, it.err
}

func (c *bitmapCache) remove(it *cacheItem) {
	if it == nil {
		return
	}
	delete(c.items, it.key)
	c.order.Remove(it.place)
	c.bytes -= it.bytes
}

func (c *bitmapCache) evict() {
	for e := c.order.Back(); e != nil && c.bytes > c.limit; {
		it := e.Value.(*cacheItem)
		e = e.Prev()
		if it.bytes > 0 { // not one that is still loading
			c.remove(it)
		}
	}
}

// notify ends the validity of entries whose posting keys (with chunk) the
// commits first..last change, and drops those under a purged prefix. Range
// entries of a touched index end too.
func (c *bitmapCache) notify(keys []string, purged [][]byte, first, last uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lsn = last
	for _, prefix := range purged {
		c.purge(prefix)
	}
	if len(c.items) == 0 {
		return
	}
	index := ""
	for _, k := range keys {
		if k[0] != prefixTerm {
			continue
		}
		c.end(k[:len(k)-2], first)
		if k[:indexKeyLen] != index { // keys are sorted, so each index once
			index = k[:indexKeyLen]
			c.endRanges(index, first)
		}
	}
}

const indexKeyLen = 1 + 4 + 4

func (c *bitmapCache) end(key string, first uint64) {
	if it := c.items[key]; it != nil {
		it.until = min(it.until, first)
	}
}

// rangePrefix marks cache keys of ranges, which are not store keys.
const rangePrefix = 'X'

func rangeCacheKey(lo, hi []byte) []byte {
	k := append([]byte{rangePrefix}, lo[1:]...)
	k = append(k, hi...)
	return be.AppendUint32(k, uint32(len(lo)))
}

func (c *bitmapCache) endRanges(index string, first uint64) {
	prefix := string(rangePrefix) + index[1:]
	for e := c.order.Front(); e != nil; e = e.Next() {
		it := e.Value.(*cacheItem)
		if it.key[0] == rangePrefix && strings.HasPrefix(it.key, prefix) {
			it.until = min(it.until, first)
		}
	}
}

// purge forgets every entry under a key prefix.
func (c *bitmapCache) purge(prefix []byte) {
	for _, it := range c.items {
		same := len(it.key) >= len(prefix) && it.key[1:len(prefix)] == string(prefix[1:])
		if same && (it.key[0] == prefix[0] || it.key[0] == rangePrefix && prefix[0] == prefixTerm) {
			it.until = 0 // a load in progress still answers its own view
			c.remove(it)
		}
	}
}
