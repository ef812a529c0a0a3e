package text

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"strings"

	"github.com/eiderdb/eider/storage/format"
)

// bertAlgorithm is to BERT what algorithm is to Static.
const bertAlgorithm = "bert/1"

// LoadBERT reads a model of the BERT family from the root of fsys, a folder as
// Hugging Face and sentence-transformers keep them: config.json,
// model.safetensors, tokenizer.json or vocab.txt (each of which may be gzipped,
// with ".gz" behind its name), and if present modules.json with the config.json of
// its pooling, sentence_bert_config.json and tokenizer_config.json.
//
// Errors wrap [ErrModel] and name the file, or are those of fsys. Memory is four
// bytes for each weight in use, and while loading the size of the file.
func LoadBERT(name string, fsys fs.FS, o BERTOptions) (*BERT, error) {
	e := &BERT{name: name}
	var err error
	if e.config, err = readConfig(fsys); err != nil {
		return nil, err
	}
	if err := e.configure(fsys, o); err != nil {
		return nil, err
	}
	var vocabulary []byte
	if e.tok, e.marks, vocabulary, err = readTokenizer(fsys); err != nil {
		return nil, err
	}
	if around := len(e.marks.before) + len(e.marks.after); e.maxTokens <= around {
		return nil, modelError("%d tokens of a text are read, of which %d are marks; raise option MaxTokens", e.maxTokens, around)
	}
	e.promptTokens = len(e.tok.encode(e.prompt, &scratch{}))
	weights, err := readFile(fsys, "model.safetensors", maxWeightsBytes)
	if err != nil {
		return nil, err
	}
	if err := e.setTensors(weights); err != nil {
		return nil, err
	}
	digest := sha256.New()
	for _, part := range [][]byte{[]byte(bertAlgorithm), weights, vocabulary, e.settings()} {
		fmt.Fprintf(digest, "%d\x00", len(part))
		digest.Write(part)
	}
	e.fingerprint = hex.EncodeToString(digest.Sum(nil)[:16])
	return e, nil
}

// settings is what decides vectors beside weights and tokenizer.
func (e *BERT) settings() []byte {
	return fmt.Appendf(nil, "%d heads %s eps=%g layers=%d width=%d max=%d cls=%v unit=%v prompt=%q",
		e.config.Heads, e.config.Activation, e.config.Eps, e.layers, e.dim, e.maxTokens, e.cls, e.unit, e.prompt)
}

// linear is a layer y = x·w + b; w is in x out, row-major.
type linear struct {
	w, b    []float32
	in, out int
}

// affine is what a LayerNorm does last.
type affine struct{ gamma, beta []float32 }

// block is a layer of the network.
type block struct {
	qkv, merge  linear // to query, key and value; from the heads
	up, down    linear // to the inner width and back
	attended, o affine // after attention, and last
}

// reader takes tensors of a checkpoint by name, until one does not fit.
type reader struct {
	tensors map[string]format.Tensor
	prefix  string // before every name, as in "bert."
	err     error
}

// take returns the elements of a tensor, which must have the shape; a dimension
// of -1 is any.
func (r *reader) take(name string, shape ...int) []float32 {
	if r.err != nil {
		return nil
	}
	t, ok := r.tensors[r.prefix+name]
	if !ok { // checkpoints converted from TensorFlow
		old := strings.NewReplacer("LayerNorm.weight", "LayerNorm.gamma", "LayerNorm.bias", "LayerNorm.beta").Replace(name)
		t, ok = r.tensors[r.prefix+old]
	}
	if !ok {
		r.err = modelError("model.safetensors: there is no tensor %s%s; config.json describes another model", r.prefix, name)
		return nil
	}
	fits := len(t.Shape) == len(shape)
	for i := range shape {
		fits = fits && (t.Shape[i] == shape[i] || shape[i] < 0 && t.Shape[i] > 0)
	}
	if !fits {
		r.err = modelError("model.safetensors: %s has shape %v; config.json asks for %v", name, t.Shape, shape)
		return nil
	}
	v, err := values[float32](t, name)
	r.err = err
	return v
}

func (r *reader) norm(name string, width int) affine {
	return affine{r.take(name+".weight", width), r.take(name+".bias", width)}
}

// linear joins layers of the same input into one, side by side. Checkpoints hold
// their weights out x in.
func (r *reader) linear(in, out int, names ...string) linear {
	l := linear{in: in, out: out * len(names)}
	for i, name := range names {
		w, b := r.take(name+".weight", out, in), r.take(name+".bias", out)
		if r.err != nil {
			return l
		}
		if l.w == nil {
			l.w = make([]float32, in*l.out)
		}
		for from, row := range rows(w, in) {
			for to, v := range row {
				l.w[to*l.out+i*out+from] = v
			}
		}
		l.b = append(l.b, b...)
	}
	return l
}

// rows is the rows of a matrix, by number.
func rows(m []float32, width int) func(yield func(int, []float32) bool) {
	return func(yield func(int, []float32) bool) {
		for i := 0; i*width < len(m); i++ {
			if !yield(i, m[i*width:(i+1)*width]) {
				return
			}
		}
	}
}

// setTensors reads the weights of the layers in use: after it, every id that
// tokens can produce has an embedding.
func (e *BERT) setTensors(data []byte) error {
	tensors, _, err := format.ReadSafetensors(data)
	if err != nil {
		return modelError("model.safetensors: %v", err)
	}
	c, r := e.config, &reader{tensors: tensors}
	const word = "embeddings.word_embeddings.weight"
	for name := range tensors {
		if prefix, ok := strings.CutSuffix(name, word); ok && (prefix == "" || prefix == "bert.") {
			r.prefix = prefix
		}
	}
	e.words = r.take(word, -1, c.Hidden)
	e.places = r.take("embeddings.position_embeddings.weight", c.Positions, c.Hidden)
	kinds := r.take("embeddings.token_type_embeddings.weight", -1, c.Hidden)
	e.entry = r.norm("embeddings.LayerNorm", c.Hidden)
	for i := range e.layers {
		at := fmt.Sprintf("encoder.layer.%d.", i)
		e.blocks = append(e.blocks, block{
			qkv:      r.linear(c.Hidden, c.Hidden, at+"attention.self.query", at+"attention.self.key", at+"attention.self.value"),
			merge:    r.linear(c.Hidden, c.Hidden, at+"attention.output.dense"),
			attended: r.norm(at+"attention.output.LayerNorm", c.Hidden),
			up:       r.linear(c.Hidden, c.Inner, at+"intermediate.dense"),
			down:     r.linear(c.Inner, c.Hidden, at+"output.dense"),
			o:        r.norm(at+"output.LayerNorm", c.Hidden),
		})
	}
	if r.err != nil {
		return r.err
	}
	if n := len(e.words) / c.Hidden; n < e.tok.size {
		return modelError("model.safetensors: embeddings of %d tokens; the tokenizer has %d", n, e.tok.size)
	}
	// All tokens are of the first type.
	for _, row := range rows(e.places, c.Hidden) {
		for i, v := range kinds[:c.Hidden] {
			row[i] += v
		}
	}
	return nil
}
