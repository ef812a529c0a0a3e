package text

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/eiderdb/eider/embed"
)

// bertReference is a line of a file that bench/peers/bert_dump.py writes.
type bertReference struct {
	Text   string               `json:"text"`
	IDs    []uint32             `json:"ids"`
	Hidden [][]float32          `json:"hidden"` // by layer, from the embeddings on
	Pooled map[string][]float32 `json:"pooled"` // by activation, layer, width and pooling
}

func bertReferences(t *testing.T, file string, least int) (out []bertReference) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(z)
	for lines.Buffer(nil, 1<<20); lines.Scan(); {
		var r bertReference
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	if lines.Err() != nil || len(out) < least {
		t.Fatalf("%d lines, %v", len(out), lines.Err())
	}
	return out
}

func loadBERT(t testing.TB, fsys folder, o BERTOptions) *BERT {
	t.Helper()
	e, err := LoadBERT("tiny-bert", fsys, o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func encodeAll(t testing.TB, e embed.Encoder, texts ...string) [][]float32 {
	t.Helper()
	rows := make([][]float32, len(texts))
	if err := e.Encode(context.Background(), texts, rows); err != nil {
		t.Fatal(err)
	}
	return rows
}

// furthest is the largest difference of two vectors' elements.
func furthest(t *testing.T, got, want []float32) (d float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d floats, want %d", len(got), len(want))
	}
	for i := range got {
		if e := math.Abs(float64(got[i]) - float64(want[i])); !(e <= d) {
			d = e
		}
	}
	return d
}

// known is the references of the tiny model that have a word it knows.
func known(t *testing.T) []bertReference {
	t.Helper()
	return slices.DeleteFunc(bertReferences(t, "testdata/bert.jsonl.gz", 12), func(r bertReference) bool { return slices.Equal(r.IDs, []uint32{2, 1, 3}) })
}

func TestBERTGivesTheTokensOfTransformers(t *testing.T) {
	e := loadBERT(t, tinyBERT(t), BERTOptions{})
	plain := tinyBERT(t)
	delete(plain, "tokenizer.json")
	for name, e := range map[string]*BERT{"tokenizer.json": e, "vocab.txt": loadBERT(t, plain, BERTOptions{})} {
		truncated := 0
		for _, r := range known(t) {
			b := &batch{}
			if _, err := e.tokenize(context.Background(), b, []string{r.Text}); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(b.ids, r.IDs) {
				t.Errorf("%s: %q\n got %v\nwant %v", name, r.Text, b.ids, r.IDs)
			}
			if len(r.IDs) == e.MaxTokens() {
				truncated++
			}
		}
		if truncated == 0 {
			t.Errorf("%s: no text was cut at %d tokens", name, e.MaxTokens())
		}
	}
}

func TestBERTGivesTheHiddenStatesOfTransformersAtEveryLayer(t *testing.T) {
	e := loadBERT(t, tinyBERT(t), BERTOptions{})
	seen := 0
	for _, r := range known(t) {
		for layer, want := range r.Hidden {
			p := &pass{}
			p.reset()
			p.add(r.IDs)
			if err := e.run(context.Background(), p, layer); err != nil {
				t.Fatal(err)
			}
			if d := furthest(t, p.x, want); d > 1e-5 {
				t.Errorf("%q, layer %d: a state is off by %g", r.Text, layer, d)
			}
			seen++
		}
	}
	if seen < 20 {
		t.Errorf("%d dumps of states", seen)
	}
}

func TestBERTGivesTheVectorsOfTransformersAtAnyLayerAndWidth(t *testing.T) {
	refs := known(t)
	var texts []string
	for _, r := range refs {
		texts = append(texts, r.Text)
	}
	for key := range refs[0].Pooled {
		var act, pooling string
		var layers, width int
		if _, err := fmt.Sscan(key, &act, &layers, &width, &pooling); err != nil {
			t.Fatal(err)
		}
		model := tinyBERT(t)
		model.replace("config.json", `"gelu"`, `"`+act+`"`)
		e := loadBERT(t, model, BERTOptions{Layers: layers, Width: width, Pooling: pooling})
		if e.Dim() != width || len(e.blocks) != layers {
			t.Fatalf("%s: %d floats of %d layers", key, e.Dim(), len(e.blocks))
		}
		for i, v := range encodeAll(t, e, texts...) {
			if d := furthest(t, v, refs[i].Pooled[key]); d > 1e-5 {
				t.Errorf("%s: %q is off by %g", key, texts[i], d)
			}
		}
	}
}

func TestBERTVectorsDoNotDependOnTheBatchOrTheThreads(t *testing.T) {
	var texts []string
	for range 12 {
		for _, r := range known(t) {
			texts = append(texts, r.Text)
		}
	}
	e := loadBERT(t, tinyBERT(t), BERTOptions{Threads: 1})
	var alone [][]float32
	for _, text := range texts {
		alone = append(alone, encodeAll(t, e, text)...)
	}
	for threads := 1; threads <= 5; threads++ {
		e := loadBERT(t, tinyBERT(t), BERTOptions{Threads: threads})
		for _, n := range []int{2, 3, 17, len(texts)} {
			for i, v := range encodeAll(t, e, texts[:n]...) {
				if !slices.Equal(v, alone[i]) {
					t.Fatalf("%d threads, text %d of %d: %v, alone %v", threads, i, n, v, alone[i])
				}
			}
		}
	}
}

func TestBERTWritesTheRowsBeforeATextWithoutWords(t *testing.T) {
	e := loadBERT(t, tinyBERT(t), BERTOptions{})
	want := encodeAll(t, e, "the river", "fast search")
	for _, nothing := range []string{"", " \t", "\u6f22", strings.Repeat("x", 200)} {
		rows := [][]float32{nil, nil, make([]float32, e.Dim()), make([]float32, e.Dim())}
		err := e.Encode(context.Background(), []string{"the river", "fast search", nothing, "shoes"}, rows)
		var te *embed.TextError
		if !errors.As(err, &te) || te.Index != 2 || !errors.Is(err, embed.ErrEmpty) {
			t.Fatalf("%q: %v", nothing, err)
		}
		for i := range want {
			if !slices.Equal(rows[i], want[i]) {
				t.Errorf("%q: row %d is %v, want %v", nothing, i, rows[i], want[i])
			}
		}
		if slices.ContainsFunc(append(rows[2], rows[3]...), func(v float32) bool { return v != 0 }) {
			t.Errorf("%q: a row after it was written", nothing)
		}
	}
	prompted := loadBERT(t, tinyBERT(t), BERTOptions{Prompt: "query: "})
	if err := prompted.Encode(context.Background(), []string{""}, [][]float32{nil}); !errors.Is(err, embed.ErrEmpty) {
		t.Errorf("nothing after a prompt: %v", err)
	}
}

func TestBERTStopsWhenTheContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	e := loadBERT(t, tinyBERT(t), BERTOptions{})
	if err := e.Encode(ctx, []string{"the river"}, [][]float32{nil}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	p := &pass{}
	p.reset()
	p.add([]uint32{2, 71, 3})
	if err := e.run(ctx, p, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("between layers: %v", err)
	}
}

func TestBERTPromptAndMaxTokensAreThoseOfTheOptions(t *testing.T) {
	plain, prompted := loadBERT(t, tinyBERT(t), BERTOptions{}), loadBERT(t, tinyBERT(t), BERTOptions{Prompt: "search "})
	if a, b := encodeAll(t, plain, "search the river"), encodeAll(t, prompted, "the river"); !slices.Equal(a[0], b[0]) {
		t.Errorf("%v, with a prompt %v", a, b)
	}
	short := loadBERT(t, tinyBERT(t), BERTOptions{MaxTokens: 4})
	if a, b := encodeAll(t, plain, "the river"), encodeAll(t, short, "the river bank is red"); !slices.Equal(a[0], b[0]) {
		t.Errorf("%v, cut to two tokens %v", a, b)
	}
}

func TestBERTFingerprintNamesTheVectorSpace(t *testing.T) {
	base := loadBERT(t, tinyBERT(t), BERTOptions{}).Fingerprint()
	for _, o := range []BERTOptions{{Threads: 2}, {Layers: 3}, {Width: 32}, {MaxTokens: 24}, {Pooling: "mean"}, {Unit: true}} {
		if got := loadBERT(t, tinyBERT(t), o).Fingerprint(); got != base {
			t.Errorf("%+v says what the folder says, and changes %s to %s", o, base, got)
		}
	}
	seen := map[string]bool{base: true}
	fresh := func(what string, model folder, o BERTOptions) {
		got := loadBERT(t, model, o).Fingerprint()
		if seen[got] || len(got) != 32 {
			t.Errorf("%s: %s is not new", what, got)
		}
		seen[got] = true
	}
	for _, o := range []BERTOptions{{Layers: 2}, {Width: 16}, {MaxTokens: 12}, {Pooling: "cls"}, {Prompt: "query: "}} {
		fresh(fmt.Sprintf("%+v", o), tinyBERT(t), o)
	}
	model := tinyBERT(t)
	model.replace("config.json", `"gelu"`, `"relu"`)
	fresh("another activation", model, BERTOptions{})
	model = tinyBERT(t)
	model["model.safetensors"].Data[len(model["model.safetensors"].Data)-4]++
	fresh("another weight", model, BERTOptions{})
	model = tinyBERT(t)
	model.replace("tokenizer.json", `"lowercase":true`, `"lowercase":false`)
	fresh("another tokenizer", model, BERTOptions{})
	model = tinyBERT(t)
	delete(model, "modules.json")
	fresh("no normalisation", model, BERTOptions{})
}
