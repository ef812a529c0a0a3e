package bench

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

//go:embed peers/din.py
var dinPy []byte

// dinPeers are processes of peers/din.py, nil where one is not installed.
type dinPeers struct {
	torch   *peer // PyTorch, the same model
	deepctr *peer // DeepCTR-Torch's own model
	onnx    *peer // ONNX Runtime, PyTorch's model exported
}

// dinPeers starts those that are installed and reports the others as absent.
func (d *dinSuite) dinPeers(ctx context.Context, shop *workshop) (p dinPeers, err error) {
	if len(d.o.peers([]string{"torch"})) == 0 {
		return p, nil
	}
	script := filepath.Join(shop.temp, "din.py")
	if err := os.WriteFile(script, dinPy, 0o644); err != nil {
		return p, err
	}
	for _, s := range []struct {
		title, kind string
		into        **peer
	}{{"pytorch", "torch", &p.torch}, {"deepctr-torch", "deepctr", &p.deepctr}, {"onnxruntime", "onnx", &p.onnx}} {
		q := &peer{title: s.title, how: "Python", shop: shop}
		if err := q.launch(ctx, shop.python(), script, "peer", s.kind); errors.Is(err, errAbsent) {
			why := strings.TrimPrefix(err.Error(), errAbsent.Error()+": ")
			why = why[strings.LastIndexByte(why, '\n')+1:] // of a traceback, what was raised
			d.report.absent(s.title, "run bench/peers/install --learning; "+why)
			continue
		} else if err != nil {
			return p, err
		}
		*s.into = q
		d.report.about = append(d.report.about, About{q.title, q.how})
	}
	return p, nil
}

func (p dinPeers) close() {
	for _, q := range []*peer{p.torch, p.deepctr, p.onnx} {
		if q != nil {
			q.close()
		}
	}
}

// entrant is a peer that trains, with its tables' gradients dense or sparse.
type entrant struct {
	*peer
	form, note string
	rates      []float64 // samples per second, by turn
}

func (p dinPeers) entrants() (all []*entrant) {
	if p.torch != nil {
		all = append(all, &entrant{peer: p.torch, form: "dense", note: "PyTorch's tables have dense gradients, ours those of the rows used"},
			&entrant{peer: p.torch, form: "sparse", note: "PyTorch's tables have sparse gradients, as ours"})
	}
	if p.deepctr != nil {
		all = append(all, &entrant{peer: p.deepctr, form: "dense",
			note: "its own network of these sizes, which has no v_U⊙v_A, no scale of scores and no bias of items"})
	}
	return all
}

// turn times steps of the peer and returns the peak of its memory in bytes.
func (e *entrant) turn(ctx context.Context, r *race, rows, first, steps int) (peak float64, err error) {
	threads := strconv.Itoa(r.threads)
	_, err = e.ask(ctx, "load", r.config, r.batches, e.form)
	if err == nil {
		_, err = e.ask(ctx, "train", "0", strconv.Itoa(warm), threads)
	}
	if err != nil {
		return 0, err
	}
	f, err := e.ask(ctx, "train", strconv.Itoa(first), strconv.Itoa(steps), threads)
	if err != nil {
		return 0, err
	}
	e.rates = append(e.rates, float64(steps*rows)/value(f, "wall"))
	return value(f, "peak"), nil
}

// ask asks a peer for the median of requests in milliseconds; config is a file
// that hand wrote.
func (s serving) ask(ctx context.Context, p *peer, config string) (float64, error) {
	f, err := p.ask(ctx, "serve", config, strconv.Itoa(s.items), strconv.Itoa(s.past), "30", "1")
	return value(f, "p50") * 1e3, err
}

// hand writes a value to a file for peers.
func hand(path string, v any) error {
	text, err := json.Marshal(v)
	if err == nil {
		err = os.WriteFile(path, text, 0o644)
	}
	return err
}
