package text

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// tokenizer runs the pipeline of a tokenizer.json: added tokens are cut out of
// the raw text, the rest is normalised, split into pieces, and each piece is
// cut into tokens by the model. Post-processing (sentence marks) is left out,
// as Model2Vec does.
type tokenizer struct {
	raw       []added // matched before normalisation
	cooked    []added // matched after it
	rewrites  []rewrite
	splitters []splitter
	model     model
	size      int // ids are below size
	median    int // median length of a token in characters, at least 1
}

// added is a token matched literally.
type added struct {
	content              string
	id                   int32
	single, left, right  bool // a whole word only; swallow white space on that side
	special, afterNormal bool
}

// maxAdded bounds the added tokens: each position of a text is compared with
// those that share its first byte.
const maxAdded = 4096

// scratch is the working memory of one Encode call.
type scratch struct {
	text []byte
	a, b []byte
	p, q pieces
	best []lattice
	ids  []int32
	sum  []float64
}

// decodeTokenizer reads a tokenizer.json. Errors wrap ErrModel.
func decodeTokenizer(data []byte) (*tokenizer, error) {
	var spec struct {
		Added []struct {
			ID         int64  `json:"id"`
			Content    string `json:"content"`
			SingleWord bool   `json:"single_word"`
			Left       bool   `json:"lstrip"`
			Right      bool   `json:"rstrip"`
			Normalized bool   `json:"normalized"`
			Special    bool   `json:"special"`
		} `json:"added_tokens"`
		Normalizer   json.RawMessage `json:"normalizer"`
		PreTokenizer json.RawMessage `json:"pre_tokenizer"`
		Model        json.RawMessage `json:"model"`
	}
	if err := json.Unmarshal(data, &spec); err != nil {
		return nil, modelError("tokenizer.json: %v", err)
	}
	t := &tokenizer{}
	var err error
	if t.rewrites, err = compileNormalizer(spec.Normalizer, 0); err != nil {
		return nil, err
	}
	if t.splitters, err = compileSplitter(spec.PreTokenizer, 0); err != nil {
		return nil, err
	}
	if t.model, err = decodeModel(spec.Model); err != nil {
		return nil, err
	}
	if len(spec.Added) > maxAdded {
		return nil, modelError("tokenizer.json: %d added tokens; at most %d are read", len(spec.Added), maxAdded)
	}
	tokens := slices.Clone(t.model.vocabulary())
	limit := int64(len(tokens)) + maxAdded
	for _, a := range spec.Added {
		if a.ID < 0 || a.ID >= limit {
			return nil, modelError("tokenizer.json: added token %.40q has id %d in a vocabulary of %d", a.Content, a.ID, len(tokens))
		}
		if a.Content == "" || len(a.Content) > maxTokenBytes {
			return nil, modelError("tokenizer.json: added token %d is empty or longer than %d bytes", a.ID, maxTokenBytes)
		}
		for int64(len(tokens)) <= a.ID {
			tokens = append(tokens, "")
		}
		tokens[a.ID] = a.Content
		one := added{a.Content, int32(a.ID), a.SingleWord, a.Left, a.Right, a.Special, a.Normalized}
		if a.Normalized {
			one.content = string(t.normalize([]byte(a.Content), &scratch{}))
			if one.content != "" {
				t.cooked = append(t.cooked, one)
			}
		} else {
			t.raw = append(t.raw, one)
		}
	}
	longestFirst(t.raw)
	longestFirst(t.cooked)
	t.size, t.median = len(tokens), medianRunes(tokens)
	return t, nil
}

func decodeModel(raw json.RawMessage) (model, error) {
	var kind struct {
		Type string `json:"type"`
	}
	if len(raw) == 0 {
		return nil, modelError("tokenizer.json: there is no model")
	}
	if err := json.Unmarshal(raw, &kind); err != nil {
		return nil, modelError("tokenizer.json: model: %v", err)
	}
	switch kind.Type {
	case "Unigram":
		return decodeUnigram(raw)
	case "WordPiece":
		return decodeWordPiece(raw)
	}
	return nil, modelError("tokenizer.json: model %q is not supported (Unigram and WordPiece are)", kind.Type)
}

