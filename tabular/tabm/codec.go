package tabm

import (
	"fmt"
	"maps"
	"slices"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/storage/format"
)

// Tensors have the names and shapes of PyTorch's tabm and rtdl_num_embeddings:
//
//	backbone.blocks.<i>.0.weight, .r, .s, .bias   out x in, k x in, k x out, k x out
//	output.weight, .bias                          k x width x outputs, k x outputs
//	num_module.linear0.weight, .bias              numbers x dim; piecewise
//	num_module.linear.weight                      numbers x bins x dim
//	num_module.periodic.weight                    numbers x frequencies; plr
//	num_module.linear.weight, .bias               numbers x 2·frequencies x dim, numbers x dim
//	num_module.bins                               numbers x bins+1, ours alone: rising edges,
//	                                              the last one repeated to the end
const binsName = "num_module.bins"

// shapes says how parameters lie in a file.
func (m *Model) shapes() map[string][]int {
	all := map[string][]int{}
	for _, p := range m.Params() {
		all[p.Name] = []int{p.Value.Rows, p.Value.Cols}
	}
	cube := func(l *grouped) {
		w := l.weight.Value
		all[l.weight.Name] = []int{l.groups, w.Rows / l.groups, w.Cols}
	}
	cube(m.head)
	if m.embed != nil {
		cube(m.embed.layer)
	}
	return all
}

// Tensors copies the weights of m, by name. They, Config and Inputs are all of it.
func (m *Model) Tensors() map[string]format.Tensor {
	all, shapes := map[string]format.Tensor{}, m.shapes()
	for _, p := range m.Params() {
		all[p.Name] = format.Floats(shapes[p.Name], p.Value.Data)
	}
	if m.embed != nil && m.embed.bins != nil {
		b := m.embed.bins
		var flat []float32
		for _, edges := range b.edges {
			last := float32(0)
			if len(edges) > 0 {
				last = edges[len(edges)-1]
			}
			flat = append(flat, edges...)
			for range b.most + 1 - len(edges) {
				flat = append(flat, last)
			}
		}
		all[binsName] = format.Floats([]int{len(b.edges), b.most + 1}, flat)
	}
	return all
}

// Load makes a model of its configuration, inputs and weights: all of them, finite, of
// the right shapes, and no others. Errors: ErrConfig, and ErrTensor naming the tensor.
func Load(c Config, in Inputs, tensors map[string]format.Tensor) (*Model, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	have := 0
	for _, t := range tensors {
		have += len(t.Data) / max(1, format.ElementBytes(t.DType))
	}
	if want := c.numbers(in); have < want {
		return nil, fmt.Errorf("%w: %d numbers in all tensors, the model has %d", ErrTensor, have, want)
	}
	in.Categories = slices.Clone(in.Categories)
	m, err := build(c, in, nil, 0)
	if err != nil {
		return nil, err
	}
	shapes := m.shapes()
	if m.embed != nil && m.embed.bins != nil {
		shapes[binsName] = []int{in.Numbers, c.Bins + 1}
	}
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		if shapes[name] == nil {
			return nil, fmt.Errorf("%w: %s is not of this model", ErrTensor, name)
		}
	}
	for _, p := range m.Params() {
		if err := read(p.Value, p.Name, shapes[p.Name], tensors); err != nil {
			return nil, err
		}
	}
	if shape := shapes[binsName]; shape != nil {
		return m, m.embed.bins.load(nn.NewMatrix(shape[0], shape[1]), tensors)
	}
	return m, nil
}

// read copies a tensor to dst.
func read(dst nn.Matrix, name string, shape []int, tensors map[string]format.Tensor) error {
	t, ok := tensors[name]
	if !ok {
		return fmt.Errorf("%w: %s is missing", ErrTensor, name)
	}
	if err := t.ReadFloats(dst.Data, shape); err != nil {
		return fmt.Errorf("%w: %s %w", ErrTensor, name, err)
	}
	return nil
}

// load reads edges into m and takes them.
func (b *bins) load(m nn.Matrix, tensors map[string]format.Tensor) error {
	if err := read(m, binsName, []int{m.Rows, m.Cols}, tensors); err != nil {
		return err
	}
	for j := range b.edges {
		row := slices.Clone(m.Row(j))
		if !slices.IsSorted(row) {
			return fmt.Errorf("%w: edges of number %d in %s fall", ErrTensor, j, binsName)
		}
		b.edges[j] = slices.Compact(row)
	}
	return nil
}
