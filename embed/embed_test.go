package embed_test

import (
	"errors"
	"testing"

	"github.com/eiderdb/eider/embed"
)

func TestRowsAllocatesTheMissingRowsAndKeepsTheOthers(t *testing.T) {
	own := []float32{1, 2, 3}
	dst := [][]float32{nil, own, nil}
	if err := embed.Rows([]string{"a", "b", "c"}, dst, 3); err != nil {
		t.Fatal(err)
	}
	dst[0] = append(dst[0], 9)
	if len(dst[2]) != 3 || dst[2][0] != 0 || &dst[1][0] != &own[0] {
		t.Errorf("rows %v", dst)
	}
}

func TestRowsRefusesRowsThatDoNotFit(t *testing.T) {
	for _, dst := range [][][]float32{nil, {nil, nil}, {make([]float32, 2)}, {{}}} {
		if err := embed.Rows([]string{"a"}, dst, 3); !errors.Is(err, embed.ErrShape) {
			t.Errorf("%v: %v", dst, err)
		}
	}
}

func TestTextErrorNamesTheTextAndItsCause(t *testing.T) {
	var err error = &embed.TextError{Index: 4, Err: embed.ErrEmpty}
	if !errors.Is(err, embed.ErrEmpty) || err.Error() != "embed: text 4: text holds nothing to encode" {
		t.Error(err)
	}
}
