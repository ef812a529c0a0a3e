package format

import (
	"errors"
	"fmt"
)

// Errors of this package, wrapped with detail.
var (
	// ErrCorrupt reports bytes that no encoder of this package wrote.
	ErrCorrupt = errors.New("stored bytes are damaged")
	// ErrLimit reports a value past a cap of limits.go; split or shorten it.
	ErrLimit = errors.New("value is larger than the format allows")
	// ErrValue reports a value that has no encoding: NaN, a coordinate off the
	// globe, text that is not UTF-8, a list within a list, a repeated name.
	ErrValue = errors.New("value cannot be stored")
	// ErrID reports a document id that its collection's id kind does not allow.
	ErrID = errors.New("document id is not valid")
	// ErrVersion reports bytes of a newer version than this binary reads.
	ErrVersion = errors.New("stored bytes are of a newer format version")
)

func corrupt(what string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(what, args...))
}
