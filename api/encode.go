package api

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/eiderdb/eider"
)

// encodeResult appends the JSON of a result and a line feed: the bytes that
// encoding/json makes of it without HTML escapes. Hits are written without
// reflection, which took longer than a search among few documents.
func encodeResult(buf *bytes.Buffer, r *eider.Result) error {
	e := encoder{b: append(buf.AvailableBuffer(), `{"hits":[`...)}
	for i := range r.Hits {
		if i > 0 {
			e.b = append(e.b, ',')
		}
		e.hit(&r.Hits[i])
	}
	e.b = append(e.b, ']')
	if len(r.Facets) > 0 {
		e.member("facets", r.Facets)
	}
	if r.Total != nil {
		e.b = strconv.AppendUint(append(e.b, `,"total":`...), *r.Total, 10)
	}
	if r.Cursor != "" {
		e.b = append(e.b, `,"cursor":`...)
		e.string(r.Cursor)
	}
	e.b = strconv.AppendUint(append(e.b, `,"lsn":`...), r.LSN, 10)
	if len(r.Models) > 0 {
		e.member("models", r.Models)
	}
	if r.Explain != nil {
		e.member("explain", r.Explain)
	}
	if len(r.Advice) > 0 {
		e.member("advice", r.Advice)
	}
	if e.err != nil {
		return e.err
	}
	buf.Write(append(e.b, '}', '\n'))
	return nil
}

// encoder appends JSON to b until something cannot be written.
type encoder struct {
	b   []byte
	err error
}

func (e *encoder) hit(h *eider.Hit) {
	e.b = append(e.b, `{"id":`...)
	e.string(h.ID)
	e.b = append(e.b, `,"score":`...)
	e.float(h.Score)
	if h.Version != 0 {
		e.b = strconv.AppendUint(append(e.b, `,"version":`...), h.Version, 10)
	}
	if len(h.Fields) > 0 {
		e.b = append(e.b, `,"fields":`...)
		e.object(h.Fields)
	}
	if len(h.Vectors) > 0 {
		e.member("vectors", h.Vectors)
	}
	if h.Group != nil {
		e.b = append(e.b, `,"group":`...)
		e.value(h.Group)
	}
	if len(h.Explain) > 0 {
		e.member("explain", h.Explain)
	}
	if len(h.Ranked) > 0 {
		e.member("ranked", h.Ranked)
	}
	e.b = append(e.b, '}')
}

// object writes m with its names in order.
func (e *encoder) object(m map[string]any) {
	var few [16]string
	names := slices.AppendSeq(few[:0], maps.Keys(m))
	slices.Sort(names)
	for i, name := range names {
		e.b = append(e.b, "{,"[min(i, 1)])
		e.string(name)
		e.b = append(e.b, ':')
		e.value(m[name])
	}
	e.b = append(e.b, '}')
}

func (e *encoder) value(x any) {
	switch v := x.(type) {
	case string:
		e.string(v)
	case int64:
		e.b = strconv.AppendInt(e.b, v, 10)
	case float64:
		e.float(v)
	case bool:
		e.b = strconv.AppendBool(e.b, v)
	case time.Time:
		var err error
		if e.b, err = v.AppendText(append(e.b, '"')); err != nil && e.err == nil {
			e.err = err
		}
		e.b = append(e.b, '"')
	default:
		e.other(x)
	}
}

// member writes a comma, a name that needs no escapes, and a value of any type.
func (e *encoder) member(name string, x any) {
	e.b = append(append(append(e.b, `,"`...), name...), `":`...)
	e.other(x)
}

// other writes what is rare.
func (e *encoder) other(x any) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(x); err != nil && e.err == nil {
		e.err = err
	}
	e.b = append(e.b, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
}

// float writes f as the shortest decimal that reads back as f.
func (e *encoder) float(f float64) {
	if abs := math.Abs(f); !(abs < 1e21) || abs < 1e-6 && abs != 0 { // with an exponent, or not at all
		e.other(f)
		return
	}
	e.b = strconv.AppendFloat(e.b, f, 'f', -1, 64)
}

func (e *encoder) string(s string) {
	ascii := true
	for i := range len(s) {
		c := s[i]
		if c < 0x20 || c == '"' || c == '\\' {
			e.other(s)
			return
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	// encoding/json escapes the two line separators that old JavaScript did not
	// take in strings.
	if !ascii && (!utf8.ValidString(s) || strings.Contains(s, "\u2028") || strings.Contains(s, "\u2029")) {
		e.other(s)
		return
	}
	e.b = append(append(append(e.b, '"'), s...), '"')
}
