package eider

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/storage/format"
)

// Limits that schemas, documents and queries must keep to.
const (
	MaxFields      = 512   // declared fields of a collection
	MaxVectors     = 16    // named vectors of a collection
	MaxDocFields   = 1024  // fields of one document
	MaxLimit       = 1000  // hits of a page, candidates of a source
	MaxEf          = 4096  // pool of a graph walk
	MaxSources     = 16    // sources of a query
	MaxFacets      = 32    // facets of a query
	MaxBatch       = 10000 // writes of one call
	MaxCollections = 10000 // collections of a database
)

// validName reports whether s names a collection, alias or vector:
// [a-z0-9_-]{1,64}.
func validName(s string) bool {
	if len(s) < 1 || len(s) > 64 {
		return false
	}
	return strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' || r == '-')
	}) < 0
}

// validField reports whether s names a field: [A-Za-z_][A-Za-z0-9_.-]{0,127}.
func validField(s string) bool {
	if len(s) < 1 || len(s) > 128 {
		return false
	}
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_'
		if !letter && (i == 0 || !(r >= '0' && r <= '9' || r == '.' || r == '-')) {
			return false
		}
	}
	return true
}

func checkName(what, s string) error {
	if validName(s) {
		return nil
	}
	return fmt.Errorf("%w: %s %q; use 1 to 64 of a-z 0-9 _ -", ErrInvalid, what, s)
}

// normalise returns s with defaults written out, or why it is not valid.
func (s Schema) normalise() (Schema, error) {
	out := Schema{ID: s.ID, Strict: s.Strict, TTL: s.TTL, Memory: s.Memory, Fields: maps.Clone(s.Fields), Vectors: map[string]Vector{}}
	if out.ID == "" {
		out.ID = StringID
	}
	if out.Fields == nil {
		out.Fields = map[string]Field{}
	}
	switch {
	case out.ID != StringID && out.ID != Uint64ID:
		return out, fmt.Errorf("%w: id kind %q; use %q or %q", ErrInvalid, s.ID, StringID, Uint64ID)
	case s.TTL < 0 || time.Duration(s.TTL) > 100*365*24*time.Hour:
		return out, fmt.Errorf("%w: ttl %v; use 0 (none) to 100 years", ErrInvalid, time.Duration(s.TTL))
	case s.Memory < 0:
		return out, fmt.Errorf("%w: memory %d; use 0 (no bound) or a size like \"512MiB\"", ErrInvalid, s.Memory)
	case len(s.Fields) > MaxFields:
		return out, fmt.Errorf("%w: %d fields; at most %d", ErrInvalid, len(s.Fields), MaxFields)
	case len(s.Vectors) > MaxVectors:
		return out, fmt.Errorf("%w: %d vectors; at most %d", ErrInvalid, len(s.Vectors), MaxVectors)
	}
	for name, f := range s.Fields {
		if err := f.validate(name); err != nil {
			return out, err
		}
	}
	for name, v := range s.Vectors {
		n, err := v.normalise(name)
		if err != nil {
			return out, err
		}
		out.Vectors[name] = n
	}
	return out, nil
}

var fieldTypes = []FieldType{Keyword, Text, Bool, Int64, Float64, Time, Point, JSON}

func (f Field) validate(name string) error {
	if !validField(name) {
		return fmt.Errorf("%w: field name %q; use a letter or _, then up to 127 of A-Z a-z 0-9 _ . -", ErrInvalid, name)
	}
	if !slices.Contains(fieldTypes, f.Type) {
		known := make([]string, len(fieldTypes))
		for i, t := range fieldTypes {
			known[i] = string(t)
		}
		hint := strings.Join(known, ", ")
		if near := index.Nearest(string(f.Type), known); near != "" {
			hint = "did you mean " + near + "?"
		}
		return fmt.Errorf("%w: field %q has type %q; %s", ErrInvalid, name, f.Type, hint)
	}
	if f.Index && (f.Type == Text || f.Type == JSON) {
		return fmt.Errorf("%w: field %q: type %s has no filter index; leave index out or use keyword", ErrInvalid, name, f.Type)
	}
	return nil
}

