package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/eiderdb/eider"
	"github.com/eiderdb/eider/api"
	"github.com/eiderdb/eider/embed/text"
	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/internal/demo"
)

// demoVector is the name of the demo's vector.
const demoVector = "meaning"

// demoFields are the columns shown of each demo collection.
var demoFields = map[string][]string{
	"cuisines": {"name", "region"},
	"emoji":    {"emoji", "group", "name"},
	"films":    {"year", "title", "about"},
	"packages": {"name", "section", "description"},
}

type demoCmd struct {
	listening
	Dir     string `help:"Directory to keep the demo database in; default a temporary one, removed at the end." placeholder:"DIR"`
	NoServe bool   `help:"Stop after the searches."`
}

// Run loads what is not loaded yet, searches, serves.
func (c *demoCmd) Run(ctx context.Context, t *terminal) (err error) {
	dir := c.Dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "eider-demo-"); err != nil {
			return failed(fmt.Sprintf("cannot make a temporary directory: %v", reason(err)), "give --dir")
		}
		defer os.RemoveAll(dir)
	}
	db, err := directory{dir}.open(&eider.Options{}, true)
	if err != nil {
		return err
	}
	defer closing(db, &err)
	sets := demo.Collections()
	for _, set := range sets {
		if err := loadDemo(ctx, t, db, set); err != nil {
			return err
		}
	}
	if !t.json {
		t.printf("\n")
		if err := listDemo(t, db, sets); err != nil {
			return err
		}
	}
	number := 0
	for _, set := range sets {
		number++
		if err := showDemo(ctx, t, db, dir, number, set, false); err != nil {
			return err
		}
		if set.Taste == nil {
			continue
		}
		if err := learnTaste(ctx, t, db, set); err != nil {
			return err
		}
		number++
		if err := showDemo(ctx, t, db, dir, number, set, true); err != nil {
			return err
		}
	}
	if c.NoServe {
		return nil
	}
	if !t.json {
		t.printf("\n")
	}
	err = c.serve(ctx, t, db, api.Options{Logger: t.logger(slog.LevelWarn), Version: buildOf().Version})
	return err
}

// demoSchema is the schema of a demo collection: its fields, and one vector
// that the built-in encoder makes of its text.
func demoSchema(set demo.Collection) (eider.Schema, error) {
	enc, err := text.Open(text.StaticTiny)
	if err != nil {
		return eider.Schema{}, err
	}
	s := eider.Schema{
		Fields: map[string]eider.Field{},
		Vectors: map[string]eider.Vector{
			demoVector: {Dim: enc.Dim(), Metric: index.Cosine, Encoder: text.StaticTiny, Source: set.Source},
		},
	}
	for _, f := range set.Fields {
		s.Fields[f.Name] = eider.Field{Type: eider.FieldType(f.Type), Index: f.Indexed}
	}
	return s, nil
}

// loadDemo stores the documents of set and waits for the vector index, unless
// an earlier run has done so.
func loadDemo(ctx context.Context, t *terminal, db *eider.DB, set demo.Collection) error {
	s, err := demoSchema(set)
	if err != nil {
		return err
	}
	coll, err := db.CreateCollection(ctx, set.Name, s)
	if errors.Is(err, eider.ErrExists) {
		return failed(fmt.Sprintf("the directory has a collection %s that is not the demo's", set.Name), "choose another --dir")
	}
	if err != nil {
		return err
	}
	if coll.Info().Docs >= uint64(set.Count) {
		return nil
	}
	p := t.progress("load "+set.Name, "documents", int64(set.Count))
	defer p.end()
	var batch []eider.Doc
	var stored int64
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		if _, err := coll.Upsert(ctx, batch...); err != nil {
			return err
		}
		stored += int64(len(batch))
		batch = batch[:0]
		p.set(stored, stored)
		return nil
	}
	err = set.Each(func(id string, fields map[string]any) error {
		batch = append(batch, eider.Doc{ID: id, Fields: fields})
		if len(batch) < 500 {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	if err != nil {
		return err
	}
	return coll.Ready(ctx)
}

func listDemo(t *terminal, db *eider.DB, sets []demo.Collection) error {
	b := columns("collection", ">documents", "what it is", "data by")
	for _, set := range sets {
		coll, err := db.Collection(set.Name)
		if err != nil {
			return err
		}
		b.add(set.Name, count(coll.Info().Docs), set.Description, set.License)
	}
	b.write(t)
	return nil
}

// showDemo runs the first search of set, ranked by its taste or not, and prints it
// with the command that would do the same.
func showDemo(ctx context.Context, t *terminal, db *eider.DB, dir string, number int, set demo.Collection, ranked bool) error {
	coll, err := db.Collection(set.Name)
	if err != nil {
		return err
	}
	search := set.Searches[0]
	q := eider.Query{
		Retrieve: []eider.Retrieve{{Near: &eider.Near{Vector: demoVector, Text: search.Text}}},
		Filter:   demoFilter(search.Filter),
		Fields:   demoFields[set.Name],
		Limit:    5,
		Explain:  true,
	}
	title := search.Title
	if ranked {
		q.Rank = []eider.Rank{{Model: set.Taste.Model, User: set.Taste.User}}
		if title, err = tasteTitle(ctx, db, title, set.Taste.User); err != nil {
			return err
		}
	}
	res, err := coll.Search(ctx, q)
	if err != nil {
		return err
	}
	if t.json {
		return t.print(struct {
			Collection string       `json:"collection"`
			Title      string       `json:"title"`
			Query      eider.Query  `json:"query"`
			Result     eider.Result `json:"result"`
		}{set.Name, title, q, res})
	}
	command := fmt.Sprintf("eider search %s -c %s --text '%s'", dir, set.Name, search.Text)
	for _, f := range search.Filter {
		command += " --where '" + conditionText(f) + "'"
	}
	for _, r := range q.Rank {
		command += fmt.Sprintf(" --rank %s --user %s", r.Model, r.User)
	}
	t.printf("\n%s\n%s\n\n", t.style(bold, fmt.Sprintf("%d. %s", number, title)), t.style(dim, "   "+command+" --explain"))
	printResult(t, res, q.Fields, nil)
	return nil
}

// demoFilter turns the demo's plain conditions into a filter.
func demoFilter(conditions []demo.Condition) *eider.Filter {
	var all []eider.Filter
	for _, c := range conditions {
		switch c.Op {
		case "in":
			var values []any
			for _, v := range c.Value.([]string) {
				values = append(values, v)
			}
			all = append(all, eider.In(c.Field, values...))
		case "gt":
			all = append(all, eider.Gt(c.Field, c.Value))
		case "gte":
			all = append(all, eider.Gte(c.Field, c.Value))
		case "lt":
			all = append(all, eider.Lt(c.Field, c.Value))
		case "lte":
			all = append(all, eider.Lte(c.Field, c.Value))
		default:
			all = append(all, eider.Eq(c.Field, c.Value))
		}
	}
	switch len(all) {
	case 0:
		return nil
	case 1:
		return &all[0]
	}
	both := eider.And(all...)
	return &both
}

// conditionText is a condition as --where reads it.
func conditionText(c demo.Condition) string {
	sign := map[string]string{"eq": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}[c.Op]
	if list, ok := c.Value.([]string); ok {
		return c.Field + " in " + strings.Join(list, ",")
	}
	return fmt.Sprintf("%s%s%v", c.Field, sign, c.Value)
}
