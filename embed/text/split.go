package text

import (
	"encoding/json"
	"unicode"
	"unicode/utf8"
)

// pieces is a list of byte strings laid end to end: piece i is
// buf[end[i-1]:end[i]].
type pieces struct {
	buf []byte
	end []int
}

func (p *pieces) reset() { p.buf, p.end = p.buf[:0], p.end[:0] }

// cut ends a piece at the end of buf; an empty piece is not kept.
func (p *pieces) cut() {
	last := 0
	if n := len(p.end); n > 0 {
		last = p.end[n-1]
	}
	if len(p.buf) > last {
		p.end = append(p.end, len(p.buf))
	}
}

// each calls fn with every piece in order.
func (p *pieces) each(fn func(i int, piece []byte)) {
	from := 0
	for i, end := range p.end {
		fn(i, p.buf[from:end])
		from = end
	}
}

// splitter appends the parts of piece to dst, ending each by cut. first says
// that piece starts the text.
type splitter func(dst *pieces, piece []byte, first bool)

// splitterSpec is one node of the "pre_tokenizer" tree of tokenizer.json.
type splitterSpec struct {
	Type             string            `json:"type"`
	Pretokenizers    []json.RawMessage `json:"pretokenizers"`
	Replacement      string            `json:"replacement"`
	PrependScheme    *string           `json:"prepend_scheme"`
	AddPrefixSpace   *bool             `json:"add_prefix_space"`
	Split            *bool             `json:"split"`
	IndividualDigits bool              `json:"individual_digits"`
	Behavior         string            `json:"behavior"`
}

// compileSplitter turns a pre_tokenizer tree into splitters to run in order.
func compileSplitter(raw json.RawMessage, depth int) ([]splitter, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	if depth > maxNesting {
		return nil, modelError("tokenizer.json: pre_tokenizers are nested more than %d deep", maxNesting)
	}
	var s splitterSpec
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, modelError("tokenizer.json: pre_tokenizer: %v", err)
	}
	switch s.Type {
	case "Sequence":
		var out []splitter
		for _, p := range s.Pretokenizers {
			more, err := compileSplitter(p, depth+1)
			if err != nil {
				return nil, err
			}
			out = append(out, more...)
		}
		return out, nil
	case "BertPreTokenizer":
		return []splitter{splitClass(bertClass)}, nil
	case "WhitespaceSplit":
		return []splitter{splitClass(spaceClass)}, nil
	case "Whitespace":
		return []splitter{splitClass(wordClass)}, nil
	case "Punctuation":
		if s.Behavior != "" && s.Behavior != "Isolated" {
			return nil, modelError("tokenizer.json: pre_tokenizer Punctuation with behavior %q is not supported (Isolated is)", s.Behavior)
		}
		return []splitter{splitClass(punctClass)}, nil
	case "Digits":
		if s.IndividualDigits {
			return []splitter{splitClass(digitClass)}, nil
		}
		return []splitter{splitClass(numberClass)}, nil
	case "Metaspace":
		return compileMetaspace(s)
	}
	return nil, modelError("tokenizer.json: pre_tokenizer %q is not supported (known: Sequence, BertPreTokenizer, WhitespaceSplit, Whitespace, Punctuation, Digits, Metaspace)", s.Type)
}

// class says how splitClass treats a rune.
type class uint8

const (
	drop  class = iota // a border that is thrown away
	alone              // a piece of its own
	word               // joins neighbours of class word
	other              // joins neighbours of class other
)

// splitClass cuts where the class of runes changes.
func splitClass(of func(rune) class) splitter {
	return func(dst *pieces, piece []byte, _ bool) {
		last := drop
		for i := 0; i < len(piece); {
			r, n := utf8.DecodeRune(piece[i:])
			c := of(r)
			if c != last || c == alone {
				dst.cut()
			}
			if c != drop {
				dst.buf = append(dst.buf, piece[i:i+n]...)
			}
			last = c
			i += n
		}
		dst.cut()
	}
}

func bertClass(r rune) class {
	switch {
	case unicode.IsSpace(r):
		return drop
	case isPunct(r):
		return alone
	}
	return word
}

func spaceClass(r rune) class {
	if unicode.IsSpace(r) {
		return drop
	}
	return word
}

func punctClass(r rune) class {
	if isPunct(r) {
		return alone
	}
	return word
}

func digitClass(r rune) class {
	if unicode.IsNumber(r) {
		return alone
	}
	return word
}

func numberClass(r rune) class {
	if unicode.IsNumber(r) {
		return other
	}
	return word
}

// wordClass is \w+ or [^\w\s]+ with Unicode classes.
func wordClass(r rune) class {
	switch {
	case unicode.IsSpace(r):
		return drop
	case unicode.IsLetter(r), unicode.Is(unicode.M, r), unicode.Is(unicode.Nd, r), unicode.Is(unicode.Nl, r),
		unicode.Is(unicode.Pc, r), unicode.Is(unicode.Other_Alphabetic, r), r == '\u200c', r == '\u200d':
		return word
	}
	return other
}

// compileMetaspace is SentencePiece's way with spaces: each becomes a visible
// mark, and the text may get one in front.
func compileMetaspace(s splitterSpec) ([]splitter, error) {
	scheme := "always"
	if s.PrependScheme != nil {
		scheme = *s.PrependScheme
	} else if !isSet(s.AddPrefixSpace, true) {
		scheme = "never"
	}
	if scheme != "always" && scheme != "first" && scheme != "never" {
		return nil, modelError("tokenizer.json: Metaspace prepend_scheme %q is not one of always, first, never", scheme)
	}
	mark := s.Replacement
	if utf8.RuneCountInString(mark) != 1 || !utf8.ValidString(mark) {
		return nil, modelError("tokenizer.json: Metaspace replacement %q is not one character", mark)
	}
	split := isSet(s.Split, true)
	return []splitter{func(dst *pieces, piece []byte, first bool) {
		if scheme == "always" || scheme == "first" && first {
			if piece[0] != ' ' && !hasPrefix(piece, mark) {
				dst.buf = append(dst.buf, mark...)
			}
		}
		for i := 0; i < len(piece); {
			_, n := utf8.DecodeRune(piece[i:])
			space := piece[i] == ' '
			if split && i > 0 && (space || hasPrefix(piece[i:], mark)) {
				dst.cut()
			}
			if space {
				dst.buf = append(dst.buf, mark...)
			} else {
				dst.buf = append(dst.buf, piece[i:i+n]...)
			}
			i += n
		}
		dst.cut()
	}}, nil
}

func hasPrefix(b []byte, s string) bool { return len(b) >= len(s) && string(b[:len(s)]) == s }
