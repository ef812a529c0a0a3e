package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/eiderdb/eider"
)

type collectionsCmd struct {
	directory
	Name string `arg:"" optional:"" help:"Show the schema of this collection instead."`
}

// Run lists the collections, or prints one schema as JSON (the form that
// `eider import --schema` and the HTTP API read).
func (c *collectionsCmd) Run(_ context.Context, t *terminal) (err error) {
	db, err := c.read()
	if err != nil {
		return err
	}
	defer closing(db, &err)
	if c.Name == "" {
		return listCollections(t, db.Collections())
	}
	coll, err := db.Collection(c.Name)
	if err != nil {
		return err
	}
	if t.json {
		return t.print(coll.Schema())
	}
	text, err := json.MarshalIndent(coll.Schema(), "", "  ")
	if err != nil {
		return fmt.Errorf("printing the schema of %s: %w", coll.Name(), err)
	}
	t.printf("%s\n", text)
	return nil
}

func listCollections(t *terminal, all []eider.Info) error {
	if t.json {
		if all == nil {
			all = []eider.Info{}
		}
		return t.print(all)
	}
	if len(all) == 0 {
		t.printf("  no collections\n")
		return nil
	}
	b := columns("collection", ">documents", "aliases", "vectors", "fields")
	for _, info := range all {
		b.add(info.Name, count(info.Docs), info.Aliases, vectorsText(info.Schema), fieldsText(info.Schema))
	}
	b.write(t)
	return nil
}

// vectorsText says "name 64 cosine (encoder)" for each vector.
func vectorsText(s eider.Schema) string {
	var parts []string
	for _, name := range sortedNames(s.Vectors) {
		v := s.Vectors[name]
		metric := v.Metric
		if metric == "" {
			metric = "l2"
		}
		text := fmt.Sprintf("%s %d %s", name, v.Dim, metric)
		if v.Encoder != "" {
			text += " (" + v.Encoder + ")"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

// fieldsText says "name type" for each declared field, with a star where it is
// indexed.
func fieldsText(s eider.Schema) string {
	var parts []string
	for _, name := range sortedNames(s.Fields) {
		star := ""
		if s.Fields[name].Index {
			star = "*"
		}
		parts = append(parts, fmt.Sprintf("%s%s %s", name, star, s.Fields[name].Type))
	}
	return strings.Join(parts, ", ")
}
