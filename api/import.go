package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"mime"
	"net/http"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/eiderdb/eider"
	"github.com/eiderdb/eider/internal/ingest"
)

var importParams = []param{
	{"format", false, "string", "ndjson, csv, tsv, parquet, npy, fvecs and the other vector formats; found by Content-Type or the first bytes when absent"},
	{"id", false, "string", "column with the ids, default id"},
	{"vectors", false, "string", "vectors and their columns: name=column or name, separated by commas"},
	{"columns", false, "string", "fields to keep, separated by commas; all by default"},
	{"types", false, "string", "types of CSV columns: column=type, separated by commas"},
	{"list", false, "string", "what separates the elements of a CSV cell that holds a list"},
	{"first_id", false, "integer", "id of the first row of a format without ids"},
	{"stop", false, "boolean", "stop at the first bad row; the default skips it"},
	{"ready", false, "boolean", "answer only when the vector indexes have linked everything"},
}

const (
	importRows   = 1000        // rows of one commit, at most
	importBytes  = 4 * mib     // bytes of vectors of one commit, about
	importErrors = 1000        // bad rows reported one by one
	progressTime = time.Second // between progress lines
)

var mediaFormats = map[string]ingest.Format{
	"application/x-ndjson":           ingest.NDJSON,
	"application/ndjson":             ingest.NDJSON,
	"application/jsonl":              ingest.NDJSON,
	"text/csv":                       ingest.CSV,
	"text/tab-separated-values":      ingest.TSV,
	"application/vnd.apache.parquet": ingest.Parquet,
}

// importLine is a line of the answer: a bad row, progress, or the end. The
// stream is whole only if its last line has done or problem.
type importLine struct {
	Line     int64         `json:"line,omitempty"` // of the input, from 1
	ID       string        `json:"id,omitempty"`
	Problem  *problem      `json:"problem,omitempty"`
	Progress *importCounts `json:"progress,omitempty"`
	Done     *importCounts `json:"done,omitempty"`
}

type importCounts struct {
	Rows    int64   `json:"rows"`                 // read
	Written int64   `json:"written"`              // acknowledged
	Failed  int64   `json:"failed"`               // bad rows, of which the first 1000 have lines
	Known   int64   `json:"duplicates,omitempty"` // events that were stored already
	Bytes   int64   `json:"bytes"`                // of input
	Seconds float64 `json:"seconds"`
	LSN     uint64  `json:"lsn,omitempty"`
}

// importFormat is the format that a request names, "" if it names none.
func (c *call) importFormat() ingest.Format {
	if s := c.query.Get("format"); s != "" {
		return ingest.Format(s)
	}
	t, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return mediaFormats[t]
}

// importOptions reads the query parameters.
func (c *call) importOptions() (o ingest.Options, err error) {
	o.Format = c.importFormat()
	o.ID = c.query.Get("id")
	o.List = c.query.Get("list")
	o.Columns = c.list("columns")
	if o.FirstID, err = c.number("first_id", 0, 0, 1<<63); err != nil {
		return o, err
	}
	o.Vectors, o.Types = map[string]string{}, map[string]string{}
	for _, s := range c.list("vectors") {
		name, column, _ := strings.Cut(s, "=")
		o.Vectors[name] = column
	}
	for _, s := range c.list("types") {
		column, kind, ok := strings.Cut(s, "=")
		if !ok {
			return o, invalid("", "types is a list of column=type")
		}
		o.Types[column] = kind
	}
	o.MaxBytes = c.route.body
	return o, nil
}

