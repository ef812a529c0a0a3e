package index

import (
	"errors"
	"fmt"
	"strings"
)

// ErrFilter reports a filter that cannot be evaluated; the message says where
// and what to change.
var ErrFilter = errors.New("filter is not valid")

// Limits of a filter.
const (
	MaxFilterNodes = 256    // nodes in a tree
	MaxFilterDepth = 32     // nesting
	MaxFilterList  = 10_000 // values of one In, ids of one IDs
)

// Filter is a node of a typed tree. Exactly one form is set:
//
//   - And, Or: every, any of the children ("and": [] matches all, "or": [] none)
//   - Not: the documents that the child does not match
//   - IDs: the documents with these ids
//   - Field with conditions: all conditions that are set must hold for one value
//     of the field (a list field matches if any of its values does). Missing
//     fields match nothing; use Exists or Not for them.
//
// Conditions are typed by the field: numbers compare across int64 and float64,
// times are RFC 3339 strings or time.Time. Two filters that mean the same set
// give identical results, whichever way they are written: they are evaluated to
// bitmaps, and plans are chosen from the bitmap.
type Filter struct {
	And []Filter `json:"and,omitzero"`
	Or  []Filter `json:"or,omitzero"`
	Not *Filter  `json:"not,omitempty"`
	IDs []string `json:"ids,omitzero"`

	Field  string  `json:"field,omitempty"`
	Eq     any     `json:"eq,omitempty"`
	In     []any   `json:"in,omitzero"`
	Gt     any     `json:"gt,omitempty"`
	Gte    any     `json:"gte,omitempty"`
	Lt     any     `json:"lt,omitempty"`
	Lte    any     `json:"lte,omitempty"`
	Exists *bool   `json:"exists,omitempty"`
	Prefix string  `json:"prefix,omitempty"` // keyword fields
	Within *Circle `json:"within,omitempty"` // geo fields
	Box    *Box    `json:"box,omitempty"`    // geo fields
}

// Circle holds the points at most Meters from its centre, along the great
// circle of a sphere of radius 6,371,008.8 m.
type Circle struct {
	Lat    float64 `json:"lat"`
	Lon    float64 `json:"lon"`
	Meters float64 `json:"meters"`
}

// Box holds the points between its edges, edges included. MinLon > MaxLon
// crosses the 180th meridian.
type Box struct {
	MinLat float64 `json:"min_lat"`
	MaxLat float64 `json:"max_lat"`
	MinLon float64 `json:"min_lon"`
	MaxLon float64 `json:"max_lon"`
}

// leaf reports whether any field condition is set.
func (f *Filter) leaf() bool {
	return f.Eq != nil || f.In != nil || f.ranged() || f.Exists != nil || f.Prefix != "" || f.Within != nil || f.Box != nil
}

func (f *Filter) ranged() bool {
	return f.Gt != nil || f.Gte != nil || f.Lt != nil || f.Lte != nil
}

// Validate checks the shape of the tree: one form per node, the limits above,
// coordinates in range. It does not know the schema. Errors wrap ErrFilter.
func (f *Filter) Validate() error {
	nodes := 0
	return f.validate("/filter", 1, &nodes)
}

func (f *Filter) validate(at string, depth int, nodes *int) error {
	if *nodes++; *nodes > MaxFilterNodes {
		return fmt.Errorf("%w: more than %d nodes; use in with a list instead of many eq", ErrFilter, MaxFilterNodes)
	}
	if depth > MaxFilterDepth {
		return fmt.Errorf("%w at %s: nested deeper than %d", ErrFilter, at, MaxFilterDepth)
	}
	forms := 0
	for _, set := range []bool{f.And != nil, f.Or != nil, f.Not != nil, f.IDs != nil, f.Field != "" || f.leaf()} {
		if set {
			forms++
		}
	}
	if forms != 1 {
		return fmt.Errorf("%w at %s: a node has exactly one of and, or, not, ids, field; this one has %d", ErrFilter, at, forms)
	}
	switch {
	case f.Not != nil:
		return f.Not.validate(at+"/not", depth+1, nodes)
	case f.IDs != nil:
		if len(f.IDs) > MaxFilterList {
			return fmt.Errorf("%w at %s/ids: more than %d ids", ErrFilter, at, MaxFilterList)
		}
		return nil
	case f.And != nil || f.Or != nil:
		name, children := "and", f.And
		if f.Or != nil {
			name, children = "or", f.Or
		}
		for i := range children {
			if err := children[i].validate(fmt.Sprintf("%s/%s/%d", at, name, i), depth+1, nodes); err != nil {
				return err
			}
		}
		return nil
	}
	return f.validateLeaf(at)
}

func (f *Filter) validateLeaf(at string) error {
	switch {
	case f.Field == "":
		return fmt.Errorf("%w at %s: the condition names no field", ErrFilter, at)
	case !f.leaf():
		return fmt.Errorf("%w at %s: field %q has no condition; set one of eq, in, gt, gte, lt, lte, exists, prefix, within, box", ErrFilter, at, f.Field)
	case len(f.In) > MaxFilterList:
		return fmt.Errorf("%w at %s/in: more than %d values", ErrFilter, at, MaxFilterList)
	case f.Gt != nil && f.Gte != nil:
		return fmt.Errorf("%w at %s: both gt and gte are set; keep one", ErrFilter, at)
	case f.Lt != nil && f.Lte != nil:
		return fmt.Errorf("%w at %s: both lt and lte are set; keep one", ErrFilter, at)
	}
	if c := f.Within; c != nil && !(c.Lat >= -90 && c.Lat <= 90 && c.Lon >= -180 && c.Lon <= 180 && c.Meters >= 0 && c.Meters <= 1e9) {
		return fmt.Errorf("%w at %s/within: lat is -90..90, lon -180..180, meters 0..1e9", ErrFilter, at)
	}
	if b := f.Box; b != nil && !(b.MinLat >= -90 && b.MinLat <= b.MaxLat && b.MaxLat <= 90 &&
		b.MinLon >= -180 && b.MinLon <= 180 && b.MaxLon >= -180 && b.MaxLon <= 180) {
		return fmt.Errorf("%w at %s/box: min_lat <= max_lat within -90..90, longitudes within -180..180", ErrFilter, at)
	}
	return nil
}

// Names returns the names of the fields the filter reads, each once, in order
// of appearance.
func (f *Filter) Names() []string {
	var names []string
	seen := map[string]bool{}
	f.walk(func(n *Filter) {
		if n.Field != "" && !seen[n.Field] {
			seen[n.Field] = true
			names = append(names, n.Field)
		}
	})
	return names
}

func (f *Filter) walk(fn func(*Filter)) {
	fn(f)
	for i := range f.And {
		f.And[i].walk(fn)
	}
	for i := range f.Or {
		f.Or[i].walk(fn)
	}
	if f.Not != nil {
		f.Not.walk(fn)
	}
}

// Nearest returns the name of known that is closest to name by edit distance,
// for "did you mean" hints, or "" if none is within a third of its length.
func Nearest(name string, known []string) string {
	best, bestDist := "", len(name)/3+1
	for _, k := range known {
		if d := edits(strings.ToLower(name), strings.ToLower(k)); d <= bestDist && (best == "" || d < bestDist) {
			best, bestDist = k, d
		}
	}
	return best
}

// edits is the Levenshtein distance of two short strings, O(len(a) len(b)).
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diag := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diag
			if a[i-1] != b[j-1] {
				cost++
			}
			diag = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
