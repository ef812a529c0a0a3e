package text

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/eiderdb/eider/embed"
)

// reference is one line of a dump made with the Python packages tokenizers
// 0.23 and model2vec 0.10: ids of all tokens, and the vector.
type reference struct {
	Text   string    `json:"text"`
	IDs    []int32   `json:"ids"`
	Vector []float32 `json:"vector"`
}

func readReference(t *testing.T, name string) []reference {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var out []reference
	lines := bufio.NewScanner(z)
	for lines.Buffer(nil, 1<<20); lines.Scan(); {
		var r reference
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	if lines.Err() != nil || len(out) < 200 {
		t.Fatalf("%d lines of %s, %v", len(out), name, lines.Err())
	}
	return out
}

func checkTokens(t *testing.T, tok *tokenizer, refs []reference) {
	t.Helper()
	s := &scratch{}
	for _, r := range refs {
		if got := tok.encode(r.Text, s); !slices.Equal(got, r.IDs) {
			t.Errorf("%.60q\n got %v\nwant %v", r.Text, got, r.IDs)
		}
	}
}

func checkVectors(t *testing.T, e *Static, refs []reference, tolerance float64) {
	t.Helper()
	for _, r := range refs {
		row := make([]float32, e.Dim())
		err := e.Encode(context.Background(), []string{r.Text}, [][]float32{row})
		if !slices.ContainsFunc(r.Vector, func(v float32) bool { return v != 0 }) {
			if !errors.Is(err, embed.ErrEmpty) {
				t.Errorf("%.60q: %v, the reference finds nothing to encode", r.Text, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%.60q: %v", r.Text, err)
			continue
		}
		for i := range row {
			if d := math.Abs(float64(row[i] - r.Vector[i])); d > tolerance {
				t.Errorf("%.60q: [%d] = %v, reference %v", r.Text, i, row[i], r.Vector[i])
				break
			}
		}
	}
}

func TestBuiltInModelGivesTheTokensAndVectorsOfTheReference(t *testing.T) {
	e, err := LoadStatic("tiny", modelFS(t))
	if err != nil {
		t.Fatal(err)
	}
	refs := readReference(t, "static-tiny.jsonl.gz")
	checkTokens(t, e.tok, refs)
	checkVectors(t, e, refs, 2e-6)
}

func TestWordPieceModelGivesTheTokensAndVectorsOfTheReference(t *testing.T) {
	e, err := LoadStatic("wp", os.DirFS("testdata/wordpiece"))
	if err != nil {
		t.Fatal(err)
	}
	refs := readReference(t, "wordpiece.jsonl.gz")
	checkTokens(t, e.tok, refs)
	// The reference averages half-precision rows in half precision.
	checkVectors(t, e, refs, 4e-3)
}

func TestMetaspaceWithByteFallbackGivesTheTokensOfTheReference(t *testing.T) {
	data, err := os.ReadFile("testdata/metaspace/tokenizer.json")
	if err != nil {
		t.Fatal(err)
	}
	tok, err := decodeTokenizer(data)
	if err != nil {
		t.Fatal(err)
	}
	checkTokens(t, tok, readReference(t, "metaspace.jsonl.gz"))
}

// The model's authors publish the vector of "hello" a thousand times over.
func TestBuiltInModelGivesThePublishedVector(t *testing.T) {
	data, err := os.ReadFile("testdata/expected_embedding.json")
	if err != nil {
		t.Fatal(err)
	}
	var want [][]float64
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	e, err := Open(StaticTiny)
	if err != nil {
		t.Fatal(err)
	}
	got := [][]float32{nil}
	if err := e.Encode(context.Background(), []string{strings.Repeat("hello ", 1000)}, got); err != nil {
		t.Fatal(err)
	}
	for i, w := range want[0] {
		if math.Abs(float64(got[0][i])-w) > 1e-6 {
			t.Fatalf("[%d] = %v, published %v", i, got[0][i], w)
		}
	}
}
