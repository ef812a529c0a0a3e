package eider

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/eiderdb/eider/storage"
	"github.com/eiderdb/eider/storage/format"
)

// A posting term of a field index is one mark byte and, but for termHas, the
// ordered key of a value. Points carry their exact coordinates after the
// Morton key, so a geo filter never reads documents.
const (
	termHas   = 0x00 // the document has the field
	termValue = 0x01 // the document has this value in the field
)

// stored is what the catalogue keeps of a collection's schema: the public
// schema and the numbers that keys use. Numbers are never used again, so a
// dropped index cannot come back with old postings.
type stored struct {
	Schema    Schema            `json:"schema"`
	FieldID   map[string]uint32 `json:"field_ids,omitempty"`  // of fields with an index
	Building  map[string]bool   `json:"building,omitempty"`   // indexes whose backfill is not finished
	VectorID  map[string]uint16 `json:"vector_ids,omitempty"` // of vectors
	Forms     map[string]form   `json:"forms,omitempty"`      // of vectors kept smaller than declared
	Spaces    map[string]string `json:"spaces,omitempty"`     // fingerprints of the encoders that vectors were declared with
	NextField uint32            `json:"next_field"`
	NextVec   uint16            `json:"next_vector"`

	indexed []string // names of FieldID in order, for terms
}

func newStored(s Schema) *stored {
	st := &stored{Schema: s, FieldID: map[string]uint32{}, Building: map[string]bool{}, VectorID: map[string]uint16{}, NextField: 1, NextVec: 1}
	for _, name := range sortedKeys(s.Fields) {
		if s.Fields[name].Index {
			st.FieldID[name] = st.NextField
			st.NextField++
		}
	}
	for _, name := range sortedKeys(s.Vectors) {
		st.VectorID[name] = st.NextVec
		st.NextVec++
	}
	st.indexed = sortedKeys(st.FieldID)
	return st
}

func (s *stored) encode() []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("eider: schema does not encode: %v", err)) // maps of plain values always do
	}
	return b
}

func decodeStored(b []byte) (*stored, error) {
	s := &stored{}
	if err := json.Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("%w: schema: %v", ErrCorrupt, err)
	}
	norm, err := s.Schema.normalise()
	if err != nil {
		return nil, fmt.Errorf("%w: schema: %v", ErrCorrupt, err)
	}
	s.Schema = norm
	if s.FieldID == nil {
		s.FieldID = map[string]uint32{}
	}
	if s.Building == nil {
		s.Building = map[string]bool{}
	}
	if s.VectorID == nil {
		s.VectorID = map[string]uint16{}
	}
	s.indexed = sortedKeys(s.FieldID)
	return s, nil
}

func (s *stored) clone() *stored {
	c, err := decodeStored(s.encode())
	if err != nil {
		panic(fmt.Sprintf("eider: schema does not decode: %v", err)) // it was made by encode
	}
	return c
}

// idKind is how document ids become keys.
func (s *stored) idKind() format.IDKind {
	if s.Schema.ID == Uint64ID {
		return format.IDUint64
	}
	return format.IDString
}

// terms lists the postings of an encoded document. It is a pure function of
// the schema and the body: storage calls it on old and new bodies to keep the
// postings exact.
func (s *stored) terms(dst []storage.Term, body []byte) []storage.Term {
	for _, name := range s.indexed {
		v, ok := format.Lookup(body, name)
		if !ok || v.IsNull() {
			continue
		}
		id := s.FieldID[name]
		dst = append(dst, storage.Term{Index: id, Key: []byte{termHas}})
		for _, e := range scalars(v) {
			if key, ok := valueTerm(as(e, s.Schema.Fields[name].Type)); ok {
				dst = append(dst, storage.Term{Index: id, Key: key})
			}
		}
	}
	return dst
}

// valueTerm is the posting term of one value; ok is false for values that have
// no order (JSON) or are too long.
func valueTerm(v format.Value) ([]byte, bool) {
	if v.Kind() == format.KindString && len(v.Text()) > MaxKeyword {
		return nil, false
	}
	key, err := format.AppendKey(append(make([]byte, 0, 2*(16+len(v.Text()))), termValue), v)
	if err != nil {
		return nil, false
	}
	if v.Kind() == format.KindGeo {
		lat, lon := v.Geo()
		key = binary.BigEndian.AppendUint64(key, math.Float64bits(lat))
		key = binary.BigEndian.AppendUint64(key, math.Float64bits(lon))
	}
	return key, true
}

// termPoint reads the exact point back from a geo term.
func termPoint(term []byte) (Geo, bool) {
	if len(term) < 17 {
		return Geo{}, false
	}
	tail := term[len(term)-16:]
	return Geo{
		Lat: math.Float64frombits(binary.BigEndian.Uint64(tail)),
		Lon: math.Float64frombits(binary.BigEndian.Uint64(tail[8:])),
	}, true
}

// parseTerm reads the value back from a term other than a point's.
func parseTerm(term []byte) (format.Value, bool) {
	if len(term) < 2 || term[0] != termValue {
		return format.Value{}, false
	}
	v, err := format.ParseKey(term[1:])
	return v, err == nil
}

// as gives a value the declared type of its field where the two differ because
// the value was written before the field was declared: integers widen to
// float64, all else stays.
func as(v format.Value, t FieldType) format.Value {
	if t == Float64 && v.Kind() == format.KindInt64 {
		return format.Float64(float64(v.Int64()))
	}
	return v
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
