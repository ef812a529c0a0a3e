package eider

import (
	"context"
	"fmt"
	"slices"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/storage"
	"github.com/eiderdb/eider/storage/format"
)

// Inputs are the examples of a prediction: rows of values or documents by id.
type Inputs struct {
	// Rows are examples given by value: field name to value, 1..1000 of them. What is
	// left out is missing, as the kind of model takes that.
	Rows []map[string]any `json:"rows,omitempty"`
	// IDs are documents of Collection instead, 1..1000 of them.
	IDs        []string `json:"ids,omitempty"`
	Collection string   `json:"collection,omitempty"`
	// User is whose history the model reads, for kinds that read one.
	User string `json:"user,omitempty"`
	// Explain asks what carried each score.
	Explain bool `json:"explain,omitempty"`
}

// Prediction is the scores of one version.
type Prediction struct {
	Model   string    `json:"model"`
	Version uint32    `json:"version"` // that made every score
	Scores  []float64 `json:"scores"`  // of the inputs, in their order; larger is better
	// Explain says of each input, with Inputs.Explain and for kinds that can, what
	// carried its score: by field, or by item of the user's history.
	Explain []map[string]float64 `json:"explain,omitempty"`
	LSN     uint64               `json:"lsn"` // that model and documents are as of
}

// Predict scores inputs by the model that ref names, such as "ctr@production". Model
// and documents are as of one LSN. The model is loaded by the first call that needs
// it, or by the promotion that made it serve. Errors: ErrNotFound, ErrInvalid,
// ErrUnknownField for a value that the model does not read, ErrMismatch, ErrCorrupt,
// ErrClosed, or the context's.
func (db *DB) Predict(ctx context.Context, ref string, in Inputs) (Prediction, error) {
	p, err := db.predict(ctx, ref, &in)
	if err != nil {
		return Prediction{}, db.Models().fail("predict", err)
	}
	return p, nil
}

func (db *DB) predict(ctx context.Context, ref string, in *Inputs) (Prediction, error) {
	if err := ctx.Err(); err != nil {
		return Prediction{}, err
	}
	view, err := db.viewAt(0)
	if err != nil {
		return Prediction{}, err
	}
	defer view.Release()
	l, err := db.serving.at(ctx, view, ref)
	if err != nil {
		return Prediction{}, err
	}
	x, err := db.examples(view, l, in)
	if err != nil {
		return Prediction{}, err
	}
	p := Prediction{Model: l.model.Name, Version: l.model.Version, Scores: make([]float64, x.n), LSN: view.LSN()}
	var why []map[string]float64
	if in.Explain {
		why = make([]map[string]float64, x.n)
	}
	if err := l.score(ctx, x, p.Scores, why); err != nil {
		return Prediction{}, err
	}
	if i := slices.IndexFunc(p.Scores, func(s float64) bool { return !finite(s) }); i >= 0 {
		return Prediction{}, fmt.Errorf("%w: %v scores input %d as %v, which is not a finite number", ErrInvalid, l, i, p.Scores[i])
	}
	if in.Explain && why[0] != nil {
		p.Explain = why
	}
	return p, nil
}

// examples makes what a model scores of the inputs.
func (db *DB) examples(view *storage.View, l *loaded, in *Inputs) (*examples, error) {
	at, n := "/rows", len(in.Rows)
	if len(in.IDs) > 0 {
		at, n = "/ids", len(in.IDs)
	}
	switch {
	case (len(in.Rows) > 0) == (len(in.IDs) > 0):
		return nil, fmt.Errorf("%w: give exactly one of rows and ids", ErrInvalid)
	case n > MaxLimit:
		return nil, locate(at, fmt.Errorf("%w: %d inputs; at most %d", ErrInvalid, n, MaxLimit))
	case in.Collection != "" && len(in.IDs) == 0:
		return nil, locate("/collection", fmt.Errorf("%w: a collection goes with ids", ErrInvalid))
	}
	if err := l.checkUser(in.User); err != nil {
		return nil, locate("/user", err)
	}
	x := &examples{n: n, values: make([]format.Value, 0, n*len(l.needs.fields)), user: in.User, view: view}
	if len(in.Rows) > 0 {
		for i, row := range in.Rows {
			if err := x.addRow(l, row); err != nil {
				return nil, locate(fmt.Sprintf("/rows/%d", i), err)
			}
		}
		return x, nil
	}
	return x, db.addDocs(x, l, in)
}

// checkUser reports a user that a model needs or does not read.
func (l *loaded) checkUser(user string) error {
	switch {
	case l.needs.user && user == "":
		return fmt.Errorf("%w: kind %s scores for a user; name one", ErrInvalid, l.model.Kind)
	case !l.needs.user && user != "":
		return fmt.Errorf("%w: kind %s reads no user; leave it out", ErrInvalid, l.model.Kind)
	}
	return nil
}

