package bottleneck

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// blobs draws n rows of classes that lie apart, and their labels.
func blobs(seed uint64, n, dim, classes int) (rows []float32, labels []string) {
	centres := rand.New(rand.NewPCG(7, 7))
	at := make([]float64, classes*dim)
	for i := range at {
		at[i] = centres.NormFloat64()
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	for range n {
		c := rng.IntN(classes)
		for j := range dim {
			rows = append(rows, float32(at[c*dim+j]+0.15*rng.NormFloat64()))
		}
		labels = append(labels, fmt.Sprint("class ", c))
	}
	return rows, labels
}

// learner makes one of rows drawn like blobs.
func learner(t testing.TB, c Config, s Start) *Learner {
	t.Helper()
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	rows, _ := blobs(100, 512, c.Dim, 4)
	if err := m.Init(context.Background(), rows, s); err != nil {
		t.Fatal(err)
	}
	return NewLearner(m)
}

var small8 = Config{Dim: 8, Heads: 16, Keys: 32, KeyDim: 4, Seed: 1}

// learn teaches rows, named by their number from first on, and returns the records.
func learn(t testing.TB, l *Learner, first int, rows []float32, labels []string) (records []Record) {
	t.Helper()
	keys := make([]uint16, l.Heads*l.Top)
	for i, label := range labels {
		if err := l.Encode(keys, rows[i*l.Dim:][:l.Dim]); err != nil {
			t.Fatal(err)
		}
		var r Record
		if _, err := l.Teach(&r, fmt.Sprint("row ", first+i), keys, label); err != nil {
			t.Fatal(err)
		}
		if err := l.Apply(&r); err != nil {
			t.Fatal(err)
		}
		records = append(records, r)
	}
	return records
}

// right is the share of rows whose label is predicted.
func right(t testing.TB, l *Learner, rows []float32, labels []string) float64 {
	t.Helper()
	keys := make([]uint16, len(labels)*l.Heads*l.Top)
	if err := l.EncodeUsed(keys, rows); err != nil {
		t.Fatal(err)
	}
	logits := make([]float32, l.Width())
	n := 0
	for i, label := range labels {
		if err := l.Predict(logits, keys[i*l.Heads*l.Top:][:l.Heads*l.Top]); err != nil {
			t.Fatal(err)
		}
		if l.Best(logits) == label {
			n++
		}
	}
	return float64(n) / float64(len(labels))
}

func snapshot(t testing.TB, l *Learner) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := l.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestLearningTouchesOnlyThePairsOfTheRowAndNothingFrozen(t *testing.T) {
	l := learner(t, small8, Start{Epochs: 2})
	rows, labels := blobs(1, 40, 8, 4)
	learn(t, l, 0, rows, labels)
	keys, project := slices.Clone(l.keys), slices.Clone(l.project)
	values, unseen := slices.Clone(l.values), slices.Clone(l.unseen)
	r := learn(t, l, 40, rows[:8], labels[:1])[0]
	if !slices.Equal(keys, l.keys) || !slices.Equal(project, l.project) {
		t.Error("keys or projections moved")
	}
	touched := map[int]bool{}
	l.pairs(r.Keys, func(pair int) { touched[pair] = true })
	moved := 0
	for pair := range l.Heads * l.Keys {
		before, after := values[pair*l.stride:][:l.Width()], l.row(pair)
		same := slices.Equal(before, after) && unseen[pair] == l.unseen[pair]
		if same == touched[pair] {
			t.Errorf("pair %d: touched %v, same %v", pair, touched[pair], same)
		}
		if !same {
			moved++
		}
	}
	if moved != l.Heads {
		t.Errorf("%d values moved, want one a head", moved)
	}
}

func TestSmallStepsAreACountOfLabels(t *testing.T) {
	c := small8
	c.Classes, c.Closed, c.Rate = []string{"class 0", "class 1", "class 2", "class 3"}, true, 1e-4
	l := learner(t, c, Start{Epochs: 2})
	rows, labels := blobs(2, 300, 8, 4)
	learn(t, l, 0, rows, labels)
	counts := make([]float64, l.Heads*l.Keys*4)
	keys := make([]uint16, l.Heads)
	for i, label := range labels {
		_ = l.Encode(keys, rows[i*8:][:8])
		for j := range 4 {
			y := 0.1/4 - 0.25
			if j == l.slots[label] {
				y += 0.9
			}
			l.pairs(keys, func(pair int) { counts[pair*4+j] += y })
		}
	}
	tests, _ := blobs(3, 100, 8, 4)
	logits := make([]float32, 4)
	for i := range 100 {
		if err := l.EncodeUsed(keys, tests[i*8:][:8]); err != nil {
			t.Fatal(err)
		}
		_ = l.Predict(logits, keys)
		sum := make([]float64, 4)
		l.pairs(keys, func(pair int) {
			for j := range sum {
				sum[j] += counts[pair*4+j]
			}
		})
		if a, b := l.Best(logits), l.names[slices.Index(sum, slices.Max(sum))]; a != b {
			t.Errorf("row %d: %s by steps, %s by counts", i, a, b)
		}
	}
}

func TestTheOrderOfStagesDoesNotMatter(t *testing.T) {
	rows, labels := blobs(4, 400, 8, 4)
	tests, want := blobs(5, 400, 8, 4)
	for _, order := range [][]int{{0, 1, 2, 3}, {3, 1, 0, 2}} {
		l := learner(t, small8, Start{Epochs: 2})
		for _, stage := range order {
			for i, label := range labels {
				if label == fmt.Sprint("class ", stage) {
					learn(t, l, i, rows[i*8:][:8], labels[i:i+1])
				}
			}
		}
		if share := right(t, l, tests, want); share < 0.99 {
			t.Errorf("order %v: %.3f are right", order, share)
		}
	}
}

func TestMaskedPairsAreLookedPast(t *testing.T) {
	l := learner(t, small8, Start{Epochs: 2})
	rows, labels := blobs(6, 20, 8, 4)
	learn(t, l, 0, rows, labels)
	tests, _ := blobs(7, 200, 8, 4)
	all, used := make([]uint16, l.Heads), make([]uint16, l.Heads)
	differ := 0
	for i := range 200 {
		_ = l.Encode(all, tests[i*8:][:8])
		_ = l.EncodeUsed(used, tests[i*8:][:8])
		for h := range all {
			hit := l.used[h*l.Keys+int(all[h])] > 0
			if hit != (all[h] == used[h]) || l.used[h*l.Keys+int(used[h])] == 0 {
				t.Errorf("row %d, head %d: key %d, used %v, among the used %d", i, h, all[h], hit, used[h])
			}
			if !hit {
				differ++
			}
		}
	}
	if differ == 0 {
		t.Error("no row meets an unused pair: the test tests nothing")
	}
}

func TestAModelThatLearnedNothingFindsNoKey(t *testing.T) {
	l := learner(t, small8, Start{Epochs: 1})
	keys := make([]uint16, l.Heads)
	if err := l.EncodeUsed(keys, make([]float32, 8)); err != nil {
		t.Fatal(err)
	}
	if i := slices.IndexFunc(keys, func(k uint16) bool { return k != Absent }); i >= 0 {
		t.Errorf("head %d finds key %d", i, keys[i])
	}
	if err := l.Predict(nil, keys); err != nil || l.Best(nil) != "" {
		t.Errorf("predicts %q, %v", l.Best(nil), err)
	}
}

func TestAnUnlearnedRowLeavesNothingWhereItWasAlone(t *testing.T) {
	l := learner(t, small8, Start{Epochs: 2})
	rows, labels := blobs(8, 60, 8, 4)
	learn(t, l, 0, rows, labels)
	before := slices.Clone(l.values)
	other := make([]float32, 8)
	for j := range other {
		other[j] = 5 // far from everything else
	}
	learn(t, l, 60, other, []string{"class 1"})
	if err := l.Apply(&Record{Op: UnlearnRow, Row: "row 60"}); err != nil {
		t.Fatal(err)
	}
	for i, x := range l.values {
		if math.Abs(float64(x-before[i])) > 1e-6 {
			t.Fatalf("value %d is %v, was %v", i, x, before[i])
		}
	}
	if err := l.Apply(&Record{Op: UnlearnRow, Row: "row 60"}); !errors.Is(err, ErrUnknown) {
		t.Errorf("unlearned twice: %v", err)
	}
	for i := range 60 {
		if err := l.Apply(&Record{Op: UnlearnRow, Row: fmt.Sprint("row ", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if l.Used() != 0 || slices.ContainsFunc(l.values, func(x float32) bool { return x != 0 }) || l.Rows() != 0 {
		t.Errorf("%d pairs, %d rows are left of nothing", l.Used(), l.Rows())
	}
}

func TestAnUnlearnedClassIsNeverPredictedAndTheOthersKeepTheirLogits(t *testing.T) {
	l := learner(t, small8, Start{Epochs: 2})
	rows, labels := blobs(9, 400, 8, 4)
	learn(t, l, 0, rows, labels)
	tests, want := blobs(10, 200, 8, 4)
	logits := func() (all [][]float32) {
		keys := make([]uint16, l.Heads)
		for i := range 200 {
			x := make([]float32, l.Width())
			_ = l.EncodeUsed(keys, tests[i*8:][:8])
			_ = l.Predict(x, keys)
			all = append(all, x)
		}
		return all
	}
	before, slot := logits(), l.slots["class 2"]
	if err := l.Apply(&Record{Op: UnlearnName, Label: "class 2"}); err != nil {
		t.Fatal(err)
	}
	for i, x := range logits() {
		for j := range x {
			if j != slot && x[j] != before[i][j] {
				t.Fatalf("row %d: logit of %s is %v, was %v", i, l.names[j], x[j], before[i][j])
			}
		}
		if best := l.Best(x); best == "class 2" || want[i] != "class 2" && best != want[i] {
			t.Errorf("row %d: %s, want %s", i, best, want[i])
		}
	}
	if slices.Contains(l.ClassNames(), "class 2") {
		t.Error("the class is still listed")
	}
	for row, n := range l.numbers {
		if l.rows[n].class == slot {
			t.Errorf("%s is still known", row)
		}
	}
	learn(t, l, 0, rows, labels) // comes back as a new class
	if share := right(t, l, tests, want); share < 0.99 {
		t.Errorf("learned again, %.3f are right", share)
	}
}

func TestVotersAddUpToTheLogit(t *testing.T) {
	l := learner(t, small8, Start{Epochs: 2})
	rows, labels := blobs(11, 200, 8, 4)
	learn(t, l, 0, rows[:100*8], labels[:100])
	learn(t, l, 0, rows, labels) // half of them twice, and classes that came later
	keys, logits := make([]uint16, l.Heads), make([]float32, l.Width())
	for i := range 20 {
		_ = l.EncodeUsed(keys, rows[i*8:][:8])
		_ = l.Predict(logits, keys)
		for j, name := range l.names {
			voters, total, err := l.Voters(keys, name, 0, 1<<30)
			if err != nil || total != len(voters) {
				t.Fatal(total, err)
			}
			sum := 0.0
			for _, v := range voters {
				sum += v.Weight
			}
			if math.Abs(sum-float64(logits[j])) > 1e-5 {
				t.Errorf("row %d, %s: voters add up to %v, logit %v", i, name, sum, logits[j])
			}
		}
	}
	voters, total, err := l.Voters(keys, labels[19], 0, 3)
	if err != nil || len(voters) != 3 || total < 3 || voters[0].Label != labels[19] || voters[0].Weight < voters[2].Weight {
		t.Errorf("%v of %d, %v", voters, total, err)
	}
}

func TestARowWhoseVectorChangedLosesWhatItTaught(t *testing.T) {
	l := learner(t, small8, Start{Epochs: 2})
	rows, labels := blobs(12, 2, 8, 4)
	learn(t, l, 0, rows[:8], labels[:1])
	first := l.rows[l.numbers["row 0"]].keys
	for j := range 8 {
		rows[j] -= 4
	}
	learn(t, l, 0, rows[:8], labels[:1])
	if now := l.rows[l.numbers["row 0"]]; slices.Equal(first, now.keys) || now.count != 1 || l.Rows() != 1 {
		t.Errorf("row has keys %v, %d steps", now.keys, now.count)
	}
	for h, k := range first {
		if k != l.rows[l.numbers["row 0"]].keys[h] && l.used[h*l.Keys+int(k)] != 0 {
			t.Errorf("pair (%d, %d) is still used", h, k)
		}
	}
}

func TestAppliedRecordsAndSnapshotsGiveTheSameBytes(t *testing.T) {
	for _, c := range []Config{small8,
		{Dim: 8, Heads: 4, Keys: 16, Split: Chunk, Top: 2},
		{Dim: 8, Heads: 4, Keys: 16, KeyDim: 3, Classes: []string{"class 3", "class 0", "class 1", "class 2"}, Closed: true}} {
		l := learner(t, c, Start{Epochs: 1})
		fresh, err := Read(snapshot(t, l))
		if err != nil {
			t.Fatal(err)
		}
		rows, labels := blobs(13, 200, 8, 4)
		records := learn(t, l, 0, rows[:100*8], labels[:100])
		for _, r := range []Record{{Op: UnlearnRow, Row: "row 3"}, {Op: UnlearnName, Label: "class 1"}} {
			if err := l.Apply(&r); err != nil {
				t.Fatal(err)
			}
			records = append(records, r)
		}
		var middle []byte
		for i := range records {
			r, err := ParseRecord(AppendRecord(nil, &records[i]))
			if err != nil {
				t.Fatal(err)
			}
			if err := fresh.Apply(&r); err != nil {
				t.Fatal(err)
			}
			if i == 50 {
				middle = snapshot(t, fresh)
			}
		}
		want := snapshot(t, l)
		if !bytes.Equal(snapshot(t, fresh), want) {
			t.Error("records applied to a copy give another learner")
		}
		half, err := Read(middle)
		if err != nil {
			t.Fatal(err)
		}
		for i := range records[51:] {
			if err := half.Apply(&records[51+i]); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(snapshot(t, half), want) {
			t.Error("records applied to a snapshot give another learner")
		}
	}
}

func TestARegressionLearnsAndUnlearns(t *testing.T) {
	c := small8
	c.Targets = 2
	l := learner(t, c, Start{Epochs: 2})
	rows, labels := blobs(14, 400, 8, 4)
	truth := func(label string) []float32 {
		x := float32(label[len(label)-1] - '0')
		return []float32{10 * x, -x}
	}
	mean := []float32{15, -1.5}
	keys, y := make([]uint16, l.Heads), make([]float32, 2)
	for i, label := range labels {
		_ = l.Encode(keys, rows[i*8:][:8])
		var r Record
		if _, err := l.TeachTargets(&r, fmt.Sprint(i), keys, truth(label)); err != nil {
			t.Fatal(err)
		}
		if err := l.Apply(&r); err != nil {
			t.Fatal(err)
		}
	}
	tests, want := blobs(15, 100, 8, 4)
	off, spread := 0.0, 0.0
	for i, label := range want {
		_ = l.EncodeUsed(keys, tests[i*8:][:8])
		_ = l.Predict(y, keys)
		for j, x := range truth(label) {
			off += math.Pow(float64(y[j]-x), 2)
			spread += math.Pow(float64(x-mean[j]), 2)
		}
	}
	if share := off / spread; share > 0.05 {
		t.Errorf("%.3f of the spread of the targets is left", share)
	}
	for i := range labels {
		if err := l.Apply(&Record{Op: UnlearnRow, Row: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if l.Used() != 0 {
		t.Errorf("%d pairs are left", l.Used())
	}
}

func TestAClosedModelTakesNoNewClassAndAnOpenOneDoes(t *testing.T) {
	c := small8
	c.Classes, c.Closed = []string{"a", "b"}, true
	l := learner(t, c, Start{Epochs: 1})
	var r Record
	if _, err := l.Teach(&r, "", make([]uint16, l.Heads), "c"); !errors.Is(err, ErrConfig) {
		t.Errorf("a third class: %v", err)
	}
	c.Closed = false
	l = learner(t, c, Start{Epochs: 1})
	rows, labels := blobs(16, 1, 8, 4)
	learn(t, l, 0, rows, labels)
	if got := l.ClassNames(); !slices.Equal(got, []string{"a", "b", labels[0]}) {
		t.Errorf("classes %v", got)
	}
}

func TestTheFirstClassAloneIsLearned(t *testing.T) {
	l := learner(t, small8, Start{Epochs: 1})
	rows, labels := blobs(17, 400, 8, 4)
	for _, label := range []string{"class 0", "class 1"} { // one after the other, each alone
		for i := range labels {
			if labels[i] == label {
				learn(t, l, i, rows[i*8:][:8], labels[i:i+1])
			}
		}
	}
	for i := range labels {
		if labels[i] < "class 2" {
			if share := right(t, l, rows[i*8:][:8], labels[i:i+1]); share != 1 {
				t.Errorf("row %d of %s is wrong", i, labels[i])
			}
		}
	}
}

func TestKeysAreAPureFunctionOfSeedAndVectors(t *testing.T) {
	for _, s := range []Start{{Epochs: 2}, {Method: KMeans, Epochs: 3}, {Epochs: 1, Batch: 100, Keep: true}} {
		a, b := learner(t, small8, s), learner(t, small8, s)
		if !bytes.Equal(snapshot(t, a), snapshot(t, b)) {
			t.Errorf("%+v: made twice, they differ", s)
		}
	}
}

func TestEncodingRefusesWhatIsNoVector(t *testing.T) {
	l := learner(t, small8, Start{Epochs: 1})
	for _, rows := range [][]float32{{1, 2}, {0, 0, 0, 0, 0, 0, 0, float32(math.NaN())}, {3e38, 3e38, 0, 0, 0, 0, 0, 0}} {
		if err := l.Encode(make([]uint16, l.Heads), rows); !errors.Is(err, ErrInput) {
			t.Errorf("%v: %v", rows, err)
		}
	}
}
