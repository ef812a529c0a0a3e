package ingest

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// parsers turn the text of a CSV cell into a value, by type.
var parsers = map[string]func(string) (any, bool){
	"keyword": parseString,
	"text":    parseString,
	"bool":    parseBool,
	"int64":   parseInt,
	"float64": parseFloat,
	"time":    parseTime,
	"geo":     parsePoint,
	"json":    parseJSON,
}

func typeNames() []string {
	return []string{"keyword", "text", "bool", "int64", "float64", "time", "geo", "json"}
}

func parseString(s string) (any, bool) { return s, utf8.ValidString(s) }

func parseBool(s string) (any, bool) {
	switch strings.ToLower(s) {
	case "true", "t", "yes", "y", "1":
		return true, true
	case "false", "f", "no", "n", "0":
		return false, true
	}
	return nil, false
}

func parseInt(s string) (any, bool) {
	v, err := strconv.ParseInt(s, 10, 64)
	return v, err == nil
}

func parseFloat(s string) (any, bool) {
	v, err := strconv.ParseFloat(s, 64)
	return v, err == nil && !math.IsNaN(v) && !math.IsInf(v, 0)
}

func parseTime(s string) (any, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05", "2006-01-02T15:04:05", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return nil, false
}

// parsePoint reads "lat,lon" in degrees.
func parsePoint(s string) (any, bool) {
	a, b, ok := strings.Cut(s, ",")
	lat, ok1 := parseFloat(strings.TrimSpace(a))
	lon, ok2 := parseFloat(strings.TrimSpace(b))
	return map[string]any{"lat": lat, "lon": lon}, ok && ok1 && ok2
}

func parseJSON(s string) (any, bool) {
	p := &parser{b: []byte(s)}
	v, err := p.value(1)
	return v, err == nil && p.end() == nil
}

// infer finds the narrowest type that every cell of a column has: int64,
// float64, bool, else keyword. Empty cells say nothing. Numbers with a leading
// zero or plus are codes, not numbers.
func infer(cells []string) string {
	number, whole, truth, any := true, true, true, false
	for _, c := range cells {
		if c == "" {
			continue
		}
		any = true
		_, f := parseFloat(c)
		_, i := parseInt(c)
		number = number && f && plain(c)
		whole = whole && i
		truth = truth && slices.Contains([]string{"true", "false", "True", "False", "TRUE", "FALSE"}, c)
	}
	switch {
	case !any:
		return "keyword"
	case number && whole:
		return "int64"
	case number:
		return "float64"
	case truth:
		return "bool"
	}
	return "keyword"
}

// plain reports whether a number is written the usual way.
func plain(s string) bool {
	s = strings.TrimPrefix(s, "-")
	if s == "" || s[0] == '+' || strings.ContainsAny(s, "xX_pP") {
		return false
	}
	return len(s) == 1 || s[0] != '0' || s[1] == '.' || s[1] == 'e' || s[1] == 'E'
}
