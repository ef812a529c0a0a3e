package eider

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/eiderdb/eider/embed"
	"github.com/eiderdb/eider/embed/text"
)

// encoders finds encoders by name: those given in Options, then the built-in
// ones, opened when first asked for.
type encoders struct {
	given map[string]embed.Encoder
	mu    sync.Mutex
	open  map[string]embed.Encoder
}

// maxText is the longest text, in bytes, that is encoded whole.
const maxText = 1 << 20

func (e *encoders) get(name string) (embed.Encoder, error) {
	if name == "" {
		return nil, fmt.Errorf("%w: the vector has no encoder; send a vector, or declare an encoder for it", ErrEncoder)
	}
	if enc, ok := e.given[name]; ok {
		return enc, nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if enc, ok := e.open[name]; ok {
		return enc, nil
	}
	if strings.ContainsAny(name, `/\.`) {
		// A schema may come over the network: it names encoders, never files.
		return nil, fmt.Errorf("%w: %q; schemas name encoders, never files; one in a folder is given by Options.Encoders, on the command line by --encoder-dir", ErrEncoder, name)
	}
	enc, err := text.Open(name)
	if err != nil {
		known := append(slices.Sorted(maps.Keys(e.given)), text.Names()...)
		return nil, fmt.Errorf("%w: %q; known are %s; others are given by Options.Encoders, on the command line by --encoder-dir", ErrEncoder, name, strings.Join(known, ", "))
	}
	if e.open == nil {
		e.open = map[string]embed.Encoder{}
	}
	e.open[name] = enc
	return enc, nil
}

// checkEncoder refuses a vector whose encoder is not there or makes vectors of
// another dimension. It returns the fingerprint of the encoder's space, "" without one.
func (db *DB) checkEncoder(name string, v Vector) (space string, err error) {
	if v.Encoder == "" {
		return "", nil
	}
	enc, err := db.encoders.get(v.Encoder)
	if err != nil {
		return "", err
	}
	if enc.Dim() != v.Dim {
		return "", fmt.Errorf("%w: vector %q has dim %d, encoder %q gives %d", ErrDimension, name, v.Dim, v.Encoder, enc.Dim())
	}
	return enc.Fingerprint(), nil
}

// settle notes the space of a vector.
func (s *stored) settle(name, space string) {
	if space == "" {
		return
	}
	if s.Spaces == nil {
		s.Spaces = map[string]string{}
	}
	s.Spaces[name] = space
}

// encoder is that of a vector, if it is the one that made the vectors there are: those
// of two spaces have distances that mean nothing. Vectors that were declared before
// this was noted have any.
func (db *DB) encoder(s *stored, name string) (embed.Encoder, error) {
	used := s.Schema.Vectors[name].Encoder
	enc, err := db.encoders.get(used)
	if err != nil {
		return nil, err
	}
	if space := s.Spaces[name]; space != "" && space != enc.Fingerprint() {
		return nil, fmt.Errorf("%w: encoder %q is another one (fingerprint %s) than vector %q was declared with (%s); give that one, or add a vector for the new one and write the documents again",
			ErrEncoder, used, enc.Fingerprint(), name, space)
	}
	return enc, nil
}

// encode makes the vector of one text.
func encode(ctx context.Context, enc embed.Encoder, s string) ([]float32, error) {
	vecs, ok, err := encodeAll(ctx, enc, []string{s})
	if err != nil {
		return nil, err
	}
	if !ok[0] {
		return nil, fmt.Errorf("%w: the encoder finds nothing to encode in %q; use other words", ErrInvalid, s[:min(len(s), 80)])
	}
	return vecs[0], nil
}

// encodeAll makes the vectors of texts; ok is false for texts in which the
// encoder finds nothing.
func encodeAll(ctx context.Context, enc embed.Encoder, texts []string) (vecs [][]float32, ok []bool, err error) {
	texts = slices.Clone(texts)
	for i, t := range texts {
		if len(t) > maxText {
			texts[i] = strings.ToValidUTF8(t[:maxText], "")
		}
	}
	vecs, ok = make([][]float32, len(texts)), make([]bool, len(texts))
	for from := 0; from < len(texts); {
		err := enc.Encode(ctx, texts[from:], vecs[from:])
		n := len(texts) - from
		var te *embed.TextError
		if errors.As(err, &te) && errors.Is(err, embed.ErrEmpty) {
			n = te.Index
		} else if err != nil {
			return nil, nil, err
		}
		for i := range n {
			ok[from+i] = true
		}
		from += n + 1
	}
	return vecs, ok, nil
}
