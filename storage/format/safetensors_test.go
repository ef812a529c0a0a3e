package format

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

// testdata/python.safetensors was written by version 0.8.0 of the Python package
// safetensors, with metadata {"format": "pt"}.
func TestFileOfThePythonPackageIsReadAndWrittenToTheSameBytes(t *testing.T) {
	file, err := os.ReadFile("testdata/python.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	tensors, meta, err := ReadSafetensors(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"embedding.weight": "F32[5 3]", "attention.0.weight": "F16[2 4]", "codes": "I8[3 4]", "mask": "U8[7]", "vocabulary": "I64[4]",
		"offsets": "I32[3]", "step": "I64[]", "empty": "F32[0 3]", "größe <&>": "F32[1]", "half": "BF16[2 3]",
	} {
		if got := (TensorInfo{DType: tensors[name].DType, Shape: tensors[name].Shape}).String(); got != want {
			t.Errorf("tensor %q is %s, want %s", name, got, want)
		}
	}
	if got := binary.LittleEndian.Uint64(tensors["step"].Data); got != 41 || len(tensors) != 10 || meta["format"] != "pt" {
		t.Errorf("step %d, %d tensors, metadata %v", got, len(tensors), meta)
	}
	if got := hex.EncodeToString(tensors["half"].Data); got != "0000803e003f403f803fa03f" {
		t.Errorf("half is %s", got)
	}
	var again bytes.Buffer
	if err := WriteSafetensors(&again, tensors, meta); err != nil || !bytes.Equal(again.Bytes(), file) {
		t.Errorf("written again, the file has %d bytes of %d, or others: %v\n%.900s", again.Len(), len(file), err, again.String())
	}
}

func safetensorsFile(header string, payload int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, payload)...)
}

