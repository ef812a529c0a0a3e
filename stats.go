package eider

import (
	"cmp"
	"context"
	"time"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/storage"
)

// Stats is what a database holds and uses. Sizes are bytes.
type Stats struct {
	Path        string            `json:"path"`
	ReadOnly    bool              `json:"read_only"`
	LSN         uint64            `json:"lsn"`
	Uptime      float64           `json:"uptime_seconds"`
	Storage     storage.Stats     `json:"storage"`
	Collections []CollectionStats `json:"collections"`
}

// CollectionStats is the part of one collection.
type CollectionStats struct {
	Name    string                 `json:"name"`
	Docs    uint64                 `json:"docs"`
	Vectors map[string]VectorStats `json:"vectors"`
	Indexed []string               `json:"indexed_fields"`
	// Memory is about Schema.Memory; nil without.
	Memory *MemoryStats `json:"memory,omitempty"`
}

// MemoryStats is what vector indexes take of what they may.
type MemoryStats struct {
	Budget int64 `json:"budget"`
	Used   int64 `json:"used"`
	// Advice is what to do where the smallest indexes do not fit.
	Advice string `json:"advice,omitempty"`
}

// VectorStats is the memory of one vector's index.
type VectorStats struct {
	index.Stats
	Loaded    bool   `json:"loaded"`    // searches are answered
	Resident  bool   `json:"resident"`  // vectors are in memory; before, and with originals on disk, searches read the few they need
	SavedLSN  uint64 `json:"saved_lsn"` // of the last index snapshot
	Unsaved   int64  `json:"unsaved"`   // changes since
	Codes     string `json:"codes"`     // "none", "int8", "int4" or "bit"
	Originals string `json:"originals"` // "memory" or "disk"
	// Rotation is what codes are made through; none if nil.
	Rotation *RotationStats `json:"rotation,omitempty"`
}

// RotationStats describes the rotation of a vector's index.
type RotationStats struct {
	Learned  uint64 `json:"learned"`  // vectors there were when it was learned; 0 while that is being looked up
	Prefixes []int  `json:"prefixes"` // components that walks and the orders after them go by
	Bytes    int64  `json:"bytes"`    // memory
}

// Stats measures. It reads counters and asks Pebble for size estimates; it does
// not read documents.
func (db *DB) Stats(ctx context.Context) (Stats, error) {
	st, err := db.store.Stats(ctx)
	if err != nil {
		return Stats{}, db.fail("stats", "", "", err)
	}
	s := Stats{Path: db.dir, ReadOnly: db.opts.ReadOnly, LSN: db.LSN(), Uptime: time.Since(db.since).Seconds(), Storage: st, Collections: []CollectionStats{}}
	for _, info := range db.Collections() {
		c, err := db.Collection(info.Name)
		if err != nil {
			continue // dropped meanwhile
		}
		cs := CollectionStats{Name: info.Name, Docs: info.Docs, Vectors: map[string]VectorStats{}, Indexed: []string{}}
		state := c.state.Load()
		cs.Indexed = append(cs.Indexed, sortedKeys(state.stored.FieldID)...)
		for name, l := range state.lives {
			v := VectorStats{SavedLSN: l.saved.Load(), Unsaved: l.dirty.Load(), Resident: l.resident.Load()}
			if p := l.index.Load(); p != nil {
				v.Stats, v.Loaded = (*p).Stats(), true
				if rows := rotationOf(*p); rows != nil {
					v.Rotation = &RotationStats{l.learned.Load(), l.spec.rotatedWidths(), int64(4 * len(rows))}
				}
			}
			v.Kind = l.spec.Index.Kind
			v.Codes, v.Originals = cmp.Or(string(l.spec.Index.codes(l.spec.Dim)), "none"), cmp.Or(l.spec.Index.Originals, "memory")
			cs.Vectors[name] = v
		}
		cs.Memory = state.memory()
		s.Collections = append(s.Collections, cs)
	}
	return s, nil
}

// CheckReport is the outcome of Check.
type CheckReport struct {
	OK      bool           `json:"ok"`
	Storage storage.Report `json:"storage"`
	Indexes []IndexProblem `json:"index_problems,omitempty"`
	Took    float64        `json:"seconds"`
}

// IndexProblem is damage of a vector index. Indexes are derived: reopening the
// database after deleting nothing rebuilds them.
type IndexProblem struct {
	Collection string `json:"collection"`
	Vector     string `json:"vector"`
	Detail     string `json:"detail"`
}

// Check verifies everything stored against its checksums and against each
// other: documents, ids, postings, vectors, the changelog; and the structure of
// every vector index. It only reads, and may run beside everything else.
func (db *DB) Check(ctx context.Context) (CheckReport, error) {
	start := time.Now()
	rep, err := db.store.Check(ctx)
	if err != nil {
		return CheckReport{}, db.fail("check", "", "", err)
	}
	out := CheckReport{Storage: rep, OK: rep.OK()}
	for _, info := range db.Collections() {
		c, err := db.Collection(info.Name)
		if err != nil {
			continue
		}
		for name, l := range c.state.Load().lives {
			x, err := l.wait(ctx)
			if err == nil {
				err = x.Check(ctx)
			}
			if ctx.Err() != nil {
				return out, db.fail("check", info.Name, "", ctx.Err())
			}
			if err != nil {
				out.OK = false
				out.Indexes = append(out.Indexes, IndexProblem{info.Name, name, err.Error()})
			}
		}
	}
	out.Took = time.Since(start).Seconds()
	return out, nil
}
