package storage

import (
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Stats is what a store holds and uses. Sizes are bytes.
type Stats struct {
	LSN         uint64            `json:"lsn"`
	FirstChange uint64            `json:"first_change"` // oldest LSN in the changelog
	OldestView  uint64            `json:"oldest_view"`  // LSN of the oldest view held
	Views       int               `json:"views"`        // views held, the newest included
	DiskBytes   int64             `json:"disk_bytes"`   // all files: log, tables, obsolete ones
	LiveBytes   int64             `json:"live_bytes"`   // tables in use
	DeadBytes   int64             `json:"dead_bytes"`   // estimate of what compaction will give back
	LogBytes    int64             `json:"log_bytes"`    // write-ahead log
	MemoryTable int64             `json:"memtable_bytes"`
	Cache       CacheStats        `json:"cache"`
	Bitmaps     CacheStats        `json:"bitmaps"`
	Compactions int64             `json:"compactions"`
	Debt        int64             `json:"compaction_debt_bytes"`
	FreeBytes   int64             `json:"free_bytes"` // of the disk, -1 if unknown
	Full        bool              `json:"full"`       // puts get ErrFull
	Events      EventStats        `json:"events"`
	Collections []CollectionStats `json:"collections"`
}

// EventStats is what events take.
type EventStats struct {
	Users  uint64 `json:"users"` // who have events
	Events uint64 `json:"events"`
	Bytes  int64  `json:"bytes"` // estimate of table space
}

// CacheStats is the use of one cache.
type CacheStats struct {
	Bytes  int64  `json:"bytes"`
	Limit  int64  `json:"limit_bytes"`
	Hits   uint64 `json:"hits"`
	Misses uint64 `json:"misses"`
}

// CollectionStats is the part of one collection.
type CollectionStats struct {
	Name          string `json:"name"`
	Documents     int    `json:"documents"`
	Expiring      int    `json:"expiring"` // documents with an expiry
	OrdLimit      uint32 `json:"ord_limit"`
	DocumentBytes int64  `json:"document_bytes"` // estimates of table space
	VectorBytes   int64  `json:"vector_bytes"`
	PostingBytes  int64  `json:"posting_bytes"`
	SnapshotBytes int64  `json:"snapshot_bytes"`
}

// Stats measures. It reads counters and asks Pebble for size estimates, which
// do not see what is still in the write buffer. Errors: ErrClosed, ctx's.
func (s *Store) Stats(ctx context.Context) (Stats, error) {
	v, err := s.Acquire()
	if err != nil {
		return Stats{}, err
	}
	defer v.Release()
	m := s.db.Metrics()
	out := Stats{
		LSN: v.lsn, FirstChange: v.first, OldestView: s.Oldest(),
		DiskBytes:   int64(m.DiskSpaceUsage()),
		LiveBytes:   int64(m.Table.Local.LiveSize),
		LogBytes:    int64(m.WAL.PhysicalSize),
		DeadBytes:   int64(m.Table.Local.ObsoleteSize + m.Table.Local.ZombieSize),
		MemoryTable: int64(m.MemTable.Size),
		Cache:       CacheStats{m.BlockCache.Size, s.opts.cacheLimit(), uint64(m.BlockCache.Hits), uint64(m.BlockCache.Misses)},
		Compactions: m.Compact.Count, Debt: int64(m.Compact.EstimatedDebt),
		FreeBytes: -1, Full: s.quota.level.Load() != spaceOK,
	}
	out.Bitmaps = s.cache.stats()
	s.viewsMu.Lock()
	out.Views = len(s.views)
	s.viewsMu.Unlock()
	if usage, err := s.fs.GetDiskUsage(s.dir); err == nil {
		out.FreeBytes = int64(min(usage.AvailBytes, 1<<62))
	}
	if out.Events, err = v.eventStats(); err != nil {
		return Stats{}, err
	}
	files := s.snapshotSizes()
	for _, info := range v.Collections() {
		if err := ctx.Err(); err != nil {
			return Stats{}, err
		}
		c := v.colls[info.ID]
		cs := CollectionStats{Name: info.Name, Documents: c.count, Expiring: c.ttl, OrdLimit: c.next}
		for _, part := range []struct {
			prefix byte
			bytes  *int64
		}{
			{prefixRecord, &cs.DocumentBytes}, {prefixVector, &cs.VectorBytes},
			{prefixTerm, &cs.PostingBytes}, {prefixSnapshot, &cs.SnapshotBytes},
		} {
			lo, hi := collRange(part.prefix, info.ID)
			n, err := s.db.EstimateDiskUsage(lo, hi)
			if err != nil {
				return Stats{}, readError("size estimate", err)
			}
			*part.bytes = int64(n)
		}
		cs.SnapshotBytes += files[info.ID]
		out.Collections = append(out.Collections, cs)
	}
	return out, nil
}

// EventStats is the part of Stats about events, and the LSN it is of. Errors:
// ErrClosed.
func (s *Store) EventStats() (EventStats, uint64, error) {
	v, err := s.Acquire()
	if err != nil {
		return EventStats{}, 0, err
	}
	defer v.Release()
	st, err := v.eventStats()
	return st, v.lsn, err
}

func (v *View) eventStats() (EventStats, error) {
	out := EventStats{Users: v.events.users, Events: v.events.events}
	for _, prefix := range []byte{prefixUser, prefixHistory, prefixEvent} {
		n, err := v.s.db.EstimateDiskUsage([]byte{prefix}, []byte{prefix + 1})
		if err != nil {
			return EventStats{}, readError("size estimate", err)
		}
		out.Bytes += int64(n)
	}
	return out, nil
}

// snapshotSizes are the bytes of snapshot files by collection.
func (s *Store) snapshotSizes() map[uint32]int64 {
	sizes := map[uint32]int64{}
	names, _ := s.fs.List(s.snapshots()) // none before the first save
	for _, n := range names {
		coll, _, ok := parseSnapshotName(n)
		if info, err := s.fs.Stat(s.fs.PathJoin(s.snapshots(), n)); ok && err == nil {
			sizes[coll] += info.Size()
		}
	}
	return sizes
}

func (c *bitmapCache) stats() CacheStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return CacheStats{c.bytes, c.limit, c.hits, c.misses}
}

// Compact rewrites the tables so that deleted data gives its space back. Slow;
// reads and writes go on.
func (s *Store) Compact(ctx context.Context) error {
	if s.opts.ReadOnly {
		return ErrReadOnly
	}
	v, err := s.Acquire()
	if err != nil {
		return err
	}
	defer v.Release()
	if err := s.vacuum(ctx); err != nil {
		return err
	}
	if err := s.db.Compact(ctx, []byte{0}, []byte{0xff}, true); err != nil {
		return fmt.Errorf("compacting: %w", err)
	}
	return nil
}

// Metrics returns Pebble's own counters, for the metrics page.
func (s *Store) Metrics() *pebble.Metrics {
	v, err := s.Acquire()
	if err != nil {
		return new(pebble.Metrics)
	}
	defer v.Release()
	return s.db.Metrics()
}