func (v Vector) normalise(name string) (Vector, error) {
	bad := func(format string, args ...any) (Vector, error) {
		return v, fmt.Errorf("%w: vector %q: %s", ErrInvalid, name, fmt.Sprintf(format, args...))
	}
	if !validName(name) {
		return bad("names are 1 to 64 of a-z 0-9 _ -")
	}
	if v.Metric == "" {
		v.Metric = index.L2
	}
	if v.Storage == "" {
		v.Storage = index.Float32
	}
	if v.Index.Kind == "" {
		v.Index.Kind = "hnsw"
	}
	if v.Index.Kind == "hnsw" {
		if v.Index.M == 0 {
			v.Index.M = 16
		}
		if v.Index.EfConstruction == 0 {
			v.Index.EfConstruction = max(200, v.Index.M)
		}
	}
	switch {
	case v.Dim < 1 || v.Dim > index.MaxDim:
		return bad("dim %d; use 1 to %d", v.Dim, index.MaxDim)
	case !v.Metric.Valid():
		return bad("metric %q; use l2, ip or cosine", v.Metric)
	case v.Storage != index.Float32 && v.Storage != index.Float16:
		return bad("storage %q; use float32 or float16", v.Storage)
	case kinds[v.Index.Kind] == nil:
		return bad("index kind %q; use %s", v.Index.Kind, strings.Join(slices.Sorted(maps.Keys(kinds)), " or "))
	case v.Index.Kind == "hnsw" && (v.Index.M < 2 || v.Index.M > 128):
		return bad("m %d; use 2 to 128", v.Index.M)
	case v.Index.Kind == "hnsw" && (v.Index.EfConstruction < v.Index.M || v.Index.EfConstruction > MaxEf):
		return bad("ef_construction %d; use m (%d) to %d", v.Index.EfConstruction, v.Index.M, MaxEf)
	case len(v.Prefixes) > 0 && v.Metric == index.IP:
		return bad("prefixes need metric l2 or cosine")
	case !ascending(v.Prefixes, v.Dim):
		return bad("prefixes %v; use ascending numbers from 1 to %d", v.Prefixes, v.Dim-1)
	case !slices.Contains([]string{"", "none", "int8", "int4", "bit"}, v.Index.Codes):
		return bad("codes %q; use int8, int4, bit or none", v.Index.Codes)
	case v.Index.Codes == "bit" && len(v.Prefixes) > 0:
		return bad("codes bit have no prefixes, since each bit is of all components; use int8 or int4, or leave prefixes out")
	case !slices.Contains([]string{"", "memory", "disk"}, v.Index.Originals):
		return bad("originals %q; use memory or disk", v.Index.Originals)
	case v.Index.Originals == "disk" && v.Index.codes(v.Dim) == index.None:
		return bad("originals on disk need codes to be searched by; set codes to int8")
	case v.Index.Rotate && (v.Index.Kind != "hnsw" || v.Metric == index.IP):
		return bad("rotate needs an hnsw index and metric l2 or cosine")
	case v.Index.Rotate && (v.Dim < 64 || v.Dim > format.MaxRotation):
		return bad("rotate needs 64 to %d components", format.MaxRotation)
	case v.Index.Rotate && v.Index.codes(v.Dim) != index.Int8 && v.Index.codes(v.Dim) != index.Int4:
		return bad("rotate needs codes int8 or int4")
	case v.Index.Ef < 0 || v.Index.Ef > MaxEf:
		return bad("ef %d; use 0 (automatic) to %d", v.Index.Ef, MaxEf)
	case len(v.Source) > 0 && v.Encoder == "":
		return bad("source fields need an encoder; name one, or leave source out and send vectors")
	}
	for _, f := range v.Source {
		if !validField(f) {
			return bad("source field %q is not a field name", f)
		}
	}
	return v, nil
}

// ascending reports whether widths ascend within 1..dim-1.
func ascending(widths []int, dim int) bool {
	last := 0
	for _, w := range widths {
		if w <= last || w >= dim {
			return false
		}
		last = w
	}
	return true
}

// widths divides the codes of a nested vector: see Prefixes.
func (v Vector) widths() []int {
	if v.Index.codes(v.Dim) == index.None {
		return nil
	}
	for i, w := range v.Prefixes {
		if 8*w >= v.Dim {
			return v.Prefixes[i:]
		}
	}
	return nil
}

// rotatedWidths is widths once there is a rotation: where no prefix was declared, a
// quarter and half of the components.
func (v Vector) rotatedWidths() []int {
	if w := v.widths(); w != nil {
		return w
	}
	return []int{(v.Dim/4 + 15) &^ 15, (v.Dim/2 + 15) &^ 15}
}

// codes is what Codes says, or its default for a vector of dim components.
func (v VectorIndex) codes(dim int) index.Codes {
	switch {
	case v.Codes == "none" || v.Codes == "" && (v.Kind != "hnsw" || dim < 64) && v.Originals != "disk":
		return index.None
	case v.Codes == "":
		return index.Int8
	}
	return index.Codes(v.Codes)
}

// clone is a copy that shares nothing with s.
func (s Schema) clone() Schema {
	s.Fields, s.Vectors = maps.Clone(s.Fields), maps.Clone(s.Vectors)
	for name, v := range s.Vectors {
		v.Source, v.Prefixes = slices.Clone(v.Source), slices.Clone(v.Prefixes)
		s.Vectors[name] = v
	}
	return s
}

// same reports whether two normalised schemas are equal.
func (s Schema) same(o Schema) bool { return reflect.DeepEqual(s, o) }