// addRow adds an example given by value.
func (x *examples) addRow(l *loaded, row map[string]any) error {
	if l.needs.ids {
		id, ok := row["id"].(string)
		if !ok && row["id"] != nil {
			return fmt.Errorf("%w: the id of a row is a text", ErrInvalid)
		}
		x.ids = append(x.ids, id)
	}
	for _, f := range l.needs.fields {
		given, ok := row[f.name]
		if !ok || given == nil {
			x.values = append(x.values, format.Null())
			continue
		}
		v, err := encodeDynamic(given)
		if err != nil {
			return fmt.Errorf("%w: field %q: %v", ErrInvalid, f.name, err)
		}
		if t, ok := f.accepts(v); !ok {
			return fmt.Errorf("%w: field %q is of type %s, %v reads %v", ErrInvalid, f.name, t, l, f.types)
		}
		x.values = append(x.values, v)
	}
	for name, given := range row {
		if i := slices.IndexFunc(l.needs.fields, func(f input) bool { return f.name == name }); i >= 0 || given == nil || l.needs.ids && name == "id" {
			continue
		}
		err := fmt.Errorf("%w: %.140q, which %v does not read", ErrUnknownField, name, l)
		if near := index.Nearest(name, l.needs.names()); near != "" {
			err = fmt.Errorf("%w; did you mean %q?", err, near)
		}
		return err
	}
	return nil
}

// addDocs adds the documents of the inputs.
func (db *DB) addDocs(x *examples, l *loaded, in *Inputs) error {
	c, err := db.Collection(in.Collection)
	if err != nil {
		return err
	}
	st, err := c.stateAt(x.view.LSN())
	if err != nil {
		return err
	}
	if err := st.checkInputs(l); err != nil {
		return locate("/collection", err)
	}
	for i, id := range in.IDs {
		ord, _, ok, err := x.view.Lookup(st.id, id)
		var rec storage.Record
		if err == nil && ok {
			rec, err = x.view.Record(st.id, ord)
		}
		if err == nil && (!ok || rec.ExpireAt != 0 && rec.ExpireAt <= db.now()) {
			err = fmt.Errorf("%w: document %q", ErrNotFound, id)
		}
		if err != nil {
			return locate(fmt.Sprintf("/ids/%d", i), err)
		}
		x.addDoc(l, id, rec.Body)
	}
	return nil
}

// addDoc adds a document by its stored body. A value of a type that the model does
// not read is missing: undeclared fields may have any.
func (x *examples) addDoc(l *loaded, id string, body []byte) {
	for _, f := range l.needs.fields {
		v, _ := format.Lookup(body, f.name)
		if _, ok := f.accepts(v); !ok {
			v = format.Null()
		}
		x.values = append(x.values, v)
	}
	x.ids = append(x.ids, id)
}

// checkInputs refuses a model that reads fields which the schema does not have or
// declares of another type.
func (st *state) checkInputs(l *loaded) error {
	for _, f := range l.needs.fields {
		d, ok := st.stored.Schema.Fields[f.name]
		switch {
		case !ok && st.stored.Schema.Strict:
			return fmt.Errorf("%v reads a field: %w", l, st.stored.unknownField(f.name))
		case ok && !slices.Contains(f.types, d.Type):
			return fmt.Errorf("%w: %v reads field %q as %v, the schema declares %s", ErrInvalid, l, f.name, f.types, d.Type)
		}
	}
	return nil
}

// names are the fields that a model reads.
func (n *needs) names() []string {
	names := make([]string, len(n.fields))
	for i, f := range n.fields {
		names[i] = f.name
	}
	return names
}

// accepts reports whether the model reads a value, and of which type that is. A
// number without a fraction is read where others are. Null is always accepted.
func (f *input) accepts(v format.Value) (FieldType, bool) {
	if v.Kind() == format.KindList {
		for _, x := range v.List() {
			if t, ok := f.accepts(x); !ok {
				return t, false
			}
		}
		return "list", f.many
	}
	t, ok := kindTypes[v.Kind()]
	return t, !ok || slices.ContainsFunc(f.types, func(want FieldType) bool {
		return want == t || want == Float64 && t == Int64 || want == Text && t == Keyword
	})
}

// kindTypes are the types of fields that hold a kind of value, null apart.
var kindTypes = map[format.Kind]FieldType{format.KindBool: Bool, format.KindInt64: Int64, format.KindFloat64: Float64,
	format.KindString: Keyword, format.KindTime: Time, format.KindGeo: Point, format.KindJSON: JSON}
