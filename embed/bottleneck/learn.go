package bottleneck

import (
	"fmt"
	"math"
	"slices"

	"github.com/eiderdb/eider/simd"
)

// Op says what a Record does.
type Op uint8

const (
	Learn       Op = 1 // add Step to the values of Keys
	UnlearnRow  Op = 2 // take what Row taught away
	UnlearnName Op = 3 // take the class Label away
)

// Record is one thing that happened to a model. Applying the same records in the same
// order makes the same values, bit for bit: it holds what was computed, not what to
// compute.
type Record struct {
	Op    Op
	Row   string // who teaches, "" for nobody: then it cannot be unlearned, nor named by predictions
	Label string // of Learn, unless it is a regression; of UnlearnName

	// Of Learn: the pairs, Heads·Top keys as Encode gives them, and what is added to the
	// value of each: Width numbers, of a class that is new to the model too, and one more,
	// for the class not seen yet, if the model is open.
	Keys []uint16
	Step []float32
}

// pairs calls fn with each pair of keys.
func (m *Model) pairs(keys []uint16, fn func(pair int)) {
	for i, k := range keys {
		if k != Absent {
			fn(i/m.Top*m.Keys + int(k))
		}
	}
}

// means writes the mean over heads of the values of keys, and returns that of the class
// not seen yet, 0 if the model is closed. dst has Width numbers.
func (m *Model) means(dst []float32, keys []uint16) (unseen float32) {
	clear(dst)
	w, share := len(dst), 1/float32(m.Heads)
	for i, k := range keys {
		if k == Absent {
			continue
		}
		pair := i/m.Top*m.Keys + int(k)
		row := m.values[pair*m.stride:][:w]
		if w < 16 { // a call takes longer than that
			for j, x := range row {
				dst[j] += x
			}
		} else {
			simd.Add(dst, row)
		}
		if m.unseen != nil {
			unseen += m.unseen[pair]
		}
	}
	for j := range dst {
		dst[j] *= share
	}
	return unseen * share
}

// Teach makes the record of a step by which row, or nobody, teaches label, and returns
// the loss before it. keys are Encode's. r's slices are used again if they are large
// enough. The model does not change until Apply. O(Heads·Top·Width). Errors: ErrInput;
// ErrConfig for a new class where the model is closed or full.
func (m *Model) Teach(r *Record, row string, keys []uint16, label string) (loss float64, err error) {
	if err := m.teachable(row, keys); err != nil {
		return 0, err
	}
	if err := checkName(label); err != nil {
		return 0, err
	}
	if m.Targets > 0 {
		return 0, fmt.Errorf("%w: a label, but this is a regression", ErrInput)
	}
	slot, known := m.slots[label]
	w := m.Width()
	if !known {
		if err := m.room(label); err != nil {
			return 0, err
		}
		slot = w
		w++
	}
	n := w
	if m.unseen != nil {
		n++
	}
	r.begin(row, label, keys, n)
	logits := r.Step[:w]
	unseen := m.means(logits[:m.Width()], keys)
	if !known {
		logits[slot] = unseen
	}
	if m.unseen != nil {
		r.Step[w] = unseen
	}
	live := m.alive + n - w
	if !known {
		live++
	}
	loss = m.gradient(r.Step, w, slot, live)
	m.descend(r.Step)
	return loss, nil
}

// gradient replaces logits by softmax minus label, smoothed over live classes; those that
// are unlearned take no part.
func (m *Model) gradient(logits []float32, w, slot, live int) (loss float64) {
	rest := *m.Smoothing / float64(live)
	sum, own := 0.0, float64(logits[slot])
	for j := range logits {
		if j < len(m.names) && m.names[j] == "" {
			logits[j] = float32(math.Inf(-1))
		} else {
			sum += float64(logits[j])
		}
	}
	lse := simd.Softmax(logits, logits)
	for j := range logits {
		if j >= len(m.names) || m.names[j] != "" {
			logits[j] -= float32(rest)
		}
	}
	logits[slot] -= float32(1 - *m.Smoothing)
	return lse - (1-*m.Smoothing)*own - rest*sum
}

// descend makes a step of the gradient of the mean: each of the pairs gets 1/Heads of
// it, and all of them together are what is clipped.
func (m *Model) descend(g []float32) {
	share := 1 / float64(m.Heads)
	scale := -m.Rate * share
	if *m.Clip > 0 {
		sum := 0.0
		for _, x := range g {
			sum += float64(x) * float64(x)
		}
		if norm := math.Sqrt(sum*float64(m.Heads*m.Top)) * share; norm > *m.Clip {
			scale *= *m.Clip / norm
		}
	}
	for j := range g {
		g[j] *= float32(scale)
	}
}

