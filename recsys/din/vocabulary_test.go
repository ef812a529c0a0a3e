package din

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/eiderdb/eider/storage/format"
)

func TestVocabularyKeepsNamesAndRows(t *testing.T) {
	v, err := NewVocabulary([]string{"heat", "", "alien"})
	if err != nil {
		t.Fatal(err)
	}
	if want := []byte("\x04heat\x00\x05alien"); !bytes.Equal(v.Tensor().Data, want) { // the format, which does not change
		t.Errorf("bytes %q, want %q", v.Tensor().Data, want)
	}
	w, err := ParseVocabulary(v.Tensor())
	if err != nil || !slices.Equal(w.Names(), v.Names()) || w.Hash() != v.Hash() {
		t.Fatalf("read %v, %v", w, err)
	}
	if w.Len() != 4 || w.Row("heat") != 1 || w.Row("") != 2 || w.Row("alien") != 3 || w.Row("brazil") != 0 {
		t.Errorf("rows of %v", w.Names())
	}
	if _, err := NewVocabulary([]string{"a", "b", "a"}); !errors.Is(err, ErrConfig) {
		t.Errorf("a name twice: %v", err)
	}
	if _, err := NewVocabulary([]string{strings.Repeat("a", MaxName+1)}); !errors.Is(err, ErrConfig) {
		t.Errorf("a long name: %v", err)
	}
}

func FuzzParseVocabulary(f *testing.F) {
	for _, seed := range []string{"", "\x04heat\x00\x05alien", "\x05heat", "\x01a\x01a", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := ParseVocabulary(format.Tensor{DType: "U8", Shape: []int{len(data)}, Data: data})
		if err != nil {
			if !errors.Is(err, ErrTensor) {
				t.Fatal(err)
			}
			return
		}
		for i, n := range v.Names() {
			if v.Row(n) != uint32(i+1) {
				t.Fatalf("name %d has row %d", i, v.Row(n))
			}
		}
		w, err := ParseVocabulary(v.Tensor())
		if err != nil || !slices.Equal(w.Names(), v.Names()) {
			t.Fatalf("written again: %v", err)
		}
	})
}

func TestShapesAreThoseOfTheModel(t *testing.T) {
	fields, items, _ := sample(1, 3, 4)
	for _, c := range kinds(fields) {
		m, err := New(c, items, 1)
		if err != nil {
			t.Fatal(err)
		}
		shapes, err := Shapes(c, 1<<40)
		if err != nil {
			t.Fatal(err)
		}
		for name, tensor := range m.Tensors() {
			if !slices.Equal(shapes[name], tensor.Shape) {
				t.Errorf("%s: %v, the model has %v", name, shapes[name], tensor.Shape)
			}
			delete(shapes, name)
		}
		if len(shapes) > 0 {
			t.Errorf("%v are of no model", shapes)
		}
		if _, err := Shapes(c, int64(c.numbers()-1)); !errors.Is(err, ErrTensor) {
			t.Errorf("more numbers than there are: %v", err)
		}
	}
}

// A request may bring its own catalogue: the same items under other numbers score
// the same.
func TestCatalogueOfARequestTakesThePlaceOfTheModels(t *testing.T) {
	fields, items, _ := sample(1, 3, 4)
	for _, c := range kinds(fields) {
		m, err := New(c, items, 1)
		if err != nil {
			t.Fatal(err)
		}
		s := m.Scorer(false)
		user := make([]uint32, len(c.User))
		want, got := make([]float32, 2), make([]float32, 2)
		if err := s.Score(Request{User: user, Past: []uint32{2, 1}, Items: []uint32{1, 0}}, want, nil); err != nil {
			t.Fatal(err)
		}
		var columns []Column // of items 1, 0, 2
		for i := range c.Item {
			var col Column
			col.IDs, col.Start = items.ids(i, []uint32{1, 0, 2}, nil, nil)
			columns = append(columns, col)
		}
		own, err := NewItems(3, c.Item, columns)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Score(Request{User: user, Past: []uint32{2, 0}, Items: []uint32{0, 1}, Catalogue: own}, got, nil); err != nil || !slices.Equal(got, want) {
			t.Errorf("%v, %v, want %v", got, err, want)
		}
		other := slices.Clone(c.Item)
		other[0].Rows++
		foreign, err := NewItems(3, other, columns)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Score(Request{User: user, Items: []uint32{0, 1}, Catalogue: foreign}, got, nil); !errors.Is(err, ErrBatch) {
			t.Errorf("a catalogue of other fields: %v", err)
		}
	}
}
