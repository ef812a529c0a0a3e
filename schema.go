package eider

import (
	"time"

	"github.com/eiderdb/eider/index"
)

// FieldType is the type of a document field.
type FieldType = index.FieldType

// The field types and the Go types that carry them in Doc.Fields.
const (
	Keyword = index.Keyword // string or []string, matched whole
	Text    = index.Text    // string, stored; filters know only whether it exists
	Bool    = index.Bool    // bool
	Int64   = index.Int64   // int64 (any Go integer is accepted) or []int64
	Float64 = index.Float64 // float64, finite, or []float64
	Time    = index.Time    // time.Time or an RFC 3339 string; kept to the nanosecond in UTC, years 1678 to 2261
	Point   = index.Point   // Geo
	JSON    = index.JSON    // any JSON value, stored; filters know only whether it exists
)

// IDKind says what document ids look like, for the life of a collection.
type IDKind string

const (
	StringID IDKind = "string" // 1..512 bytes of UTF-8; scrolls in byte order
	Uint64ID IDKind = "uint64" // decimal without leading zeros; scrolls in numeric order
)

// Schema is the shape of a collection. The zero Schema is legal: string ids,
// no vectors, no declared fields, and every field accepted as dynamic.
type Schema struct {
	// ID is the kind of document ids; "" means StringID. Fixed for life.
	ID IDKind `json:"id,omitempty"`
	// Fields are the declared fields by name ([A-Za-z_][A-Za-z0-9_.-]{0,127}).
	Fields map[string]Field `json:"fields,omitempty"`
	// Vectors are the named vectors by name ([a-z0-9_-]{1,64}).
	Vectors map[string]Vector `json:"vectors,omitempty"`
	// Strict refuses fields that are not declared. The default keeps them with
	// the type of their value, unindexed.
	Strict bool `json:"strict,omitempty"`
	// TTL, when positive, is added to the time of every upsert that sets no
	// ExpireAt of its own.
	TTL Duration `json:"ttl,omitempty"`
	// Memory, if above 0, is what the vector indexes may take together. Near it they
	// are replaced, one after the other and while they serve, by smaller ones:
	// originals on disk, then int4 codes, then bits. While one is built there are both.
	// With room again they become what Index says.
	Memory Size `json:"memory,omitempty"`
}

// Field declares a field.
type Field struct {
	Type FieldType `json:"type"`
	// Index keeps a filter index for the field, so that filters, facets and
	// sorting need not read documents. Text and JSON fields have none.
	Index bool `json:"index,omitempty"`
}

// Vector declares a named vector. Everything but Ef is fixed for life.
type Vector struct {
	Dim     int           `json:"dim"`               // 1..4096
	Metric  index.Metric  `json:"metric,omitempty"`  // l2 (default), ip, cosine
	Storage index.Storage `json:"storage,omitempty"` // float32 (default), float16
	Index   VectorIndex   `json:"index,omitzero"`
	// Prefixes say that the vector is nested (Matryoshka): its first 64, 256, ..
	// components are a usable vector of their own. Ascending, below Dim; metric l2 or
	// cosine. An hnsw index is then built on the least prefix of at least an eighth
	// of Dim and walked on that or, where a recall is asked for and it takes less, on a
	// longer one; what it finds is reordered by each longer one.
	Prefixes []int `json:"prefixes,omitempty"`
	// Encoder, if set, names the encoder that turns text into this vector
	// ("static-tiny", "hashed", or one given in Options.Encoders), for documents
	// (from the field Source) and for queries with text.
	Encoder string `json:"encoder,omitempty"`
	// Source are the fields whose text, joined by a space, is encoded when a
	// document comes without this vector.
	Source []string `json:"source,omitempty"`
}

// VectorIndex chooses how a vector is searched. The zero value is HNSW with
// default parameters.
type VectorIndex struct {
	Kind           string `json:"kind,omitempty"`            // "hnsw" (default) or "flat" (exact)
	M              int    `json:"m,omitempty"`               // 2..128, default 16
	EfConstruction int    `json:"ef_construction,omitempty"` // M..4096, default 200
	Ef             int    `json:"ef,omitempty"`              // search pool, default chosen from size and limit
	// Codes are what graphs are walked and built on, and long exact scans go through
	// first: "int8" (a byte per component), "int4" (half a byte), "bit" (an eighth of
	// one; no Prefixes) or "none". Hits are chosen by the vectors in any case. Default
	// int8 for hnsw from 64 components on, else none.
	Codes string `json:"codes,omitempty"`
	// Originals says where the index has the vectors from, beyond their codes:
	// "memory" (default), or "disk", where only codes and links are in memory and a
	// search reads the few vectors that decide its hits from the store.
	Originals string `json:"originals,omitempty"`
	// Rotate gives vectors that were not trained nested prefixes that say much: a
	// rotation is learned from them in the background, once there are 4,000 and eight
	// per component, and again when there are eight times as many, and codes are made
	// through it. Hits are chosen by the vectors as they are. The graph is then walked
	// on a quarter of the components, or on the least of Prefixes as ever. Needs int8
	// or int4 codes, metric l2 or cosine, and 64 to 3072 components.
	Rotate bool `json:"rotate,omitempty"`
}

// Geo is a point on the Earth in degrees.
type Geo = index.Geo

// Duration is a time.Duration that reads and writes JSON as "720h" text.
type Duration time.Duration

// MarshalText gives the form of time.Duration.String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads the form of time.ParseDuration.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = Duration(v)
	return err
}
