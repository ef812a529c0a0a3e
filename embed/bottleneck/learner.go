package bottleneck

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
)

// Learner is a model and its rows: who taught what. Rows make it possible to take
// away what one of them taught, and to name those that a prediction is made of.
type Learner struct {
	*Model
	numbers map[string]uint32 // of rows, by name
	rows    []lesson          // by number; those that are free have no name
	free    []uint32
	votes   []*roaring.Bitmap // by pair: numbers of the rows under it, but for late ones; nil for none
	late    []uint32          // rows that are not in votes yet
}

// lateMost is how many rows wait for their votes: a bitmap takes many at a time in little
// more time than one.
const lateMost = 8192

// lesson is what one row taught.
type lesson struct {
	name  string
	class int // column of the label it taught last; -1 in a regression
	keys  []uint16
	step  []float32 // sum of its steps
	count uint32    // of them
}

// NewLearner returns a learner of a model that learned nothing yet, which it owns.
func NewLearner(m *Model) *Learner {
	return &Learner{Model: m, numbers: map[string]uint32{}, votes: make([]*roaring.Bitmap, m.Heads*m.Keys)}
}

// Rows is the number of rows by name that taught something.
func (l *Learner) Rows() int { return len(l.numbers) }

// Label is what a row taught last, "" in a regression. Error: ErrUnknown.
func (l *Learner) Label(row string) (string, error) {
	n, ok := l.numbers[row]
	if !ok {
		return "", fmt.Errorf("%w: row %.80q", ErrUnknown, row)
	}
	if l.Targets > 0 {
		return "", nil
	}
	return l.names[l.rows[n].class], nil
}

// Apply does what a record says, and keeps nothing of it. A row that teaches under other
// keys than before, because its vector is another, first loses what it taught under
// those; what it teaches again under the same keys is added. To unlearn a row is to take
// its steps away: what they changed in the steps of others stays. Where no row is left
// under a pair, nothing is left of its value. To unlearn a class is to take its column
// away, and its rows' names; what the other classes learned from those stays, so that
// no other logit changes.
//
// O(Heads·Top·Width), for a class O(Heads·Keys + rows). Errors, with nothing changed: ErrState for a
// record that does not fit; ErrUnknown; ErrConfig for one class too many.
func (l *Learner) Apply(r *Record) error {
	switch r.Op {
	case Learn:
		return l.learnRow(r)
	case UnlearnRow:
		n, ok := l.numbers[r.Row]
		if !ok {
			return fmt.Errorf("%w: row %.80q", ErrUnknown, r.Row)
		}
		t := &l.rows[n]
		l.unlearn(t.keys, t.step, t.count)
		l.drop(n)
		return nil
	case UnlearnName:
		slot, ok := l.slots[r.Label]
		if !ok {
			return fmt.Errorf("%w: class %.80q", ErrUnknown, r.Label)
		}
		for n := range l.rows {
			if t := &l.rows[n]; t.name != "" && t.class == slot {
				l.drop(uint32(n))
			}
		}
		l.forget(r.Label)
		return nil
	}
	return fmt.Errorf("%w: record of operation %d", ErrState, r.Op)
}

// fits reports what a Learn has that does not fit the model.
func (l *Learner) fits(r *Record) error {
	if err := l.teachable(r.Row, r.Keys); err != nil {
		return fmt.Errorf("%w: %w", ErrState, err)
	}
	w := l.Width()
	if l.Targets == 0 {
		if err := checkName(r.Label); err != nil {
			return fmt.Errorf("%w: %w", ErrState, err)
		}
		if _, known := l.slots[r.Label]; !known {
			if err := l.room(r.Label); err != nil {
				return err
			}
			w++
		}
	}
	if l.unseen != nil {
		w++
	}
	if len(r.Step) != w {
		return fmt.Errorf("%w: step of %d numbers, want %d", ErrState, len(r.Step), w)
	}
	if !finite(r.Step) {
		return fmt.Errorf("%w: a step is not finite", ErrState)
	}
	return nil
}

func finite(x []float32) bool {
	for _, y := range x {
		if z := float64(y); math.IsNaN(z) || math.IsInf(z, 0) {
			return false
		}
	}
	return true
}

func (l *Learner) learnRow(r *Record) error {
	if err := l.fits(r); err != nil {
		return err
	}
	n, again := l.numbers[r.Row]
	if again && !slices.Equal(l.rows[n].keys, r.Keys) {
		t := &l.rows[n]
		l.unlearn(t.keys, t.step, t.count)
		l.drop(n)
		again = false
	}
	l.learn(r)
	if r.Row == "" {
		return nil
	}
	class := -1
	if l.Targets == 0 {
		class = l.slots[r.Label]
	}
	if again {
		t := &l.rows[n]
		t.step = l.widen(t.step)
		for j, x := range r.Step {
			t.step[j] += x
		}
		t.class = class
		t.count++
		return nil
	}
	l.enter(lesson{name: r.Row, class: class, keys: slices.Clone(r.Keys), step: slices.Clone(r.Step), count: 1})
	return nil
}

// enter makes a row known.
func (l *Learner) enter(t lesson) {
	n := uint32(len(l.rows))
	if k := len(l.free); k > 0 {
		n, l.free = l.free[k-1], l.free[:k-1]
		l.rows[n] = t
	} else {
		l.rows = append(l.rows, t)
	}
	l.numbers[t.name] = n
	if l.late = append(l.late, n); len(l.late) == lateMost {
		l.settle()
	}
}

