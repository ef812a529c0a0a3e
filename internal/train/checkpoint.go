package train

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/storage/format"
)

// A checkpoint is a safetensors file. Its metadata has the state as JSON under
// "train" and the version under "format"; its tensors, all F32 and flat, are
//
//	value/<parameter>            numbers
//	first/, second/<parameter>   of the optimiser, absent before its first step
//	mean/, var/<statistic>       running statistics
//	best/<n>                     values and statistics of the best epoch, if there is
//	                             one: parameters, then means and variances, in order
const checkpointFormat = "1"

// save gives a checkpoint to Save.
func (r *run[B]) save() error {
	if r.o.Save == nil {
		return nil
	}
	r.state.Seed, r.state.Steps = r.o.Seed, r.state.Steps[:0]
	for _, p := range r.params {
		r.state.Steps = append(r.state.Steps, p.Steps)
	}
	return r.o.Save(func(w io.Writer) error {
		text, err := json.Marshal(r.state)
		if err != nil {
			return err
		}
		tensors := map[string]format.Tensor{}
		for name, x := range r.slots() {
			if x != nil {
				tensors[name] = flat(x)
			}
		}
		for i, x := range r.best {
			tensors[fmt.Sprint("best/", i)] = flat(x)
		}
		return format.WriteSafetensors(w, tensors, map[string]string{"format": checkpointFormat, "train": string(text)})
	})
}

// slots names the numbers of a model and its optimiser; optimiser state that does
// not exist yet is nil.
func (r *run[B]) slots() map[string][]float32 {
	all := map[string][]float32{}
	for _, p := range r.params {
		all["value/"+p.Name] = p.Value.Data
		all["first/"+p.Name] = p.State[0]
		all["second/"+p.Name] = p.State[1]
	}
	r.m.Stats(func(name string, s *nn.Stats) { all["mean/"+name], all["var/"+name] = s.Mean, s.Var })
	return all
}

func flat(x []float32) format.Tensor {
	b := make([]byte, 0, 4*len(x))
	for _, v := range x {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return format.Tensor{DType: "F32", Shape: []int{len(x)}, Data: b}
}

// restore takes a checkpoint: everything is checked before anything changes.
func (r *run[B]) restore(b []byte) error {
	tensors, meta, err := format.ReadSafetensors(b)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	if meta["format"] != checkpointFormat {
		return fmt.Errorf("%w: format %q, this program reads %s", ErrCheckpoint, meta["format"], checkpointFormat)
	}
	var s state
	if err := json.Unmarshal([]byte(meta["train"]), &s); err != nil {
		return fmt.Errorf("%w: %v", ErrCheckpoint, err)
	}
	if err := r.fits(&s); err != nil {
		return err
	}
	lengths := r.lengths(s.Best >= 0)
	for name, t := range tensors {
		n, ok := lengths[name]
		if !ok {
			return fmt.Errorf("%w: tensor %s is not of this model", ErrCheckpoint, name)
		}
		if t.DType != "F32" || !slices.Equal(t.Shape, []int{n}) {
			return fmt.Errorf("%w: tensor %s is %s%v, want F32[%d]", ErrCheckpoint, name, t.DType, t.Shape, n)
		}
	}
	for name := range lengths {
		_, ok := tensors[name]
		if optional := name[:6] == "first/" || name[:6] == "second"; !ok && !optional {
			return fmt.Errorf("%w: tensor %s is missing", ErrCheckpoint, name)
		}
	}
	r.take(s, tensors)
	return nil
}

// fits refuses a state that no run with these options has.
func (r *run[B]) fits(s *state) error {
	switch {
	case s.Epoch < 0 || s.Batch < 0 || s.Step < s.Batch || s.Bad < 0 || s.Falls < 0 || s.Best >= max(1, s.Epoch) || s.Best < -1:
		return fmt.Errorf("%w: epoch %d, batch %d, step %d, best %d", ErrCheckpoint, s.Epoch, s.Batch, s.Step, s.Best)
	case s.Seed != r.o.Seed:
		return fmt.Errorf("%w: its seed is %d, this run's %d", ErrCheckpoint, s.Seed, r.o.Seed)
	case len(s.Steps) != len(r.params):
		return fmt.Errorf("%w: it has %d parameters, the model %d", ErrCheckpoint, len(s.Steps), len(r.params))
	case len(s.Loss) != s.Epoch || s.Falls > s.Epoch:
		return fmt.Errorf("%w: %d losses and %d falls of the rate in %d epochs", ErrCheckpoint, len(s.Loss), s.Falls, s.Epoch)
	case s.Best >= 0 && r.o.Metric != "" && !has(s.Metrics, r.o.Metric):
		return fmt.Errorf("%w: it was not judged by %s", ErrCheckpoint, r.o.Metric)
	}
	return nil
}

func has(m Metrics, name string) bool { _, ok := m[name]; return ok }

// lengths says how long each tensor of a checkpoint is.
func (r *run[B]) lengths(best bool) map[string]int {
	all := map[string]int{}
	for _, p := range r.params {
		n := len(p.Value.Data)
		all["value/"+p.Name], all["first/"+p.Name], all["second/"+p.Name] = n, n, n
	}
	r.m.Stats(func(name string, s *nn.Stats) { all["mean/"+name], all["var/"+name] = len(s.Mean), len(s.Var) })
	if best {
		for i, x := range r.numbers() {
			all[fmt.Sprint("best/", i)] = len(x)
		}
	}
	return all
}

// take copies a checkpoint that was checked.
func (r *run[B]) take(s state, tensors map[string]format.Tensor) {
	r.state = s
	for i, p := range r.params {
		p.Steps = s.Steps[i]
		p.Clear()
		for k, kind := range []string{"first/", "second/"} {
			p.State[k] = nil
			if t, ok := tensors[kind+p.Name]; ok {
				p.State[k] = make([]float32, len(p.Value.Data))
				unflat(p.State[k], t)
			}
		}
		unflat(p.Value.Data, tensors["value/"+p.Name])
	}
	r.m.Stats(func(name string, st *nn.Stats) {
		unflat(st.Mean, tensors["mean/"+name])
		unflat(st.Var, tensors["var/"+name])
	})
	if s.Best >= 0 {
		r.keep() // for the shapes
		for i := range r.best {
			unflat(r.best[i], tensors[fmt.Sprint("best/", i)])
		}
	}
}

func unflat(dst []float32, t format.Tensor) {
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(t.Data[4*i:]))
	}
}
