package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"

	"github.com/eiderdb/eider"
	"github.com/eiderdb/eider/internal/ingest"
)

const (
	batchBytes  = 8 << 20 // a batch ends early when its vectors take this much
	shownErrors = 20      // lines on standard error; --errors has all
)

// load is one import under way.
type load struct {
	cmd    *importCmd
	t      *terminal
	db     *eider.DB
	coll   *eider.Collection
	bad    *errorLog
	report imported
	read   atomic.Int64 // bytes of the input
}

// rows is one batch as read: documents with the lines they come from.
type rows struct {
	docs  []eider.Doc
	lines []int64
	bad   []badLine
	n     int64 // rows, good and bad
	bytes int
	err   error // why there are no more
}

type badLine struct {
	line int64
	err  error
}

// run reads in one goroutine and writes in another, batch by batch in order.
func (l *load) run(ctx context.Context, in io.Reader, size int64) error {
	coll, err := l.cmd.target(l.db)
	if err != nil {
		return err
	}
	var known *eider.Schema
	if l.coll = coll; coll != nil {
		s := coll.Schema()
		known = &s
	}
	o := l.cmd.options(known)
	o.Progress = func(n int64) { l.read.Store(n) }
	seq, err := ingest.Open(in, o)
	if err != nil {
		return inputError(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	batches := make(chan rows, 1)
	go l.batches(ctx, seq, batches)
	p := l.t.progress("import", size)
	defer p.end()
	for more := true; more; {
		var b rows
		select { // not range: the reader may be stuck in a read when ctx ends
		case b, more = <-batches:
		case <-ctx.Done():
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := l.store(ctx, b); err != nil {
			return err
		}
		l.report.Rows += b.n
		p.set(l.read.Load(), l.report.Documents)
		if b.err != nil {
			return inputError(b.err)
		}
	}
	if l.coll == nil {
		return failed("there are no documents to make a collection of", "check the input and --skip")
	}
	return l.coll.Ready(ctx)
}

// batches sends the rows of seq in batches and closes out at their end.
func (l *load) batches(ctx context.Context, seq func(func(ingest.Row) bool), out chan<- rows) {
	defer close(out)
	var b rows
	send := func() bool {
		select {
		case out <- b:
			b = rows{}
			return true
		case <-ctx.Done():
			return false
		}
	}
	skip := l.cmd.Skip
	for row := range seq {
		if errors.Is(row.Err, ingest.ErrStream) {
			b.err = row.Err
			break
		}
		b.n++
		if skip > 0 {
			skip--
			continue
		}
		if row.Err != nil {
			b.bad = append(b.bad, badLine{row.Line, row.Err})
		} else {
			b.docs = append(b.docs, eider.Doc{ID: row.ID, Fields: row.Fields, Vectors: row.Vectors, ExpireAt: row.ExpireAt})
			b.lines = append(b.lines, row.Line)
			for _, v := range row.Vectors {
				b.bytes += 4 * len(v)
			}
		}
		if (len(b.docs) >= l.cmd.Batch || len(b.bad) >= l.cmd.Batch || b.bytes >= batchBytes) && !send() {
			return
		}
	}
	if b.n > 0 || b.err != nil {
		send()
	}
}

// store writes one batch and reports what of it cannot be written.
func (l *load) store(ctx context.Context, b rows) error {
	for _, bad := range b.bad {
		l.reject(bad.line, bad.err)
	}
	if len(b.docs) == 0 {
		return nil
	}
	if l.coll == nil {
		s, err := l.cmd.schema(b.docs)
		if err != nil {
			return err
		}
		if l.coll, err = l.db.CreateCollection(ctx, l.cmd.Collection, s); err != nil {
			return err
		}
		l.report.Created = true
	}
	if l.cmd.Memory > 0 && l.coll.Schema().Memory != l.cmd.Memory {
		if err := l.coll.SetMemory(ctx, l.cmd.Memory); err != nil {
			return err
		}
	}
	return l.upsert(ctx, b.docs, b.lines)
}

// upsert writes docs in one batch. If the batch is refused for what is in it,
// its halves are tried: all that can be stored is, whatever stands beside it.
func (l *load) upsert(ctx context.Context, docs []eider.Doc, lines []int64) error {
	_, err := l.coll.Upsert(ctx, docs...)
	switch {
	case err == nil:
		l.report.Documents += int64(len(docs))
		return nil
	case !aboutData(err):
		return err
	case len(docs) == 1:
		l.reject(lines[0], err)
		return nil
	}
	half := len(docs) / 2
	if err := l.upsert(ctx, docs[:half], lines[:half]); err != nil {
		return err
	}
	return l.upsert(ctx, docs[half:], lines[half:])
}

// aboutData tells errors of a document from errors of the database.
func aboutData(err error) bool {
	switch eider.CodeOf(err) {
	case eider.CodeInvalid, eider.CodeUnknownField, eider.CodeDimension, eider.CodeVector, eider.CodeTooLarge:
		return true
	}
	return false
}

func (l *load) reject(line int64, err error) {
	l.report.Failed++
	l.bad.add(line, describe(err))
}

// print shows the report.
func (l *load) print() error {
	r := l.report
	if l.t.json {
		return l.t.print(r)
	}
	plural, made := "s", ""
	if r.Documents == 1 {
		plural = ""
	}
	if r.Created {
		made = " (new)"
	}
	l.t.printf("  %s document%s in %s%s, %.1f s", count(r.Documents), plural, r.Collection, made, r.Seconds)
	if r.Failed > 0 {
		l.t.printf(", %s rows left out", count(r.Failed))
	}
	l.t.printf("\n")
	return nil
}

// inputError says what is wrong with the input as a whole.
func inputError(err error) error {
	what := strings.TrimPrefix(err.Error(), "ingest: ")
	switch {
	case errors.Is(err, ingest.ErrOptions):
		return usage(what, "see `eider import --help`")
	case errors.Is(err, ingest.ErrFormat):
		return failed(what, "say which it is with --format")
	default:
		return failed(what, "what was read before is stored; mend the input and import it again")
	}
}

// errorLog takes the lines that could not be used.
type errorLog struct {
	t     *terminal
	file  *os.File // nil: standard error
	shown int
	err   error
}

func (c *importCmd) errorLog(t *terminal) (*errorLog, error) {
	if c.Errors == "" {
		return &errorLog{t: t}, nil
	}
	f, err := os.Create(c.Errors)
	if err != nil {
		return nil, failed(fmt.Sprintf("cannot write %s: %v", c.Errors, reason(err)), "choose another --errors")
	}
	return &errorLog{t: t, file: f}, nil
}

func (e *errorLog) add(line int64, what string) {
	text := fmt.Sprintf("line %d: %s", line, what)
	if e.file != nil {
		if _, err := fmt.Fprintln(e.file, clean(text)); err != nil && e.err == nil {
			e.err = err
		}
		return
	}
	switch e.shown++; {
	case e.shown <= shownErrors:
		e.t.note("%s", text)
	case e.shown == shownErrors+1:
		e.t.note("more lines cannot be used; --errors FILE lists them all")
	}
}

func (e *errorLog) close() error {
	if e.file == nil {
		return nil
	}
	if err := errors.Join(e.err, e.file.Close()); err != nil {
		return failed(fmt.Sprintf("cannot write %s: %v", e.file.Name(), err), "choose another --errors")
	}
	return nil
}
