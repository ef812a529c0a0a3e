package text

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/eiderdb/eider/embed"
)

// HashedOptions shape a hashed encoder. The zero value is a good default.
type HashedOptions struct {
	// Dim is the width of the vectors, 16 to 4096; 0 means 256. With more, fewer
	// features fall on the same coordinate.
	Dim int
	// MinGram and MaxGram are the lengths of the character n-grams inside a word,
	// 1 <= MinGram <= MaxGram <= 8; both 0 means 3 to 5.
	MinGram, MaxGram int
	// GramWeight is the share of a word's length that its n-grams carry together,
	// the word itself having 1; 0 means 0.7, negative means no n-grams.
	GramWeight float64
	// IDF weighs words by their rarity in a corpus; nil weighs them alike but for
	// short words, which count less.
	IDF *IDF
}

// Hashed is a lexical encoder: every word of the text, and every character
// n-gram of the word, is hashed to a coordinate and a sign, the values are
// added up and the sum is scaled to unit length ("hashing trick", Weinberger et
// al. 2009; sub-words as in Bojanowski et al. 2017). The cosine of two vectors
// estimates how many words and spellings the texts share. It knows no
// synonyms and no languages; it forgives endings, compounds and typing errors.
//
// Words are runs of letters and digits after compatibility decomposition, lower
// case and without accents; any other visible symbol is a word of its own.
// Safe for concurrent use; Encode allocates nothing once warm.
type Hashed struct {
	o           HashedOptions
	fingerprint string
	pool        sync.Pool
}

// hashedAlgorithm is part of every fingerprint of a Hashed encoder.
const hashedAlgorithm = "hashed/1"

// NewHashed returns a hashed encoder; the error names an option out of range.
func NewHashed(o HashedOptions) (*Hashed, error) {
	if o.Dim == 0 {
		o.Dim = 256
	}
	if o.MinGram == 0 && o.MaxGram == 0 {
		o.MinGram, o.MaxGram = 3, 5
	}
	switch {
	case o.GramWeight == 0:
		o.GramWeight = 0.7
	case o.GramWeight < 0:
		o.GramWeight = 0
	}
	switch {
	case o.Dim < 16 || o.Dim > maxDim:
		return nil, fmt.Errorf("embed/text: hashed encoder: Dim %d is outside 16..%d", o.Dim, maxDim)
	case o.MinGram < 1 || o.MaxGram < o.MinGram || o.MaxGram > 8:
		return nil, fmt.Errorf("embed/text: hashed encoder: n-grams of %d to %d characters; 1 <= MinGram <= MaxGram <= 8 is needed", o.MinGram, o.MaxGram)
	case !(o.GramWeight <= 100):
		return nil, fmt.Errorf("embed/text: hashed encoder: GramWeight %v is above 100 or not a number", o.GramWeight)
	}
	h := &Hashed{o: o}
	digest := sha256.New()
	fmt.Fprintf(digest, "%s dim=%d grams=%d..%d weight=%v", hashedAlgorithm, o.Dim, o.MinGram, o.MaxGram, o.GramWeight)
	if o.IDF != nil {
		o.IDF.digest(digest)
	}
	h.fingerprint = hex.EncodeToString(digest.Sum(nil)[:16])
	return h, nil
}

// Name returns "hashed", or "hashed-N" for N other than 256 dimensions.
func (h *Hashed) Name() string {
	if h.o.Dim == 256 {
		return HashedName
	}
	return fmt.Sprintf("%s-%d", HashedName, h.o.Dim)
}

// Dim returns the width of the vectors.
func (h *Hashed) Dim() int { return h.o.Dim }

// Fingerprint returns 32 hexadecimal digits that name options and IDF table.
func (h *Hashed) Fingerprint() string { return h.fingerprint }

// hashing is the working memory of one Encode call.
type hashing struct {
	sum   []float64
	words words
	ends  []int // ends of the characters of "<word>"
	mark  []byte
}

// Encode implements [embed.Encoder].
func (h *Hashed) Encode(ctx context.Context, texts []string, dst [][]float32) error {
	if err := embed.Rows(texts, dst, h.o.Dim); err != nil {
		return err
	}
	s, _ := h.pool.Get().(*hashing)
	if s == nil {
		s = &hashing{sum: make([]float64, h.o.Dim)}
	}
	defer h.pool.Put(s)
	for i, text := range texts {
		if err := ctx.Err(); err != nil {
			return err
		}
		clear(s.sum)
		s.words.reset(text)
		for n := 1; s.words.next(); n++ {
			if n%4096 == 0 && ctx.Err() != nil { // a text may be a book
				return ctx.Err()
			}
			h.add(s)
		}
		if !unit(dst[i], s.sum) {
			return &embed.TextError{Index: i, Err: embed.ErrEmpty}
		}
	}
	return nil
}

