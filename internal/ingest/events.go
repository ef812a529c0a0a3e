package ingest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Event is a row that says what a user did, or the reason why it does not.
type Event struct {
	Line       int64 // as in Row
	User, Item string
	Type, ID   string // "" where the row says nothing
	Time       time.Time
	Value      float64
	Context    []byte // JSON
	Err        error  // as in Row
}

// EventOptions say how events are read. The zero value reads columns of the names
// in EventColumns and times in seconds.
type EventOptions struct {
	Options // but for ID, Vectors, Columns, Types and List, which are not used
	// Column gives the column of a part of the event that has another name. A column
	// that the file lacks leaves its part empty; user, item and time must be there.
	Column map[string]string
	// TimeUnit of times that are numbers, since 1970 UTC; 0 is a second. Texts are
	// RFC 3339 or dates, or such numbers.
	TimeUnit time.Duration
}

// EventColumns are the parts of an event, and the columns that they come from.
var EventColumns = []string{"user", "item", "type", "time", "value", "id", "context"}

// Events is Open for files of events: NDJSON of flat objects, CSV, TSV or Parquet.
// Users, items and ids may be numbers, which stand for their decimals.
func Events(r io.Reader, o EventOptions) (iter.Seq[Event], error) {
	column := map[string]string{}
	for _, part := range EventColumns {
		column[part] = part
	}
	for part, name := range o.Column {
		if column[part] == "" || name == "" {
			return nil, fmt.Errorf("ingest: %w: column %q for %q: the parts of an event are %s", ErrOptions, name, part, strings.Join(EventColumns, ", "))
		}
		column[part] = name
	}
	in := o.Options
	in.ID, in.NoID, in.Vectors, in.List = "", true, nil, ""
	in.Columns = slices.Sorted(maps.Values(column))
	in.Types = map[string]string{}
	for part, name := range column {
		in.Types[name] = "keyword"
		if part == "value" {
			in.Types[name] = "float64"
		}
	}
	if in.Format != "" && !slices.Contains([]Format{NDJSON, CSV, TSV, Parquet}, in.Format) {
		return nil, fmt.Errorf("ingest: %w: a file of format %s holds no events; give ndjson, csv, tsv or parquet", ErrOptions, in.Format)
	}
	rows, err := Open(r, in)
	if err != nil {
		return nil, err
	}
	unit := o.TimeUnit
	if unit <= 0 {
		unit = time.Second
	}
	return func(yield func(Event) bool) {
		for row := range rows {
			e := Event{Line: row.Line, Err: row.Err}
			if e.Err == nil {
				if err := e.fill(row.Fields, column, unit); err != nil {
					e = Event{Line: row.Line, Err: err}
				}
			}
			if !yield(e) {
				return
			}
		}
	}, nil
}

// fill takes the parts of an event from a row.
func (e *Event) fill(fields map[string]any, column map[string]string, unit time.Duration) error {
	if len(fields) == 0 {
		return badRow("there is no column of an event; they are looked for as %s", strings.Join(slices.Sorted(maps.Values(column)), ", "))
	}
	for i, to := range []*string{&e.User, &e.Item, &e.Type, &e.ID} {
		part := []string{"user", "item", "type", "id"}[i]
		text, ok := textOf(fields[column[part]])
		if !ok {
			return badRow("the %s (column %q) is %v, not a text or a whole number", part, column[part], fields[column[part]])
		}
		if text == "" && (part == "user" || part == "item") {
			return badRow("there is no %s (column %q)", part, column[part])
		}
		*to = text
	}
	var err error
	if e.Time, err = timeOf(fields[column["time"]], unit); err != nil {
		return badRow("the time (column %q) %v", column["time"], err)
	}
	switch v := fields[column["value"]].(type) {
	case nil:
	case float64:
		e.Value = v
	case int64:
		e.Value = float64(v)
	case bool:
		if v {
			e.Value = 1
		}
	default:
		return badRow("the value (column %q) is %v, not a number", column["value"], v)
	}
	switch v := fields[column["context"]].(type) {
	case nil:
	case string:
		e.Context = []byte(v)
	default:
		if e.Context, err = plainJSON(v); err != nil {
			return badRow("the context (column %q): %v", column["context"], err)
		}
	}
	if len(e.Context) > 0 && !json.Valid(e.Context) {
		return badRow("the context (column %q) is not JSON: %.60q", column["context"], e.Context)
	}
	return nil
}

// textOf is a name as text: numbers, which pandas may have made floats of, as
// decimals.
func textOf(v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "", true
	case string:
		return v, true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		return strconv.FormatInt(int64(v), 10), v == math.Trunc(v) && math.Abs(v) < 1<<53
	}
	return "", false
}

// timeOf reads a time: a number in units since 1970 UTC, or a text.
func timeOf(v any, unit time.Duration) (time.Time, error) {
	if s, ok := v.(string); ok {
		if n, whole := parseInt(s); whole {
			v = n
		} else if f, number := parseFloat(s); number {
			v = f
		} else if t, ok := parseTime(s); ok {
			v = t
		}
	}
	var at time.Time
	switch v := v.(type) {
	case time.Time:
		at = v.UTC()
	case int64:
		seconds, rest := v/int64(time.Second/unit), v%int64(time.Second/unit)
		at = time.Unix(seconds, rest*int64(unit)).UTC()
	case float64:
		seconds := v * unit.Seconds()
		if math.Abs(seconds) > 1e11 {
			return at, errors.New("is outside the years 1678 to 2261")
		}
		whole := math.Floor(seconds)
		at = time.Unix(int64(whole), int64(math.Round((seconds-whole)*1e6)*1e3)).UTC() // what a float64 of our time holds
	case nil:
		return at, errors.New("is missing")
	default:
		return at, fmt.Errorf("is %v, neither a number nor an RFC 3339 time", v)
	}
	if y := at.Year(); y < 1678 || y > 2261 {
		return at, errors.New("is outside the years 1678 to 2261; numbers are in another unit, perhaps")
	}
	return at, nil
}

// plainJSON encodes a value without escaping what is not HTML.
func plainJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// Units are the names of units of time that are numbers.
var Units = map[string]time.Duration{"s": time.Second, "ms": time.Millisecond, "us": time.Microsecond, "ns": time.Nanosecond}
