package storage

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/eiderdb/eider/storage/format"
)

// Errors of Open.
var (
	// ErrLocked reports a directory that another writer has open; the text says
	// which process and host. Close it, or open read-only.
	ErrLocked = errors.New("directory is in use by another process")
	// ErrVersion reports a directory written by a newer version; upgrade Eider.
	ErrVersion = format.ErrVersion
	// ErrCorrupt reports stored bytes that fail their checks; the text names the
	// file or key. Run Check, or restore a backup.
	ErrCorrupt = format.ErrCorrupt
)

// Errors of calls.
var (
	// ErrReadOnly reports a write to a store opened read-only.
	ErrReadOnly = errors.New("store is read-only")
	// ErrFull reports a write refused because the disk or the quota is nearly
	// used up. Reads and deletes go on; writes resume within seconds of space.
	ErrFull = errors.New("disk is full or quota is used up")
	// ErrClosed reports use after Close.
	ErrClosed = errors.New("store is closed")
	// ErrConflict reports a condition that does not hold; see ConflictError.
	ErrConflict = errors.New("document version does not match")
	// ErrExists reports a document, collection or alias that exists already.
	ErrExists = errors.New("already exists")
	// ErrNotFound reports a document, collection, alias, snapshot or setting that
	// does not exist.
	ErrNotFound = errors.New("not found")
	// ErrLimit reports a call past a cap of format/limits.go or of this package.
	ErrLimit = format.ErrLimit
	// ErrValue reports an argument that can never be stored.
	ErrValue = format.ErrValue
	// ErrID reports a document id its collection does not allow.
	ErrID = format.ErrID
	// ErrTrimmed reports changes that are no longer kept; start from a backup.
	ErrTrimmed = errors.New("changes have been trimmed")
	// ErrUnknown reports a Commit whose context ended after the committer had
	// taken the call: it will be wholly applied or wholly absent, and reading the
	// documents back tells which. It wraps the context's error.
	ErrUnknown = errors.New("outcome of the write is not known")
	// ErrFailed reports a store that stopped accepting writes after an internal
	// write error; reopen it.
	ErrFailed = errors.New("store has failed")
)

// ConflictError is an ErrConflict with the versions that differ.
type ConflictError struct {
	ID   string
	Want uint64 // version the caller asked for
	Have uint64 // version stored, 0 if the document does not exist
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("%v: id %q has version %d, not %d", ErrConflict, e.ID, e.Have, e.Want)
}

// Is makes errors.Is(err, ErrConflict) true.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// OpError says which operation of a call was refused; the whole call was.
type OpError struct {
	Index int    // position in the call
	ID    string // document id, "" for settings
	Err   error
}

func (e *OpError) Error() string {
	return fmt.Sprintf("operation %d (id %.80q): %v", e.Index, e.ID, e.Err)
}

// Unwrap returns the reason.
func (e *OpError) Unwrap() error { return e.Err }

// readError turns an error of a Pebble read into one of ours.
func readError(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pebble.ErrNotFound):
		return fmt.Errorf("%w: %s", ErrNotFound, what)
	case errors.Is(err, pebble.ErrClosed):
		return ErrClosed
	case pebble.IsCorruptionError(err):
		return fmt.Errorf("%w: %s: %v", ErrCorrupt, what, err)
	default:
		return fmt.Errorf("reading %s: %w", what, err)
	}
}
