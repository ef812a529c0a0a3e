package nn_test

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/internal/nn/nntest"
)

// dump is testdata/torch.json, written by bench/peers/nn_dump.py.
type dump struct {
	Cases []struct {
		Name string
		In   []tensor
		Out  []float64
		Grad [][]float64
	}
	IDs     [][]uint32
	Targets []float32
	Labels  []uint32
	Start   map[string]tensor
	Traces  []struct {
		Name string
		Loss []float64
		End  map[string][]float64
	}
}

type tensor struct {
	Shape [2]int
	Data  []float32
}

func (x tensor) matrix() nn.Matrix { return nn.Wrap(x.Shape[0], x.Shape[1], x.Data) }

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

func batchNorm(t *nn.Tape, in vars) *nn.Var {
	return t.BatchNorm(in[0], in[1], in[2], nn.NewStats(5, 1e-5, 0.1), nil)
}

func dice(t *nn.Tape, in vars) *nn.Var {
	return t.Dice(in[0], in[1], nn.NewStats(5, 1e-9, 0.01), nil)
}

func conv(window string) func(t *nn.Tape, in vars) *nn.Var {
	return func(t *nn.Tape, in vars) *nn.Var { return t.Conv(in[0], in[1], in[2], windows[window]) }
}

func torchOps(d dump) map[string]func(t *nn.Tape, in vars) *nn.Var {
	return map[string]func(t *nn.Tape, in vars) *nn.Var{
		"linear":          func(t *nn.Tape, in vars) *nn.Var { return t.Linear(in[0], in[1], in[2]) },
		"relu":            func(t *nn.Tape, in vars) *nn.Var { return t.ReLU(in[0]) },
		"sigmoid":         func(t *nn.Tape, in vars) *nn.Var { return t.Sigmoid(in[0]) },
		"tanh":            func(t *nn.Tape, in vars) *nn.Var { return t.Tanh(in[0]) },
		"selu":            func(t *nn.Tape, in vars) *nn.Var { return t.SELU(in[0]) },
		"prelu":           func(t *nn.Tape, in vars) *nn.Var { return t.PReLU(in[0], in[1]) },
		"softmax":         func(t *nn.Tape, in vars) *nn.Var { return t.Softmax(in[0], nil) },
		"layernorm":       func(t *nn.Tape, in vars) *nn.Var { return t.LayerNorm(in[0], in[1], in[2], 1e-5) },
		"batchnorm-train": batchNorm, "batchnorm-eval": batchNorm,
		"dice-train": dice, "dice-eval": dice,
		"attention": func(t *nn.Tape, in vars) *nn.Var {
			seg, k := nn.Segments{0, 3, 5}, in[1]
			e := t.Expand(in[0], seg)
			h := t.Sigmoid(t.Linear(t.Concat(e, k, t.Sub(e, k), t.Mul(e, k)), in[2], in[3]))
			return t.WeightedSum(t.SegmentSoftmax(t.Linear(h, in[4], in[5]), seg, nil), k, seg)
		},
		"bce":      func(t *nn.Tape, in vars) *nn.Var { return t.BCE(in[0], d.Targets, nil) },
		"ce":       func(t *nn.Tape, in vars) *nn.Var { return t.CE(in[0], d.Labels, 0.1) },
		"mse":      func(t *nn.Tape, in vars) *nn.Var { return t.MSE(in[0], d.Targets) },
		"hinge":    func(t *nn.Tape, in vars) *nn.Var { return t.Hinge(in[0], in[1], 1) },
		"logistic": func(t *nn.Tape, in vars) *nn.Var { return t.Logistic(in[0], in[1]) },
		"listwise": func(t *nn.Tape, in vars) *nn.Var {
			return t.Listwise(in[0], []float32{1, 0, 3, 0, 2, 0}, nn.Segments{0, 3, 6})
		},
		"conv1d":         conv("sequence"),
		"conv2d":         conv("image"),
		"conv2d-strides": conv("strides"),
		"gru": func(t *nn.Tape, in vars) *nn.Var {
			return t.GRU(in[0], t.GRU(in[0], in[1], in[2], in[3], in[4], in[5]), in[2], in[3], in[4], in[5])
		},
		"infonce": func(t *nn.Tape, in vars) *nn.Var { return t.InfoNCE(in[0], in[1], 20) },
	}
}

func TestLayersAndLossesAgreeWithPyTorch(t *testing.T) {
	d := readDump(t)
	ops := torchOps(d)
	if len(d.Cases) != len(ops) {
		t.Errorf("%d cases for %d operations", len(d.Cases), len(ops))
	}
	for _, c := range d.Cases {
		t.Run(c.Name, func(t *testing.T) {
			tape := nn.Tape{Train: c.Name == "batchnorm-train" || c.Name == "dice-train"}
			var in vars
			for _, x := range c.In {
				in = append(in, tape.Leaf(x.matrix()))
			}
			out := ops[c.Name](&tape, in)
			nntest.Near(t, "value", nntest.Numbers(out.Matrix), c.Out, 1e-5)
			weights := wave(out.Rows, out.Cols, func(i float64) float64 { return math.Cos(1 + i) })
			tape.Backward(tape.Sum(tape.Mul(out, tape.Input(weights))))
			for i, x := range in {
				nntest.Near(t, "gradient", nntest.Numbers(tape.Grad(x)), c.Grad[i], 1e-4)
			}
		})
	}
}

func TestOptimisersFollowPyTorchForTwentySteps(t *testing.T) {
	d := readDump(t)
	type run struct {
		o     nn.Optimizer
		rate  float32
		table bool // the table moves as well
	}
	runs := map[string]run{
		"sgd":      {nn.SGD{}, 0.1, true},
		"momentum": {nn.SGD{Momentum: 0.9, Decay: 0.01}, 0.1, false},
		"adam":     {nn.Adam{}, 0.05, true},
		"adamw":    {nn.Adam{Decay: 0.1}, 0.05, false},
		"adagrad":  {nn.Adagrad{}, 0.1, true},
	}
	for _, trace := range d.Traces {
		t.Run(trace.Name, func(t *testing.T) {
			r := runs[trace.Name]
			params := map[string]*nn.Param{}
			for name, x := range d.Start {
				p := nn.NewParam(name, x.Shape[0], x.Shape[1])
				if name == "table" {
					p = nn.NewTable(name, x.Shape[0], x.Shape[1])
					p.Frozen = !r.table
				}
				p.Value.Set(x.matrix())
				params[name] = p
			}
			all := []*nn.Param{params["table"], params["w1"], params["b1"], params["w2"]}
			var tape nn.Tape
			for step, want := range trace.Loss {
				tape.Reset()
				h := tape.Linear(tape.Embed(params["table"], d.IDs[step]), tape.Param(params["w1"]), tape.Param(params["b1"]))
				loss := tape.BCE(tape.Linear(tape.Tanh(h), tape.Param(params["w2"]), nil), d.Targets, nil)
				nntest.Near(t, "loss", nntest.Numbers(loss.Matrix), []float64{want}, 1e-4)
				tape.Backward(loss)
				r.o.Step(all, r.rate)
			}
			for name, want := range trace.End {
				nntest.Near(t, name, nntest.Numbers(params[name].Value), want, 1e-4)
			}
		})
	}
}
