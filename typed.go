package eider

import (
	"context"
	"fmt"
	"iter"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/eiderdb/eider/index"
)

// Typed is a view of a collection whose documents are values of T. Build it
// with As.
type Typed[T any] struct {
	c     *Collection
	shape shape
}

// TypedHit is a found value.
type TypedHit[T any] struct {
	Value T
	Score float64
}

// SchemaOf reads a schema from the struct tags of T:
//
//	type Film struct {
//		ID       string    `eider:"id"`                       // string or uint64
//		Title    string    `eider:"title,text"`
//		Genres   []string  `eider:"genres,keyword,index"`
//		Year     int       `eider:"year,index"`               // type from the Go type
//		Released time.Time `eider:"released"`
//		Plot     []float32 `eider:"plot,dim=384,metric=cosine"`
//	}
//
// A []float32 is a vector and needs dim; index=flat, storage=float16, m=, ef= and
// efc= are its options. Untagged fields are left out. Errors wrap ErrInvalid.
func SchemaOf[T any]() (Schema, error) {
	sh, err := shapeOf(reflect.TypeFor[T]())
	return sh.schema, err
}

// As gives a typed view of c. The tags of T must name fields and vectors of c,
// of the same types. Errors wrap ErrInvalid.
func As[T any](c *Collection) (*Typed[T], error) {
	sh, err := shapeOf(reflect.TypeFor[T]())
	if err != nil {
		return nil, err
	}
	have := c.Schema()
	if sh.schema.ID != have.ID {
		return nil, fmt.Errorf("%w: %s has ids of kind %s, the struct %s", ErrInvalid, c.Name(), have.ID, sh.schema.ID)
	}
	for name, f := range sh.schema.Fields {
		if h, ok := have.Fields[name]; ok && h.Type != f.Type {
			return nil, fmt.Errorf("%w: field %q is %s in %s and %s in the struct", ErrInvalid, name, h.Type, c.Name(), f.Type)
		} else if !ok && have.Strict {
			return nil, fmt.Errorf("%w: %s has no field %q; add it with AddField", ErrInvalid, c.Name(), name)
		}
	}
	for name, v := range sh.schema.Vectors {
		if h, ok := have.Vectors[name]; !ok || h.Dim != v.Dim {
			return nil, fmt.Errorf("%w: %s has no vector %q of dimension %d", ErrInvalid, c.Name(), name, v.Dim)
		}
	}
	return &Typed[T]{c: c, shape: sh}, nil
}

// Put upserts values, all or none; see Collection.Upsert.
func (t *Typed[T]) Put(ctx context.Context, values ...T) (Receipt, error) {
	docs := make([]Doc, len(values))
	for i := range values {
		docs[i] = t.shape.doc(reflect.ValueOf(&values[i]).Elem())
	}
	return t.c.Upsert(ctx, docs...)
}

// Get reads one value with its vectors; see Collection.Get.
func (t *Typed[T]) Get(ctx context.Context, id string) (T, error) {
	var v T
	d, err := t.c.Get(ctx, id)
	if err != nil {
		return v, err
	}
	return v, t.shape.fill(reflect.ValueOf(&v).Elem(), d.ID, d.Fields, d.Vectors)
}

// Search runs q and returns the hits as values. Vectors are filled only if
// q.Vectors names them.
func (t *Typed[T]) Search(ctx context.Context, q Query) ([]TypedHit[T], Result, error) {
	r, err := t.c.Search(ctx, q)
	if err != nil {
		return nil, r, err
	}
	hits := make([]TypedHit[T], len(r.Hits))
	for i, h := range r.Hits {
		hits[i].Score = h.Score
		if err := t.shape.fill(reflect.ValueOf(&hits[i].Value).Elem(), h.ID, h.Fields, h.Vectors); err != nil {
			return nil, r, err
		}
	}
	return hits, r, nil
}

// All yields every value that passes f (nil: every one), in id order, as of one
// LSN.
func (t *Typed[T]) All(ctx context.Context, f *Filter) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for d, err := range t.c.All(ctx, f) {
			var v T
			if err == nil {
				err = t.shape.fill(reflect.ValueOf(&v).Elem(), d.ID, d.Fields, d.Vectors)
			}
			if !yield(v, err) || err != nil {
				return
			}
		}
	}
}

