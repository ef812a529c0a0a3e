package api

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// shape is what a struct type looks like as a JSON object.
type shape struct {
	members map[string]member
	names   []string // sorted
	text    bool     // it is a string, read by UnmarshalText
}

type member struct {
	index int  // of the struct field
	id    bool // a document id, which may also come as an integer
}

var shapes sync.Map // reflect.Type -> *shape

// shapeOf builds the shape of a struct type once. It panics for a type with more
// than 64 fields, which is a mistake of the program, not of the request.
func shapeOf(t reflect.Type) *shape {
	if p, ok := shapes.Load(t); ok {
		return p.(*shape)
	}
	if t.NumField() > 64 {
		panic(fmt.Sprintf("api: %s has more than 64 fields", t))
	}
	p := &shape{members: map[string]member{}, text: reflect.PointerTo(t).Implements(textType)}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		isID := name == "id" || name == "ids" || name == "positive" || name == "negative"
		p.members[name] = member{index: i, id: isID}
		p.names = append(p.names, name)
	}
	slices.Sort(p.names)
	actual, _ := shapes.LoadOrStore(t, p)
	return actual.(*shape)
}
