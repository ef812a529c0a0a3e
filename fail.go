package eider

import (
	"context"
	"errors"
	"fmt"

	"github.com/eiderdb/eider/embed"
	"github.com/eiderdb/eider/embed/bottleneck"
	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/storage"
	"github.com/eiderdb/eider/storage/registry"
)

// pointed is an error with the place in the request it is about.
type pointed struct {
	at  string
	err error
}

func (p *pointed) Error() string { return p.err.Error() }
func (p *pointed) Unwrap() error { return p.err }

// locate notes which part of the request err is about; the innermost note wins.
func locate(where string, err error) error {
	var p *pointed
	if err == nil || errors.As(err, &p) {
		return err
	}
	return &pointed{where, err}
}

// codes maps sentinels to codes, most specific first.
var codes = []struct {
	err  error
	code Code
}{
	{ErrUnknownField, CodeUnknownField}, {ErrDimension, CodeDimension}, {ErrVector, CodeVector}, {ErrFilter, CodeFilter},
	{ErrNotFound, CodeNotFound}, {ErrExists, CodeExists}, {ErrConflict, CodeConflict}, {ErrTooLarge, CodeTooLarge},
	{ErrFull, CodeFull}, {ErrOverloaded, CodeOverloaded}, {ErrReadOnly, CodeReadOnly}, {ErrLocked, CodeLocked},
	{ErrVersion, CodeVersion}, {ErrCorrupt, CodeCorrupt}, {ErrCursor, CodeCursor}, {ErrTrimmed, CodeTrimmed},
	{ErrEncoder, CodeEncoder}, {ErrMismatch, CodeMismatch}, {ErrGate, CodeGate}, {ErrInUse, CodeInUse},
	{ErrClosed, CodeClosed}, {ErrInvalid, CodeInvalid},
	{context.DeadlineExceeded, CodeDeadline}, {context.Canceled, CodeCanceled},
}

// CodeOf gives the stable code of an error of this package, "" for nil, and
// CodeInternal for errors it does not know.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) && e.Code != "" {
		return e.Code
	}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	return CodeInternal
}

// lower maps the sentinels of the packages below to ours.
var lower = []struct{ from, to error }{
	{index.ErrDimension, ErrDimension}, {index.ErrNotFinite, ErrVector}, {index.ErrZeroVector, ErrVector},
	{index.ErrFilter, ErrFilter}, {index.ErrClosed, ErrClosed}, {index.ErrOption, ErrInvalid},
	{storage.ErrLocked, ErrLocked}, {storage.ErrVersion, ErrVersion}, {storage.ErrCorrupt, ErrCorrupt},
	{storage.ErrReadOnly, ErrReadOnly}, {storage.ErrFull, ErrFull}, {storage.ErrClosed, ErrClosed},
	{storage.ErrConflict, ErrConflict}, {storage.ErrExists, ErrExists}, {storage.ErrNotFound, ErrNotFound},
	{storage.ErrLimit, ErrTooLarge}, {storage.ErrValue, ErrInvalid}, {storage.ErrID, ErrInvalid},
	{storage.ErrTrimmed, ErrTrimmed}, {embed.ErrEmpty, ErrInvalid},
	{bottleneck.ErrConfig, ErrInvalid}, {bottleneck.ErrInput, ErrInvalid}, {bottleneck.ErrUnknown, ErrNotFound}, {bottleneck.ErrState, ErrCorrupt},
	{registry.ErrMismatch, ErrMismatch}, {registry.ErrGate, ErrGate}, {registry.ErrInUse, ErrInUse},
}

// translate wraps an error of a package below in our sentinel for it.
func translate(err error) error {
	if err == nil {
		return nil
	}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return err
		}
	}
	for _, l := range lower {
		if errors.Is(err, l.from) {
			return &translated{l.to, err}
		}
	}
	return err
}

// translated is both our sentinel and the error below, and reads as the latter.
type translated struct {
	sentinel error
	cause    error
}

func (t *translated) Error() string   { return t.cause.Error() }
func (t *translated) Unwrap() []error { return []error{t.sentinel, t.cause} }

// fail makes the *Error of an operation; nil stays nil.
func (db *DB) fail(op, collection, id string, err error) error {
	if err == nil {
		return nil
	}
	var known *Error
	if errors.As(err, &known) {
		return err
	}
	err = translate(err)
	e := &Error{Op: op, Collection: collection, ID: id, Err: err, Code: CodeOf(err)}
	var p *pointed
	if errors.As(err, &p) {
		e.Field = p.at
	}
	var o *storage.OpError
	if errors.As(err, &o) && id == "" {
		e.ID = o.ID
	}
	if e.Code == CodeInternal {
		e.Err = fmt.Errorf("%w: %w", ErrInternal, err)
	}
	return e
}

// fail is DB.fail for an operation on c.
func (c *Collection) fail(op, id string, err error) error { return c.db.fail(op, c.name, id, err) }
