package main

import (
	"bytes"
	"strings"
	"testing"
)

// printed is what fn prints on a terminal of some width.
func printed(width int, fn func(*terminal)) string {
	var out bytes.Buffer
	t := newTerminal(strings.NewReader(""), &out, &out, false)
	t.width = width
	fn(t)
	t.flush()
	return out.String()
}

func TestColumnsLineUpWhateverTheirWidth(t *testing.T) {
	b := columns("id", ">n", "name")
	b.add("a", 1, "🦆 duck")
	b.add("long", 1000, "漢字")
	got := printed(0, b.write)
	want := "  id       n  name\n  a        1  🦆 duck\n  long  1000  漢字\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestNoLineIsWiderThanTheTerminal(t *testing.T) {
	b := columns("id", "text")
	b.add("a", strings.Repeat("漢字 ", 100))
	b.add("b", strings.Repeat("x", 500))
	for line := range strings.Lines(printed(60, b.write)) {
		if w := displayWidth(strings.TrimSuffix(line, "\n")); w > 60 {
			t.Errorf("%d columns: %q", w, line)
		}
	}
}

func TestStoredTextCannotDriveTheTerminal(t *testing.T) {
	b := columns("text")
	b.add("\x1b]0;gotcha\a\x1b[2J\r\nnext\u202eevil\x9b31m")
	got := printed(0, b.write)
	if strings.ContainsAny(strings.ReplaceAll(got, "\n", ""), "\x1b\a\r\u202e\u009b") || strings.Count(got, "\n") != 2 {
		t.Errorf("control characters got through: %q", got)
	}
}

func TestSizesReadInTheirLargestUnit(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 1 << 40: "1.0 TiB"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", -123: "-123"} {
		if got := count(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
