package bench

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
)

// churnSteps is the number of steps in a turnover.
const churnSteps = 10

// workload is which base rows are live, under which labels, and what changes next.
// Equal sets and seeds give equal steps.
type workload struct {
	set  *Set
	n    int // live vectors
	r    *rand.Rand
	next uint32            // label
	live map[uint32]uint32 // label -> row
	free []uint32          // rows
}

func newWorkload(s *Set, n int, seed uint64) *workload {
	w := &workload{set: s, n: n, r: rand.New(rand.NewPCG(seed, 9)), live: map[uint32]uint32{}}
	for i, row := range w.r.Perm(s.Base.Rows) {
		if i < n {
			w.live[w.next] = uint32(row)
			w.next++
		} else {
			w.free = append(w.free, uint32(row))
		}
	}
	return w
}

// pairs is the live vectors by ascending label.
func (w *workload) pairs() []tagged {
	out := make([]tagged, 0, len(w.live))
	for _, label := range w.labels() {
		out = append(out, tagged{label, w.live[label]})
	}
	return out
}

func (w *workload) labels() []uint32 { return slices.Sorted(maps.Keys(w.live)) }

func (w *workload) rows() []uint32 { return slices.Collect(maps.Values(w.live)) }

// step deletes a tenth of the live vectors and adds as many: four of ten steps
// delete at random, the next three the nearest to one vector, and the last three
// bring back what they delete.
func (w *workload) step(i int) (drop []uint32, add []tagged) {
	count, labels := max(1, w.n/churnSteps), w.labels()
	if i >= 4 && i < 7 {
		labels = w.nearest(labels[w.r.IntN(len(labels))], labels)
	} else {
		w.r.Shuffle(len(labels), func(a, b int) { labels[a], labels[b] = labels[b], labels[a] })
	}
	drop = labels[:count]
	w.r.Shuffle(len(w.free), func(a, b int) { w.free[a], w.free[b] = w.free[b], w.free[a] })
	for j, label := range drop {
		row := w.live[label]
		if i < 7 && len(w.free) > 0 {
			at := j % len(w.free)
			row, w.free[at] = w.free[at], row
		}
		delete(w.live, label)
		add = append(add, tagged{w.next, row})
		w.live[w.next] = row
		w.next++
	}
	return drop, add
}

// nearest sorts labels by the distance of their rows from one of them.
func (w *workload) nearest(anchor uint32, labels []uint32) []uint32 {
	type near struct {
		label uint32
		d     float32
	}
	from, all := w.set.Base.Row(int(w.live[anchor])), make([]near, len(labels))
	for i, label := range labels {
		all[i] = near{label, distance(w.set.Metric, from, w.set.Base.Row(int(w.live[label])))}
	}
	slices.SortFunc(all, func(a, b near) int {
		return cmp.Or(cmp.Compare(a.d, b.d), cmp.Compare(a.label, b.label))
	})
	for i, a := range all {
		labels[i] = a.label
	}
	return labels
}
