package text

import (
	"encoding/json"
	"fmt"
	"math"
	"unicode/utf8"
)

// model turns one piece into token ids, appended to ids.
type model interface {
	encode(ids []int32, piece []byte, s *scratch) []int32
	vocabulary() []string // by id
	unknown() int32       // id of the unknown token, or none
	lookup(token string) (int32, bool)
}

// unigram is SentencePiece's Unigram model: the segmentation whose tokens have
// the highest total log probability, found by Viterbi (Kudo 2018).
type unigram struct {
	*trie
	tokens   []string
	score    []float64
	unk      int32 // or none
	unkScore float64
	fallback *[256]int32 // ids of <0x00>..<0xFF> when unknown bytes have tokens
}

// unkPenalty is how far below the worst token an unknown character scores.
const unkPenalty = 10

// maxTokenBytes bounds one token of a vocabulary.
const maxTokenBytes = 1024

// scored is one entry of a Unigram vocabulary: ["▁the", -3.4].
type scored struct {
	token string
	score float64
}

func (e *scored) UnmarshalJSON(b []byte) error {
	pair := [2]any{&e.token, &e.score}
	if err := json.Unmarshal(b, &pair); err != nil {
		return err
	}
	if pair[0] == nil || pair[1] == nil {
		return fmt.Errorf("entry %s is not [token, score]", b[:min(len(b), 40)])
	}
	return nil
}

func decodeUnigram(raw json.RawMessage) (model, error) {
	var spec struct {
		UnkID        *int     `json:"unk_id"`
		Vocab        []scored `json:"vocab"`
		ByteFallback bool     `json:"byte_fallback"`
	}
	if err := json.Unmarshal(raw, &spec); err != nil {
		return nil, modelError("tokenizer.json: Unigram model: %v", err)
	}
	if len(spec.Vocab) == 0 {
		return nil, modelError("tokenizer.json: the Unigram vocabulary is empty")
	}
	u := &unigram{unk: none, tokens: make([]string, len(spec.Vocab)), score: make([]float64, len(spec.Vocab))}
	if spec.UnkID != nil {
		if *spec.UnkID < 0 || *spec.UnkID >= len(spec.Vocab) {
			return nil, modelError("tokenizer.json: unk_id %d is outside the vocabulary of %d", *spec.UnkID, len(spec.Vocab))
		}
		u.unk = int32(*spec.UnkID)
	}
	low := math.Inf(1)
	for i, e := range spec.Vocab {
		if len(e.token) > maxTokenBytes {
			return nil, modelError("tokenizer.json: token %d is %d bytes long; at most %d are read", i, len(e.token), maxTokenBytes)
		}
		u.tokens[i], u.score[i] = e.token, e.score
		low = min(low, e.score)
	}
	u.unkScore = low - unkPenalty
	u.trie = newTrie(u.tokens, idsUpTo(len(u.tokens)))
	if spec.ByteFallback {
		u.fallback = u.byteTokens()
	}
	return u, nil
}

func idsUpTo(n int) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32(i)
	}
	return ids
}

// byteTokens finds the 256 byte tokens, or returns nil if one is missing.
func (u *unigram) byteTokens() *[256]int32 {
	var ids [256]int32
	for b := range ids {
		id, ok := u.lookup(fmt.Sprintf("<0x%02X>", b))
		if !ok {
			return nil
		}
		ids[b] = id
	}
	return &ids
}

func (u *unigram) vocabulary() []string { return u.tokens }
func (u *unigram) unknown() int32       { return u.unk }

func (t *trie) lookup(token string) (int32, bool) {
	n, ok := t.walk(0, token)
	if !ok || t.value[n] == none {
		return 0, false
	}
	return t.value[n], true
}

// lattice is the best way to reach one byte position.
type lattice struct {
	score float64
	start int32 // where its last token begins; none = not reached
	id    int32 // that token, or none for an unknown character
}

// encode appends the best segmentation. Time O(len(piece) * longest token).
func (u *unigram) encode(ids []int32, piece []byte, s *scratch) []int32 {
	n := len(piece)
	if cap(s.best) <= n {
		s.best = make([]lattice, n+1+n/2)
	}
	best := s.best[:n+1]
	for i := range best {
		best[i] = lattice{start: none}
	}
	base, check, value := u.base, u.check, u.value
	for at := 0; at < n; {
		width := 1
		if piece[at] >= utf8.RuneSelf {
			_, width = utf8.DecodeRune(piece[at:])
		}
		here, single := best[at].score, false
		for node, end := int32(0), at; end < n; {
			next := base[node] + int32(piece[end]) + 1
			if int(next) >= len(check) || check[next] != node {
				break
			}
			node = next
			end++
			id := value[node]
			if id == none {
				continue
			}
			if to, score := &best[end], u.score[id]+here; to.start == none || score > to.score {
				*to = lattice{score, int32(at), id}
			}
			single = single || end-at == width
		}
		if !single {
			if to, score := &best[at+width], u.unkScore+here; to.start == none || score > to.score {
				*to = lattice{score, int32(at), none}
			}
		}
		at += width
	}
	return u.backtrack(ids, piece, best)
}

// backtrack reads the best path from the end and appends it in order. A run of
// unknown characters is one unknown token.
func (u *unigram) backtrack(ids []int32, piece []byte, best []lattice) []int32 {
	from := len(ids)
	fused := false
	for end := len(piece); end > 0; {
		step := best[end]
		switch {
		case step.id != none && step.id != u.unk:
			ids = append(ids, step.id)
			fused = false
		case u.fallback != nil:
			for i := end - 1; i >= int(step.start); i-- {
				ids = append(ids, u.fallback[piece[i]])
			}
		case !fused:
			ids = append(ids, u.unk)
			fused = true
		}
		end = int(step.start)
	}
	for i, j := from, len(ids)-1; i < j; i, j = i+1, j-1 {
		ids[i], ids[j] = ids[j], ids[i]
	}
	return ids
}
