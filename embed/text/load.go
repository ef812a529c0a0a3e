package text

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"

	"github.com/eiderdb/eider/storage/format"
)

// Limits on the files of a model, in bytes after decompression.
const (
	maxTokenizerBytes = 128 << 20
	maxWeightsBytes   = 2 << 30
	maxConfigBytes    = 1 << 20
)

// maxDim bounds the width of an encoder's vectors, as in a schema.
const maxDim = 4096

// maxMagnitude bounds a weight: real models stay below 100, and with this bound
// no sum of tokens overflows.
const maxMagnitude = 1e6

// algorithm is part of every fingerprint; it changes when the same files come
// to give other vectors.
const algorithm = "static/1"

// LoadStatic reads a Model2Vec model from the root of fsys: config.json,
// tokenizer.json and model.safetensors, each of which may be gzipped with ".gz"
// behind its name. The tensors are "embeddings" (tokens x dim, or any number of
// rows with a "mapping" from token to row) and optionally "weights", one for
// each token; "embedding.weight" is read too, as Sentence Transformers calls
// it. Tokenizers may be Unigram or WordPiece.
//
// Errors wrap [ErrModel] and name the file, or are those of fsys. Memory is
// about four bytes for each value of the embeddings and 40 for each token.
func LoadStatic(name string, fsys fs.FS) (*Static, error) {
	digest := sha256.New()
	io.WriteString(digest, algorithm)
	part := func(file string, limit int64) ([]byte, error) {
		data, err := readFile(fsys, file, limit)
		if err == nil {
			fmt.Fprintf(digest, "\x00%s\x00%d\x00", file, len(data))
			digest.Write(data)
		}
		return data, err
	}
	weights, err := part("model.safetensors", maxWeightsBytes)
	if err != nil {
		return nil, err
	}
	vocabulary, err := part("tokenizer.json", maxTokenizerBytes)
	if err != nil {
		return nil, err
	}
	config, err := readFile(fsys, "config.json", maxConfigBytes)
	if err != nil {
		return nil, err
	}
	e := &Static{name: name}
	if err := e.configure(config); err != nil {
		return nil, err
	}
	fmt.Fprintf(digest, "\x00unit=%v max=%d", e.unit, e.maxTokens)
	if e.tok, err = decodeTokenizer(vocabulary); err != nil {
		return nil, err
	}
	if err := e.setTensors(weights); err != nil {
		return nil, err
	}
	e.fingerprint = hex.EncodeToString(digest.Sum(nil)[:16])
	return e, nil
}

// configure reads the two settings of config.json that matter here.
func (e *Static) configure(data []byte) error {
	c := struct {
		Normalize bool            `json:"normalize"`
		MaxLength json.RawMessage `json:"max_length"`
	}{}
	if err := json.Unmarshal(data, &c); err != nil {
		return modelError("config.json: %v", err)
	}
	e.unit, e.maxTokens = c.Normalize, defaultMaxTokens
	switch {
	case len(c.MaxLength) == 0:
	case string(c.MaxLength) == "null":
		e.maxTokens = 0
	default:
		if err := json.Unmarshal(c.MaxLength, &e.maxTokens); err != nil || e.maxTokens < 1 || e.maxTokens > 1<<24 {
			return modelError("config.json: max_length %.40s is not a count of tokens", c.MaxLength)
		}
	}
	return nil
}

// readFile reads name, or name.gz, up to limit bytes.
func readFile(fsys fs.FS, name string, limit int64) ([]byte, error) {
	f, err := fsys.Open(name)
	packed := false
	if errors.Is(err, fs.ErrNotExist) {
		if f2, err2 := fsys.Open(name + ".gz"); err2 == nil {
			f, err, packed = f2, nil, true
		}
	}
	if err != nil {
		return nil, fmt.Errorf("embed/text: a model needs %s: %w", name, err)
	}
	defer f.Close()
	var r io.Reader = f
	if packed {
		if r, err = gzip.NewReader(f); err != nil {
			return nil, modelError("%s.gz: %v", name, err)
		}
	}
	var b bytes.Buffer
	n, err := io.Copy(&b, io.LimitReader(r, limit+1))
	if err != nil {
		return nil, modelError("%s: %v", name, err)
	}
	if n > limit {
		return nil, modelError("%s is larger than %d bytes", name, limit)
	}
	return b.Bytes(), nil
}

// setTensors checks the weights against the tokenizer: after it, every id that
// encode can produce has a row and a weight.
func (e *Static) setTensors(data []byte) error {
	tensors, _, err := format.ReadSafetensors(data)
	if err != nil {
		return modelError("model.safetensors: %v", err)
	}
	emb, ok := tensors["embeddings"]
	if !ok {
		emb, ok = tensors["embedding.weight"]
	}
	if !ok || len(emb.Shape) != 2 || emb.Shape[0] < 1 || emb.Shape[1] < 1 || emb.Shape[1] > maxDim {
		return modelError("model.safetensors: there is no tensor embeddings of two dimensions with a width of 1 to %d", maxDim)
	}
	rows := emb.Shape[0]
	e.dim = emb.Shape[1]
	if e.rows, err = values[float32](emb, "embeddings"); err != nil {
		return err
	}
	if t, ok := tensors["weights"]; ok {
		if e.weight, err = values[float64](t, "weights"); err != nil {
			return err
		}
		if len(e.weight) < e.tok.size {
			return modelError("model.safetensors: %d weights for %d tokens", len(e.weight), e.tok.size)
		}
	}
	t, ok := tensors["mapping"]
	if !ok {
		if rows < e.tok.size {
			return modelError("model.safetensors: %d embeddings for %d tokens and no mapping", rows, e.tok.size)
		}
		return nil
	}
	mapping, err := values[float64](t, "mapping")
	if err != nil {
		return err
	}
	if len(mapping) < e.tok.size {
		return modelError("model.safetensors: the mapping has %d entries for %d tokens", len(mapping), e.tok.size)
	}
	e.row = make([]int32, len(mapping))
	for i, v := range mapping {
		if v < 0 || v >= float64(rows) || v != math.Trunc(v) {
			return modelError("model.safetensors: mapping[%d] = %v is not a row of the %d embeddings", i, v, rows)
		}
		e.row[i] = int32(v)
	}
	return nil
}