// importDocs reads a stream of rows and writes them in batches. Bad rows are
// reported and skipped; what is written stays written, whatever comes later.
func importDocs(c *call) error {
	coll, err := c.collection()
	if err != nil {
		return err
	}
	options, err := c.importOptions()
	if err != nil {
		return err
	}
	ready, err := c.flag("ready")
	if err != nil {
		return err
	}
	for name, f := range coll.Schema().Fields {
		if _, given := options.Types[name]; !given {
			options.Types[name] = string(f.Type)
		}
	}
	im := &importer[eider.Doc]{c: c}
	im.store = func(ctx context.Context, docs []eider.Doc) error {
		r, err := coll.Upsert(ctx, docs...)
		if err != nil {
			return placed(err, "", 0)
		}
		im.counts.Written += int64(len(docs))
		im.counts.LSN = r.LSN
		return nil
	}
	if ready {
		im.last = func() error { return coll.Ready(c.ctx) }
	}
	return im.run(func(body io.Reader) (iter.Seq[importRow[eider.Doc]], error) {
		options.Progress = im.progress
		rows, err := ingest.Open(body, options)
		if err != nil {
			return nil, err
		}
		return func(yield func(importRow[eider.Doc]) bool) {
			for r := range rows {
				size := 0
				for _, v := range r.Vectors {
					size += 4 * len(v)
				}
				doc := eider.Doc{ID: r.ID, Fields: r.Fields, Vectors: r.Vectors, ExpireAt: r.ExpireAt}
				if !yield(importRow[eider.Doc]{r.Line, r.ID, size, doc, r.Err}) {
					return
				}
			}
		}, nil
	})
}

// importProblem turns an error of the input into a problem.
func importProblem(err error) error {
	var large *http.MaxBytesError
	var p *problem
	switch {
	case errors.As(err, &large), errors.As(err, &p):
		return err
	case errors.Is(err, ingest.ErrFormat):
		return &problem{Code: codeMedia, Detail: trimIngest(err), Hint: "name it with ?format= or Content-Type"}
	case errors.Is(err, ingest.ErrStream), errors.Is(err, ingest.ErrOptions), errors.Is(err, ingest.ErrRow):
		return &problem{Code: eider.CodeInvalid, Detail: trimIngest(err)}
	}
	return err
}

func trimIngest(err error) string { return strings.TrimPrefix(err.Error(), "ingest: ") }

type importRow[T any] struct {
	line int64
	id   string
	size int // bytes, about, of what is large
	item T
	err  error
}

// importer is one import: read parses ahead while write commits.
type importer[T any] struct {
	c     *call
	store func(context.Context, []T) error // counts what it wrote
	last  func() error                     // what is left to do at the end, or nil

	stop    bool
	start   time.Time
	batches chan []importRow[T]
	bytes   atomic.Int64
	broken  error // why reading ended early; set before batches closes

	counts importCounts
	told   time.Time // of the last progress line
	buf    bytes.Buffer
}

func (im *importer[T]) progress(n int64) { im.bytes.Store(n) }

// run imports what open makes of the body.
func (im *importer[T]) run(open func(io.Reader) (iter.Seq[importRow[T]], error)) (err error) {
	c := im.c
	if im.stop, err = c.flag("stop"); err != nil {
		return err
	}
	im.start = time.Now()
	im.told, im.batches = im.start, make(chan []importRow[T], 2)
	body, err := c.a.reader(c.w, c.r, c.route.body)
	if err != nil {
		return err
	}
	// The answer's lines go out while the body still comes in.
	c.w.rc.EnableFullDuplex()
	rows, err := open(body)
	if err != nil {
		return importProblem(err)
	}
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		im.read(ctx, rows)
	}()
	err = im.write(ctx)
	cancel()
	if err != nil {
		c.w.rc.SetReadDeadline(time.Now()) // a reader that waits for the client stops
	}
	<-done
	if err == nil {
		err = im.broken
	}
	if err == nil && im.last != nil {
		err = im.last()
	}
	return im.end(err)
}

