package storage

import (
	"io"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/eiderdb/eider/storage/format"
)

// mergerName is on disk; Pebble refuses a store made with another.
const mergerName = "eider.postings.v1"

var merger = &pebble.Merger{
	Name: mergerName,
	Merge: func(_, value []byte) (pebble.ValueMerger, error) {
		m := &postingMerger{}
		return m, m.MergeNewer(value)
	},
}

// sets is the scratch of one merge, 16 KiB, pooled.
type sets struct{ adds, removes format.Set }

var setsPool = sync.Pool{New: func() any { return new(sets) }}

// postingMerger folds posting operands (format/posting.go states the algebra).
// A single operand passes through untouched; from the second on they meet in a
// pair of bitmaps.
type postingMerger struct {
	first []byte // the only operand so far
	sets  *sets
}

// unfold starts the pair of bitmaps with the first operand.
func (m *postingMerger) unfold() error {
	if m.sets != nil {
		return nil
	}
	o, err := format.ParseOperand(m.first)
	if err != nil {
		return err
	}
	m.sets = setsPool.Get().(*sets)
	*m.sets = sets{}
	o.Newer(&m.sets.adds, &m.sets.removes)
	return nil
}

// MergeNewer applies an operand younger than all so far.
func (m *postingMerger) MergeNewer(value []byte) error {
	if m.first == nil {
		m.first = append(make([]byte, 0, len(value)), value...)
		return nil
	}
	o, err := format.ParseOperand(value)
	if err != nil {
		return err
	}
	if err := m.unfold(); err != nil {
		return err
	}
	o.Newer(&m.sets.adds, &m.sets.removes)
	return nil
}

// MergeOlder applies an operand older than all so far.
func (m *postingMerger) MergeOlder(value []byte) error {
	o, err := format.ParseOperand(value)
	if err != nil {
		return err
	}
	if err := m.unfold(); err != nil {
		return err
	}
	o.Older(&m.sets.adds, &m.sets.removes)
	return nil
}

// Finish drops the removes once nothing older can exist. A posting without
// members stays as an operand of one byte that readers skip; vacuum.go deletes
// those. Pebble could drop them here (DeletableValueMerger), but its compaction
// iterator then loses its place when the merge ended at a Set: it panics, or
// brings older members back (cockroachdb/pebble#6168, open in v2.1.7).
func (m *postingMerger) Finish(includesBase bool) ([]byte, io.Closer, error) {
	if m.sets == nil {
		o, err := format.ParseOperand(m.first)
		if err != nil {
			return nil, nil, err
		}
		if !includesBase || !o.Removes() {
			return m.first, nil, nil
		}
		if err := m.unfold(); err != nil {
			return nil, nil, err
		}
	}
	if includesBase {
		m.sets.removes = format.Set{}
	}
	v := format.AppendSets(nil, &m.sets.adds, &m.sets.removes)
	setsPool.Put(m.sets)
	m.sets = nil
	return v, nil, nil
}
