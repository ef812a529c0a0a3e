package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/eiderdb/eider"
	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/internal/ingest"
)

// embedVector is the name of the vector that --embed adds.
const embedVector = "meaning"

type importCmd struct {
	texts
	collection
	File        string     `arg:"" optional:"" help:"File to read, may be compressed with gzip; without one, or with -, standard input."`
	Format      string     `help:"ndjson, csv, tsv, parquet, npy, fvecs ...; found by the file's name or first bytes if left out."`
	Create      bool       `help:"Make the database and the collection if missing, with a schema inferred from the first documents."`
	Schema      string     `help:"With --create: the schema as JSON, or @FILE, instead of an inferred one." placeholder:"JSON"`
	Embed       []string   `help:"With --create: turn the text of these fields into a vector, named meaning, by an encoder." placeholder:"FIELD"`
	Encoder     string     `help:"Encoder of --embed: static-tiny, hashed, or the name of an --encoder-dir." default:"static-tiny"`
	Memory      eider.Size `help:"What the vector indexes of the collection may take, like 512MiB; they become smaller to keep to it." placeholder:"SIZE"`
	IDField     string     `help:"Column or member that holds the id." default:"id" placeholder:"NAME"`
	VectorField []string   `help:"Column that holds a vector, or VECTOR=COLUMN; for files of vectors, the name of the vector." placeholder:"NAME"`
	List        string     `help:"In CSV, what separates the elements of a list in a cell." placeholder:"CHAR"`
	Batch       int        `help:"Documents written at once, 1 to 10000." default:"1000"`
	Errors      string     `help:"File for the lines that cannot be used; default standard error." placeholder:"FILE"`
	Skip        int64      `help:"Rows to pass over: where an interrupted import said it ended." placeholder:"N"`

	Events   bool     `help:"Load events of users instead of documents."`
	Column   []string `help:"With --events: a column with another name than user, item, type, time, value, id or context, as user=userId." placeholder:"PART=NAME"`
	Header   []string `help:"With --events: the columns of a CSV or TSV file without a header." placeholder:"NAME"`
	TimeUnit string   `help:"With --events: unit of times that are numbers since 1970: s, ms, us or ns." default:"s" placeholder:"UNIT"`
}

// imported is the report of an import.
type imported struct {
	Collection string  `json:"collection"`
	Created    bool    `json:"created"`
	Documents  int64   `json:"documents"` // stored
	Failed     int64   `json:"failed"`    // rows that could not be used
	Rows       int64   `json:"rows"`      // read, those passed over included: the --skip that continues here
	LSN        uint64  `json:"lsn"`
	Seconds    float64 `json:"seconds"`
}

// Run reads rows and stores them in batches, in order, each durable before the
// next is written. Rows that cannot be used are reported by line and left out.
func (c *importCmd) Run(ctx context.Context, t *terminal) (err error) {
	if c.Batch < 1 || c.Batch > 10_000 {
		return usage(fmt.Sprintf("--batch %d", c.Batch), "use 1 to 10000")
	}
	if err := c.checkFormat(); err != nil {
		return err
	}
	if err := c.checkEvents(); err != nil {
		return err
	}
	in, size, err := c.input(t)
	if err != nil {
		return err
	}
	defer in.Close()
	db, err := c.write(c.Create)
	if err != nil {
		return err
	}
	defer closing(db, &err)
	bad, err := c.errorLog(t)
	if err != nil {
		return err
	}
	read := c.documents
	if c.Events {
		read = c.events
	}
	stored, unusable, total, runErr := read(ctx, t, db, bad, in, size)
	if err := bad.close(); err != nil && runErr == nil {
		runErr = err
	}
	switch {
	case errors.Is(runErr, context.Canceled):
		return failed(fmt.Sprintf("interrupted after %d rows, all of them stored or reported", total), fmt.Sprintf("continue with --skip %d", total))
	case runErr != nil:
		return runErr
	case unusable > 0:
		return failed(fmt.Sprintf("%d of %d rows were not stored", unusable, stored+unusable), "mend the lines named above and import them again")
	}
	return nil
}

// documents imports documents, and prints the report where there is a collection.
func (c *importCmd) documents(ctx context.Context, t *terminal, db *eider.DB, bad *errorLog, in io.Reader, size int64) (stored, unusable, total int64, err error) {
	start := time.Now()
	l := &load[eider.Doc]{cmd: c, t: t, noun: "documents", bad: bad}
	coll, err := c.target(db)
	if err != nil {
		return 0, 0, 0, err
	}
	var known *eider.Schema
	if coll != nil {
		s := coll.Schema()
		known = &s
	}
	o := c.options(known)
	o.Progress = func(n int64) { l.read.Store(n) }
	seq, err := ingest.Open(in, o)
	if err != nil {
		return 0, 0, 0, inputError(err)
	}
	r := imported{}
	l.begin = func(ctx context.Context, first []eider.Doc) (err error) {
		if coll == nil {
			s, err := c.schema(first)
			if err != nil {
				return err
			}
			if coll, err = db.CreateCollection(ctx, c.Collection, s); err != nil {
				return err
			}
			r.Created = true
		}
		if c.Memory > 0 && coll.Schema().Memory != c.Memory {
			return coll.SetMemory(ctx, c.Memory)
		}
		return nil
	}
	l.store = func(ctx context.Context, docs []eider.Doc) error {
		_, err := coll.Upsert(ctx, docs...)
		return err
	}
	err = l.run(ctx, docRows(seq), size)
	if err == nil && coll == nil {
		err = failed("there are no documents to make a collection of", "check the input and --skip")
	} else if err == nil {
		err = coll.Ready(ctx)
	}
	if coll != nil {
		r.Collection, r.Documents, r.Failed, r.Rows = coll.Name(), l.stored, l.failed, l.rows
		r.LSN, r.Seconds = db.LSN(), time.Since(start).Seconds()
		if perr := r.print(t); err == nil {
			err = perr
		}
	}
	return l.stored, l.failed, l.rows, err
}

