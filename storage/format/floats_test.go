package format

import (
	"slices"
	"strings"
	"testing"
)

func TestFloatsOfEveryWidthAreRead(t *testing.T) {
	want := []float32{1.5, -2, 0.25, 0}
	for dtype, data := range map[string]string{
		"F32":  string(Floats([]int{2, 2}, want).Data),
		"F64":  "\x00\x00\x00\x00\x00\x00\xf8\x3f\x00\x00\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00\xd0\x3f\x00\x00\x00\x00\x00\x00\x00\x00",
		"F16":  "\x00\x3e\x00\xc0\x00\x34\x00\x00",
		"BF16": "\xc0\x3f\x00\xc0\x80\x3e\x00\x00",
	} {
		got := make([]float32, 4)
		if err := (Tensor{dtype, []int{2, 2}, []byte(data)}).ReadFloats(got, []int{2, 2}); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v", dtype, got, err)
		}
	}
}

func TestTensorsThatAreNotTheFloatsAskedForSayWhy(t *testing.T) {
	good := Floats([]int{2}, []float32{1, 2})
	for want, x := range map[string]Tensor{
		"shape [1 2]": {good.DType, []int{1, 2}, good.Data},
		"7 bytes":     {good.DType, good.Shape, good.Data[:7]},
		"not of":      {"I32", good.Shape, good.Data},
		"NaN at 1":    {"F16", good.Shape, []byte("\x00\x3c\x01\x7c")},
		"+Inf at 0":   {"BF16", good.Shape, []byte("\x80\x7f\x00\x00")},
	} {
		if err := x.ReadFloats(make([]float32, 2), good.Shape); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if h := Half(1); h != 0x1p-24 {
		t.Errorf("the least half is %v", h)
	}
}
