package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	Rows    int64   `json:"rows"`    // read
	Written int64   `json:"written"` // acknowledged
	Failed  int64   `json:"failed"`  // bad rows, of which the first 1000 have lines
	Bytes   int64   `json:"bytes"`   // of input
	Seconds float64 `json:"seconds"`
	LSN     uint64  `json:"lsn,omitempty"`
}

// importOptions reads the query parameters.
func (c *call) importOptions() (o ingest.Options, err error) {
	if s := c.query.Get("format"); s != "" {
		o.Format = ingest.Format(s)
	} else if t, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type")); err == nil {
		o.Format = mediaFormats[t]
	}
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
	stop, err := c.flag("stop")
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
	now := time.Now()
	im := &importer{c: c, coll: coll, stop: stop, start: now, told: now, batches: make(chan []importRow, 2)}
	options.Progress = func(n int64) { im.bytes.Store(n) }
	body, err := c.a.reader(c.w, c.r, c.route.body)
	if err != nil {
		return err
	}
	// The answer's lines go out while the body still comes in.
	c.w.rc.EnableFullDuplex()
	rows, err := ingest.Open(body, options)
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
	if err == nil && ready {
		err = coll.Ready(c.ctx)
	}
	return im.end(err)
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

type importRow struct {
	line int64
	doc  eider.Doc
	err  error
}

// importer is one import: read parses ahead while write commits.
type importer struct {
	c       *call
	coll    *eider.Collection
	stop    bool
	start   time.Time
	batches chan []importRow
	bytes   atomic.Int64
	broken  error // why reading ended early; set before batches closes

	counts importCounts
	told   time.Time // of the last progress line
	buf    bytes.Buffer
}

// read turns rows into batches until the input ends or ctx does.
func (im *importer) read(ctx context.Context, rows iter.Seq[ingest.Row]) {
	defer close(im.batches)
	defer func() { // this goroutine is ours: nobody else would catch a panic
		if cause := recover(); cause != nil {
			im.c.a.log.Error("panic", "request_id", im.c.w.id, "route", im.c.w.route, "cause", cause, "stack", string(debug.Stack()))
			im.broken = &problem{Code: eider.CodeInternal, Detail: "the server failed", Hint: "the log has the cause under the request_id"}
		}
	}()
	var batch []importRow
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
		if r.Err != nil && errors.Is(r.Err, ingest.ErrStream) {
			im.broken = importProblem(r.Err)
			break
		}
		batch = append(batch, importRow{r.Line, eider.Doc{ID: r.ID, Fields: r.Fields, Vectors: r.Vectors, ExpireAt: r.ExpireAt}, r.Err})
		for _, v := range r.Vectors {
			size += 4 * len(v)
		}
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
func (im *importer) write(ctx context.Context) error {
	for batch := range im.batches {
		docs := make([]eider.Doc, 0, len(batch))
		lines := make([]int64, 0, len(batch))
		for _, r := range batch {
			im.counts.Rows++
			if r.err != nil {
				if err := im.bad(r.line, r.doc.ID, importProblem(r.err)); err != nil {
					return err
				}
				continue
			}
			docs, lines = append(docs, r.doc), append(lines, r.line)
		}
		if err := im.commit(ctx, docs, lines); err != nil {
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

// commit writes documents together; if that fails, halves of them, down to the
// ones that are at fault.
func (im *importer) commit(ctx context.Context, docs []eider.Doc, lines []int64) error {
	if len(docs) == 0 {
		return nil
	}
	r, err := im.coll.Upsert(ctx, docs...)
	if err == nil {
		im.counts.Written += int64(len(docs))
		im.counts.LSN = r.LSN
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if status := problemOf(err).Status; status >= 500 {
		return err // not the documents' fault
	}
	if len(docs) == 1 {
		return im.bad(lines[0], docs[0].ID, placed(err, "", 0))
	}
	half := len(docs) / 2
	if err := im.commit(ctx, docs[:half], lines[:half]); err != nil {
		return err
	}
	return im.commit(ctx, docs[half:], lines[half:])
}

// bad reports a row that was not written.
func (im *importer) bad(line int64, id string, err error) error {
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

func (im *importer) count() importCounts {
	counts := im.counts
	counts.Bytes, counts.Seconds = im.bytes.Load(), time.Since(im.start).Seconds()
	return counts
}

// tell sends one line.
func (im *importer) tell(l importLine) error {
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
func (im *importer) end(err error) error {
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
