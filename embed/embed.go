// Package embed turns raw input into vectors.
//
// An [Encoder] is one vector space: two vectors may be compared only when
// their encoders have the same [Encoder.Fingerprint]. Package embed/text has
// the text encoders that run locally with no server and no weights to fetch.
package embed

import (
	"context"
	"errors"
	"fmt"
)

// Encoder turns texts into vectors of one fixed width.
//
// An Encoder is immutable after it is made and safe for use by several
// goroutines at once. The same text gives the same vector whatever batch it is in:
// bit for bit on every machine, or from an encoder that is a neural network, on one
// machine, and within 1e-5 of it on others.
type Encoder interface {
	// Encode writes the vector of texts[i] into dst[i]. dst has as many rows as
	// texts; each row has length Dim, or is nil, in which case Encode allocates
	// it. Rows belong to the caller. Text is read as UTF-8; bytes that are not
	// UTF-8 count as U+FFFD.
	//
	// Errors: a [TextError] wrapping [ErrEmpty] for the first text in which the
	// encoder finds nothing to encode (rows before it are written, rows after it
	// are not), [ErrShape] when dst does not fit, and ctx.Err() between texts.
	// Cost is linear in the bytes of texts.
	Encode(ctx context.Context, texts []string, dst [][]float32) error
	// Dim is the number of floats in a vector, at least 1.
	Dim() int
	// Name is what a schema calls the encoder, for example "static-tiny".
	Name() string
	// Fingerprint names the vector space: a short hexadecimal digest of
	// everything that decides what Encode returns (weights, tokenizer, options
	// and version of the algorithm).
	Fingerprint() string
}

// ErrEmpty says that a text holds nothing the encoder knows: it is empty, only
// white space, or only unknown symbols. Such a text has no direction in the
// vector space, so no vector is made up for it; leave the vector out or give
// the document some text.
var ErrEmpty = errors.New("text holds nothing to encode")

// ErrShape says that the rows given to Encode do not fit the texts or Dim.
var ErrShape = errors.New("rows do not fit")

// TextError is an error about one text of a batch.
type TextError struct {
	Index int   // which text of the batch, from 0
	Err   error // why, for example ErrEmpty
}

func (e *TextError) Error() string { return fmt.Sprintf("embed: text %d: %v", e.Index, e.Err) }

// Unwrap returns the cause.
func (e *TextError) Unwrap() error { return e.Err }

// Rows checks dst against the contract of [Encoder.Encode] and allocates its
// nil rows, all from one slice. It is for authors of encoders; the error wraps
// [ErrShape].
func Rows(texts []string, dst [][]float32, dim int) error {
	if len(dst) != len(texts) {
		return fmt.Errorf("embed: %w: %d rows for %d texts", ErrShape, len(dst), len(texts))
	}
	missing := 0
	for i, row := range dst {
		if row == nil {
			missing++
		} else if len(row) != dim {
			return fmt.Errorf("embed: %w: row %d has %d floats, the encoder makes %d", ErrShape, i, len(row), dim)
		}
	}
	if missing == 0 {
		return nil
	}
	block := make([]float32, missing*dim)
	for i := range dst {
		if dst[i] == nil {
			dst[i], block = block[:dim:dim], block[dim:]
		}
	}
	return nil
}
