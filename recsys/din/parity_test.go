package din

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/internal/nn/nntest"
	"github.com/eiderdb/eider/storage/format"
)

// dump is testdata/torch.json, written by bench/peers/din.py.
type dump struct {
	Category []uint32
	Batch    struct {
		Items, Past, User []uint32
		Offers, Starts    []int32
		Labels            []float32
	}
	Cases []torchCase
}

type torchCase struct {
	Name   string
	Config Config
	Start  map[string]struct {
		Shape []int
		Data  []float32
	}
	Eval, Loss []float64
	Grad, End  map[string][]float64
}

func readDump(t *testing.T) (d dump) {
	t.Helper()
	text, err := os.ReadFile("testdata/torch.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func (c *torchCase) tensors() map[string]format.Tensor {
	all := map[string]format.Tensor{}
	for name, x := range c.Start {
		var b []byte
		for _, v := range x.Data {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
		all[name] = format.Tensor{DType: "F32", Shape: x.Shape, Data: b}
	}
	return all
}

// load makes the model of a case, and its batch.
func (c *torchCase) load(t *testing.T, d dump) (*Model, *Batch) {
	t.Helper()
	columns := []Column{{}, {IDs: d.Category}}[:len(c.Config.Item)]
	items, err := NewItems(len(d.Category), c.Config.Item, columns)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Load(c.Config, items, c.tensors(), c.Config.Hash())
	if err != nil {
		t.Fatal(err)
	}
	b := &Batch{Items: d.Batch.Items, Offers: d.Batch.Offers, Past: d.Batch.Past, Starts: d.Batch.Starts, Labels: d.Batch.Labels}
	if len(c.Config.User) > 0 {
		b.User = [][]uint32{d.Batch.User}
	}
	return m, b
}

func wide(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

// gradient spreads the gradient of a parameter over its whole shape.
func gradient(p *nn.Param) []float64 {
	if p.Touched() == nil {
		return wide(p.Grad.Data)
	}
	all := make([]float64, len(p.Value.Data))
	for i, id := range p.Touched() {
		copy(all[int(id)*p.Value.Cols:], wide(p.Grad.Row(i)))
	}
	return all
}

func TestServedLogitsAgreeWithPyTorch(t *testing.T) {
	d := readDump(t)
	for _, c := range d.Cases {
		t.Run(c.Name, func(t *testing.T) {
			m, b := c.load(t, d)
			out := make([]float32, len(b.Items))
			if err := m.Logits(new(nn.Tape), b, out); err != nil {
				t.Fatal(err)
			}
			nntest.Near(t, "logits", wide(out), c.Eval, 1e-5)
		})
	}
}

func TestEveryGradientAgreesWithPyTorch(t *testing.T) {
	d := readDump(t)
	for _, c := range d.Cases {
		t.Run(c.Name, func(t *testing.T) {
			m, b := c.load(t, d)
			if _, err := m.Gradient(new(nn.Tape), b); err != nil {
				t.Fatal(err)
			}
			if n := len(m.Params()); n != len(c.Grad) {
				t.Fatalf("%d parameters, the dump has %d", n, len(c.Grad))
			}
			for _, p := range m.Params() {
				nntest.Near(t, p.Name, gradient(p), c.Grad[p.Name], 1e-4)
			}
		})
	}
}

// idle tells parameters whose gradient is rounding: a bias before a norm or a
// softmax. Adam moves them by whole steps in a direction that means nothing, and
// running means follow.
func idle(grad []float64) bool {
	return grad != nil && !slices.ContainsFunc(grad, func(g float64) bool { return math.Abs(g) > 1e-6 })
}

func TestTwentyStepsFollowPyTorch(t *testing.T) {
	d := readDump(t)
	for _, c := range d.Cases {
		t.Run(c.Name, func(t *testing.T) {
			m, b := c.load(t, d)
			if err := m.Count(b); err != nil {
				t.Fatal(err)
			}
			var tape nn.Tape
			for _, want := range c.Loss {
				loss, err := m.Gradient(&tape, b)
				if err != nil {
					t.Fatal(err)
				}
				nntest.Near(t, "loss", []float64{loss}, []float64{want}, 1e-4)
				m.Regularise()
				nn.Adam{}.Step(m.Params(), 0.01)
			}
			for name, s := range m.slots() {
				if strings.HasSuffix(name, ".running_mean") || idle(c.Grad[name]) {
					continue
				}
				nntest.Near(t, name, wide(s.data), c.End[name], 1e-4)
			}
		})
	}
}
