package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
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

// load is one import under way, of documents or events.
type load[T any] struct {
	cmd   *importCmd
	t     *terminal
	noun  string
	bad   *errorLog
	begin func(context.Context, []T) error // before the first batch; nil does nothing
	store func(context.Context, []T) error // one batch, all or none

	stored, failed, rows int64        // rows are those passed over, too
	read                 atomic.Int64 // bytes of the input
}

// row is one row of an input: what it holds, or why it holds nothing.
type row[T any] struct {
	line int64
	item T
	size int // bytes of what is large
	err  error
}

// rows is one batch as read: items with the lines they come from.
type rows[T any] struct {
	items []T
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
func (l *load[T]) run(ctx context.Context, seq iter.Seq[row[T]], size int64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	batches := make(chan rows[T], 1)
	go l.batches(ctx, seq, batches)
	p := l.t.progress("import", l.noun, size)
	defer p.end()
	for more := true; more; {
		var b rows[T]
		select { // not range: the reader may be stuck in a read when ctx ends
		case b, more = <-batches:
		case <-ctx.Done():
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, bad := range b.bad {
			l.reject(bad.line, bad.err)
		}
		if len(b.items) > 0 && l.begin != nil {
			if err := l.begin(ctx, b.items); err != nil {
				return err
			}
			l.begin = nil
		}
		if err := l.put(ctx, b.items, b.lines); err != nil {
			return err
		}
		l.rows += b.n
		p.set(l.read.Load(), l.stored)
		if b.err != nil {
			return inputError(b.err)
		}
	}
	return nil
}

// batches sends the rows of seq in batches and closes out at their end.
func (l *load[T]) batches(ctx context.Context, seq iter.Seq[row[T]], out chan<- rows[T]) {
	defer close(out)
	var b rows[T]
	send := func() bool {
		select {
		case out <- b:
			b = rows[T]{}
			return true
		case <-ctx.Done():
			return false
		}
	}
	skip := l.cmd.Skip
	for r := range seq {
		if errors.Is(r.err, ingest.ErrStream) {
			b.err = r.err
			break
		}
		b.n++
		if skip > 0 {
			skip--
			continue
		}
		if r.err != nil {
			b.bad = append(b.bad, badLine{r.line, r.err})
		} else {
			b.items, b.lines = append(b.items, r.item), append(b.lines, r.line)
			b.bytes += r.size
		}
		if (len(b.items) >= l.cmd.Batch || len(b.bad) >= l.cmd.Batch || b.bytes >= batchBytes) && !send() {
			return
		}
	}
	if b.n > 0 || b.err != nil {
		send()
	}
}

// put writes items in one batch. If the batch is refused for what is in it, its
// halves are tried: all that can be stored is, whatever stands beside it.
func (l *load[T]) put(ctx context.Context, items []T, lines []int64) error {
	if len(items) == 0 {
		return nil
	}
	err := l.store(ctx, items)
	switch {
	case err == nil:
		l.stored += int64(len(items))
		return nil
	case !aboutData(err):
		return err
	case len(items) == 1:
		l.reject(lines[0], err)
		return nil
	}
	half := len(items) / 2
	if err := l.put(ctx, items[:half], lines[:half]); err != nil {
		return err
	}
	return l.put(ctx, items[half:], lines[half:])
}

func (l *load[T]) reject(line int64, err error) {
	l.failed++
	l.bad.add(line, describe(err))
}

// aboutData tells errors of a document from errors of the database.
func aboutData(err error) bool {
	switch eider.CodeOf(err) {
	case eider.CodeInvalid, eider.CodeUnknownField, eider.CodeDimension, eider.CodeVector, eider.CodeTooLarge:
		return true
	}
	return false
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
