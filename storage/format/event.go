package format

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"unicode/utf8"
)

const eventVersion = 1

// Event is one interaction as it is stored; whose it is, its time and its place
// in the log are in its key.
type Event struct {
	Item    string  // 1 to MaxID bytes of UTF-8
	Type    string  // plain text of up to MaxLabel bytes; "" where there is one type
	ID      string  // names the event among its user's, up to MaxID bytes of UTF-8; "" if nothing does
	Value   float64 // finite, never -0
	Context []byte  // JSON of up to MaxContext bytes, or empty
}

// Check reports what is wrong with an event: ErrValue, ErrLimit.
func (e *Event) Check() error {
	if err := e.check(); err != nil {
		return err
	}
	if len(e.Context) > 0 && !json.Valid(e.Context) {
		return fmt.Errorf("%w: context %.80q is not JSON", ErrValue, e.Context)
	}
	return nil
}

// check is Check but for whether the context is JSON, which decoding trusts.
func (e *Event) check() error {
	switch {
	case e.Item == "" || !utf8.ValidString(e.Item):
		return fmt.Errorf("%w: item %.80q: want 1 to %d bytes of UTF-8", ErrValue, e.Item, MaxID)
	case !utf8.ValidString(e.ID):
		return fmt.Errorf("%w: event id %.80q is not UTF-8", ErrValue, e.ID)
	case !plain(e.Type):
		return fmt.Errorf("%w: type %.80q of an event: want plain text of up to %d bytes", ErrValue, e.Type, MaxLabel)
	case math.IsNaN(e.Value) || math.IsInf(e.Value, 0):
		return fmt.Errorf("%w: value %v of an event", ErrValue, e.Value)
	case len(e.Item) > MaxID || len(e.ID) > MaxID || len(e.Type) > MaxLabel || len(e.Context) > MaxContext:
		return fmt.Errorf("%w: event with %d bytes of item, %d of id, %d of type and %d of context, at most %d, %d, %d and %d are allowed",
			ErrLimit, len(e.Item), len(e.ID), len(e.Type), len(e.Context), MaxID, MaxID, MaxLabel, MaxContext)
	}
	return nil
}

// AppendEvent appends the envelope of e, which passes Check, to dst.
func AppendEvent(dst []byte, e *Event) ([]byte, error) {
	if err := e.check(); err != nil {
		return dst, err
	}
	start := len(dst)
	dst = beginEnvelope(dst, EnvEvent, eventVersion)
	for _, s := range []string{e.Item, e.Type, e.ID} {
		dst = append(binary.AppendUvarint(dst, uint64(len(s))), s...)
	}
	dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(e.Value+0)) // -0 + 0 is 0
	return endEnvelope(append(dst, e.Context...), start)
}

// ParseEvent decodes an envelope of AppendEvent; Context aliases b. Errors:
// ErrCorrupt, ErrVersion.
func ParseEvent(b []byte) (Event, error) {
	_, body, err := OpenEnvelope(b, EnvEvent, eventVersion)
	if err != nil {
		return Event{}, err
	}
	c := cursor{b: body}
	item, kind, id := c.block(MaxID), c.block(MaxLabel), c.block(MaxID)
	texts := string(body[:len(body)-len(c.b)]) // one allocation for the three
	e := Event{Value: c.f64(), Context: c.b}
	if c.bad {
		return Event{}, corrupt("event of %d bytes", len(body))
	}
	at := func(p []byte, end int) string { return texts[end-len(p) : end] }
	end := len(texts)
	e.ID = at(id, end)
	end -= len(id) + uvarintSize(len(id))
	e.Type = at(kind, end)
	end -= len(kind) + uvarintSize(len(kind))
	e.Item = at(item, end)
	if err := e.check(); err != nil || e.Value == 0 && math.Signbit(e.Value) {
		return Event{}, corrupt("event: %v", err)
	}
	return e, nil
}

// uvarintSize is how many bytes the uvarint of n takes.
func uvarintSize(n int) int {
	size := 1
	for ; n >= 0x80; n >>= 7 {
		size++
	}
	return size
}
