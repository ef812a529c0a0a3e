package registry

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"

	"github.com/eiderdb/eider/storage"
	"github.com/eiderdb/eider/storage/format"
)

// Version is an open version of a model. It holds a view of the store, so it
// stays readable when it is replaced or deleted; load what is needed and Close
// it, because deleted data stays on disk for as long. For many goroutines.
type Version struct {
	Model *format.Model // read only
	view  *storage.View
}

// Close gives the version up. Idempotent, not for two goroutines at once.
func (v *Version) Close() {
	if v.view != nil {
		v.view.Release()
		v.view = nil
	}
}

// View is what the version is read from, until Close.
func (v *Version) View() *storage.View { return v.view }

// String is the version's reference, as in ctr@3.
func (v *Version) String() string { return fmt.Sprintf("%s@%d", v.Model.Name, v.Model.Version) }

// Load reads all tensors, checked, after Match: what it returns has the types and
// shapes that want asks for. The data is the caller's. Errors: ErrMismatch,
// storage.ErrCorrupt naming the tensor, ctx's.
func (v *Version) Load(ctx context.Context, want Expect) (map[string]format.Tensor, error) {
	if err := want.Match(v.Model); err != nil {
		return nil, err
	}
	r := storage.WeightsReader{Reader: v.view.Models(), Model: v.Model}
	out := make(map[string]format.Tensor, len(v.Model.Tensors))
	for i, t := range v.Model.Tensors {
		var data []byte
		err := r.Tensor(i, func(p []byte) error {
			data = append(slices.Grow(data, min(int(t.Size)-len(data), 64*format.MaxChunk)), p...)
			return ctx.Err()
		})
		if err != nil {
			return nil, err
		}
		out[t.Name] = format.Tensor{DType: t.DType, Shape: slices.Clone(t.Shape), Data: data}
	}
	return out, nil
}

// Verify reads everything and compares it with the manifest's checksums. Memory
// O(1). Errors: storage.ErrCorrupt naming the tensor, ctx's.
func (v *Version) Verify(ctx context.Context) error {
	return v.each(ctx, func([]byte) error { return nil })
}

// each calls fn with the safetensors file of the version, piece by piece, and
// checks it as a whole.
func (v *Version) each(ctx context.Context, fn func(p []byte) error) error {
	h := sha256.New()
	put := func(p []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		h.Write(p)
		return fn(p)
	}
	head, err := format.AppendSafetensorsHeader(nil, v.Model.Infos(), nil)
	if err == nil {
		err = put(head)
	}
	r := storage.WeightsReader{Reader: v.view.Models(), Model: v.Model}
	for i := 0; i < len(v.Model.Tensors) && err == nil; i++ {
		err = r.Tensor(i, put)
	}
	if err == nil && [32]byte(h.Sum(nil)) != v.Model.SHA256 {
		err = fmt.Errorf("%w: tensors of %v do not match the SHA-256 of its manifest", storage.ErrCorrupt, v)
	}
	return err
}

// Expect is what a reader of a model relies on. The zero Expect is anything.
type Expect struct {
	Kind     string           // "" is any
	Features [32]byte         // hash of the reader's feature schema; zero is any
	Tensors  map[string]Shape // nil is any; else exactly these
}

// Shape is the type and shape that a tensor must have; -1 is any length.
type Shape struct {
	DType string
	Dims  []int
}

func (s Shape) String() string { return format.TensorInfo{DType: s.DType, Shape: s.Dims}.String() }

func (s Shape) fits(t *format.ModelTensor) bool {
	return s.DType == t.DType && slices.EqualFunc(s.Dims, t.Shape, func(want, have int) bool { return want == -1 || want == have })
}

// Match reports what of a version is not as expected: ErrMismatch, naming the
// tensor and both shapes, or both hashes, and what to do.
func (x Expect) Match(m *format.Model) error {
	who := m.Name
	if m.Version != 0 { // it is stored
		who = fmt.Sprintf("%s@%d", m.Name, m.Version)
	}
	if x.Kind != "" && x.Kind != m.Kind {
		return fmt.Errorf("%w: %s is of kind %s, %s is asked for; name a model of that kind", ErrMismatch, who, m.Kind, x.Kind)
	}
	if x.Features != [32]byte{} && x.Features != m.Features {
		return fmt.Errorf("%w: %s was trained on the feature schema %s, the data has %s now; train it again, or serve a version of this schema",
			ErrMismatch, who, hash(m.Features), hash(x.Features))
	}
	if x.Tensors == nil {
		return nil
	}
	const todo = "export the model with the configuration it was trained with, or train it again"
	have := map[string]bool{}
	for i := range m.Tensors {
		t := &m.Tensors[i]
		want, ok := x.Tensors[t.Name]
		if !ok {
			return fmt.Errorf("%w: %s has a tensor %q, %v, that kind %s does not know; %s", ErrMismatch, who, t.Name, t, m.Kind, todo)
		}
		if !want.fits(t) {
			return fmt.Errorf("%w: tensor %q of %s is %v, the model needs %v; %s", ErrMismatch, t.Name, who, t, want, todo)
		}
		have[t.Name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(x.Tensors)) {
		if !have[name] {
			return fmt.Errorf("%w: %s lacks tensor %q, the model needs %v; %s", ErrMismatch, who, name, x.Tensors[name], todo)
		}
	}
	return nil
}
