package hnsw

// links are the lists of a graph being loaded.
type links struct {
	x      *Index
	levels []byte
	whole  bool // every slot is in the graph
}

// check verifies that every list of the slots from..to-1 names nodes of its level,
// never its own, and is none after the first none.
func (k *links) check(from, to int) error {
	if err := k.checkUppers(from, to); err != nil {
		return err
	}
	return k.checkBase(from, to)
}

// checkBase is check for level 0, checkUppers for the levels above.
func (k *links) checkBase(from, to int) error {
	v := k.x.view.Load()
	for slot := from; slot < to; slot++ {
		if k.levels[slot] != absent && !k.valid(v.base(uint32(slot)), slot, 0) {
			return damaged("links of slot %d", slot)
		}
	}
	return nil
}

func (k *links) checkUppers(from, to int) error {
	v := k.x.view.Load()
	for slot := from; slot < to; slot++ {
		if k.levels[slot] == absent {
			continue
		}
		for level := 1; level <= int(k.levels[slot]); level++ {
			if !k.valid(v.list(uint32(slot), level), slot, level) {
				return damaged("links of slot %d at level %d", slot, level)
			}
		}
	}
	return nil
}

func (k *links) valid(row []uint32, slot, level int) bool {
	n, used, apart := uint32(len(k.levels)), len(row), uint32(none)
	for i, to := range row {
		if to >= n {
			used = i
			break
		}
		apart = min(apart, to^uint32(slot)) // 0 if one is slot itself
	}
	if apart == 0 {
		return false
	}
	for _, n := range row[used:] {
		if n != none {
			return false
		}
	}
	if k.whole && level == 0 {
		return true
	}
	for _, n := range row[:used] {
		if l := k.levels[n]; l == absent || int(l) < level {
			return false
		}
	}
	return true
}