// docRows are the rows of an input as documents.
func docRows(seq iter.Seq[ingest.Row]) iter.Seq[row[eider.Doc]] {
	return func(yield func(row[eider.Doc]) bool) {
		for r := range seq {
			size := 0
			for _, v := range r.Vectors {
				size += 4 * len(v)
			}
			if !yield(row[eider.Doc]{r.Line, eider.Doc{ID: r.ID, Fields: r.Fields, Vectors: r.Vectors, ExpireAt: r.ExpireAt}, size, r.Err}) {
				return
			}
		}
	}
}

// print shows the report.
func (r imported) print(t *terminal) error {
	if t.json {
		return t.print(r)
	}
	plural, made := "s", ""
	if r.Documents == 1 {
		plural = ""
	}
	if r.Created {
		made = " (new)"
	}
	t.printf("  %s document%s in %s%s, %.1f s", count(r.Documents), plural, r.Collection, made, r.Seconds)
	if r.Failed > 0 {
		t.printf(", %s rows left out", count(r.Failed))
	}
	t.printf("\n")
	return nil
}

func (c *importCmd) checkFormat() error {
	formats := ingest.Formats()
	if c.Format == "" || slices.Contains(formats, ingest.Format(c.Format)) {
		return nil
	}
	names := make([]string, len(formats))
	for i, f := range formats {
		names[i] = string(f)
	}
	return usage("--format "+c.Format+" is not known", "use one of "+strings.Join(names, ", "))
}

// input opens the file or standard input; size is 0 when unknown.
func (c *importCmd) input(t *terminal) (io.ReadCloser, int64, error) {
	if c.File == "" || c.File == "-" {
		if t.inTTY {
			return nil, 0, usage("there is nothing to import", "name a file, or send rows to standard input")
		}
		return io.NopCloser(t.in), 0, nil
	}
	f, err := os.Open(c.File)
	if err != nil {
		return nil, 0, failed(fmt.Sprintf("cannot read %s: %v", c.File, reason(err)), "check the path")
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = errors.New("it is a directory")
	}
	if err != nil {
		return nil, 0, errors.Join(failed(fmt.Sprintf("cannot read %s: %v", c.File, reason(err)), "name a file"), f.Close())
	}
	return f, info.Size(), nil
}

// options are what ingest needs to know; s is the collection's schema, nil
// while there is no collection yet.
func (c *importCmd) options(s *eider.Schema) ingest.Options {
	o := ingest.Options{Format: ingest.Format(c.Format), ID: c.IDField, List: c.List}
	if c.File != "-" {
		o.Name = c.File
	}
	for _, v := range c.VectorField {
		name, column, found := strings.Cut(v, "=")
		if !found {
			column = name
		}
		if o.Vectors == nil {
			o.Vectors = map[string]string{}
		}
		o.Vectors[name] = column
	}
	if s != nil {
		o.Types = map[string]string{}
		for name, f := range s.Fields {
			kind := string(f.Type)
			if f.Type == eider.Point {
				kind = "geo"
			}
			o.Types[name] = kind
		}
	}
	return o
}

// target finds the collection that exists already, nil if it is to be made.
func (c *importCmd) target(db *eider.DB) (*eider.Collection, error) {
	name := c.Collection
	if name == "" && c.Create {
		if name = collectionName(c.File); name == "" {
			return nil, usage("the collection has no name", "give --collection")
		}
		c.Collection = name
	}
	if !c.Create {
		return c.of(db)
	}
	coll, err := db.Collection(name)
	if errors.Is(err, eider.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	made := coll.Schema().Vectors[embedVector]
	if len(c.Embed) > 0 && !slices.Equal(made.Source, c.Embed) || c.Schema != "" {
		return nil, usage("collection "+name+" exists already", "leave --schema and --embed out, or choose another --collection")
	}
	return coll, nil
}

var notInName = regexp.MustCompile(`[^a-z0-9_-]+`)

// collectionName makes a collection's name of a file's: films.csv.gz gives
// films. It is empty for standard input.
func collectionName(file string) string {
	base := strings.ToLower(filepath.Base(file))
	base, _, _ = strings.Cut(base, ".")
	base = strings.Trim(notInName.ReplaceAllString(base, "-"), "-")
	return base[:min(len(base), 64)]
}

// schema is the schema of a new collection: given, or inferred from the first
// documents.
func (c *importCmd) schema(sample []eider.Doc) (eider.Schema, error) {
	var s eider.Schema
	if c.Schema != "" {
		given, err := inline(c.Schema)
		if err != nil {
			return s, err
		}
		if err := strictJSON(given, &s); err != nil {
			return s, usage(fmt.Sprintf("--schema is not a schema: %v", err), "`eider collections DIR NAME` prints one")
		}
	} else {
		s = infer(sample)
	}
	if len(c.Embed) == 0 {
		return s, nil
	}
	for _, field := range c.Embed {
		hasText := func(d eider.Doc) bool { text, ok := d.Fields[field].(string); return ok && text != "" }
		if !slices.ContainsFunc(sample, hasText) {
			return s, usage("--embed "+field+": the first documents have no text in that field", "name fields with text")
		}
	}
	enc, err := c.encoder(c.Encoder)
	if err != nil {
		return s, err
	}
	if s.Vectors == nil {
		s.Vectors = map[string]eider.Vector{}
	}
	s.Vectors[embedVector] = eider.Vector{Dim: enc.Dim(), Metric: index.Cosine, Encoder: c.Encoder, Source: c.Embed}
	return s, nil
}
