package text

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// rewrite appends the normalised form of src to dst, which is empty. Both src,
// which is left alone, and the result are valid UTF-8. It returns false, and
// dst is then of no use, when src is in normal form already.
type rewrite func(dst, src []byte) (out []byte, changed bool)

// maxNesting bounds how deep a Sequence may hold other Sequences.
const maxNesting = 8

// normalizerSpec is one node of the "normalizer" tree of tokenizer.json.
type normalizerSpec struct {
	Type         string            `json:"type"`
	Normalizers  []json.RawMessage `json:"normalizers"`
	CleanText    *bool             `json:"clean_text"`
	ChineseChars *bool             `json:"handle_chinese_chars"`
	StripAccents *bool             `json:"strip_accents"`
	Lowercase    *bool             `json:"lowercase"`
	StripLeft    *bool             `json:"strip_left"`
	StripRight   *bool             `json:"strip_right"`
	Prepend      string            `json:"prepend"`
	Content      string            `json:"content"`
	Pattern      pattern           `json:"pattern"`
}

// pattern is what a Replace or Split looks for: a literal or an expression.
type pattern struct {
	String *string `json:"String"`
	Regex  *string `json:"Regex"`
}

// isSet returns *b, or fallback when the file does not say.
func isSet(b *bool, fallback bool) bool {
	if b == nil {
		return fallback
	}
	return *b
}

// compileNormalizer turns a normalizer tree into rewrites to run in order.
func compileNormalizer(raw json.RawMessage, depth int) ([]rewrite, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	if depth > maxNesting {
		return nil, modelError("tokenizer.json: normalizers are nested more than %d deep", maxNesting)
	}
	var s normalizerSpec
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, modelError("tokenizer.json: normalizer: %v", err)
	}
	switch s.Type {
	case "Sequence":
		return compileSequence(s.Normalizers, depth)
	case "BertNormalizer":
		lower := isSet(s.Lowercase, true)
		b := bert{clean: isSet(s.CleanText, true), chinese: isSet(s.ChineseChars, true), strip: isSet(s.StripAccents, lower), lower: lower}
		return b.rewrites(), nil
	case "Lowercase":
		return []rewrite{lowercase}, nil
	case "NFC":
		return []rewrite{form(norm.NFC)}, nil
	case "NFD":
		return []rewrite{form(norm.NFD)}, nil
	case "NFKC":
		return []rewrite{form(norm.NFKC)}, nil
	case "NFKD":
		return []rewrite{form(norm.NFKD)}, nil
	case "StripAccents":
		return []rewrite{stripAccents}, nil
	case "Nmt":
		return []rewrite{nmt}, nil
	case "Strip":
		return []rewrite{trim(isSet(s.StripLeft, true), isSet(s.StripRight, true))}, nil
	case "Prepend":
		return []rewrite{prepend(s.Prepend)}, nil
	case "Replace":
		r, err := replace(s.Pattern, s.Content)
		if err != nil {
			return nil, err
		}
		return []rewrite{r}, nil
	}
	return nil, modelError("tokenizer.json: normalizer %q is not supported (known: Sequence, BertNormalizer, Lowercase, NFC, NFD, NFKC, NFKD, StripAccents, Nmt, Strip, Prepend, Replace)", s.Type)
}

// compileSequence compiles each part, joining runs of one-byte Replace rules
// into a single pass: a punctuation-splitting tokenizer has 32 of them.
func compileSequence(parts []json.RawMessage, depth int) ([]rewrite, error) {
	var out []rewrite
	var run *table
	for _, raw := range parts {
		if b, content, ok := byteRule(raw); ok && run.takes(b) {
			if run == nil {
				run = &table{}
				out = append(out, run.rewrite)
			}
			run.add(b, content)
			continue
		}
		run = nil
		if b, content, ok := byteRule(raw); ok {
			run = &table{}
			run.add(b, content)
			out = append(out, run.rewrite)
			continue
		}
		r, err := compileNormalizer(raw, depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, r...)
	}
	return out, nil
}

// byteRule reads a Replace of one ASCII byte.
func byteRule(raw json.RawMessage) (b byte, content string, ok bool) {
	var s normalizerSpec
	if json.Unmarshal(raw, &s) != nil || s.Type != "Replace" || s.Pattern.String == nil {
		return 0, "", false
	}
	p := *s.Pattern.String
	if len(p) != 1 || p[0] >= utf8.RuneSelf || !utf8.ValidString(s.Content) {
		return 0, "", false
	}
	return p[0], s.Content, true
}

// table replaces single ASCII bytes, all in one pass.
type table struct {
	to   [utf8.RuneSelf]string
	has  [utf8.RuneSelf]bool
	made [256]bool // bytes that some replacement writes
}

// takes reports whether a rule for b may join: running it after the others or
// together with them is the same only if no other rule writes b.
func (t *table) takes(b byte) bool { return t == nil || (!t.made[b] && !t.has[b]) }

func (t *table) add(b byte, content string) {
	t.to[b], t.has[b] = content, true
	for i := 0; i < len(content); i++ {
		t.made[content[i]] = true
	}
}

func (t *table) rewrite(dst, src []byte) ([]byte, bool) {
	from := 0
	for i, c := range src {
		if c < utf8.RuneSelf && t.has[c] {
			dst = append(append(dst, src[from:i]...), t.to[c]...)
			from = i + 1
		}
	}
	return append(dst, src[from:]...), from > 0
}

