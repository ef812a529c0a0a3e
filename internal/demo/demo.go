// Package demo holds the collections of `eider demo`: real data that may be
// redistributed (licences in the folder LICENSES), as documents ready to
// upsert, with searches that show what the engine does.
//
// The package knows nothing of the engine: a collection is described in plain
// words (field types as the schema calls them, values as Go values) and the
// command line turns that into a schema, documents and queries.
//
// The files under data are made by _make/make.py from the public sets.
package demo

import (
	"bufio"
	"compress/gzip"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

//go:embed data/*.jsonl.gz
var files embed.FS

// Licenses are the licence texts of the data, for programs that ship it.
//
//go:embed LICENSES
var Licenses embed.FS

// Field is one field of a collection's documents.
type Field struct {
	Name    string
	Type    string // keyword, text, bool, int64 or float64, as in a schema
	Indexed bool   // searches filter on it
	About   string // what it means, with its unit
}

// Condition is one comparison of a filter.
type Condition struct {
	Field string
	Op    string // eq, in, gt, gte, lt or lte
	Value any    // string, []string, int64, float64 or bool
}

// Search is a search worth showing: texts near Text among the documents that
// meet every condition.
type Search struct {
	Title  string // one line for people
	Text   string
	Filter []Condition
	Expect string // id of a document among the first five, with the encoder "static-tiny"
}

// Collection is a set of documents.
type Collection struct {
	Name        string // legal as a collection's name
	Description string
	License     string // name of the licence, and whose data it is
	Count       int    // documents that Each gives
	Fields      []Field
	Source      []string // text fields that are encoded, joined by a space
	Searches    []Search
	Taste       *Taste // nil if nobody's is known
}

// Taste is what people like of a collection, to learn a ranking from.
type Taste struct {
	Model  string   // legal as a model's name
	Fields []string // of the collection, to learn from
	People int      // that Each gives
	Likes  int      // in all
	User   string   // whose taste shows something in the collection's first search
}

// Each calls fn for each person with the ids of the documents liked, until fn
// returns an error, which it returns. Nobody asked when: the order of likes is fixed,
// but means nothing. The slice belongs to fn.
func (t *Taste) Each(fn func(user string, likes []string) error) error {
	return each("likes", func(id string, raw map[string]any) error {
		likes, err := value("keyword", raw["likes"])
		if err != nil {
			return err
		}
		return fn(id, likes.([]string))
	})
}

// Collections returns the demo collections, smallest first, but last those of which
// a taste is known. The slices belong to the caller.
func Collections() []Collection { return []Collection{emoji(), films(), packages(), cuisines()} }

// Text returns what is encoded for a document: its Source fields joined by a
// space.
func (c Collection) Text(doc map[string]any) string {
	var parts []string
	for _, name := range c.Source {
		if s, ok := doc[name].(string); ok && s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, " ")
}

// Each calls fn for every document in a fixed order until fn returns an error,
// which it returns. Ids are unique and stable. Values are string, []string,
// int64, float64 or bool as the field's type says; fields without a value are
// left out. The map belongs to fn.
func (c Collection) Each(fn func(id string, doc map[string]any) error) error {
	types := make(map[string]string, len(c.Fields))
	for _, f := range c.Fields {
		types[f.Name] = f.Type
	}
	return each(c.Name, func(id string, doc map[string]any) (err error) {
		for name, v := range doc {
			if doc[name], err = value(types[name], v); err != nil {
				return fmt.Errorf("demo: %s %s, field %s: %w", c.Name, id, name, err)
			}
		}
		return fn(id, doc)
	})
}

// each calls fn for every line of a file, until fn returns an error.
func each(file string, fn func(id string, raw map[string]any) error) error {
	f, err := files.Open("data/" + file + ".jsonl.gz")
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer f.Close()
	z, err := gzip.NewReader(bufio.NewReader(f))
	if err != nil {
		return fmt.Errorf("demo: %s: %w", file, err)
	}
	in := json.NewDecoder(z)
	in.UseNumber()
	for line := 1; ; line++ {
		raw := map[string]any{}
		if err := in.Decode(&raw); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("demo: %s line %d: %w", file, line, err)
		}
		id, _ := raw["id"].(string)
		if id == "" {
			return fmt.Errorf("demo: %s line %d has no id", file, line)
		}
		delete(raw, "id")
		if err := fn(id, raw); err != nil {
			return err
		}
	}
}

// value turns a decoded JSON value into the Go value of a field type.
func value(kind string, v any) (any, error) {
	switch v := v.(type) {
	case string:
		if kind == "keyword" || kind == "text" {
			return v, nil
		}
	case bool:
		if kind == "bool" {
			return v, nil
		}
	case json.Number:
		switch kind {
		case "int64":
			return v.Int64()
		case "float64":
			return v.Float64()
		}
	case []any:
		if kind == "keyword" {
			list := make([]string, len(v))
			for i := range v {
				s, ok := v[i].(string)
				if !ok {
					return nil, fmt.Errorf("%v in a list of keywords", v[i])
				}
				list[i] = s
			}
			return list, nil
		}
	}
	return nil, fmt.Errorf("a value of type %T does not fit the field type %q", v, kind)
}
