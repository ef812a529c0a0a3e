package din

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/storage/format"
)

// FuzzLoad gives a configuration and the bytes of a tensor that others wrote. It
// must be refused with an error of this package, or make a model that scores.
func FuzzLoad(f *testing.F) {
	fields, items, b := sample(1, 3, 4)
	for _, c := range kinds(fields) {
		text, err := json.Marshal(c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, "dnn.mlp.0.weight", []byte{1, 2, 3, 4})
		f.Add(text, "", []byte{})
	}
	f.Add([]byte(`{"item":[{"name":"a","rows":2147483648,"dim":16384}],"pooling":"mean","head":{"hidden":[16384],"activation":"relu"}}`), "x", []byte{0})
	f.Fuzz(func(t *testing.T, config []byte, name string, data []byte) {
		var c Config
		if json.Unmarshal(config, &c) != nil {
			return
		}
		tensors := map[string]format.Tensor{name: {DType: "F32", Shape: []int{len(data) / 4}, Data: data}}
		if c.Check() == nil && c.numbers() < 1<<16 {
			// Mostly right: those of a model of this configuration, if there is one.
			if m, err := New(c, items, 1); err == nil {
				tensors = m.Tensors()
				if name != "" {
					tensors[name] = format.Tensor{DType: "F32", Shape: []int{len(data) / 4}, Data: data}
				}
			}
		}
		m, err := Load(c, items, tensors, [32]byte{})
		if err != nil {
			if !errors.Is(err, ErrConfig) && !errors.Is(err, ErrBatch) && !errors.Is(err, ErrTensor) {
				t.Errorf("%v is of no kind", err)
			}
			return
		}
		if len(c.User) == len(b.User) {
			if err := m.Logits(new(nn.Tape), b, make([]float32, len(b.Items))); err != nil && !errors.Is(err, ErrBatch) {
				t.Error(err)
			}
		}
	})
}