// tensorAbuses are files that lie; each is refused with words that name the
// tensor.
var tensorAbuses = []struct {
	name, says string
	file       []byte
}{
	{"header longer than the file", "header of", append(binary.LittleEndian.AppendUint64(nil, 1<<40), '{', '}')},
	{"header longer than the cap", "header of", safetensorsFile("{"+strings.Repeat(" ", MaxTensorHeader)+"}", 0)},
	{"overlapping tensors", `"b" begins at byte 2, inside tensor "a"`, safetensorsFile(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}`, 6)},
	{"gap before a tensor", `"a" begins at byte 2`, safetensorsFile(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}`, 6)},
	{"payload not covered", "cover 4 of 9", safetensorsFile(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}`, 9)},
	{"offset past the end", `"a" ends at byte 4 of a payload of 3`, safetensorsFile(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}`, 3)},
	{"offset past all files", `"a": spans bytes`, safetensorsFile(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,18446744073709551615]}}`, 4)},
	{"shape that overflows", `"a"`, safetensorsFile(`{"a":{"dtype":"F64","shape":[4294967296,4294967296,2],"data_offsets":[0,0]}}`, 0)},
	{"shape hidden by a zero", `"a"`, safetensorsFile(`{"a":{"dtype":"F64","shape":[0,18446744073709551615],"data_offsets":[0,0]}}`, 0)},
	{"size that is not the shape", `"a": 4 bytes where F32[4] takes 16`, safetensorsFile(`{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,4]}}`, 4)},
	{"repeated name", `repeats "a"`, safetensorsFile(`{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}`, 0)},
	{"unknown type", `"a": element type "X9"`, safetensorsFile(`{"a":{"dtype":"X9","shape":[4],"data_offsets":[0,4]}}`, 4)},
	{"offsets backwards", `"a": spans bytes 4 to 0`, safetensorsFile(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[4,0]}}`, 4)},
	{"negative shape", `"a"`, safetensorsFile(`{"a":{"dtype":"U8","shape":[-4],"data_offsets":[0,4]}}`, 4)},
	{"nine dimensions", `"a": 9 dimensions`, safetensorsFile(`{"a":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]}}`, 1)},
	{"long name", "too long", safetensorsFile(fmt.Sprintf(`{"%s":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, strings.Repeat("n", MaxTensorName+1)), 1)},
	{"name with a control character", "plain", safetensorsFile(`{"a\u0000b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1)},
	{"unknown member", `"a"`, safetensorsFile(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"code":"x"}}`, 1)},
	{"second header", "after", safetensorsFile(`{} {}`, 0)},
	{"pickle", "header", []byte("\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix")},
	{"zip", "header", []byte("PK\x03\x04\x14\x00\x00\x00\x08\x00aaaaaaaaaa")},
}

func TestSafetensorsAbusesAreRefusedByName(t *testing.T) {
	for _, abuse := range tensorAbuses {
		if _, _, err := ReadSafetensors(abuse.file); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), abuse.says) {
			t.Errorf("%s: %v; want words about %s", abuse.name, err, abuse.says)
		}
	}
}

func TestTensorsThatDoNotFillTheirShapeAreNotWritten(t *testing.T) {
	for name, tensor := range map[string]Tensor{
		"short": {"F32", []int{2}, make([]byte, 7)}, "negative": {"U8", []int{-1}, nil}, "typeless": {"", []int{1}, []byte{1}},
		"": {"U8", []int{1}, []byte{1}}, metadataName: {"U8", []int{1}, []byte{1}},
	} {
		err := WriteSafetensors(&bytes.Buffer{}, map[string]Tensor{name: tensor}, nil)
		if !errors.Is(err, ErrValue) || !strings.Contains(err.Error(), fmt.Sprintf("%q", name)) {
			t.Errorf("tensor %q: %v", name, err)
		}
	}
}

func sampleModel() *Model {
	infos := []ModelTensor{
		{TensorInfo{"w", "F32", []int{2, 3}, 0, 24}, 0xabcd}, {TensorInfo{"scale", "F16", []int{}, 24, 2}, 5}, {TensorInfo{"table", "I8", []int{4}, 26, 4}, 9}}
	return &Model{Name: "ctr", Version: 3, Kind: "din", Weights: 1 << 63, LSN: 40, Created: 7, Features: [32]byte{1, 2}, From: 2, To: 39, Seed: 11,
		Parent: 1, Code: "abc123", Config: []byte(`{"heads":2}`), Tensors: infos, SHA256: [32]byte{3},
		Metrics: []Metric{{Name: "auc", Value: .75, Low: .7, High: .8, Count: 1000, Set: "last day"}, {Name: "loss", Value: .5, Low: .5, High: .5, Lower: true}}}
}

func samplePromotion() *Promotion {
	return &Promotion{Model: "ctr", Alias: "production", LSN: 41, Time: 8, Version: 3, Previous: 2, Back: 30, Forced: true, Note: "by hand",
		Metric: "auc", Margin: .01, Candidate: .75, Served: .8}
}

// The bytes of the registry's artefacts, version 1, for ever.
func TestGoldenModelArtefacts(t *testing.T) {
	for name, golden := range map[string]string{
		"model":     goldenModel,
		"promotion": goldenPromotion,
		"weights":   goldenWeights,
	} {
		got := artefacts()[name].golden
		if name == "weights" {
			got = must(AppendWeights(nil, Weights{ID: 7, Seq: 2, Data: []byte("tensor")}))
		}
		if hex.EncodeToString(got) != golden {
			t.Errorf("%s is now\n%x\nwant\n%s", name, got, golden)
		}
	}
	b, err := hex.DecodeString(goldenModel)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := ParseModel(b); err != nil || !reflect.DeepEqual(m, sampleModel()) {
		t.Errorf("the golden manifest reads as %+v, %v", m, err)
	}
}

const (
	goldenModel = "67010d01000003637472030000000364696e000000000000008028000000000000000700000000000000020000000000000027000000000000000b00" +
		"000000000000010000000102000000000000000000000000000000000000000000000000000000000000030000000000000000000000000000000000" +
		"0000000000000000000000000000066162633132330b7b226865616473223a327d0203617563000000000000e83f666666666666e63f9a9999999999" +
		"e93fe80300000000000000086c61737420646179046c6f7373000000000000e03f000000000000e03f000000000000e03f0000000000000000010003" +
		"017703020203cdab0000057363616c65070005000000057461626c650a0104090000003f8993ba"
	goldenPromotion = "700154000000036374720a70726f64756374696f6e2900000000000000080000000000000003000000020000001e0000000000000002036175637b14" +
		"ae47e17a843f000000000000e83f9a9999999999e93f0762792068616e64442127eb"
	goldenWeights = "77011200000007000000000000000200000074656e736f726deb2c92"
)
