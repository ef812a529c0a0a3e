package text

import (
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// miniLM is the folder of all-MiniLM-L6-v2 that EIDER_MINILM names: its weights, 91
// MB under the Apache licence, are not in the repository.
func miniLM(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("EIDER_MINILM")
	if dir == "" {
		t.Skip("EIDER_MINILM names no folder with all-MiniLM-L6-v2 (config.json, model.safetensors, tokenizer.json)")
	}
	return dir
}

func TestMiniLMGivesTheTokensAndVectorsOfTransformers(t *testing.T) {
	root := os.DirFS(miniLM(t))
	refs := bertReferences(t, "testdata/minilm.jsonl.gz", 4)
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
		e, err := LoadBERT("minilm", root, BERTOptions{Layers: layers, Width: width, Pooling: pooling})
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range encodeAll(t, e, texts...) {
			b := &batch{}
			if _, err := e.tokenize(context.Background(), b, texts[i:i+1]); err != nil || !slices.Equal(b.ids, refs[i].IDs) {
				t.Errorf("%.40q: %v, %v", texts[i], b.ids, err)
			}
			if d := furthest(t, v, refs[i].Pooled[key]); d > 1e-5 {
				t.Errorf("%s: %.40q is off by %g", key, texts[i], d)
			}
		}
	}
}

// The vectors were made by another runtime, Transformers.js. It cuts a long text
// without the closing mark that all others keep: those are run as it cut them.
func TestMiniLMReproducesPublishedVectorsOfDocuments(t *testing.T) {
	e, err := LoadBERT("minilm", os.DirFS(miniLM(t)), BERTOptions{MaxTokens: 512})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(sharedData(t), "fiori-docs-minilm")
	vectors, err := os.ReadFile(filepath.Join(dir, "embeddings.bin"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("the documents are not there: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(dir, "records.jsonl.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	lines, i, p := json.NewDecoder(z), 0, &pass{}
	for ; lines.More(); i++ {
		var r struct {
			Content string `json:"content"`
		}
		if err := lines.Decode(&r); err != nil {
			t.Fatal(err)
		}
		if i%40 != 7 {
			continue
		}
		b := &batch{}
		if _, err := e.tokenize(context.Background(), b, []string{r.Content}); err != nil {
			t.Fatal(err)
		}
		got := make([]float32, e.Dim())
		if len(b.ids) < 512 {
			got = encodeAll(t, e, r.Content)[0]
		} else {
			ids := e.tok.encode(r.Content, &scratch{})
			b.ids[511] = uint32(ids[510])
			p.reset()
			p.add(b.ids)
			if err := e.run(context.Background(), p, e.layers); err != nil || !e.pool(p, 0, got) {
				t.Fatal(err)
			}
		}
		cosine := 0.0
		for j, v := range got {
			cosine += float64(v) * float64(math.Float32frombits(binary.LittleEndian.Uint32(vectors[4*(i*len(got)+j):])))
		}
		if cosine < 1-1e-5 {
			t.Errorf("document %d of %d tokens: cosine %v", i, len(b.ids), cosine)
		}
	}
	if i*4*e.Dim() != len(vectors) {
		t.Errorf("%d documents for %d bytes of vectors", i, len(vectors))
	}
}
