package eider

import (
	"errors"
	"fmt"
	"strings"
)

// Code is the stable name of an error kind. It is the `code` of the HTTP
// problem document too, so a program can move between the library and the
// server without learning a second set of names.
type Code string

// The codes. Each has one sentinel below and one HTTP status (see docs/api.md).
const (
	CodeInvalid      Code = "invalid_request"
	CodeUnknownField Code = "unknown_field"
	CodeDimension    Code = "dimension_mismatch"
	CodeVector       Code = "invalid_vector"
	CodeFilter       Code = "filter_syntax"
	CodeNotFound     Code = "not_found"
	CodeExists       Code = "already_exists"
	CodeConflict     Code = "version_conflict"
	CodeTooLarge     Code = "payload_too_large"
	CodeFull         Code = "quota_exceeded"
	CodeOverloaded   Code = "overloaded"
	CodeDeadline     Code = "deadline_exceeded"
	CodeCanceled     Code = "canceled"
	CodeReadOnly     Code = "read_only"
	CodeLocked       Code = "locked"
	CodeVersion      Code = "format_version"
	CodeCorrupt      Code = "corrupt"
	CodeCursor       Code = "cursor_expired"
	CodeTrimmed      Code = "changes_trimmed"
	CodeEncoder      Code = "encoder_unavailable"
	CodeMismatch     Code = "model_mismatch"
	CodeGate         Code = "promotion_refused"
	CodeInUse        Code = "in_use"
	CodeClosed       Code = "closed"
	CodeInternal     Code = "internal"
)

// Sentinels for errors.Is. Every error of this package that a caller can act
// on is an *Error that wraps one of them (or the context's error).
var (
	ErrInvalid      = errors.New("invalid request")
	ErrUnknownField = errors.New("unknown field")
	ErrDimension    = errors.New("vector has the wrong dimension")
	ErrVector       = errors.New("vector cannot be used")
	ErrFilter       = errors.New("filter is not valid")
	ErrNotFound     = errors.New("not found")
	ErrExists       = errors.New("already exists")
	ErrConflict     = errors.New("version conflict")
	ErrTooLarge     = errors.New("too large")
	ErrFull         = errors.New("out of disk space")
	ErrOverloaded   = errors.New("overloaded")
	ErrReadOnly     = errors.New("database is read-only")
	ErrLocked       = errors.New("database is in use by another process")
	ErrVersion      = errors.New("unsupported format version")
	ErrCorrupt      = errors.New("stored data is damaged")
	ErrCursor       = errors.New("cursor is no longer valid")
	ErrTrimmed      = errors.New("changes are no longer kept")
	ErrEncoder      = errors.New("encoder is not available")
	ErrMismatch     = errors.New("model does not fit")
	ErrGate         = errors.New("promotion refused")
	ErrInUse        = errors.New("model version is in use")
	ErrClosed       = errors.New("database is closed")
	ErrInternal     = errors.New("internal error")
)

// Error says which operation failed, on what, why, and what to do next.
type Error struct {
	Op         string // "upsert", "search", ...
	Collection string // "" when the operation has none
	ID         string // document id, "" when the operation has none
	Field      string // JSON pointer into the request ("/retrieve/0/near/vector"), "" if none
	Code       Code
	Hint       string // what to do next, "" when the cause says it
	Err        error  // cause; wraps a sentinel
}

// Error reads "eider: op collection/id: cause (hint)".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("eider: ")
	b.WriteString(e.Op)
	if e.Collection != "" {
		b.WriteString(" " + e.Collection)
		if e.ID != "" {
			b.WriteString("/" + e.ID)
		}
	}
	if e.Field != "" {
		b.WriteString(" at " + e.Field)
	}
	b.WriteString(": " + e.Err.Error())
	if e.Hint != "" {
		b.WriteString(" (" + e.Hint + ")")
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// BatchError lists why single operations of a non-atomic batch failed.
type BatchError struct {
	Failed []ItemError
}

// ItemError is the failure of one operation, by its position in the call.
type ItemError struct {
	Index int
	Err   error
}

func (e *BatchError) Error() string {
	return fmt.Sprintf("eider: %d operations failed, first (number %d): %v", len(e.Failed), e.Failed[0].Index, e.Failed[0].Err)
}

// Unwrap gives every cause, for errors.Is and errors.As.
func (e *BatchError) Unwrap() []error {
	errs := make([]error, len(e.Failed))
	for i, f := range e.Failed {
		errs[i] = f.Err
	}
	return errs
}