// unit writes sum scaled to length 1, or returns false if it has no length.
func unit(dst []float32, sum []float64) bool {
	norm := 0.0
	for _, x := range sum {
		norm += float64(x * x)
	}
	if norm == 0 {
		return false
	}
	scale := 1 / math.Sqrt(norm)
	for i, x := range sum {
		dst[i] = float32(x * scale)
	}
	return true
}

// add adds the current word and its n-grams to the sum.
func (h *Hashed) add(s *hashing) {
	word := s.words.word
	id := hash(word, seedWord)
	w := 1.0
	if h.o.IDF != nil {
		w = h.o.IDF.weight(id)
	} else if n := utf8.RuneCount(word); n < 4 {
		w = float64(n+1) / 5
	}
	bump(s.sum, id, w)
	if h.o.GramWeight == 0 {
		return
	}
	s.mark = append(append(append(s.mark[:0], '<'), word...), '>')
	s.ends = append(s.ends[:0], 0)
	for i := range s.mark {
		if i > 0 && utf8.RuneStart(s.mark[i]) {
			s.ends = append(s.ends, i)
		}
	}
	s.ends = append(s.ends, len(s.mark))
	chars := len(s.ends) - 1
	count := 0
	for n := h.o.MinGram; n <= min(h.o.MaxGram, chars); n++ {
		count += chars - n + 1
	}
	if count == 0 {
		return
	}
	share := w * h.o.GramWeight / math.Sqrt(float64(count))
	for n := h.o.MinGram; n <= min(h.o.MaxGram, chars); n++ {
		for i := 0; i+n <= chars; i++ {
			bump(s.sum, hash(s.mark[s.ends[i]:s.ends[i+n]], seedGram), share)
		}
	}
}

// The seeds keep words and n-grams of the same letters apart.
const (
	seedWord = 0xcbf29ce484222325
	seedGram = 0x9e3779b97f4a7c15
)

// hash is FNV-1a with a finishing mix (splitmix64), so that all bits are good.
func hash(b []byte, seed uint64) uint64 {
	h := seed
	for _, c := range b {
		h = (h ^ uint64(c)) * 0x100000001b3
	}
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// bump adds w with the hash's sign at the hash's coordinate.
func bump(sum []float64, h uint64, w float64) {
	if h>>63 != 0 {
		w = -w
	}
	sum[(h&0x7fffffff)%uint64(len(sum))] += w
}

// words iterates over the words of a text.
type words struct {
	folded []byte
	at     int
	word   []byte // the current word, valid until the next call of next
	spare  []byte
}

// reset starts on text: folded to lower case, without accents, compatibility
// characters replaced.
func (w *words) reset(text string) {
	w.folded, w.at, w.word = append(w.folded[:0], text...), 0, nil
	if isASCII(w.folded) {
		for i, c := range w.folded {
			if 'A' <= c && c <= 'Z' {
				w.folded[i] = c + 'a' - 'A'
			}
		}
		return
	}
	w.spare = norm.NFKD.Append(w.spare[:0], w.folded...)
	w.folded = w.folded[:0]
	for i := 0; i < len(w.spare); {
		r, n := utf8.DecodeRune(w.spare[i:])
		i += n
		if r != utf8.RuneError && !unicode.Is(unicode.Mn, r) {
			w.folded = utf8.AppendRune(w.folded, unicode.ToLower(r))
		}
	}
}

// next moves to the next word, or returns false at the end.
func (w *words) next() bool {
	for w.at < len(w.folded) {
		r, n := utf8.DecodeRune(w.folded[w.at:])
		start := w.at
		w.at += n
		switch {
		case isWordRune(r):
			for w.at < len(w.folded) {
				r, n := utf8.DecodeRune(w.folded[w.at:])
				if !isWordRune(r) {
					break
				}
				w.at += n
			}
			w.word = w.folded[start:w.at]
			return true
		case r >= utf8.RuneSelf && unicode.IsSymbol(r):
			w.word = w.folded[start:w.at]
			return true
		}
	}
	return false
}

func isWordRune(r rune) bool {
	if r < utf8.RuneSelf {
		return 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || 'A' <= r && r <= 'Z'
	}
	return unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.Is(unicode.Mc, r)
}
