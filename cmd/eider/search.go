package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/eiderdb/eider"
)

type searchCmd struct {
	texts
	collection
	filters
	Text    string   `short:"t" help:"Find documents near this text in meaning; needs a vector with an encoder."`
	Vector  string   `help:"Find documents near this vector: a JSON array, or @FILE." placeholder:"JSON"`
	Like    []string `help:"Find documents like the one with this id; repeat or separate by commas." placeholder:"ID"`
	Unlike  []string `help:"With --like: and unlike these." placeholder:"ID"`
	Using   string   `help:"Name of the vector to search; may be left out when there is only one." placeholder:"VECTOR"`
	Query   string   `help:"The whole query as JSON (the body of the HTTP search), or @FILE; other flags add to it." placeholder:"JSON"`
	Limit   int      `short:"n" help:"Hits wanted, 1 to 1000." default:"10"`
	Cursor  string   `help:"Continue after the page that ended with this cursor."`
	Fields  []string `short:"f" help:"Fields to show; default all." placeholder:"NAME"`
	Sort    []string `help:"Order by a field instead of the score; 'price:desc' for the largest first." placeholder:"FIELD"`
	Facet   []string `help:"Count the values of a field; 'brand:20' for the 20 most frequent." placeholder:"FIELD"`
	Rank    []string `help:"Order the best candidates by a model, such as ctr@production; repeat for further phases." placeholder:"MODEL"`
	User    string   `help:"User whose history the models of --rank read."`
	Exact   bool     `help:"Score every document that passes the filter."`
	Explain bool     `short:"e" help:"Show what each phase did and what each source said."`
}

// Run searches once and prints the hits.
func (c *searchCmd) Run(ctx context.Context, t *terminal) (err error) {
	db, err := c.read()
	if err != nil {
		return err
	}
	defer closing(db, &err)
	coll, err := c.of(db)
	if err != nil {
		return err
	}
	q, err := c.query(coll.Schema())
	if err != nil {
		return err
	}
	res, err := coll.Search(ctx, q)
	if err != nil {
		return err
	}
	if t.json {
		return t.print(res)
	}
	printResult(t, res, c.Fields, sourceFields(coll.Schema()))
	return nil
}

// sourceFields are the fields that vectors are made of: what a hit is about.
func sourceFields(s eider.Schema) []string {
	var all []string
	for _, name := range sortedNames(s.Vectors) {
		all = append(all, s.Vectors[name].Source...)
	}
	return all
}

// query builds the query that the flags ask for.
func (c *searchCmd) query(s eider.Schema) (eider.Query, error) {
	q := eider.Query{}
	if c.Query != "" {
		text, err := inline(c.Query)
		if err != nil {
			return q, err
		}
		if err := strictJSON(text, &q); err != nil {
			return q, usage(fmt.Sprintf("--query is not a query: %v", err), `write it like '{"retrieve":[{"near":{"text":"red shoe"}}]}'`)
		}
	}
	tree, err := c.tree(s)
	if err != nil {
		return q, err
	}
	switch {
	case tree != nil && q.Filter != nil:
		both := eider.And(*q.Filter, *tree)
		q.Filter = &both
	case tree != nil:
		q.Filter = tree
	}
	sources, err := c.retrieve()
	if err != nil {
		return q, err
	}
	q.Retrieve = append(q.Retrieve, sources...)
	for i := range q.Retrieve {
		q.Retrieve[i].Exact = q.Retrieve[i].Exact || c.Exact
	}
	if q.Limit == 0 {
		q.Limit = c.Limit
	}
	if c.Cursor != "" {
		q.Cursor = c.Cursor
	}
	if c.Fields != nil {
		q.Fields = c.Fields
	}
	for _, text := range c.Sort {
		field, order, _ := strings.Cut(text, ":")
		if order != "" && order != "asc" && order != "desc" {
			return q, usage(fmt.Sprintf("--sort %s: %q is not asc or desc", text, order), "write 'price:desc'")
		}
		q.Sort = append(q.Sort, eider.Sort{Field: field, Desc: order == "desc"})
	}
	for _, ref := range c.Rank {
		q.Rank = append(q.Rank, eider.Rank{Model: ref, User: c.User})
	}
	for _, text := range c.Facet {
		field, wanted, _ := strings.Cut(text, ":")
		n := 10
		if wanted != "" {
			if n, err = strconv.Atoi(wanted); err != nil {
				return q, usage(fmt.Sprintf("--facet %s: %q is not a number", text, wanted), "write 'brand:20'")
			}
		}
		if q.Facets == nil {
			q.Facets = map[string]int{}
		}
		q.Facets[field] = n
	}
	q.Explain = q.Explain || c.Explain
	return q, nil
}

// retrieve turns --text, --vector and --like into sources; several are fused.
func (c *searchCmd) retrieve() ([]eider.Retrieve, error) {
	var sources []eider.Retrieve
	if c.Text != "" {
		sources = append(sources, eider.Retrieve{Near: &eider.Near{Vector: c.Using, Text: c.Text}})
	}
	if c.Vector != "" {
		text, err := inline(c.Vector)
		if err != nil {
			return nil, err
		}
		var value []float32
		if err := strictJSON(text, &value); err != nil {
			return nil, usage(fmt.Sprintf("--vector is not a list of numbers: %v", err), "write it like '[0.1, -2, 3]'")
		}
		sources = append(sources, eider.Retrieve{Near: &eider.Near{Vector: c.Using, Value: value}})
	}
	switch {
	case len(c.Like) > 0:
		sources = append(sources, eider.Retrieve{Like: &eider.Like{Vector: c.Using, Positive: c.Like, Negative: c.Unlike}})
	case len(c.Unlike) > 0:
		return nil, usage("--unlike has nothing to start from", "give --like too")
	}
	return sources, nil
}