// shape is how a struct maps to a document.
type shape struct {
	schema Schema
	id     int // struct field
	fields []tagged
	vecs   []tagged
}

type tagged struct {
	at   int // struct field
	name string
	list bool
	kind FieldType
}

var (
	timeType = reflect.TypeFor[time.Time]()
	geoType  = reflect.TypeFor[Geo]()
	vecType  = reflect.TypeFor[[]float32]()
)

func shapeOf(t reflect.Type) (shape, error) {
	sh := shape{id: -1, schema: Schema{Fields: map[string]Field{}, Vectors: map[string]Vector{}}}
	if t.Kind() != reflect.Struct {
		return sh, fmt.Errorf("%w: %s is not a struct", ErrInvalid, t)
	}
	for i := range t.NumField() {
		f := t.Field(i)
		tag, ok := f.Tag.Lookup("eider")
		if !ok || tag == "-" {
			continue
		}
		if !f.IsExported() {
			return sh, fmt.Errorf("%w: %s.%s has a tag but is not exported", ErrInvalid, t, f.Name)
		}
		name, options, _ := strings.Cut(tag, ",")
		var err error
		switch {
		case name == "id":
			err = sh.addID(i, f.Type)
		case f.Type == vecType:
			err = sh.addVector(i, name, options)
		default:
			err = sh.addField(i, name, f.Type, options)
		}
		if err != nil {
			return sh, fmt.Errorf("%w: %s.%s: %v", ErrInvalid, t, f.Name, err)
		}
	}
	if sh.id < 0 {
		return sh, fmt.Errorf("%w: %s has no field tagged `eider:\"id\"`", ErrInvalid, t)
	}
	var err error
	sh.schema, err = sh.schema.normalise()
	return sh, err
}

func (sh *shape) addID(at int, t reflect.Type) error {
	switch t.Kind() {
	case reflect.String:
		sh.schema.ID = StringID
	case reflect.Uint64, reflect.Uint32, reflect.Uint:
		sh.schema.ID = Uint64ID
	default:
		return fmt.Errorf("an id is a string or an unsigned integer, not %s", t)
	}
	sh.id = at
	return nil
}

func (sh *shape) addVector(at int, name, options string) error {
	var v Vector
	for opt := range strings.SplitSeq(options, ",") {
		key, val, _ := strings.Cut(opt, "=")
		n, nerr := strconv.Atoi(val)
		switch key {
		case "", "vector":
			continue
		case "dim":
			v.Dim = n
		case "m":
			v.Index.M = n
		case "ef":
			v.Index.Ef = n
		case "efc":
			v.Index.EfConstruction = n
		case "metric":
			v.Metric, nerr = index.Metric(val), nil
		case "storage":
			v.Storage, nerr = index.Storage(val), nil
		case "index":
			v.Index.Kind, nerr = val, nil
		case "codes":
			v.Index.Codes, nerr = val, nil
		case "originals":
			v.Index.Originals, nerr = val, nil
		case "rotate":
			v.Index.Rotate, nerr = true, nil
		default:
			return fmt.Errorf("unknown vector option %q; use dim, metric, storage, index, m, ef, efc, codes, originals, rotate", key)
		}
		if nerr != nil {
			return fmt.Errorf("option %q is not a number", opt)
		}
	}
	sh.schema.Vectors[name] = v
	sh.vecs = append(sh.vecs, tagged{at: at, name: name})
	return nil
}

