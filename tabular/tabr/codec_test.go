package tabr

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/eiderdb/eider/storage/format"
	"github.com/eiderdb/eider/tabular"
)

// answers are the predictions of m for some rows from others.
func answers(t testing.TB, m *Model) []float32 {
	t.Helper()
	p := NewPredictor(m.Freeze())
	d := table(m.c, 20, 1)
	ids := make([]uint32, d.Rows)
	for i := range ids {
		ids[i] = uint32(i)
	}
	if err := p.Add(d, ids); err != nil {
		t.Fatal(err)
	}
	q := table(m.c, 5, 2)
	out := make([]float32, q.Rows*m.c.out())
	if err := p.Predict(context.Background(), Query{Rows: q}, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestSavedModelGivesTheSameBits(t *testing.T) {
	for name, c := range kinds() {
		m, err := New(c, 1)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(m.Config())
		if err != nil {
			t.Fatal(err)
		}
		var back Config
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		all := m.Tensors()
		all[cardinalities] = format.Tensor{DType: "I64", Shape: []int{1}, Data: make([]byte, 8)}
		same, err := Load(back, all)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(answers(t, same), answers(t, m)) {
			t.Errorf("%s: predictions changed", name)
		}
	}
}

func TestTensorsHaveTheNamesAndShapesOfTheAuthors(t *testing.T) {
	want := map[string]map[string][]int{
		"s": {
			"linear.weight": {6, 3}, "linear.bias": {6}, "label_encoder.weight": {6, 1}, "label_encoder.bias": {6},
			"K.weight": {6, 6}, "K.bias": {6}, "T.0.weight": {12, 6}, "T.0.bias": {12}, "T.3.weight": {6, 12},
			"blocks1.0.0.weight": {6}, "blocks1.0.0.bias": {6}, "blocks1.0.1.weight": {12, 6}, "blocks1.0.1.bias": {12},
			"blocks1.0.4.weight": {6, 12}, "blocks1.0.4.bias": {6},
			"head.0.weight": {6}, "head.0.bias": {6}, "head.2.weight": {1, 6}, "head.2.bias": {1},
		},
		"encoders": {
			"blocks0.0.0.weight": {12, 6}, "blocks0.0.3.weight": {6, 12}, "blocks0.1.0.weight": {6},
			"blocks0.1.1.weight": {12, 6}, "blocks0.1.4.weight": {6, 12}, "normalization.weight": {6},
		},
		"lr":       {"num_embeddings.0.weight": {3, 4}, "num_embeddings.0.bias": {3, 4}, "linear.weight": {6, 14}},
		"plr-lite": {"num_embeddings.0.frequencies": {3, 5}, "num_embeddings.1.weight": {4, 10}, "num_embeddings.1.bias": {4}},
		"binary":   {"label_encoder.0.weight": {2, 6}, "head.2.weight": {1, 6}},
	}
	for name, shapes := range want {
		m, err := New(kinds()[name], 1)
		if err != nil {
			t.Fatal(err)
		}
		all := m.Tensors()
		if name == "s" && len(all) != len(shapes) {
			t.Errorf("%d tensors: %v", len(all), slices.Sorted(maps.Keys(all)))
		}
		for tensor, shape := range shapes {
			if !slices.Equal(all[tensor].Shape, shape) {
				t.Errorf("%s: %s is %v, want %v", name, tensor, all[tensor].Shape, shape)
			}
		}
	}
}

func TestWeightsThatAreNotTheModelsAreRefusedByName(t *testing.T) {
	m, err := New(kinds()["s"], 1)
	if err != nil {
		t.Fatal(err)
	}
	change := func(f func(x *format.Tensor)) func(map[string]format.Tensor) {
		return func(all map[string]format.Tensor) {
			x := all["K.bias"]
			x.Data = slices.Clone(x.Data)
			f(&x)
			all["K.bias"] = x
			all["spare"] = x
		}
	}
	for name, spoil := range map[string]func(map[string]format.Tensor){
		"tensor K.bias is missing": func(all map[string]format.Tensor) {
			all["spare"] = all["K.bias"]
			delete(all, "K.bias")
		},
		"tensor K.bias has shape [3 2], the model's has [6]": change(func(x *format.Tensor) { x.Shape = []int{3, 2} }),
		"tensor K.bias is of I32":                            change(func(x *format.Tensor) { x.DType = "I32" }),
		"tensor K.bias has 20 bytes":                         change(func(x *format.Tensor) { x.Data = x.Data[:20] }),
		"tensor K.bias has NaN at 1": change(func(x *format.Tensor) {
			binary.LittleEndian.PutUint32(x.Data[4:], math.Float32bits(float32(math.NaN())))
		}),
		"tensor spare is not of this model": change(func(x *format.Tensor) {}),
		"numbers in all tensors":            func(all map[string]format.Tensor) { clear(all) },
	} {
		all := m.Tensors()
		spoil(all)
		if _, err := Load(m.c, all); !errors.Is(err, ErrTensor) || !strings.Contains(err.Error(), name) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestConfigurationsThatNoModelHasAreRefused(t *testing.T) {
	for name, change := range map[string]func(c *Config){
		"kind":           func(c *Config) { c.Kind = "ranking" },
		"classes":        func(c *Config) { c.Classes = 3 },
		"one class":      func(c *Config) { c.Kind, c.Classes = tabular.Multiclass, 1 },
		"no deviation":   func(c *Config) { c.Std = 0 },
		"no columns":     func(c *Config) { c.Num = 0 },
		"a vocabulary":   func(c *Config) { c.Cat = []int{-1} },
		"dim":            func(c *Config) { c.Dim = maxDim + 1 },
		"blocks":         func(c *Config) { c.Encoders = -1 },
		"context":        func(c *Config) { c.Context = 0 },
		"dropout":        func(c *Config) { c.DropoutP = 1 },
		"dropout of NaN": func(c *Config) { c.ContextP = math.NaN() },
		"embedding":      func(c *Config) { c.Embedding = "ple" },
		"its size":       func(c *Config) { c.EmbedDim = 3 },
		"no frequencies": func(c *Config) { c.Embedding, c.EmbedDim = Periodic, 4 },
		"no numbers":     func(c *Config) { c.Embedding, c.EmbedDim, c.Num, c.Bin = Linear, 4, 0, 1 },
	} {
		c := kinds()["s"]
		change(&c)
		if _, err := New(c, 1); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzLoad gives a configuration and the bytes of a tensor that others wrote. It must be
// refused with an error of this package, or make a model that predicts.
func FuzzLoad(f *testing.F) {
	for _, c := range kinds() {
		text, err := json.Marshal(c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, "K.bias", []byte{1, 2, 3, 4})
		f.Add(text, "", []byte{})
	}
	f.Add([]byte(`{"kind":"multiclass","classes":65536,"num":65536,"dim":4096,"predictors":16,"context":1}`), "x", []byte{0})
	f.Fuzz(func(t *testing.T, config []byte, name string, data []byte) {
		var c Config
		if json.Unmarshal(config, &c) != nil {
			return
		}
		tensors := map[string]format.Tensor{name: {DType: "F32", Shape: []int{len(data) / 4}, Data: data}}
		if c.Check() == nil && c.numbers() < 1<<16 {
			if m, err := New(c, 1); err == nil { // mostly right
				tensors = m.Tensors()
				if name != "" {
					tensors[name] = format.Tensor{DType: "F32", Shape: []int{len(data) / 4}, Data: data}
				}
			}
		}
		m, err := Load(c, tensors)
		if err != nil {
			if !errors.Is(err, ErrConfig) && !errors.Is(err, ErrTensor) {
				t.Errorf("%v is of no kind", err)
			}
			return
		}
		row := &tabular.Data{Rows: 1, NumWidth: c.Num, BinWidth: c.Bin, CatSizes: c.Cat, Num: make([]float32, c.Num),
			Bin: make([]float32, c.Bin), Cat: make([]int32, len(c.Cat)), Y: []float32{0}}
		p := NewPredictor(m.Freeze())
		if err := p.Add(row, []uint32{1}); err != nil {
			t.Fatal(err)
		}
		if err := p.Predict(context.Background(), Query{Rows: row}, make([]float32, c.out())); err != nil && !errors.Is(err, ErrData) {
			t.Error(err)
		}
	})
}