// printResult prints hits as a table with the fields in columns, then facets,
// phases and advice. fields are the columns; nil chooses what fits, first
// included.
func printResult(t *terminal, res eider.Result, fields, first []string) {
	if len(res.Hits) == 0 {
		t.printf("  no hits\n")
	} else {
		printHits(t, res.Hits, fields, first)
	}
	for _, field := range sortedNames(res.Facets) {
		b := columns(field, ">documents")
		for _, f := range res.Facets[field] {
			b.add(f.Value, count(f.Count))
		}
		t.printf("\n")
		b.write(t)
	}
	if res.Explain != nil {
		t.printf("\n")
		printPhases(t, res.Explain)
	}
	if len(res.Models) > 0 {
		t.printf("\n  ranked by %s\n", strings.Join(res.Models, ", then "))
	}
	if res.Total != nil {
		t.printf("\n  %s documents pass the filter\n", count(*res.Total))
	}
	if res.Cursor != "" {
		t.printf("\n  more: --cursor %s\n", res.Cursor)
	}
	for _, a := range res.Advice {
		t.note("note: %s", a)
	}
}

func printHits(t *terminal, hits []eider.Hit, fields, first []string) {
	left := 0
	if fields == nil {
		fields, left = fieldNames(hits, first, t.width)
	}
	// With one source its score is the hit's score.
	explained := slices.ContainsFunc(hits, func(h eider.Hit) bool { return len(h.Explain) > 1 })
	scored := slices.ContainsFunc(hits, func(h eider.Hit) bool { return h.Score != 0 })
	head := []string{">#"}
	if scored {
		head = append(head, ">score")
	}
	if explained {
		head = append(head, "sources")
	}
	b := columns(append(append(head, "id"), fields...)...)
	for i, h := range hits {
		row := []any{i + 1}
		if scored {
			row = append(row, strconv.FormatFloat(h.Score, 'f', 4, 64))
		}
		if explained {
			row = append(row, sourcesText(h.Explain))
		}
		row = append(row, h.ID)
		for _, f := range fields {
			row = append(row, h.Fields[f])
		}
		b.add(row...)
	}
	b.write(t)
	printRanked(t, hits)
	if left > 0 {
		t.printf("%s\n", t.style(dim, fmt.Sprintf("  %d more fields; choose with --fields, or --json for all", left)))
	}
}

// printRanked prints what the rank phases said of the hits, if the query asked.
func printRanked(t *terminal, hits []eider.Hit) {
	b := columns(">#", "model", ">score", ">from", "what carried it")
	for i, h := range hits {
		for _, r := range h.Ranked {
			b.add(i+1, r.Model, strconv.FormatFloat(r.Score, 'f', 4, 64), r.From, featuresText(r.Features))
		}
	}
	if len(b.rows) > 0 {
		t.printf("\n")
		b.write(t)
	}
}

// sourcesText is what each source said about a hit, as "source:rank score".
func sourcesText(scores []eider.SourceScore) string {
	parts := make([]string, len(scores))
	for i, s := range scores {
		parts[i] = fmt.Sprintf("s%d #%d %.4f", s.Source, s.Rank, s.Score)
	}
	return strings.Join(parts, ", ")
}

// fieldNames chooses the fields to show: all if the terminal is wide enough (0
// is unlimited), else those of first and those that most hits have, and says
// how many are left out. Short ones come first, so that long text is in the last column.
func fieldNames(hits []eider.Hit, first []string, width int) (names []string, left int) {
	longest, having := map[string]int{}, map[string]int{}
	for _, h := range hits {
		for name, v := range h.Fields {
			longest[name] = max(longest[name], displayWidth(cell(v)), displayWidth(name))
			having[name]++
		}
	}
	for _, name := range first {
		if having[name] > 0 {
			having[name] = len(hits) + 1
		}
	}
	names = sortedNames(longest)
	if width > 0 {
		slices.SortStableFunc(names, func(a, b string) int {
			return cmp.Or(cmp.Compare(having[b], having[a]), cmp.Compare(longest[a], longest[b]))
		})
		room := width - 30 // number, score, id
		kept := 0
		for _, name := range names {
			if room -= min(longest[name], 24) + 2; room < 0 && kept > 0 {
				break
			}
			kept++
		}
		names, left = names[:kept], len(names)-kept
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(longest[a], longest[b]) })
	return names, left
}

// printPhases prints the account of a query.
func printPhases(t *terminal, e *eider.Explain) {
	b := columns("phase", ">ms", ">in", ">out", "what it did")
	for _, p := range e.Phases {
		what := p.Plan
		for _, name := range sortedNames(p.Counts) {
			if p.Counts[name] == 0 {
				continue
			}
			if what != "" {
				what += ", "
			}
			what += fmt.Sprintf("%s %s", name, count(p.Counts[name]))
		}
		b.add(p.Name, strconv.FormatFloat(p.Micros/1000, 'f', 3, 64), count(p.In), count(p.Out), what)
	}
	b.write(t)
}

func sortedNames[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
