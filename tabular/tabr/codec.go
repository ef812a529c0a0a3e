package tabr

import (
	"fmt"
	"maps"
	"slices"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/storage/format"
)

// Tensors have the names and shapes of the authors' state dictionary:
//
//	num_embeddings.0.frequencies                       columns x frequencies; plr-lite
//	num_embeddings.1.weight, .bias                     dim x 2·frequencies, dim; plr-lite
//	num_embeddings.0.weight, .bias                     columns x dim; lr
//	linear.weight, .bias                               d x inputs, d
//	blocks0.0.{0,3}.weight, .bias                      linear layers
//	blocks0.<i>.{0,1,4}.weight, .bias                  norm, linear layers; i > 0
//	normalization.weight, .bias                        d; with encoder blocks
//	label_encoder.weight, .bias                        d x 1, d; regression
//	label_encoder.0.weight                             classes x d; else
//	K.weight, .bias                                    d x d, d
//	T.0.weight, .bias, T.3.weight                      2d x d, 2d, d x 2d
//	blocks1.<i>.{0,1,4}.weight, .bias                  norm, linear layers
//	head.0.weight, .bias, head.2.weight, .bias         norm, linear layer
//
// one_hot_encoder.cardinalities, integers, is accepted and ignored.
const cardinalities = "one_hot_encoder.cardinalities"

// shape is how a parameter lies in a file: rows of one are vectors, but for labels.
func (m *Model) shape(p *nn.Param) []int {
	switch {
	case p == m.labelW:
		return []int{p.Value.Cols, 1}
	case p == m.freq || p == m.embedW || p == m.embedB && m.c.Embedding == Linear || p == m.table || p == m.mixed:
		return []int{p.Value.Rows, p.Value.Cols}
	}
	for _, l := range m.layers() {
		if p == l.Weight {
			return []int{p.Value.Rows, p.Value.Cols}
		}
	}
	return []int{p.Value.Cols}
}

// layers are the linear ones.
func (m *Model) layers() []*nn.Linear {
	all := []*nn.Linear{m.in, m.key, m.hidden, m.head}
	for _, b := range slices.Concat(m.encoders, m.predictors) {
		all = append(all, b.w1, b.w2)
	}
	return all
}

// Tensors copies the weights of m, by name. They and Config are all of a model; its
// candidates are rows of a table.
func (m *Model) Tensors() map[string]format.Tensor {
	all := map[string]format.Tensor{}
	for _, p := range m.params {
		all[p.Name] = format.Floats(m.shape(p), p.Value.Data)
	}
	return all
}

// Load makes a model of a configuration and its weights: all of them, of the right
// shapes, finite, and no others. Errors: ErrConfig, and ErrTensor naming the tensor.
func Load(c Config, tensors map[string]format.Tensor) (*Model, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	have := 0
	for _, t := range tensors {
		have += len(t.Data) / max(1, format.ElementBytes(t.DType))
	}
	if want := c.numbers(); have < want {
		return nil, fmt.Errorf("%w: %d numbers in all tensors, the model has %d", ErrTensor, have, want)
	}
	m, err := New(c, 0)
	if err != nil {
		return nil, err
	}
	own := map[string]bool{cardinalities: true}
	for _, p := range m.params {
		own[p.Name] = true
		t, ok := tensors[p.Name]
		if !ok {
			return nil, fmt.Errorf("%w: tensor %s is missing", ErrTensor, p.Name)
		}
		if err := t.ReadFloats(p.Value.Data, m.shape(p)); err != nil {
			return nil, fmt.Errorf("%w: tensor %s %w", ErrTensor, p.Name, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		if !own[name] {
			return nil, fmt.Errorf("%w: tensor %s is not of this model", ErrTensor, name)
		}
	}
	return m, nil
}
