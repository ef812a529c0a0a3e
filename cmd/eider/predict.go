package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/eiderdb/eider"
)

type predictCmd struct {
	directory
	reference
	collection
	Row     []string `help:"An example by value, as JSON like '{\"price\": 3}', or @FILE; repeat for more." placeholder:"JSON" sep:"none"`
	Rows    string   `help:"Many examples: a JSON array of such objects, or @FILE." placeholder:"JSON"`
	ID      []string `help:"A document of the collection; repeat or separate by commas." placeholder:"ID"`
	User    string   `help:"User whose history the model reads."`
	Explain bool     `short:"e" help:"Show what carried each score."`
}

// Run scores the examples and names the version that did.
func (c *predictCmd) Run(ctx context.Context, t *terminal) (err error) {
	in, err := c.inputs()
	if err != nil {
		return err
	}
	db, err := c.read()
	if err != nil {
		return err
	}
	defer closing(db, &err)
	if len(in.IDs) > 0 {
		coll, err := c.of(db)
		if err != nil {
			return err
		}
		in.Collection = coll.Name()
	}
	p, err := db.Predict(ctx, c.Ref, in)
	if err != nil {
		return err
	}
	if t.json {
		return t.print(p)
	}
	b := columns("input", ">score", "what carried it")
	for i, score := range p.Scores {
		name, why := strconv.Itoa(i+1), ""
		if len(in.IDs) > 0 {
			name = in.IDs[i]
		}
		if i < len(p.Explain) {
			why = featuresText(p.Explain[i])
		}
		b.add(name, strconv.FormatFloat(score, 'g', 6, 64), why)
	}
	b.write(t)
	t.printf("\n  by %s@%d\n", p.Model, p.Version)
	return nil
}

func (c *predictCmd) inputs() (eider.Inputs, error) {
	in := eider.Inputs{IDs: c.ID, User: c.User, Explain: c.Explain}
	if c.Rows != "" {
		text, err := inline(c.Rows)
		if err != nil {
			return in, err
		}
		if err := strictJSON(text, &in.Rows); err != nil {
			return in, usage(fmt.Sprintf("--rows is not a list of objects: %v", err), `write it like '[{"price": 3}]'`)
		}
	}
	for _, row := range c.Row {
		text, err := inline(row)
		if err != nil {
			return in, err
		}
		var m map[string]any
		if err := strictJSON(text, &m); err != nil {
			return in, usage(fmt.Sprintf("--row is not an object: %v", err), `write it like '{"price": 3}'`)
		}
		in.Rows = append(in.Rows, m)
	}
	if (len(in.Rows) > 0) == (len(in.IDs) > 0) {
		return in, usage("give examples either by value or by document", "use --row or --rows, or --id")
	}
	return in, nil
}

// featuresText is what carried a score, the heaviest first.
func featuresText(features map[string]float64) string {
	names := sortedNames(features)
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(math.Abs(features[b]), math.Abs(features[a])) })
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = fmt.Sprintf("%s %+.4g", name, features[name])
	}
	return strings.Join(parts, ", ")
}
