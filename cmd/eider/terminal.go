package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"github.com/vbauerster/mpb/v8/cwriter"
)

// terminal is where a verb reads and writes.
type terminal struct {
	in   io.Reader
	out  *bufio.Writer // the answer
	errs io.Writer     // progress, notes, errors

	json      bool // the answer is JSON
	colour    bool // the answer may use colour
	errColour bool // progress may draw
	inTTY     bool
	width     int // columns of the answer; 0 is unlimited
}

func newTerminal(in io.Reader, out, errs io.Writer, asJSON bool) *terminal {
	t := &terminal{in: in, out: bufio.NewWriter(out), errs: errs, json: asJSON}
	plain := os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb"
	if f, ok := out.(*os.File); ok && isTTY(f) {
		t.colour = !plain && !asJSON
		t.width = 100
		if w, _, err := cwriter.GetSize(int(f.Fd())); err == nil && w > 20 {
			t.width = w
		}
	}
	if f, ok := errs.(*os.File); ok {
		t.errColour = isTTY(f) && os.Getenv("TERM") != "dumb"
	}
	if f, ok := in.(*os.File); ok {
		t.inTTY = isTTY(f)
	}
	return t
}

func isTTY(f *os.File) bool { return cwriter.IsTerminal(int(f.Fd())) }

// print writes v as one line of JSON.
func (t *terminal) print(v any) error {
	enc := json.NewEncoder(t.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// printf writes text of the answer.
func (t *terminal) printf(format string, args ...any) { fmt.Fprintf(t.out, format, args...) }

// note writes a line beside the answer.
func (t *terminal) note(format string, args ...any) {
	fmt.Fprintln(t.errs, clean(fmt.Sprintf(format, args...)))
}

// flush gives the reader what has been printed so far.
func (t *terminal) flush() error { return t.out.Flush() }

// Styles of the answer; they vanish without colour.
const (
	bold  = "1"
	dim   = "2"
	green = "32"
	blue  = "34"
	red   = "31"
)

// style wraps s in an ANSI style where colour is on.
func (t *terminal) style(code, s string) string {
	if !t.colour || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// clean makes stored text safe to print: control characters, which could move
// the cursor or rename the window, and direction overrides become spaces.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
			return ' '
		case r == unicode.ReplacementChar:
			return '?'
		}
		return r
	}, s)
}
