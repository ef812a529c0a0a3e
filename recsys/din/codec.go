package din

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/storage/format"
)

// Tensors have the names that FuxiCTR gives them, so that weights trained there
// load here and back:
//
//	embedding_layer.embedding_layers.<field>.weight                 rows x dim
//	attention_layers.0.attention_layer.mlp.<n>.weight, .bias        out x in, out
//	dnn.mlp.<n>.weight, .bias                                       out x in, out
//	 .. of batch-norm: .weight, .bias, .running_mean, .running_var  cols
//	 .. of PReLU: .weight, of Dice: .alpha, .bn.running_mean, .bn.running_var
//	item_bias.weight                                                rows x 1, ours alone
//	hist_norm.*, hist_fcn.weight, .bias                             d, d x d, ours alone
//
// n counts the modules of a network, dropout included. num_batches_tracked of a
// norm is accepted, and ignored.

// slot is a tensor of a model: where it lives, and its shape in a file.
type slot struct {
	shape []int
	data  []float32
}

// slots names every tensor of m.
func (m *Model) slots() map[string]slot {
	all := map[string]slot{}
	matrix := func(p *nn.Param) { all[p.Name] = slot{[]int{p.Value.Rows, p.Value.Cols}, p.Value.Data} }
	vector := func(name string, x []float32) { all[name] = slot{[]int{len(x)}, x} }
	for _, p := range m.tables {
		matrix(p)
	}
	if m.bias != nil {
		matrix(m.bias)
	}
	if m.linear != nil {
		matrix(m.linear.Weight)
		vector(m.linear.Bias.Name, m.linear.Bias.Value.Data)
		vector(m.normed.Weight.Name, m.normed.Weight.Value.Data)
		vector(m.normed.Bias.Name, m.normed.Bias.Value.Data)
	}
	for _, net := range m.networks() {
		if net.input != nil {
			vector(net.input.Weight.Name, net.input.Weight.Value.Data)
			vector(net.input.Bias.Name, net.input.Bias.Value.Data)
		}
		for _, l := range net.layers {
			matrix(l.linear.Weight)
			for _, p := range l.params()[1:] {
				vector(p.Name, p.Value.Data)
			}
		}
	}
	m.Stats(func(name string, s *nn.Stats) {
		vector(name+".running_mean", s.Mean)
		vector(name+".running_var", s.Var)
	})
	return all
}

// Tensors copies the weights of m, by name. They and Config are all of a model.
func (m *Model) Tensors() map[string]format.Tensor {
	all := map[string]format.Tensor{}
	for name, s := range m.slots() {
		all[name] = format.Floats(s.shape, s.data)
	}
	return all
}

// Load makes a model of a configuration and its weights: all of them, of the right
// shapes, finite, and no others. hash is that of the features the weights were
// trained for, zeros if nobody knows. Floats of any width are read. Errors: ErrConfig,
// ErrBatch, and ErrTensor naming the tensor or telling both hashes.
func Load(c Config, items *Items, tensors map[string]format.Tensor, hash [32]byte) (*Model, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if own := c.Hash(); hash != [32]byte{} && hash != own {
		return nil, fmt.Errorf("%w: they are for features with hash %x, these have %x", ErrTensor, hash[:6], own[:6])
	}
	if have, want := elements(tensors), c.numbers(); have < want {
		return nil, fmt.Errorf("%w: %d numbers in all tensors, the model has %d", ErrTensor, have, want)
	}
	m, err := New(c, items, 0)
	if err != nil {
		return nil, err
	}
	aliases := map[string]string{}
	for _, f := range slices.Concat(c.Item, c.User) {
		if f.Alias != "" {
			aliases[tableName(f.Alias)] = tableName(f.Name)
		}
	}
	slots := m.slots()
	for _, name := range slices.Sorted(maps.Keys(slots)) {
		t, ok := tensors[name]
		if !ok {
			return nil, fmt.Errorf("%w: tensor %s is missing", ErrTensor, name)
		}
		if err := read(slots[name], name, t); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		if _, ok := slots[name]; ok || counter(name, slots) {
			continue
		}
		table, ok := aliases[name]
		if !ok {
			return nil, fmt.Errorf("%w: tensor %s is not of this model", ErrTensor, name)
		}
		if err := same(slots[table], name, table, tensors[name]); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// elements counts what the tensors hold, from their bytes.
func elements(tensors map[string]format.Tensor) (n int) {
	for _, t := range tensors {
		n += len(t.Data) / max(1, format.ElementBytes(t.DType))
	}
	return n
}

// same reports a tensor that is not what the table has.
func same(table slot, name, of string, t format.Tensor) error {
	s := slot{table.shape, make([]float32, len(table.data))}
	if err := read(s, name, t); err != nil {
		return err
	}
	if !slices.Equal(s.data, table.data) {
		return fmt.Errorf("%w: tensor %s differs from %s, whose table it shares", ErrTensor, name, of)
	}
	return nil
}

// counter tells PyTorch's count of batches of a norm.
func counter(name string, slots map[string]slot) bool {
	norm, ok := strings.CutSuffix(name, "num_batches_tracked")
	if ok {
		_, ok = slots[norm+"running_mean"]
	}
	return ok
}

// read converts a tensor into its slot.
func read(s slot, name string, t format.Tensor) error {
	if err := t.ReadFloats(s.data, s.shape); err != nil {
		return fmt.Errorf("%w: tensor %s %w", ErrTensor, name, err)
	}
	if i := slices.IndexFunc(s.data, func(x float32) bool { return x < 0 }); i >= 0 && strings.HasSuffix(name, ".running_var") {
		return fmt.Errorf("%w: tensor %s has %v at %d", ErrTensor, name, s.data[i], i)
	}
	return nil
}
