package index

import "math"

// Top keeps the k least hits of a stream in the order of Hit.Less, so equal
// distances are decided by id and the result does not depend on the order of
// the stream. It is a max-heap: Push costs O(log k), and O(1) for a hit that
// does not get in. The zero value keeps nothing; call Reset first.
type Top struct {
	hits []Hit
	k    int
}

// Reset empties t and makes it keep k hits, k >= 0.
func (t *Top) Reset(k int) {
	t.k = k
	t.hits = t.hits[:0]
}

// Len is the number of hits kept so far.
func (t *Top) Len() int { return len(t.hits) }

// Limit is the largest distance that can still get in: +Inf until k hits are
// kept. A hit at exactly Limit gets in only with a smaller id than the worst.
func (t *Top) Limit() float32 {
	if len(t.hits) < t.k {
		return float32(math.Inf(1))
	}
	if t.k == 0 {
		return float32(math.Inf(-1))
	}
	return t.hits[0].Distance
}

// Push offers a hit.
func (t *Top) Push(h Hit) {
	if len(t.hits) < t.k {
		t.hits = append(t.hits, h)
		for i := len(t.hits) - 1; i > 0; {
			p := (i - 1) / 2
			if !t.hits[p].Less(t.hits[i]) {
				break
			}
			t.hits[p], t.hits[i] = t.hits[i], t.hits[p]
			i = p
		}
		return
	}
	if t.k == 0 || !h.Less(t.hits[0]) {
		return
	}
	t.hits[0] = h
	t.sink(len(t.hits))
}

// sink restores the heap over the first n hits after the root changed.
func (t *Top) sink(n int) {
	hits := t.hits[:n]
	for i := 0; ; {
		c := 2*i + 1
		if c >= n {
			return
		}
		if c+1 < n && hits[c].Less(hits[c+1]) {
			c++
		}
		if !hits[i].Less(hits[c]) {
			return
		}
		hits[i], hits[c] = hits[c], hits[i]
		i = c
	}
}

// Sort orders the kept hits, nearest first, and returns them; the slice is
// t's until the next Reset, which must come before the next Push. O(k log k).
func (t *Top) Sort() []Hit {
	for n := len(t.hits) - 1; n > 0; n-- {
		t.hits[0], t.hits[n] = t.hits[n], t.hits[0]
		t.sink(n)
	}
	return t.hits
}