// TeachTargets is Teach for a regression. The loss is half the squared error.
func (m *Model) TeachTargets(r *Record, row string, keys []uint16, targets []float32) (loss float64, err error) {
	if err := m.teachable(row, keys); err != nil {
		return 0, err
	}
	if err := m.checkTargets(targets); err != nil {
		return 0, err
	}
	r.begin(row, "", keys, m.Targets)
	m.means(r.Step, keys)
	for j, y := range targets {
		r.Step[j] -= y
		loss += float64(r.Step[j]) * float64(r.Step[j]) / 2
	}
	if m.descend(r.Step); !finite(r.Step) {
		return 0, fmt.Errorf("%w: steps grow without bound; lower the rate or set a clip", ErrInput)
	}
	return loss, nil
}

// CheckExample reports what Teach or TeachTargets would refuse of an example, but for a
// class too many and steps without bound.
func (m *Model) CheckExample(row, label string, targets []float32) error {
	if row != "" {
		if err := checkName(row); err != nil {
			return err
		}
	}
	if m.Targets > 0 {
		if label != "" {
			return fmt.Errorf("%w: a label, but this is a regression", ErrInput)
		}
		return m.checkTargets(targets)
	}
	if len(targets) > 0 {
		return fmt.Errorf("%w: targets, but this is no regression", ErrInput)
	}
	if err := checkName(label); err != nil {
		return err
	}
	if _, known := m.slots[label]; !known {
		return m.room(label)
	}
	return nil
}

func (m *Model) checkTargets(targets []float32) error {
	if m.Targets == 0 || len(targets) != m.Targets {
		return fmt.Errorf("%w: %d targets, want %d", ErrInput, len(targets), m.Targets)
	}
	for j, y := range targets {
		if x := math.Abs(float64(y)); !(x <= 1e30) {
			return fmt.Errorf("%w: target %d is %v", ErrInput, j, y)
		}
	}
	return nil
}

// begin makes r a Learn with room for a step of n numbers.
func (r *Record) begin(row, label string, keys []uint16, n int) {
	*r = Record{Op: Learn, Row: row, Label: label, Keys: append(r.Keys[:0], keys...), Step: slices.Grow(r.Step[:0], n)[:n]}
}

// teachable reports keys and a row that do not fit.
func (m *Model) teachable(row string, keys []uint16) error {
	if row != "" {
		if err := checkName(row); err != nil {
			return err
		}
	}
	if len(keys) != m.Heads*m.Top {
		return fmt.Errorf("%w: %d keys, want %d", ErrInput, len(keys), m.Heads*m.Top)
	}
	for _, k := range keys {
		if int(k) >= m.Keys {
			return fmt.Errorf("%w: key %d of %d", ErrInput, k, m.Keys)
		}
	}
	return nil
}

// room reports why a class cannot be added.
func (m *Model) room(label string) error {
	w := m.Width() + 1
	switch {
	case m.Closed:
		return fmt.Errorf("%w: class %.80q is not one of those the model was made for", ErrConfig, label)
	case w > MaxClasses || m.Heads*m.Keys*w > MaxFloats:
		return fmt.Errorf("%w: no room for one more class than %d", ErrConfig, w-1)
	}
	return nil
}

// add adds sign times step to the values of keys. Columns beyond the step are of classes
// that came after it, and began as copies of the class not seen yet: they get what that
// got.
func (m *Model) add(keys []uint16, step []float32, sign float32) {
	w, given := m.Width(), len(step)
	var unseen float32
	if m.unseen != nil {
		given--
		unseen = sign * step[given]
	}
	m.pairs(keys, func(pair int) {
		row := m.values[pair*m.stride:][:w]
		for j, x := range step[:given] {
			row[j] += sign * x
		}
		for j := given; j < w; j++ {
			row[j] += unseen
		}
		if m.unseen != nil {
			m.unseen[pair] += unseen
		}
	})
}

// learn applies a step, and use marks its pairs as used.
func (m *Model) learn(r *Record) {
	if _, known := m.slots[r.Label]; !known && m.Targets == 0 {
		m.grow(r.Label)
	}
	m.add(r.Keys, r.Step, 1)
	m.pairs(r.Keys, func(pair int) {
		if m.used[pair]++; m.used[pair] == 1 {
			m.masked[pair] = m.minus[pair]
		}
	})
}

// unlearn takes the sum of count steps away. A pair that nobody uses any more is masked
// again, and its value is zero.
func (m *Model) unlearn(keys []uint16, step []float32, count uint32) {
	m.add(keys, step, -1)
	m.pairs(keys, func(pair int) {
		if m.used[pair] -= min(count, m.used[pair]); m.used[pair] == 0 {
			m.masked[pair] = 2 * masked
			clear(m.row(pair))
			if m.unseen != nil {
				m.unseen[pair] = 0
			}
		}
	})
}

// forget takes a class away: it is never predicted again, and the values of the others
// stay. Its column is not used again; the name, if it is learned again, gets a new one.
func (m *Model) forget(label string) {
	slot := m.slots[label]
	for pair := range m.Heads * m.Keys {
		m.values[pair*m.stride+slot] = 0
	}
	m.names[slot] = ""
	delete(m.slots, label)
	m.alive--
}
