package din

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/eiderdb/eider/storage/format"
)

func TestSavedModelGivesTheSameBits(t *testing.T) {
	eachKind(t, func(t *testing.T, m *Model, b *Batch) {
		text, err := json.Marshal(m.Config())
		if err != nil {
			t.Fatal(err)
		}
		var c Config
		if err := json.Unmarshal(text, &c); err != nil {
			t.Fatal(err)
		}
		back, err := Load(c, m.items, m.Tensors(), m.config.Hash())
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(logits(t, back, b), logits(t, m, b)) {
			t.Error("logits changed")
		}
	})
}

// spoiled are tensors that must be refused by name.
func TestWeightsThatAreNotTheModelsAreRefusedByName(t *testing.T) {
	fields, items, _ := sample(1, 1, 1)
	m := fresh(t, kinds(fields)["dice"], items)
	table := tableName("category")
	for name, spoil := range map[string]func(map[string]format.Tensor){
		"tensor " + table + " is missing": func(all map[string]format.Tensor) {
			all["spare"] = all[table]
			delete(all, table)
		},
		"tensor " + table + " has shape [2 3], the model's has [3 2]": func(all map[string]format.Tensor) {
			x := all[table]
			x.Shape = []int{2, 3}
			all[table] = x
		},
		"tensor dnn.mlp.0.bias has 20 bytes": func(all map[string]format.Tensor) {
			x := all["dnn.mlp.0.bias"]
			x.Data = x.Data[:20]
			all["dnn.mlp.0.bias"] = x
			all["other"] = x
		},
		"tensor other is not of this model": func(all map[string]format.Tensor) { all["other"] = all[table] },
		"tensor dnn.mlp.0.bias is of I32": func(all map[string]format.Tensor) {
			x := all["dnn.mlp.0.bias"]
			x.DType = "I32"
			all["dnn.mlp.0.bias"] = x
		},
		"tensor dnn.mlp.0.bias has NaN at 1": func(all map[string]format.Tensor) {
			x := all["dnn.mlp.0.bias"]
			x.Data = slices.Clone(x.Data)
			binary.LittleEndian.PutUint32(x.Data[4:], math.Float32bits(float32(math.NaN())))
			all["dnn.mlp.0.bias"] = x
		},
		"tensor attention_layers.0.attention_layer.mlp.1.bn.running_var has -1 at 0": func(all map[string]format.Tensor) {
			x := all["attention_layers.0.attention_layer.mlp.1.bn.running_var"]
			x.Data = slices.Clone(x.Data)
			binary.LittleEndian.PutUint32(x.Data, math.Float32bits(-1))
			all["attention_layers.0.attention_layer.mlp.1.bn.running_var"] = x
		},
		"numbers in all tensors": func(all map[string]format.Tensor) { clear(all) },
	} {
		all := m.Tensors()
		spoil(all)
		_, err := Load(m.config, items, all, [32]byte{})
		if !errors.Is(err, ErrTensor) || !strings.Contains(err.Error(), name) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestWeightsOfOtherFeaturesAreRefused(t *testing.T) {
	fields, items, _ := sample(1, 1, 1)
	m := fresh(t, kinds(fields)["dice"], items)
	other := m.Config()
	other.Item = slices.Clone(other.Item)
	other.Item[1].Vocabulary = "another"
	if _, err := Load(other, items, m.Tensors(), m.config.Hash()); !errors.Is(err, ErrTensor) || !strings.Contains(err.Error(), "hash") {
		t.Errorf("%v", err)
	}
}

// What FuxiCTR writes: the history's table once more, counts of batches, halves.
func TestExtrasOfOtherProgramsAreUnderstood(t *testing.T) {
	fields, items, b := sample(1, 9, 6)
	c := kinds(fields)["dice"]
	c.Item = slices.Clone(c.Item)
	c.Item[0].Alias = "item_history"
	m := fresh(t, c, items)
	all := m.Tensors()
	all[tableName("item_history")] = all[tableName("item")]
	all["dnn.mlp.1.num_batches_tracked"] = format.Tensor{DType: "I64", Data: make([]byte, 8)}
	wide := all["dnn.mlp.0.bias"]
	var x64 []byte
	for i := range wide.Shape[0] {
		x := math.Float32frombits(binary.LittleEndian.Uint32(wide.Data[4*i:]))
		x64 = binary.LittleEndian.AppendUint64(x64, math.Float64bits(float64(x)))
	}
	all["dnn.mlp.0.bias"] = format.Tensor{DType: "F64", Shape: wide.Shape, Data: x64}
	back, err := Load(c, items, all, [32]byte{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(logits(t, back, b), logits(t, m, b)) {
		t.Error("logits changed")
	}
	half := format.Tensor{DType: "F16", Shape: []int{1}, Data: []byte{0x00, 0xbe}}
	brain := format.Tensor{DType: "BF16", Shape: []int{1}, Data: []byte{0xc0, 0xbf}}
	for _, x := range []format.Tensor{half, brain} {
		s := slot{[]int{1}, make([]float32, 1)}
		if err := read(s, "x", x); err != nil || s.data[0] != -1.5 {
			t.Errorf("%s: %v, %v", x.DType, s.data[0], err)
		}
	}
	another := maps.Clone(all)
	another[tableName("item_history")] = format.Tensor{DType: "F32", Shape: []int{12, 4}, Data: make([]byte, 192)}
	if _, err := Load(c, items, another, [32]byte{}); !errors.Is(err, ErrTensor) || !strings.Contains(err.Error(), "item_history") {
		t.Errorf("a second table that differs: %v", err)
	}
}

func TestConfigurationsThatNoModelHasAreRefused(t *testing.T) {
	fields, items, _ := sample(1, 1, 1)
	for what, spoil := range map[string]func(*Config){
		"pooling":    func(c *Config) { c.Pooling = "max" },
		"activation": func(c *Config) { c.Head.Activation = "gelu" },
		"fields":     func(c *Config) { c.Item = nil },
		"layer of":   func(c *Config) { c.Unit.Hidden = []int{1 << 20} },
		"name":       func(c *Config) { c.User = []Field{{Name: "item", Rows: 1, Dim: 1}} },
		"dropout":    func(c *Config) { c.Head.Dropout = 1 },
		"many ids":   func(c *Config) { c.User = []Field{{Name: "u", Rows: 1, Dim: 1, Many: true}} },
	} {
		c := kinds(fields)["default"]
		spoil(&c)
		if _, err := New(c, items, 1); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestBatchesThatDoNotFitAreRefused(t *testing.T) {
	fields, items, _ := sample(1, 1, 1)
	m := fresh(t, kinds(fields)["default"], items)
	for what, spoil := range map[string]func(*Batch){
		"items: id 12":      func(b *Batch) { b.Items[0] = 12 },
		"history: id 99":    func(b *Batch) { b.Past = append(b.Past, 99); b.Starts[len(b.Starts)-1]++ },
		"field user: id 3":  func(b *Batch) { b.User[0][0] = 3 },
		"0 fields of users": func(b *Batch) { b.User = nil },
		"labels":            func(b *Batch) { b.Labels = b.Labels[1:] },
		"offers":            func(b *Batch) { b.Offers = b.Offers[1:] },
		"histories":         func(b *Batch) { b.Starts[0] = 1 },
	} {
		_, _, b := sample(1, 3, 4)
		spoil(b)
		if _, err := m.Gradient(nil, b); !errors.Is(err, ErrBatch) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
