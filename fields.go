package eider

import (
	"context"
	"errors"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/storage"
	"github.com/eiderdb/eider/storage/format"
)

// fields is a collection at one LSN as filters see it: index.Fields over the
// postings and documents of a view.
type fields struct {
	*state
	view *storage.View
	ctx  context.Context // of the call that filters
}

var _ index.Fields = (*fields)(nil)

// Type gives the declared type of a field; an index that is still being built
// does not count.
func (f *fields) Type(name string) (FieldType, bool, bool) {
	d, ok := f.stored.Schema.Fields[name]
	_, has := f.stored.FieldID[name]
	return d.Type, has && !f.stored.Building[name], ok
}

// Equal finds the documents with a value.
func (f *fields) Equal(name string, value any) (*roaring.Bitmap, error) {
	v, ok := filterValue(value)
	if !ok {
		return roaring.New(), nil
	}
	key, ok := valueTerm(v)
	if !ok {
		return roaring.New(), nil
	}
	return f.view.Term(f.id, f.stored.FieldID[name], key)
}

// InRange finds the documents with a value in an interval.
func (f *fields) InRange(name string, r index.Range) (*roaring.Bitmap, error) {
	bound := func(x any) ([]byte, error) {
		v, _ := filterValue(x)
		return format.AppendKey([]byte{termValue}, v)
	}
	// A posting index holds one field, but its has-term sorts before the values,
	// so an open low end must start above it.
	lo, hi := []byte{termValue}, []byte{termValue + 1}
	loIncl, hiIncl := true, false
	var err error
	if r.Lo != nil {
		if lo, err = bound(r.Lo); err != nil {
			return nil, err
		}
		loIncl = r.LoIncl
	}
	if r.Hi != nil {
		if hi, err = bound(r.Hi); err != nil {
			return nil, err
		}
		hiIncl = r.HiIncl
	}
	return f.view.TermRange(f.id, f.stored.FieldID[name], lo, hi, loIncl, hiIncl)
}

// HasPrefix finds the documents with a keyword that begins with prefix.
func (f *fields) HasPrefix(name, prefix string) (*roaring.Bitmap, error) {
	lo := format.AppendPrefix([]byte{termValue}, prefix)
	return f.view.TermRange(f.id, f.stored.FieldID[name], lo, after(lo), true, false)
}

// after is the smallest key above every key that begins with prefix.
func after(prefix []byte) []byte {
	out := append([]byte(nil), prefix...)
	for i := len(out) - 1; i >= 0; i-- {
		if out[i]++; out[i] != 0 {
			return out[:i+1]
		}
	}
	return nil
}

// Has finds the documents that have the field.
func (f *fields) Has(name string) (*roaring.Bitmap, error) {
	return f.view.Term(f.id, f.stored.FieldID[name], []byte{termHas})
}

// Points visits the indexed points of the Morton ranges that cover box.
func (f *fields) Points(name string, box index.Box, fn func(id uint32, p Geo)) error {
	for _, r := range cover(box) {
		scan := storage.TermScan{Lo: mortonTerm(r.lo), LoIncl: true, Hi: after(mortonTerm(r.hi))}
		err := f.view.Terms(f.ctx, f.id, f.stored.FieldID[name], scan, func(term []byte, ids *roaring.Bitmap) bool {
			if p, ok := termPoint(term); ok {
				for it := ids.Iterator(); it.HasNext(); {
					fn(it.Next(), p)
				}
			}
			return true
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// IDs finds documents by id.
func (f *fields) IDs(ids []string) (*roaring.Bitmap, error) {
	out := roaring.New()
	for _, id := range ids {
		ord, _, ok, err := f.view.Lookup(f.id, id)
		if errors.Is(err, storage.ErrID) {
			continue // no document can have this id
		}
		if err != nil {
			return nil, err
		}
		if ok {
			out.Add(ord)
		}
	}
	return out, nil
}

// Scan reads one field of every document in within.
func (f *fields) Scan(ctx context.Context, name string, within *roaring.Bitmap, fn func(id uint32, values []any)) error {
	t := f.stored.Schema.Fields[name].Type
	var reader storage.Reader
	reader.Reset(f.view)
	var values []any
	n := 0
	for it := within.Iterator(); it.HasNext(); n++ {
		if n%256 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		ord := it.Next()
		rec, _, err := reader.Record(f.id, ord)
		if err != nil {
			return err
		}
		values = values[:0]
		if v, ok := format.Lookup(rec.Body, name); ok && !v.IsNull() {
			for _, e := range scalars(v) {
				values = append(values, decodeValue(as(e, t)))
			}
		}
		fn(ord, values)
	}
	return nil
}
