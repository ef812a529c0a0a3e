package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/eiderdb/eider"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitDamage = 2  // stored data is damaged
	exitUsage  = 64 // the command line is wrong (EX_USAGE)
)

// failure is an error of the command line itself: what went wrong, what to do
// next, and the exit code.
type failure struct {
	what, next string
	code       int
	err        error // cause, or nil
}

func (f *failure) Error() string {
	if f.next == "" {
		return f.what
	}
	return f.what + "; " + f.next
}

func (f *failure) Unwrap() error { return f.err }

// usage is a wrong command line.
func usage(what, next string) error { return &failure{what: what, next: next, code: exitUsage} }

// failed is a command that could not do its work.
func failed(what, next string) error { return &failure{what: what, next: next, code: exitFailed} }

// report prints err as one line "eider: what; what to do next" and returns the
// exit code it stands for.
func report(w io.Writer, err error) int {
	fmt.Fprintln(w, clean("eider: "+describe(err)))
	return exitCode(err)
}

// exitCode maps err to the documented codes.
func exitCode(err error) int {
	var f *failure
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &f):
		return f.code
	case errors.Is(err, eider.ErrCorrupt):
		return exitDamage
	default:
		return exitFailed
	}
}

// describe says what happened and, where something can be done, what.
func describe(err error) string {
	var f *failure
	if errors.As(err, &f) {
		return f.Error()
	}
	if errors.Is(err, context.Canceled) {
		return "interrupted; what was acknowledged before is stored"
	}
	what, next := err.Error(), ""
	var e *eider.Error
	if errors.As(err, &e) {
		plain := *e
		plain.Hint = ""
		what, next = plain.Error(), e.Hint
	}
	if next == "" {
		next = advice(err)
	}
	what = strings.TrimPrefix(what, "eider: ")
	if next == "" {
		return what
	}
	return what + "; " + next
}

// advice is the next step for errors that bring none of their own.
func advice(err error) string {
	switch {
	case errors.Is(err, eider.ErrLocked): // the message names the process
		return "or ask that process over HTTP"
	case errors.Is(err, eider.ErrCorrupt):
		return "run `eider check` for a list, then `eider restore` from a backup"
	case errors.Is(err, eider.ErrVersion):
		return "use the eider that wrote it, or a newer one"
	case errors.Is(err, eider.ErrReadOnly):
		return "open it without --read-only"
	case errors.Is(err, eider.ErrFull):
		return "free disk space and try again"
	case errors.Is(err, fs.ErrNotExist):
		return "check the path"
	case errors.Is(err, fs.ErrPermission):
		return "check the permissions"
	default:
		return ""
	}
}
