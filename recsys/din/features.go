package din

import (
	"fmt"

	"github.com/eiderdb/eider/internal/nn"
)

// Column is what items have in one field: item i has the id IDs[i], or, in a field
// with Many, the ids IDs[Start[i]:Start[i+1]]. The zero Column is the field whose
// id is the number of the item.
type Column struct {
	IDs   []uint32
	Start []int32
}

// Items is the catalogue: what each item has in each field of Config.Item. It is
// read by many goroutines and never changes.
type Items struct {
	count   int
	fields  []Field
	columns []Column
}

// NewItems makes a catalogue of count items with a column per field; both
// stay the caller's and must not change. Error: ErrBatch naming the field.
func NewItems(count int, fields []Field, columns []Column) (*Items, error) {
	if len(columns) != len(fields) || count < 0 {
		return nil, fmt.Errorf("%w: %d columns of %d items for %d fields", ErrBatch, len(columns), count, len(fields))
	}
	for i, c := range columns {
		f := fields[i]
		switch {
		case c.IDs == nil && c.Start == nil && !f.Many:
			if count > f.Rows {
				return nil, fmt.Errorf("%w: %d items, field %s has %d rows", ErrBatch, count, f.Name, f.Rows)
			}
		case f.Many:
			if len(c.Start) != count+1 {
				return nil, fmt.Errorf("%w: %d offsets of field %s for %d items", ErrBatch, len(c.Start), f.Name, count)
			}
			if err := divides("field "+f.Name, c.Start, len(c.IDs)); err != nil {
				return nil, err
			}
		case len(c.IDs) != count || c.Start != nil:
			return nil, fmt.Errorf("%w: %d ids and %d offsets of field %s for %d items", ErrBatch, len(c.IDs), len(c.Start), f.Name, count)
		}
		if err := below("field "+f.Name, c.IDs, f.Rows); err != nil {
			return nil, err
		}
	}
	return &Items{count, fields, columns}, nil
}

// Len is the number of items.
func (s *Items) Len() int { return s.count }

// ids appends the ids that items have in a field, and where the next item's begin
// if it has many.
func (s *Items) ids(field int, items, ids []uint32, start []int32) ([]uint32, []int32) {
	c := s.columns[field]
	switch {
	case c.Start != nil:
		first := len(ids)
		start = append(start, 0)
		for _, it := range items {
			ids = append(ids, c.IDs[c.Start[it]:c.Start[it+1]]...)
			start = append(start, int32(len(ids)-first))
		}
	case c.IDs != nil:
		for _, it := range items {
			ids = append(ids, c.IDs[it])
		}
	default:
		ids = append(ids, items...)
	}
	return ids, start
}

// Batch is a list of requests: a user with a history, and the items offered to
// that user. Padding does not exist: histories have the length they have. Slices
// stay the caller's until a step is done.
type Batch struct {
	Items  []uint32   // offered, of all requests, n in all
	Offers []int32    // request r offers Items[Offers[r]:Offers[r+1]]
	Past   []uint32   // histories of all requests, items, oldest first
	Starts []int32    // request r has Past[Starts[r]:Starts[r+1]], which may be empty
	User   [][]uint32 // by field of Config.User, the id of each request
	Labels []float32  // of Items: 1 clicked, 0 not; nil where none are needed

	parts []Batch
}

// Requests is the number of requests.
func (b *Batch) Requests() int { return max(len(b.Offers)-1, 0) }

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() {
	b.Items, b.Past, b.Labels = b.Items[:0], b.Past[:0], b.Labels[:0]
	b.Offers, b.Starts = append(b.Offers[:0], 0), append(b.Starts[:0], 0)
	for i := range b.User {
		b.User[i] = b.User[i][:0]
	}
}

// Add appends a request to a batch that was Reset; user has an id per field. What
// it is given is copied.
func (b *Batch) Add(user, past, items []uint32, labels []float32) {
	b.Items, b.Past, b.Labels = append(b.Items, items...), append(b.Past, past...), append(b.Labels, labels...)
	b.Offers, b.Starts = append(b.Offers, int32(len(b.Items))), append(b.Starts, int32(len(b.Past)))
	for len(b.User) < len(user) {
		b.User = append(b.User, nil)
	}
	for i, id := range user {
		b.User[i] = append(b.User[i], id)
	}
}

