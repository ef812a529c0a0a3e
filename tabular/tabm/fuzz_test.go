package tabm

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/eiderdb/eider/storage/format"
	"github.com/eiderdb/eider/tabular"
)

// Whatever a model that loads was made of, it predicts without a panic.
func FuzzLoad(f *testing.F) {
	for _, e := range []Embedding{None, Piecewise, Periodic} {
		d := toy(tabular.Multiclass, 40, 1)
		c := small(e)
		c.Members, c.Width, c.Blocks = 2, 3, 1
		m := made(f, c, d)
		config, err := json.Marshal(m.Config())
		if err != nil {
			f.Fatal(err)
		}
		var b bytes.Buffer
		if err := format.WriteSafetensors(&b, m.Tensors(), nil); err != nil {
			f.Fatal(err)
		}
		f.Add(config, b.Bytes(), 3, 1, 3)
	}
	f.Fuzz(func(t *testing.T, config, weights []byte, numbers, flags, classes int) {
		var c Config
		if json.Unmarshal(config, &c) != nil {
			return
		}
		tensors, _, err := format.ReadSafetensors(weights)
		if err != nil {
			return
		}
		in := Inputs{Numbers: numbers, Flags: flags, Categories: []int{3, 2}, Kind: tabular.Multiclass, Classes: classes, Std: 1}
		m, err := Load(c, in, tensors)
		if err != nil {
			if !errors.Is(err, ErrTensor) && !errors.Is(err, ErrConfig) {
				t.Error(err)
			}
			return
		}
		d := &tabular.Data{Rows: 1, NumWidth: numbers, BinWidth: flags, CatSizes: in.Categories, Kind: in.Kind, Classes: classes,
			Num: make([]float32, numbers), Bin: make([]float32, flags), Cat: []int32{3, 0}}
		if err := m.Predict(t.Context(), d, make([]float32, d.Width())); err != nil {
			t.Error(err)
		}
	})
}
