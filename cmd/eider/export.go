package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"os"

	"github.com/eiderdb/eider"
)

type exportCmd struct {
	directory
	collection
	filters
	Output    string `short:"o" help:"File to write; default standard output. It appears under its name only when complete." placeholder:"FILE"`
	NoVectors bool   `help:"Leave the vectors out."`
	Events    bool   `help:"Write the events of all users instead."`
}

// exported is the report of an export of documents to a file.
type exported struct {
	Collection string `json:"collection"`
	Documents  int64  `json:"documents"`
	File       string `json:"file"`
}

// exportedEvents is that of events.
type exportedEvents struct {
	Events int64  `json:"events"`
	File   string `json:"file"`
}

// Run writes every document as of one LSN, in id order, or every event, user by
// user, one JSON object a line; `eider import` reads that form.
func (c *exportCmd) Run(ctx context.Context, t *terminal) (err error) {
	if c.Events && (c.Collection != "" || c.NoVectors || len(c.Where) > 0 || c.Filter != "") {
		return usage("events belong to no collection", "leave out what describes documents")
	}
	db, err := c.read()
	if err != nil {
		return err
	}
	defer closing(db, &err)
	if c.Events {
		st, err := db.Events().Stats(ctx)
		if err != nil {
			return err
		}
		n, err := exportLines(c, t, "events", int64(st.Events), func(yield func(eider.Event, error) bool) {
			for e, err := range db.Events().All(ctx, eider.EventFilter{}) {
				e.LSN = 0 // a fact of this database; import starts anew
				if !yield(e, err) {
					return
				}
			}
		})
		return c.report(t, exportedEvents{n, c.Output}, n, "events", err)
	}
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
	n, err := exportLines(c, t, "documents", int64(total), func(yield func(eider.Doc, error) bool) {
		for doc, err := range coll.All(ctx, tree) {
			if c.NoVectors {
				doc.Vectors = nil
			}
			doc.Version = 0 // as with events
			if !yield(doc, err) {
				return
			}
		}
	})
	return c.report(t, exported{coll.Name(), n, c.Output}, n, "documents of "+coll.Name(), err)
}

// report says what is in the file.
func (c *exportCmd) report(t *terminal, r any, n int64, what string, err error) error {
	if err != nil || c.Output == "" {
		return err
	}
	if t.json {
		return t.print(r)
	}
	t.printf("  %s %s in %s\n", count(n), what, c.Output)
	return nil
}

// exportLines writes values to the output and returns how many there were; total,
// about, drives the progress report of a file.
func exportLines[T any](c *exportCmd, t *terminal, noun string, total int64, all iter.Seq2[T, error]) (n int64, err error) {
	var out io.Writer = t.out
	var p *progress
	finish := func() error { return nil }
	if c.Output != "" {
		part := c.Output + ".part"
		f, err := os.Create(part)
		if err != nil {
			return 0, failed(fmt.Sprintf("cannot write %s: %v", c.Output, reason(err)), "choose another --output")
		}
		defer os.Remove(part)
		defer f.Close()
		buffered := bufio.NewWriterSize(f, 1<<20)
		out = buffered
		finish = func() error {
			for _, step := range []func() error{buffered.Flush, f.Sync, f.Close, func() error { return os.Rename(part, c.Output) }} {
				if err := step(); err != nil {
					return failed(fmt.Sprintf("cannot write %s: %v", c.Output, reason(err)), "free disk space or choose another --output")
				}
			}
			return nil
		}
		p = t.progress("export", noun, total)
		defer p.end()
	}
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	for v, err := range all {
		if err != nil {
			return n, err
		}
		if err := enc.Encode(v); err != nil {
			return n, fmt.Errorf("writing line %d: %w", n+1, err)
		}
		if n++; p != nil {
			p.set(n, n)
		}
	}
	return n, finish()
}
