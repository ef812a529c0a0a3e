package din

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"

	"github.com/eiderdb/eider/storage/format"
)

// Vocabulary maps names, of items or of values of a field, to the rows of a
// table. Row 0 is of every name that is not in it. It never changes.
type Vocabulary struct {
	names []string // of row i+1
	rows  map[string]uint32
}

// MaxVocabulary is how many names a vocabulary has, MaxName their bytes.
const (
	MaxVocabulary = 1 << 22
	MaxName       = 4096
)

// NewVocabulary gives names[i] the row i+1. It keeps names. Error: ErrConfig for a
// name that comes twice or is too long, and too many of them.
func NewVocabulary(names []string) (*Vocabulary, error) {
	if len(names) > MaxVocabulary {
		return nil, fmt.Errorf("%w: a vocabulary of %d names, at most %d", ErrConfig, len(names), MaxVocabulary)
	}
	v := &Vocabulary{names, make(map[string]uint32, len(names))}
	for i, n := range names {
		if len(n) > MaxName {
			return nil, fmt.Errorf("%w: a name of %d bytes, at most %d", ErrConfig, len(n), MaxName)
		}
		v.rows[n] = uint32(i + 1)
	}
	if len(v.rows) != len(names) {
		return nil, fmt.Errorf("%w: %d of %d names come twice", ErrConfig, len(names)-len(v.rows), len(names))
	}
	return v, nil
}

// Len is the number of rows, row 0 included.
func (v *Vocabulary) Len() int { return len(v.names) + 1 }

// Row is the row of a name, 0 if it is not known.
func (v *Vocabulary) Row(name string) uint32 { return v.rows[name] }

// Names lists what has rows 1 to Len()-1. Read only.
func (v *Vocabulary) Names() []string { return v.names }

// Tensor is the vocabulary as bytes, U8: for each name in order of row its length
// as an unsigned varint and its bytes.
func (v *Vocabulary) Tensor() format.Tensor {
	var b []byte
	for _, n := range v.names {
		b = append(binary.AppendUvarint(b, uint64(len(n))), n...)
	}
	return format.Tensor{DType: "U8", Shape: []int{len(b)}, Data: b}
}

// Hash identifies the vocabulary, for Field.Vocabulary.
func (v *Vocabulary) Hash() string {
	sum := sha256.Sum256(v.Tensor().Data)
	return hex.EncodeToString(sum[:])
}

// ParseVocabulary reads what Tensor wrote. Error: ErrTensor.
func ParseVocabulary(t format.Tensor) (*Vocabulary, error) {
	if t.DType != "U8" || len(t.Data) > math.MaxInt32 {
		return nil, fmt.Errorf("%w: a vocabulary of %d bytes in %s", ErrTensor, len(t.Data), t.DType)
	}
	var names []string
	for b := t.Data; len(b) > 0; {
		n, used := binary.Uvarint(b)
		if used <= 0 || n > MaxName || n > uint64(len(b)-used) || len(names) == MaxVocabulary {
			return nil, fmt.Errorf("%w: name %d of a vocabulary is cut, or one too many", ErrTensor, len(names))
		}
		names = append(names, string(b[used:used+int(n)]))
		b = b[used+int(n):]
	}
	v, err := NewVocabulary(names)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTensor, err)
	}
	return v, nil
}
