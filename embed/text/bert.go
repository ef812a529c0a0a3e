package text

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// bert is BERT's normalizer: clean, set Chinese characters apart, strip
// accents, lower the case, in that order.
type bert struct{ clean, chinese, strip, lower bool }

// rewrites splits the normalizer into passes, so that plain ASCII text, which
// only the first one touches, is read once.
func (b bert) rewrites() []rewrite {
	out := []rewrite{b.cleaned}
	if b.strip {
		out = append(out, form(norm.NFD), stripAccents)
	}
	if b.lower {
		out = append(out, lowercase)
	}
	return out
}

// cleaned drops control characters, makes spaces plain, sets each Chinese
// character between spaces and lowers ASCII letters (which no later pass but
// lowercase would see).
func (b bert) cleaned(dst, src []byte) ([]byte, bool) {
	for i := 0; i < len(src); {
		c := src[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRune(src[i:])
			dst = b.appendRune(dst, r)
			i += n
			continue
		}
		i++
		switch {
		case b.lower && 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case b.clean && (c == '\t' || c == '\n' || c == '\r'):
			c = ' '
		case b.clean && (c < ' ' || c == 0x7f):
			continue
		}
		dst = append(dst, c)
	}
	return dst, true
}

// appendRune is cleaned for a rune outside ASCII.
func (b bert) appendRune(dst []byte, r rune) []byte {
	if b.clean {
		if r == utf8.RuneError || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co) {
			return dst
		}
		if unicode.IsSpace(r) {
			r = ' '
		}
	}
	if b.chinese && isChinese(r) {
		return append(utf8.AppendRune(append(dst, ' '), r), ' ')
	}
	return utf8.AppendRune(dst, r)
}

// isChinese reports whether r is in a CJK ideograph block (Hangul, Hiragana and
// Katakana are written with spaces or treated as letters and are not).
func isChinese(r rune) bool {
	switch {
	case r < 0x3400:
		return false
	case r <= 0x4DBF, r >= 0x4E00 && r <= 0x9FFF, r >= 0xF900 && r <= 0xFAFF,
		r >= 0x20000 && r <= 0x2A6DF, r >= 0x2A700 && r <= 0x2B73F, r >= 0x2B740 && r <= 0x2B81F,
		r >= 0x2B920 && r <= 0x2CEAF, r >= 0x2F800 && r <= 0x2FA1F:
		return true
	}
	return false
}

// isPunct is BERT's: all ASCII symbols count, and the Unicode P categories.
func isPunct(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= '!' && r <= '/' || r >= ':' && r <= '@' || r >= '[' && r <= '`' || r >= '{' && r <= '~'
	}
	return unicode.IsPunct(r)
}
