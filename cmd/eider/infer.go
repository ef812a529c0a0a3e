package main

import (
	"encoding/json"
	"math"
	"regexp"
	"time"

	"github.com/eiderdb/eider"
	"github.com/eiderdb/eider/index"
)

// Bounds of what becomes an indexed keyword: longer or always different text
// is stored as text, which has no index.
const (
	keywordBytes    = 64
	keywordDistinct = 0.9 // share of distinct values above which a long enough sample is not a category
	keywordSample   = 50
)

// column is what the sample says about one field.
type column struct {
	kinds    map[eider.FieldType]int
	longest  int
	distinct map[string]bool
	values   int
}

// infer makes a schema from a sample of documents: the narrowest type that
// every value of a field has, with a filter index on all but text and JSON;
// vectors with the dimension of the first one and cosine distance.
func infer(sample []eider.Doc) eider.Schema {
	fields := map[string]*column{}
	s := eider.Schema{Fields: map[string]eider.Field{}}
	for _, doc := range sample {
		for name, v := range doc.Fields {
			c := fields[name]
			if c == nil {
				c = &column{kinds: map[eider.FieldType]int{}, distinct: map[string]bool{}}
				fields[name] = c
			}
			c.see(v)
		}
		for name, v := range doc.Vectors {
			if s.Vectors == nil {
				s.Vectors = map[string]eider.Vector{}
			}
			if _, known := s.Vectors[name]; !known && len(v) > 0 {
				s.Vectors[name] = eider.Vector{Dim: len(v), Metric: index.Cosine}
			}
		}
	}
	for name, c := range fields {
		if typ := c.typ(); typ != "" {
			s.Fields[name] = eider.Field{Type: typ, Index: typ != eider.Text && typ != eider.JSON}
		}
	}
	return s
}

// see notes one value; the members of a list count one by one.
func (c *column) see(v any) {
	switch v := v.(type) {
	case nil:
		return
	case []any:
		seeAll(c, v)
		return
	case []string:
		seeAll(c, v)
		return
	case []bool:
		seeAll(c, v)
		return
	case []int64:
		seeAll(c, v)
		return
	case []float64:
		seeAll(c, v)
		return
	case []time.Time:
		seeAll(c, v)
		return
	case string:
		c.longest = max(c.longest, len(v))
		c.distinct[v] = true
	}
	c.values++
	c.kinds[kindOf(v)]++
}

func seeAll[T any](c *column, list []T) {
	for _, x := range list {
		c.see(x)
	}
}

// timeText is the beginning of an RFC 3339 time; testing it first keeps the
// parser away from ordinary text.
var timeText = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}T`)

func kindOf(v any) eider.FieldType {
	switch v := v.(type) {
	case string:
		if timeText.MatchString(v) {
			if _, err := time.Parse(time.RFC3339Nano, v); err == nil {
				return eider.Time
			}
		}
		return eider.Keyword
	case bool:
		return eider.Bool
	case int, int64:
		return eider.Int64
	case json.Number:
		if _, err := v.Int64(); err == nil {
			return eider.Int64
		}
		return eider.Float64
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return eider.Int64
		}
		return eider.Float64
	case time.Time:
		return eider.Time
	case eider.Geo:
		return eider.Point
	case map[string]any:
		if _, lat := v["lat"]; lat && len(v) == 2 {
			if _, lon := v["lon"]; lon {
				return eider.Point
			}
		}
	}
	return eider.JSON
}

// typ is the narrowest type of all values, "" when there was none.
func (c *column) typ() eider.FieldType {
	if c.values == 0 {
		return ""
	}
	if len(c.kinds) == 1 {
		for kind := range c.kinds {
			if kind != eider.Keyword {
				return kind
			}
		}
		if c.longest > keywordBytes || c.values >= keywordSample && float64(len(c.distinct)) > keywordDistinct*float64(c.values) {
			return eider.Text
		}
		return eider.Keyword
	}
	switch c.values {
	case c.kinds[eider.Int64] + c.kinds[eider.Float64]:
		return eider.Float64
	case c.kinds[eider.Keyword] + c.kinds[eider.Time]:
		return eider.Keyword
	}
	return eider.JSON
}
