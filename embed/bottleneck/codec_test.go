package bottleneck

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/eiderdb/eider/storage/format"
)

var update = flag.Bool("update", false, "write golden files anew")

// golden is a learner that has one of everything, made without floating point that an
// implementation may round its own way.
func golden(t testing.TB) *Learner {
	t.Helper()
	m := shell(Config{Dim: 2, Heads: 2, Keys: 3, KeyDim: 1, Classes: []string{"known"}}.Default())
	for i := range m.project {
		m.project[i] = float32(i) / 4
	}
	for i := range m.keys {
		m.keys[i] = float32(i) - 2.5
	}
	m.freeze()
	l := NewLearner(m)
	for _, r := range []Record{
		{Op: Learn, Row: "a", Label: "known", Keys: []uint16{0, 2}, Step: []float32{0.5, -0.25}},
		{Op: Learn, Row: "ä", Label: "new", Keys: []uint16{1, 2}, Step: []float32{-0.5, 0.75, -0.125}},
		{Op: Learn, Label: "gone", Keys: []uint16{1, 1}, Step: []float32{-0.5, -0.5, 1, -0.125}},
		{Op: UnlearnName, Label: "gone"},
	} {
		if err := l.Apply(&r); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func TestTheGoldenSnapshotIsReadAndWrittenAsItIs(t *testing.T) {
	path := filepath.Join("testdata", "snapshot-v1.safetensors")
	got := snapshot(t, golden(t))
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("the golden learner is written otherwise")
	}
	l, err := Read(want)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(snapshot(t, l), want) {
		t.Error("the golden snapshot is not what is written of what was read")
	}
}

// FuzzRead gives bytes of a snapshot. They must be refused with ErrState or make a
// learner that is written, read, and predicts.
func FuzzRead(f *testing.F) {
	b := snapshot(f, golden(f))
	f.Add(b)
	f.Add(b[:len(b)-1])
	f.Add([]byte{})
	c := Config{Dim: 4, Heads: 2, Keys: 2, Split: Chunk, Targets: 1, Top: 2}
	m, err := New(c)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(snapshot(f, NewLearner(m)))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := Read(b)
		if err != nil {
			if !errors.Is(err, ErrState) {
				t.Errorf("%v is of no kind", err)
			}
			return
		}
		again, err := Read(snapshot(t, l))
		if err != nil {
			t.Fatal(err)
		}
		keys := make([]uint16, again.Heads*again.Top)
		if err := again.EncodeUsed(keys, make([]float32, again.Dim)); err != nil {
			t.Error(err)
		}
		if err := again.Predict(make([]float32, again.Width()), keys); err != nil {
			t.Error(err)
		}
		for row := range again.numbers {
			if err := again.Apply(&Record{Op: UnlearnRow, Row: row}); err != nil {
				t.Error(err)
			}
			break
		}
	})
}

// FuzzRecord gives bytes of a record: refused, or written as they were, and applied or
// refused without harm.
func FuzzRecord(f *testing.F) {
	for _, r := range []Record{{Op: Learn, Row: "a", Label: "known", Keys: []uint16{0, 2}, Step: []float32{0.5, -0.25, 1}},
		{Op: UnlearnRow, Row: "a"}, {Op: UnlearnName, Label: "new"}} {
		f.Add(AppendRecord(nil, &r))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRecord(b)
		if err != nil {
			if !errors.Is(err, ErrState) {
				t.Errorf("%v is of no kind", err)
			}
			return
		}
		l := golden(t)
		before := snapshot(t, l)
		err = l.Apply(&r)
		if err != nil && !errors.Is(err, ErrState) && !errors.Is(err, ErrUnknown) && !errors.Is(err, ErrConfig) {
			t.Errorf("%v is of no kind", err)
		}
		if err != nil && !bytes.Equal(before, snapshot(t, l)) {
			t.Error("a refused record changed the learner")
		}
	})
}

func TestSnapshotsWithWrongTensorsAreRefused(t *testing.T) {
	good := snapshot(t, golden(t))
	for name, change := range map[string]func(map[string]format.Tensor){
		"missing": func(m map[string]format.Tensor) { delete(m, "values") },
		"extra":   func(m map[string]format.Tensor) { m["more"] = format.Tensor{DType: "U8", Shape: []int{0}} },
		"shape": func(m map[string]format.Tensor) {
			t := m["keys"]
			t.Shape = []int{3, 2, 1}
			m["keys"] = t
		},
		"nan": func(m map[string]format.Tensor) {
			t := m["values"]
			t.Data = append([]byte{0, 0, 0xc0, 0x7f}, t.Data[4:]...)
			m["values"] = t
		},
		"key": func(m map[string]format.Tensor) {
			t := m["rows.keys"]
			t.Data = append([]byte{3, 0}, t.Data[2:]...)
			m["rows.keys"] = t
		},
		"class": func(m map[string]format.Tensor) {
			t := m["rows.classes"]
			t.Data = append([]byte{2, 0, 0, 0}, t.Data[4:]...)
			m["rows.classes"] = t
		},
	} {
		tensors, meta, err := format.ReadSafetensors(good)
		if err != nil {
			t.Fatal(err)
		}
		change(tensors)
		var b bytes.Buffer
		if err := format.WriteSafetensors(&b, tensors, meta); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(b.Bytes()); !errors.Is(err, ErrState) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