// form rewrites into a Unicode normal form.
func form(f norm.Form) rewrite {
	return func(dst, src []byte) ([]byte, bool) {
		if isASCII(src) || f.QuickSpan(src) == len(src) {
			return dst, false
		}
		return f.Append(dst, src...), true
	}
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func lowercase(dst, src []byte) ([]byte, bool) {
	changed := false
	for i := 0; i < len(src); {
		if c := src[i]; c < utf8.RuneSelf {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
				changed = true
			}
			dst = append(dst, c)
			i++
			continue
		}
		r, n := utf8.DecodeRune(src[i:])
		dst = appendLower(dst, r)
		i += n
		changed = true
	}
	return dst, changed
}

// appendLower appends the full lower-case form of r: one rune except for the
// dotted capital I.
func appendLower(dst []byte, r rune) []byte {
	if r == 'İ' {
		return append(dst, "i̇"...)
	}
	return utf8.AppendRune(dst, unicode.ToLower(r))
}

func stripAccents(dst, src []byte) ([]byte, bool) {
	if isASCII(src) {
		return dst, false
	}
	for i := 0; i < len(src); {
		r, n := utf8.DecodeRune(src[i:])
		if r < utf8.RuneSelf || !unicode.Is(unicode.Mn, r) {
			dst = append(dst, src[i:i+n]...)
		}
		i += n
	}
	return dst, true
}

// nmt drops the control characters and widens the spaces that SentencePiece's
// nmt_nfkc rule does.
func nmt(dst, src []byte) ([]byte, bool) {
	for i := 0; i < len(src); {
		r, n := utf8.DecodeRune(src[i:])
		i += n
		switch {
		case r >= 1 && r <= 8, r == 11, r >= 14 && r <= 31, r == 127, r == 0x8f, r == 0x9f:
		case r == 9, r == 10, r == 12, r == 13, r == 0x1680, r >= 0x200b && r <= 0x200f, r == 0x2028, r == 0x2029, r == 0x2581, r == 0xfeff, r == 0xfffd:
			dst = append(dst, ' ')
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst, true
}

func trim(left, right bool) rewrite {
	return func(dst, src []byte) ([]byte, bool) {
		full := len(src)
		if left {
			src = bytes.TrimLeftFunc(src, unicode.IsSpace)
		}
		if right {
			src = bytes.TrimRightFunc(src, unicode.IsSpace)
		}
		if len(src) == full {
			return dst, false
		}
		return append(dst, src...), true
	}
}

func prepend(s string) rewrite {
	return func(dst, src []byte) ([]byte, bool) {
		if len(src) == 0 || s == "" {
			return dst, false
		}
		return append(append(dst, s...), src...), true
	}
}

// replace compiles a Replace rule.
func replace(p pattern, content string) (rewrite, error) {
	content = strings.ToValidUTF8(content, "\uFFFD")
	switch {
	case p.String != nil && *p.String != "":
		old, with := []byte(*p.String), []byte(content)
		return func(dst, src []byte) ([]byte, bool) {
			changed := false
			for {
				i := bytes.Index(src, old)
				if i < 0 {
					return append(dst, src...), changed
				}
				dst = append(append(dst, src[:i]...), with...)
				src = src[i+len(old):]
				changed = true
			}
		}, nil
	case p.Regex != nil && *p.Regex == `\s+`:
		return func(dst, src []byte) ([]byte, bool) { return collapse(dst, src, content), true }, nil
	case p.Regex != nil:
		re, err := compileRegex(*p.Regex)
		if err != nil {
			return nil, err
		}
		with := []byte(content)
		return func(dst, src []byte) ([]byte, bool) {
			last := 0
			for _, m := range re.FindAllIndex(src, -1) {
				dst = append(append(dst, src[last:m[0]]...), with...)
				last = m[1]
			}
			return append(dst, src[last:]...), true
		}, nil
	}
	return nil, modelError("tokenizer.json: a Replace needs a pattern with a String or a Regex")
}

// collapse replaces each run of white space by content.
func collapse(dst, src []byte, content string) []byte {
	for i := 0; i < len(src); {
		r, n := rune(src[i]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRune(src[i:])
		}
		if !unicode.IsSpace(r) {
			dst = append(dst, src[i:i+n]...)
			i += n
			continue
		}
		for i < len(src) {
			r, n := utf8.DecodeRune(src[i:])
			if !unicode.IsSpace(r) {
				break
			}
			i += n
		}
		dst = append(dst, content...)
	}
	return dst
}

// compileRegex accepts the expressions that mean the same to Go's regexp and to
// the library that writes tokenizer.json. The backslash classes do not (they
// are Unicode-wide there, ASCII here), so expressions that use them are refused
// rather than read differently.
func compileRegex(expr string) (*regexp.Regexp, error) {
	if strings.Contains(expr, `\`) {
		return nil, modelError(`tokenizer.json: expression %q is not supported (a literal, \s+, or one without backslashes is)`, expr)
	}
	re, err := regexp.Compile(expr)
	if err != nil {
		return nil, modelError("tokenizer.json: expression %q: %v", expr, err)
	}
	return re, nil
}

// modelError makes an error that wraps ErrModel.
func modelError(format string, args ...any) error {
	return fmt.Errorf("embed/text: %w: %s", ErrModel, fmt.Sprintf(format, args...))
}
