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
// another dimension.
func (db *DB) checkEncoder(name string, v Vector) error {
	if v.Encoder == "" {
		return nil
	}
	enc, err := db.encoders.get(v.Encoder)
	if err != nil {
		return err
	}
	if enc.Dim() != v.Dim {
		return fmt.Errorf("%w: vector %q has dim %d, encoder %q gives %d", ErrDimension, name, v.Dim, v.Encoder, enc.Dim())
	}
	return nil
}

// encode makes the vector of one text.
func (db *DB) encode(ctx context.Context, name, s string) ([]float32, error) {
	vecs, ok, err := db.encodeAll(ctx, name, []string{s})
	if err != nil {
		return nil, err
	}
	if !ok[0] {
		return nil, fmt.Errorf("%w: encoder %q finds nothing to encode in %q; use other words", ErrInvalid, name, s[:min(len(s), 80)])
	}
	return vecs[0], nil
}

// encodeAll makes the vectors of texts; ok is false for texts in which the
// encoder finds nothing.
func (db *DB) encodeAll(ctx context.Context, name string, texts []string) (vecs [][]float32, ok []bool, err error) {
	enc, err := db.encoders.get(name)
	if err != nil {
		return nil, nil, err
	}
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
