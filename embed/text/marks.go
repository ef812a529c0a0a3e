package text

import (
	"encoding/json"
	"errors"
	"io/fs"
	"slices"
	"strings"
)

// marks are the tokens that BERT puts around every text, [CLS] and [SEP].
type marks struct{ before, after []int32 }

// processorSpec is the "post_processor" of tokenizer.json.
type processorSpec struct {
	Type       string            `json:"type"`
	Processors []json.RawMessage `json:"processors"`
	Single     []struct {
		Special *struct {
			ID   string `json:"id"`
			Type int    `json:"type_id"`
		} `json:"SpecialToken"`
		Sequence *struct {
			Type int `json:"type_id"`
		} `json:"Sequence"`
	} `json:"single"`
	Special map[string]struct {
		IDs []int32 `json:"ids"`
	} `json:"special_tokens"`
	CLS *pairSpec `json:"cls"`
	SEP *pairSpec `json:"sep"`
}

// pairSpec is a token and its id, as a list of the two.
type pairSpec struct{ id int32 }

func (p *pairSpec) UnmarshalJSON(data []byte) error {
	token := ""
	return json.Unmarshal(data, &[]any{&token, &p.id})
}

// decodeMarks reads what a post-processor adds to a single text. Without one, it
// is [CLS] and [SEP] if the vocabulary has both.
func decodeMarks(raw json.RawMessage, tok *tokenizer, depth int) (m marks, err error) {
	if len(raw) == 0 || string(raw) == "null" {
		cls, sep := slices.Index(tok.model.vocabulary(), "[CLS]"), slices.Index(tok.model.vocabulary(), "[SEP]")
		if cls >= 0 && sep >= 0 {
			m = marks{[]int32{int32(cls)}, []int32{int32(sep)}}
		}
		return m, nil
	}
	if depth > maxNesting {
		return m, modelError("tokenizer.json: post-processors are nested more than %d deep", maxNesting)
	}
	var s processorSpec
	if err := json.Unmarshal(raw, &s); err != nil {
		return m, modelError("tokenizer.json: post_processor: %v", err)
	}
	switch s.Type {
	case "Sequence":
		for _, p := range s.Processors {
			inner, err := decodeMarks(p, tok, depth+1)
			if err != nil {
				return m, err
			}
			m.before, m.after = append(inner.before, m.before...), append(m.after, inner.after...)
		}
	case "ByteLevel":
	case "BertProcessing", "RobertaProcessing":
		if s.CLS == nil || s.SEP == nil {
			return m, modelError("tokenizer.json: %s lacks cls or sep", s.Type)
		}
		m = marks{[]int32{s.CLS.id}, []int32{s.SEP.id}}
	case "TemplateProcessing":
		m, err = s.template()
	default:
		err = modelError("tokenizer.json: post_processor %.40q is not supported (TemplateProcessing, BertProcessing, RobertaProcessing and Sequence are)", s.Type)
	}
	if err == nil {
		err = m.check(tok.size)
	}
	return m, err
}

// template reads the parts before and after the text.
func (s *processorSpec) template() (m marks, err error) {
	side, texts := &m.before, 0
	for _, part := range s.Single {
		switch {
		case part.Sequence != nil && part.Sequence.Type == 0:
			side = &m.after
			texts++
		case part.Special != nil && part.Special.Type == 0:
			*side = append(*side, s.Special[part.Special.ID].IDs...)
		default:
			return m, modelError("tokenizer.json: the template of a single text has a part that is neither a token nor a text of type 0")
		}
	}
	if texts != 1 {
		return m, modelError("tokenizer.json: the template of a single text holds %d texts", texts)
	}
	return m, nil
}

// check refuses marks that no model has: size bounds their ids.
func (m marks) check(size int) error {
	all := append(slices.Clone(m.before), m.after...)
	if len(all) > 3 {
		return modelError("tokenizer.json: %d tokens around every text; at most 3 are read", len(all))
	}
	for _, id := range all {
		if id < 0 || int(id) >= size {
			return modelError("tokenizer.json: the post_processor adds token %d of %d", id, size)
		}
	}
	return nil
}

// readTokenizer reads tokenizer.json, or makes BERT's tokenizer of vocab.txt, a
// token a line. data is the tokenizer.json, for the fingerprint.
func readTokenizer(fsys fs.FS) (tok *tokenizer, m marks, data []byte, err error) {
	data, err = readFile(fsys, "tokenizer.json", maxTokenizerBytes)
	if errors.Is(err, fs.ErrNotExist) {
		vocabulary, missing := readFile(fsys, "vocab.txt", maxTokenizerBytes)
		if missing != nil {
			return nil, m, nil, err // a tokenizer.json is what is wanted
		}
		data, err = wordPieceSpec(fsys, string(vocabulary))
	}
	if err != nil {
		return nil, m, nil, err
	}
	var processor struct {
		Post json.RawMessage `json:"post_processor"`
	}
	if tok, err = decodeTokenizer(data); err != nil {
		return nil, m, nil, err
	}
	if err := json.Unmarshal(data, &processor); err != nil {
		return nil, m, nil, modelError("tokenizer.json: post_processor: %v", err)
	}
	m, err = decodeMarks(processor.Post, tok, 0)
	return tok, m, data, err
}

// wordPieceSpec is the tokenizer.json that Hugging Face makes of a vocab.txt and
// the settings of tokenizer_config.json.
func wordPieceSpec(fsys fs.FS, vocabulary string) ([]byte, error) {
	c := struct {
		Lower   *bool `json:"do_lower_case"`
		Accents *bool `json:"strip_accents"`
		Chinese *bool `json:"tokenize_chinese_chars"`
	}{}
	if _, err := readOptional(fsys, "tokenizer_config.json", &c); err != nil {
		return nil, err
	}
	type object = map[string]any
	ids := map[string]int{}
	lines := strings.Split(strings.TrimRight(vocabulary, "\n"), "\n")
	for i, line := range lines {
		ids[strings.TrimRight(line, "\r")] = i
	}
	var special []object
	for _, token := range []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"} {
		if id, ok := ids[token]; ok {
			special = append(special, object{"id": id, "content": token, "special": true})
		}
	}
	return json.Marshal(object{
		"added_tokens":  special,
		"normalizer":    object{"type": "BertNormalizer", "lowercase": isSet(c.Lower, true), "strip_accents": c.Accents, "handle_chinese_chars": isSet(c.Chinese, true)},
		"pre_tokenizer": object{"type": "BertPreTokenizer"},
		"model":         object{"type": "WordPiece", "unk_token": "[UNK]", "vocab": ids},
	})
}
