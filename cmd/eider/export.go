package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/eiderdb/eider"
)

type exportCmd struct {
	directory
	collection
	filters
	Output    string `short:"o" help:"File to write; default standard output. It appears under its name only when complete." placeholder:"FILE"`
	NoVectors bool   `help:"Leave the vectors out."`
}

// exported is the report of an export to a file.
type exported struct {
	Collection string `json:"collection"`
	Documents  int64  `json:"documents"`
	File       string `json:"file"`
}

// Run writes every document as of one LSN, in id order, one JSON object a
// line; `eider import` reads that form.
func (c *exportCmd) Run(ctx context.Context, t *terminal) (err error) {
	db, err := c.read()
	if err != nil {
		return err
	}
	defer closing(db, &err)
	coll, err := c.of(db)
	if err != nil {
		return err
	}
	tree, err := c.tree(coll.Schema())
	if err != nil {
		return err
	}
	total, err := coll.Count(ctx, tree)
	if err != nil {
		return err
	}
	if c.Output == "" {
		_, err := c.write(ctx, t, coll, tree, t.out, 0)
		return err
	}
	part := c.Output + ".part"
	f, err := os.Create(part)
	if err != nil {
		return failed(fmt.Sprintf("cannot write %s: %v", c.Output, reason(err)), "choose another --output")
	}
	defer os.Remove(part)
	defer f.Close()
	out := bufio.NewWriterSize(f, 1<<20)
	n, err := c.write(ctx, t, coll, tree, out, int64(total))
	if err != nil {
		return err
	}
	for _, step := range []func() error{out.Flush, f.Sync, f.Close, func() error { return os.Rename(part, c.Output) }} {
		if err := step(); err != nil {
			return failed(fmt.Sprintf("cannot write %s: %v", c.Output, reason(err)), "free disk space or choose another --output")
		}
	}
	if t.json {
		return t.print(exported{Collection: coll.Name(), Documents: n, File: c.Output})
	}
	t.printf("  %s documents of %s in %s\n", count(n), coll.Name(), c.Output)
	return nil
}

// write streams the documents to w and returns how many there were. total, if
// known, drives the progress report.
func (c *exportCmd) write(ctx context.Context, t *terminal, coll *eider.Collection, tree *eider.Filter, w io.Writer, total int64) (int64, error) {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	var p *progress
	if total > 0 {
		p = t.progress("export", total)
		defer p.end()
	}
	var n int64
	for doc, err := range coll.All(ctx, tree) {
		if err != nil {
			return n, err
		}
		if c.NoVectors {
			doc.Vectors = nil
		}
		doc.Version = 0 // a fact of this database; import starts anew
		if err := enc.Encode(doc); err != nil {
			return n, fmt.Errorf("writing document %d: %w", n+1, err)
		}
		if n++; p != nil {
			p.set(n, n)
		}
	}
	return n, nil
}