func (sh *shape) addField(at int, name string, t reflect.Type, options string) error {
	tg := tagged{at: at, name: name}
	elem := t
	if t.Kind() == reflect.Slice && t != reflect.TypeFor[[]byte]() {
		tg.list, elem = true, t.Elem()
	}
	switch {
	case elem == timeType:
		tg.kind = Time
	case elem == geoType:
		tg.kind = Point
	case elem.Kind() == reflect.String:
		tg.kind = Keyword
	case elem.Kind() == reflect.Bool:
		tg.kind = Bool
	case reflect.Zero(elem).CanInt() || reflect.Zero(elem).CanUint():
		tg.kind = Int64
	case reflect.Zero(elem).CanFloat():
		tg.kind = Float64
	default:
		return fmt.Errorf("type %s cannot be stored; use string, bool, numbers, time.Time, eider.Geo, slices of them, or []float32", t)
	}
	f := Field{}
	for opt := range strings.SplitSeq(options, ",") {
		switch opt {
		case "":
		case "index":
			f.Index = true
		case "text":
			if tg.kind != Keyword {
				return fmt.Errorf("option text is for strings")
			}
			tg.kind = Text
		case string(tg.kind):
		default:
			return fmt.Errorf("unknown option %q; use index, text or the field's own type %s", opt, tg.kind)
		}
	}
	f.Type = tg.kind
	sh.schema.Fields[name] = f
	sh.fields = append(sh.fields, tg)
	return nil
}

// doc builds a document from a struct value. Zero times and nil slices are
// absent fields.
func (sh *shape) doc(v reflect.Value) Doc {
	d := Doc{Fields: make(map[string]any, len(sh.fields)), Vectors: make(map[string][]float32, len(sh.vecs))}
	if id := v.Field(sh.id); id.Kind() == reflect.String {
		d.ID = id.String()
	} else {
		d.ID = strconv.FormatUint(id.Uint(), 10)
	}
	for _, f := range sh.fields {
		x := v.Field(f.at)
		if f.list && x.IsNil() || f.kind == Time && !f.list && x.Interface().(time.Time).IsZero() {
			continue
		}
		d.Fields[f.name] = x.Interface()
	}
	for _, f := range sh.vecs {
		if x := v.Field(f.at); !x.IsNil() {
			d.Vectors[f.name] = x.Interface().([]float32)
		}
	}
	return d
}

// fill writes a document into a struct value.
func (sh *shape) fill(v reflect.Value, id string, fields map[string]any, vecs map[string][]float32) error {
	if f := v.Field(sh.id); f.Kind() == reflect.String {
		f.SetString(id)
	} else {
		n, err := strconv.ParseUint(id, 10, 64)
		if err != nil || f.OverflowUint(n) {
			return fmt.Errorf("%w: id %q does not fit %s", ErrInvalid, id, f.Type())
		}
		f.SetUint(n)
	}
	for _, f := range sh.fields {
		x, ok := fields[f.name]
		if !ok || x == nil {
			continue
		}
		if err := assign(v.Field(f.at), reflect.ValueOf(x)); err != nil {
			return fmt.Errorf("%w: document %s, field %q: %v", ErrInvalid, id, f.name, err)
		}
	}
	for _, f := range sh.vecs {
		if x, ok := vecs[f.name]; ok {
			v.Field(f.at).Set(reflect.ValueOf(x).Convert(v.Field(f.at).Type()))
		}
	}
	return nil
}

// assign sets dst from a stored value: the same type, a number that fits, or a
// list (a single value becomes a list of one).
func assign(dst, src reflect.Value) error {
	if dst.Kind() == reflect.Slice {
		n := 1
		at := func(int) reflect.Value { return src }
		if src.Kind() == reflect.Slice {
			n, at = src.Len(), src.Index
		}
		out := reflect.MakeSlice(dst.Type(), n, n)
		for i := range n {
			if err := assign(out.Index(i), at(i)); err != nil {
				return err
			}
		}
		dst.Set(out)
		return nil
	}
	if src.Kind() == reflect.Interface {
		src = src.Elem()
	}
	switch {
	case src.Type().AssignableTo(dst.Type()):
		dst.Set(src)
	case dst.CanInt() && src.CanInt() && !dst.OverflowInt(src.Int()):
		dst.SetInt(src.Int())
	case dst.CanUint() && src.CanInt() && src.Int() >= 0 && !dst.OverflowUint(uint64(src.Int())):
		dst.SetUint(uint64(src.Int()))
	case dst.CanFloat() && src.CanFloat():
		dst.SetFloat(src.Float())
	case dst.Kind() == reflect.String && src.Kind() == reflect.String:
		dst.SetString(src.String())
	case dst.Kind() == reflect.Bool && src.Kind() == reflect.Bool:
		dst.SetBool(src.Bool())
	default:
		return fmt.Errorf("%s does not fit %s", src.Type(), dst.Type())
	}
	return nil
}
