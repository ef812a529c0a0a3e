package main

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// table prints rows in aligned columns.
type table struct {
	head  []string
	right map[int]bool // columns aligned to the right
	rows  [][]string
}

// columns starts a table. A head that begins with ">" is aligned to the right.
func columns(head ...string) *table {
	t := &table{right: map[int]bool{}}
	for i, h := range head {
		name, right := strings.CutPrefix(h, ">")
		t.head = append(t.head, name)
		t.right[i] = right
	}
	return t
}

// add appends a row; cells are formatted by cell.
func (b *table) add(values ...any) {
	row := make([]string, len(b.head))
	for i := range min(len(values), len(row)) {
		row[i] = cell(values[i])
	}
	b.rows = append(b.rows, row)
}

// Widths of columns.
const (
	widest    = 48  // of all but the last where nothing bounds the line
	widestEnd = 120 // of the last
	narrowest = 8   // a column is not cut below this to make the line fit
)

// write prints the table. On a terminal the widest columns are cut until the
// line fits.
func (b *table) write(t *terminal) {
	wide := make([]int, len(b.head))
	for _, row := range append([][]string{b.head}, b.rows...) {
		for i, c := range row {
			wide[i] = max(wide[i], displayWidth(c))
		}
	}
	total := 0
	for i := range wide {
		limit := widest
		if i == len(wide)-1 {
			limit = max(widestEnd, t.width)
		}
		wide[i] = min(wide[i], limit)
		total += wide[i] + 2
	}
	for t.width > 0 && total > t.width {
		most := 0
		for i := range wide {
			if wide[i] >= wide[most] { // of equals, the one to the right
				most = i
			}
		}
		if wide[most] <= narrowest {
			break
		}
		wide[most]--
		total--
	}
	b.line(t, b.head, wide, dim)
	for _, row := range b.rows {
		b.line(t, row, wide, "")
	}
}

func (b *table) line(t *terminal, row []string, wide []int, style string) {
	var line strings.Builder
	for i, c := range row {
		c = cut(c, wide[i])
		pad := strings.Repeat(" ", wide[i]-displayWidth(c))
		line.WriteString("  ")
		if b.right[i] {
			line.WriteString(pad + c)
		} else {
			line.WriteString(c + pad)
		}
	}
	text := strings.TrimRight(line.String(), " ")
	if style != "" {
		text = t.style(style, text)
	}
	t.printf("%s\n", text)
}

// cell formats a value for people: stored text is made safe to print, lists
// are joined.
func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return clean(v)
	case float64:
		return strconv.FormatFloat(v, 'g', 6, 64)
	case []string:
		return clean(strings.Join(v, ", "))
	case []any:
		parts := make([]string, len(v))
		for i, x := range v {
			parts[i] = cell(x)
		}
		return strings.Join(parts, ", ")
	default:
		return clean(fmt.Sprint(v))
	}
}

// displayWidth is the number of terminal columns s takes: two for wide
// characters and emoji, none for combining marks.
func displayWidth(s string) int {
	n := 0
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

func runeWidth(r rune) int {
	switch {
	case r == 0x200d || r >= 0xfe00 && r <= 0xfe0f || unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Me, r):
		return 0
	case r < 0x1100:
		return 1
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// cut shortens s to at most wide columns, with an ellipsis where it was cut.
func cut(s string, wide int) string {
	if displayWidth(s) <= wide {
		return s
	}
	n := 0
	for i, r := range s {
		if n+runeWidth(r) > wide-1 {
			return s[:i] + "…"
		}
		n += runeWidth(r)
	}
	return s
}

// bytesText is n in the largest binary unit that keeps it at least 1.
func bytesText(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	x, unit := float64(n)/1024, 0
	for x >= 1024 && unit < len(units)-1 {
		x, unit = x/1024, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", x, units[unit])
}

// count is n with thin groups of three digits, for people.
func count[T int | int64 | uint64](n T) string {
	s := fmt.Sprint(n)
	start := 0
	if strings.HasPrefix(s, "-") {
		start = 1
	}
	for i := len(s) - 3; i > start; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