// Part is part i of n of the batch, whole requests, and its share of the items. It
// lies in memory of b, and is valid until the same part is asked for again.
func (b *Batch) Part(i, n int) (part *Batch, share float32) {
	for len(b.parts) < n {
		b.parts = append(b.parts, Batch{})
	}
	p := &b.parts[i]
	lo, hi := i*b.Requests()/n, (i+1)*b.Requests()/n
	from := func(dst, all []int32) []int32 {
		dst = append(dst[:0], all[lo:hi+1]...)
		for j := len(dst) - 1; j >= 0; j-- {
			dst[j] -= dst[0]
		}
		return dst
	}
	p.Items, p.Past = b.Items[b.Offers[lo]:b.Offers[hi]], b.Past[b.Starts[lo]:b.Starts[hi]]
	p.Labels = nil
	if b.Labels != nil {
		p.Labels = b.Labels[b.Offers[lo]:b.Offers[hi]]
	}
	p.Offers, p.Starts, p.User = from(p.Offers, b.Offers), from(p.Starts, b.Starts), p.User[:0]
	for _, ids := range b.User {
		p.User = append(p.User, ids[lo:hi])
	}
	return p, float32(len(p.Items)) / float32(max(1, len(b.Items)))
}

// check reports what of b does not fit m: ErrBatch.
func (m *Model) check(b *Batch, labels bool) error {
	if err := divides("offers", b.Offers, len(b.Items)); err != nil {
		return err
	}
	if err := divides("histories", b.Starts, len(b.Past)); err != nil {
		return err
	}
	if len(b.Starts) != len(b.Offers) {
		return fmt.Errorf("%w: %d histories for %d requests", ErrBatch, len(b.Starts)-1, b.Requests())
	}
	if labels && len(b.Labels) != len(b.Items) {
		return fmt.Errorf("%w: %d labels for %d items", ErrBatch, len(b.Labels), len(b.Items))
	}
	if err := below("items", b.Items, m.items.count); err != nil {
		return err
	}
	if err := below("history", b.Past, m.items.count); err != nil {
		return err
	}
	if len(b.User) != len(m.config.User) {
		return fmt.Errorf("%w: %d fields of users, the model has %d", ErrBatch, len(b.User), len(m.config.User))
	}
	for i, f := range m.config.User {
		if len(b.User[i]) != b.Requests() {
			return fmt.Errorf("%w: %d ids of field %s for %d requests", ErrBatch, len(b.User[i]), f.Name, b.Requests())
		}
		if err := below("field "+f.Name, b.User[i], f.Rows); err != nil {
			return err
		}
	}
	return nil
}

func below(what string, ids []uint32, rows int) error {
	for i, id := range ids {
		if int(id) >= rows {
			return fmt.Errorf("%w: %s: id %d at %d of %d rows", ErrBatch, what, id, i, rows)
		}
	}
	return nil
}

func divides(what string, start []int32, n int) error {
	if len(start) == 0 || start[0] != 0 || int(start[len(start)-1]) != n {
		return fmt.Errorf("%w: %s: offsets do not go from 0 to %d", ErrBatch, what, n)
	}
	for i := 1; i < len(start); i++ {
		if start[i] < start[i-1] {
			return fmt.Errorf("%w: %s: offset %d is below the one before", ErrBatch, what, i)
		}
	}
	return nil
}

// pairs writes where the pairs of each item offered begin: item c of request r has
// one for each item of the history of r.
func (b *Batch) pairs(at nn.Segments) nn.Segments {
	at = append(at[:0], 0)
	for r := range b.Requests() {
		for range b.Offers[r+1] - b.Offers[r] {
			at = append(at, at[len(at)-1]+b.Starts[r+1]-b.Starts[r])
		}
	}
	return at
}
