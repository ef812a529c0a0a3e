package text

import (
	"context"
	"math"
	"sync"

	"github.com/eiderdb/eider/embed"
)

// defaultMaxTokens is how many tokens of a text are read when config.json does
// not say, as in Model2Vec.
const defaultMaxTokens = 512

// Static is a Model2Vec encoder: the vector of a text is the mean of the
// vectors of its tokens, each times its weight if the model has weights, scaled
// to unit length if config.json says normalize. There is no neural network at
// query time.
//
// Only the beginning of a long text is read: its first MaxTokens (512 unless
// config.json says otherwise) times the median token length in characters, and
// of those the first MaxTokens tokens; the same limits as the reference
// implementation, so that vectors made by either can be mixed. Unknown tokens
// are left out.
//
// Safe for concurrent use; Encode allocates nothing once warm.
type Static struct {
	name        string
	fingerprint string
	tok         *tokenizer
	dim         int
	rows        []float32 // vectors, row-major
	row         []int32   // token id -> row; nil = the id itself
	weight      []float64 // by token id; nil = 1
	unit        bool
	maxTokens   int // 0 = no limit
	pool        sync.Pool
}

// Name returns the name the encoder was loaded under.
func (e *Static) Name() string { return e.name }

// Dim returns the width of the vectors.
func (e *Static) Dim() int { return e.dim }

// Fingerprint returns 32 hexadecimal digits that name the model's content.
func (e *Static) Fingerprint() string { return e.fingerprint }

// MaxTokens returns how many tokens of a text are read; 0 means all.
func (e *Static) MaxTokens() int { return e.maxTokens }

// Encode implements [embed.Encoder].
func (e *Static) Encode(ctx context.Context, texts []string, dst [][]float32) error {
	if err := embed.Rows(texts, dst, e.dim); err != nil {
		return err
	}
	s, _ := e.pool.Get().(*scratch)
	if s == nil {
		s = &scratch{sum: make([]float64, e.dim)}
	}
	defer e.pool.Put(s)
	for i, text := range texts {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !e.encode(text, dst[i], s) {
			return &embed.TextError{Index: i, Err: embed.ErrEmpty}
		}
	}
	return nil
}

// tokens returns the ids that count for text: the first maxTokens without the
// unknown ones.
func (e *Static) tokens(text string, s *scratch) []int32 {
	if e.maxTokens > 0 {
		text = firstRunes(text, e.maxTokens*e.tok.median)
	}
	ids := e.tok.encode(text, s)
	if e.maxTokens > 0 && len(ids) > e.maxTokens {
		ids = ids[:e.maxTokens]
	}
	kept := ids[:0]
	for unk := e.tok.model.unknown(); len(ids) > 0; ids = ids[1:] {
		if id := ids[0]; id != unk && id != none {
			kept = append(kept, id)
		}
	}
	return kept
}

// firstRunes returns the first n characters of s.
func firstRunes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

// encode writes the vector of text and reports whether it has one. Sums are in
// float64 with each product rounded on its own, so every machine gives the same
// bits.
func (e *Static) encode(text string, dst []float32, s *scratch) bool {
	ids := e.tokens(text, s)
	if len(ids) == 0 {
		return false
	}
	sum := s.sum
	clear(sum)
	for _, id := range ids {
		at, w := int(id), 1.0
		if e.row != nil {
			at = int(e.row[id])
		}
		if e.weight != nil {
			w = e.weight[id]
		}
		row := e.rows[at*e.dim : (at+1)*e.dim]
		for j, x := range row[:len(sum)] {
			sum[j] += float64(w * float64(x))
		}
	}
	scale := 1 / float64(len(ids))
	norm := 0.0
	for _, x := range sum {
		norm += float64(x * x)
	}
	if norm == 0 {
		return false
	}
	if e.unit {
		scale = 1 / math.Sqrt(norm)
	}
	for j, x := range sum {
		dst[j] = float32(x * scale)
	}
	return true
}