// settle gives the late rows their votes.
func (l *Learner) settle() {
	slices.Sort(l.late)
	lists := make([][]uint32, l.Keys)
	for i := range l.Heads * l.Top {
		for _, n := range l.late {
			k := l.rows[n].keys[i]
			lists[k] = append(lists[k], n)
		}
		for k, list := range lists {
			if len(list) == 0 {
				continue
			}
			vote := &l.votes[i/l.Top*l.Keys+k]
			if *vote == nil {
				*vote = roaring.New()
			}
			(*vote).AddMany(list)
			lists[k] = list[:0]
		}
	}
	l.late = l.late[:0]
}

// widen brings a step to the width the model has now: a class that came later got what
// the class not seen yet did.
func (l *Learner) widen(step []float32) []float32 {
	if l.unseen == nil {
		return step
	}
	unseen := step[len(step)-1]
	for len(step) <= l.Width() {
		step = append(step, unseen)
	}
	return step
}

// drop makes a row unknown.
func (l *Learner) drop(n uint32) {
	t := &l.rows[n]
	if i := slices.Index(l.late, n); i >= 0 {
		l.late = slices.Delete(l.late, i, i+1)
	} else {
		l.pairs(t.keys, func(pair int) {
			v := l.votes[pair]
			if v.Remove(n); v.IsEmpty() {
				l.votes[pair] = nil
			}
		})
	}
	delete(l.numbers, t.name)
	*t = lesson{}
	l.free = append(l.free, n)
}

// Score is what a prediction says of one class.
type Score struct {
	Label string  `json:"label"`
	Logit float32 `json:"logit"`
	Share float64 `json:"share"` // softmax over the classes that are learned
}

// Predict writes to dst, of Width numbers, the mean values under keys: the logits of the
// classes in order of column, or the targets. keys are EncodeUsed's. O(Heads·Top·Width).
// Error: ErrInput for lengths that do not fit.
func (m *Model) Predict(dst []float32, keys []uint16) error {
	if len(dst) != m.Width() || len(keys) != m.Heads*m.Top {
		return fmt.Errorf("%w: room for %d numbers, %d keys; want %d, %d", ErrInput, len(dst), len(keys), m.Width(), m.Heads*m.Top)
	}
	m.means(dst, keys)
	return nil
}

// Best is the class of the largest logit, the first of equal ones, "" if none is learned.
func (m *Model) Best(logits []float32) (label string) {
	best := math.Inf(-1)
	for j, name := range m.names {
		if name != "" && float64(logits[j]) > best {
			label, best = name, float64(logits[j])
		}
	}
	return label
}

// Rank lists the classes that are learned, best first, by logits of Predict.
func (m *Model) Rank(logits []float32) []Score {
	all := make([]Score, 0, m.alive)
	most := math.Inf(-1)
	for j, name := range m.names {
		if name != "" {
			all = append(all, Score{Label: name, Logit: logits[j]})
			most = max(most, float64(logits[j]))
		}
	}
	sum := 0.0
	for i := range all {
		all[i].Share = math.Exp(float64(all[i].Logit) - most)
		sum += all[i].Share
	}
	for i := range all {
		all[i].Share /= sum
	}
	slices.SortStableFunc(all, func(a, b Score) int { return cmp.Compare(b.Logit, a.Logit) })
	return all
}

// Voter is a row that a prediction is made of.
type Voter struct {
	Row   string `json:"row"`
	Label string `json:"label,omitempty"` // what it taught last
	Keys  int    `json:"keys"`            // how many of the prediction's it taught under

	// Weight is what it adds to the logit, or target, asked about. Those of all voters,
	// and of what was learned from nobody or from rows unlearned with their class, add up
	// to it.
	Weight float64 `json:"weight"`
}

// Voters names the rows that taught under keys, those that add most to column first, at
// most limit; total is how many there are. label chooses the column of a class, else
// target that of a regression. O(votes·log votes). Error: ErrUnknown.
func (l *Learner) Voters(keys []uint16, label string, target, limit int) (voters []Voter, total int, err error) {
	column := target
	if l.Targets == 0 {
		slot, ok := l.slots[label]
		if !ok {
			return nil, 0, fmt.Errorf("%w: class %.80q", ErrUnknown, label)
		}
		column = slot
	} else if target < 0 || target >= l.Targets {
		return nil, 0, fmt.Errorf("%w: target %d of %d", ErrUnknown, target, l.Targets)
	}
	counts := map[uint32]int{}
	l.pairs(keys, func(pair int) {
		if v := l.votes[pair]; v != nil {
			for it := v.Iterator(); it.HasNext(); {
				counts[it.Next()]++
			}
		}
	})
	for _, n := range l.late {
		if c := l.common(l.rows[n].keys, keys); c > 0 {
			counts[n] = c
		}
	}
	all := make([]Voter, 0, len(counts))
	for n, count := range counts {
		t := &l.rows[n]
		v := Voter{Row: t.name, Keys: count, Weight: float64(count) / float64(l.Heads) * float64(t.step[min(column, len(t.step)-1)])}
		if t.class >= 0 {
			v.Label = l.names[t.class]
		}
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b Voter) int {
		return cmp.Or(cmp.Compare(b.Weight, a.Weight), strings.Compare(a.Row, b.Row))
	})
	return all[:min(len(all), limit)], len(all), nil
}

// sorted are the names of rows, in order.
func (l *Learner) sorted() []string { return slices.Sorted(maps.Keys(l.numbers)) }

// common counts the pairs that a and b share.
func (m *Model) common(a, b []uint16) (n int) {
	for i, k := range a {
		if m.Top == 1 {
			if k == b[i] {
				n++
			}
		} else if head := i / m.Top * m.Top; slices.Contains(b[head:head+m.Top], k) {
			n++
		}
	}
	return n
}