func longestFirst(list []added) {
	slices.SortStableFunc(list, func(a, b added) int { return cmp.Compare(len(b.content), len(a.content)) })
}

// medianRunes is the median token length in characters, rounded down.
func medianRunes(tokens []string) int {
	lengths := make([]int, 0, len(tokens))
	for _, t := range tokens {
		if t != "" {
			lengths = append(lengths, utf8.RuneCountInString(t))
		}
	}
	if len(lengths) == 0 {
		return 1
	}
	slices.Sort(lengths)
	mid := len(lengths) / 2
	if len(lengths)%2 == 0 {
		return max(1, (lengths[mid-1]+lengths[mid])/2)
	}
	return max(1, lengths[mid])
}

// encode returns the token ids of text, valid until s is used again.
func (t *tokenizer) encode(text string, s *scratch) []int32 {
	s.text = append(s.text[:0], text...)
	if !utf8.Valid(s.text) {
		s.text = append(s.text[:0], strings.ToValidUTF8(text, "\uFFFD")...)
	}
	s.ids = s.ids[:0]
	t.sections(s.text, t.raw, s, func(section []byte, first bool) {
		normal := t.normalize(section, s)
		t.sections(normal, t.cooked, s, func(section []byte, start bool) {
			t.tokenize(section, first && start, s)
		})
	})
	return s.ids
}

// sections cuts text at the added tokens of list, appending their ids, and
// hands each part between them to fn.
func (t *tokenizer) sections(text []byte, list []added, s *scratch, fn func(section []byte, first bool)) {
	from := 0
	if len(list) > 0 {
		for at := 0; at < len(text); {
			a := match(text[at:], list)
			if a == nil {
				at++
				continue
			}
			lo, hi := at, at+len(a.content)
			at = hi
			if a.single && (endsWithWord(text[:lo]) || startsWithWord(text[hi:])) {
				continue
			}
			if a.left {
				for lo > from {
					r, n := utf8.DecodeLastRune(text[from:lo])
					if !unicode.IsSpace(r) {
						break
					}
					lo -= n
				}
			}
			if a.right {
				for hi < len(text) {
					r, n := utf8.DecodeRune(text[hi:])
					if !unicode.IsSpace(r) {
						break
					}
					hi += n
				}
			}
			if lo > from {
				fn(text[from:lo], from == 0)
			}
			s.ids = append(s.ids, a.id)
			from, at = hi, hi
		}
	}
	if from < len(text) {
		fn(text[from:], from == 0)
	}
}

// match returns the longest token of list that text starts with.
func match(text []byte, list []added) *added {
	for i := range list {
		if c := list[i].content; c[0] == text[0] && hasPrefix(text, c) {
			return &list[i]
		}
	}
	return nil
}

func endsWithWord(b []byte) bool {
	r, n := utf8.DecodeLastRune(b)
	return n > 0 && wordClass(r) == word
}

func startsWithWord(b []byte) bool {
	r, n := utf8.DecodeRune(b)
	return n > 0 && wordClass(r) == word
}

// normalize runs the rewrites over section. The result lies in s or is section
// itself.
func (t *tokenizer) normalize(section []byte, s *scratch) []byte {
	in, out := section, &s.a
	for _, r := range t.rewrites {
		got, changed := r((*out)[:0], in)
		if cap(got) > cap(*out) {
			*out = got
		}
		if !changed {
			continue
		}
		in = got
		if out == &s.a {
			out = &s.b
		} else {
			out = &s.a
		}
	}
	return in
}

// tokenize splits a normalised section into pieces and appends their tokens.
func (t *tokenizer) tokenize(section []byte, first bool, s *scratch) {
	p, q := &s.p, &s.q
	p.reset()
	p.buf = append(p.buf, section...)
	p.cut()
	for _, split := range t.splitters {
		q.reset()
		p.each(func(i int, piece []byte) { split(q, piece, first && i == 0) })
		p, q = q, p
	}
	p.each(func(_ int, piece []byte) { s.ids = t.model.encode(s.ids, piece, s) })
}