// read turns rows into batches until the input ends or ctx does.
func (im *importer[T]) read(ctx context.Context, rows iter.Seq[importRow[T]]) {
	defer close(im.batches)
	defer func() { // this goroutine is ours: nobody else would catch a panic
		if cause := recover(); cause != nil {
			im.c.a.log.Error("panic", "request_id", im.c.w.id, "route", im.c.w.route, "cause", cause, "stack", string(debug.Stack()))
			im.broken = &problem{Code: eider.CodeInternal, Detail: "the server failed", Hint: "the log has the cause under the request_id"}
		}
	}()
	var batch []importRow[T]
	size := 0
	flush := func() bool {
		if len(batch) == 0 {
			return true
		}
		select {
		case im.batches <- batch:
			batch, size = nil, 0
			return true
		case <-ctx.Done():
			return false
		}
	}
	last := time.Now()
	for r := range rows {
		if r.err != nil && errors.Is(r.err, ingest.ErrStream) {
			im.broken = importProblem(r.err)
			break
		}
		batch = append(batch, r)
		size += r.size
		if len(batch) >= importRows || size >= importBytes || time.Since(last) > progressTime {
			last = time.Now()
			if !flush() {
				return
			}
		}
	}
	flush()
}

var errStopped = errors.New("stopped at a bad row")

// write commits batches as they come and tells how it goes.
func (im *importer[T]) write(ctx context.Context) error {
	for batch := range im.batches {
		items := make([]T, 0, len(batch))
		good := batch[:0]
		for _, r := range batch {
			im.counts.Rows++
			if r.err != nil {
				if err := im.bad(r.line, r.id, importProblem(r.err)); err != nil {
					return err
				}
				continue
			}
			items, good = append(items, r.item), append(good, r)
		}
		if err := im.commit(ctx, items, good); err != nil {
			return err
		}
		if time.Since(im.told) > progressTime {
			im.told = time.Now()
			counts := im.count()
			if err := im.tell(importLine{Progress: &counts}); err != nil {
				return err
			}
		}
	}
	return nil
}

// commit writes items together; if that fails, halves of them, down to the ones
// that are at fault. rows are theirs.
func (im *importer[T]) commit(ctx context.Context, items []T, rows []importRow[T]) error {
	if len(items) == 0 {
		return nil
	}
	err := im.store(ctx, items)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if status := problemOf(err).Status; status >= 500 {
		return err // not the rows' fault
	}
	if len(items) == 1 {
		return im.bad(rows[0].line, rows[0].id, err)
	}
	half := len(items) / 2
	if err := im.commit(ctx, items[:half], rows[:half]); err != nil {
		return err
	}
	return im.commit(ctx, items[half:], rows[half:])
}

// bad reports a row that was not written.
func (im *importer[T]) bad(line int64, id string, err error) error {
	im.counts.Failed++
	if im.counts.Failed <= importErrors {
		if terr := im.tell(importLine{Line: line, ID: id, Problem: problemOf(err)}); terr != nil {
			return terr
		}
	}
	if im.stop {
		return errStopped
	}
	return nil
}

func (im *importer[T]) count() importCounts {
	counts := im.counts
	counts.Bytes, counts.Seconds = im.bytes.Load(), time.Since(im.start).Seconds()
	return counts
}

// tell sends one line.
func (im *importer[T]) tell(l importLine) error {
	h := im.c.w.Header()
	h.Set("Content-Type", "application/x-ndjson")
	h.Set("Cache-Control", "no-store")
	im.buf.Reset()
	enc := json.NewEncoder(&im.buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(l); err != nil {
		return err
	}
	if _, err := im.c.w.Write(im.buf.Bytes()); err != nil {
		return fmt.Errorf("the client went away: %w", err)
	}
	return im.c.w.Flush()
}

// end sends the last line. Before any line went out, an error is an ordinary
// answer.
func (im *importer[T]) end(err error) error {
	counts := im.count()
	if errors.Is(err, errStopped) {
		err = nil
	}
	if err != nil && im.c.w.status == 0 && counts.Written == 0 {
		return err
	}
	last := importLine{Done: &counts}
	if err != nil {
		p := problemOf(err)
		p.RequestID = im.c.w.id
		last.Problem = p
	}
	if im.c.w.status == 0 {
		im.c.lsn(counts.LSN)
	}
	im.tell(last)
	return nil
}
