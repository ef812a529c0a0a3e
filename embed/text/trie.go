package text

import "sort"

// trie is a byte trie in the double-array layout: the child of node s by byte c
// is t = base[s]+c+1 if check[t] == s. Nodes are indices, so a step is two
// loads and no pointer. Node 0 is the root.
type trie struct {
	base  []int32
	check []int32 // parent node; -1 = free
	value []int32 // token id, -1 = no token ends here
}

// none marks a node where no token ends.
const none = -1

// newTrie builds the trie of keys; the value of keys[i] is ids[i]. Of equal
// keys the last one given wins, as it does in a vocabulary read in order.
// Empty keys are left out. Cost O(total bytes * 256) in the worst case.
func newTrie(keys []string, ids []int32) *trie {
	order := make([]int, 0, len(keys))
	for i, k := range keys {
		if k != "" {
			order = append(order, i)
		}
	}
	sort.SliceStable(order, func(a, b int) bool { return keys[order[a]] < keys[order[b]] })
	t := &trie{}
	t.grow(257)
	t.check[0] = 0
	// Slots below 257 cannot be had by every label (a base is never negative), so
	// none of them is given out and the first free one is good for any.
	b := builder{trie: t, keys: keys, ids: ids, next: 257}
	b.place(0, order, 0)
	// A lookup may reach base+256; the tail is kept so that step needs one bound.
	t.grow(len(t.base) + 257)
	return t
}

// grow makes room for at least n nodes.
func (t *trie) grow(n int) {
	if n <= len(t.base) {
		return
	}
	if n < len(t.base)*2 {
		n = len(t.base) * 2
	}
	base, check, value := make([]int32, n), make([]int32, n), make([]int32, n)
	old := copy(base, t.base)
	copy(check, t.check)
	copy(value, t.value)
	for i := old; i < n; i++ {
		check[i], value[i] = -1, none
	}
	t.base, t.check, t.value = base, check, value
}

// step returns the child of node s by byte c, or false.
func (t *trie) step(s int32, c byte) (int32, bool) {
	n := t.base[s] + int32(c) + 1
	if int(n) < len(t.check) && t.check[n] == s {
		return n, true
	}
	return 0, false
}

// walk follows key from node s and returns the node it ends at.
func (t *trie) walk(s int32, key string) (int32, bool) {
	for i := 0; i < len(key); i++ {
		n, ok := t.step(s, key[i])
		if !ok {
			return 0, false
		}
		s = n
	}
	return s, true
}

// builder places the nodes of a trie first-fit.
type builder struct {
	*trie
	keys []string
	ids  []int32
	next int32 // no slot below next is free
	wide int32 // where the search for several slots at once begins
}

// place lays out the children of node, whose keys (sorted, sharing their first
// depth bytes) are given by order.
func (b *builder) place(node int32, order []int, depth int) {
	for len(order) > 0 && len(b.keys[order[0]]) == depth {
		b.value[node] = b.ids[order[0]]
		order = order[1:]
	}
	if len(order) == 0 {
		return
	}
	type span struct {
		c      byte
		lo, hi int
	}
	var spans []span
	for lo := 0; lo < len(order); {
		c, hi := b.keys[order[lo]][depth], lo+1
		for hi < len(order) && b.keys[order[hi]][depth] == c {
			hi++
		}
		spans = append(spans, span{c, lo, hi})
		lo = hi
	}
	labels := make([]byte, len(spans))
	for i, s := range spans {
		labels[i] = s.c
	}
	base := b.fit(labels)
	b.base[node] = base
	for _, c := range labels {
		b.check[base+int32(c)+1] = node
	}
	for _, s := range spans {
		b.place(base+int32(s.c)+1, order[s.lo:s.hi], depth+1)
	}
}

// maxProbes is after how many tries fit gives up on the crowded part of the
// arrays; nodes with one child, by far the most, fill the holes it leaves.
const maxProbes = 64

// fit finds a base at which the slots of all labels are free.
func (b *builder) fit(labels []byte) int32 {
	for int(b.next) < len(b.check) && b.check[b.next] != -1 {
		b.next++
	}
	first := int32(labels[0]) + 1
	slot, probes := b.next, 0
	if len(labels) > 1 {
		slot = max(slot, b.wide)
	}
	for ; ; slot++ {
		base := slot - first
		b.grow(int(base) + 257)
		if b.check[slot] != -1 {
			continue
		}
		if b.free(base, labels[1:]) {
			if probes > maxProbes {
				b.wide = slot
			}
			return base
		}
		probes++
	}
}

// free reports whether the slots of labels are free at base.
func (b *builder) free(base int32, labels []byte) bool {
	for _, c := range labels {
		if b.check[base+int32(c)+1] != -1 {
			return false
		}
	}
	return true
}
