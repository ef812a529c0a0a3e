package text

import (
	"encoding/json"
	"unicode/utf8"
)

// wordpiece is BERT's model: each piece is cut into the longest tokens from the
// left, those after the first carrying a prefix ("##"); a piece that cannot be
// cut to its end is one unknown token.
type wordpiece struct {
	*trie
	tokens   []string
	unk      int32
	maxRunes int
	inner    int32 // node from which tokens inside a word start; none = no such tokens
}

func decodeWordPiece(raw json.RawMessage) (model, error) {
	var spec struct {
		UnkToken string           `json:"unk_token"`
		Prefix   *string          `json:"continuing_subword_prefix"`
		MaxChars *int             `json:"max_input_chars_per_word"`
		Vocab    map[string]int64 `json:"vocab"`
	}
	if err := json.Unmarshal(raw, &spec); err != nil {
		return nil, modelError("tokenizer.json: WordPiece model: %v", err)
	}
	w := &wordpiece{maxRunes: 100, inner: none}
	if spec.MaxChars != nil {
		w.maxRunes = *spec.MaxChars
	}
	prefix := "##"
	if spec.Prefix != nil {
		prefix = *spec.Prefix
	}
	n := len(spec.Vocab)
	if n == 0 {
		return nil, modelError("tokenizer.json: the WordPiece vocabulary is empty")
	}
	// Ids need not be without gaps, but a file whose ids go far beyond its
	// entries is damaged.
	w.tokens = make([]string, 2*n+1024)
	keys, ids, top := make([]string, 0, n), make([]int32, 0, n), 0
	for token, id := range spec.Vocab {
		if id < 0 || id >= int64(len(w.tokens)) {
			return nil, modelError("tokenizer.json: token %.40q has id %d in a vocabulary of %d", token, id, n)
		}
		if len(token) > maxTokenBytes {
			return nil, modelError("tokenizer.json: a token is %d bytes long; at most %d are read", len(token), maxTokenBytes)
		}
		w.tokens[id] = token
		keys, ids = append(keys, token), append(ids, int32(id))
		top = max(top, int(id)+1)
	}
	w.tokens = w.tokens[:top]
	w.trie = newTrie(keys, ids)
	var ok bool
	if w.unk, ok = w.lookup(spec.UnkToken); !ok {
		return nil, modelError("tokenizer.json: unk_token %.40q is not in the vocabulary", spec.UnkToken)
	}
	if node, ok := w.walk(0, prefix); ok {
		w.inner = node
	}
	return w, nil
}

func (w *wordpiece) vocabulary() []string { return w.tokens }
func (w *wordpiece) unknown() int32       { return w.unk }

// encode appends the tokens of piece. Time O(len(piece) * longest token).
func (w *wordpiece) encode(ids []int32, piece []byte, _ *scratch) []int32 {
	if len(piece) > w.maxRunes && utf8.RuneCount(piece) > w.maxRunes {
		return append(ids, w.unk)
	}
	from, node := len(ids), int32(0)
	for at := 0; at < len(piece); {
		id, end := int32(none), at
		for i := at; i < len(piece); i++ {
			next, ok := w.step(node, piece[i])
			if !ok {
				break
			}
			node = next
			if w.value[node] != none {
				id, end = w.value[node], i+1
			}
		}
		if id == none {
			return append(ids[:from], w.unk)
		}
		ids = append(ids, id)
		at = end
		if node = w.inner; node == none && at < len(piece) {
			return append(ids[:from], w.unk)
		}
	}
	return ids
}
