package api

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/eiderdb/eider"
)

const maxBatch = 1000 // operations of one batch

// condition reads If-Match and If-None-Match of a write.
func (c *call) condition() (eider.If, error) {
	match, none := c.r.Header.Get("If-Match"), c.r.Header.Get("If-None-Match")
	switch {
	case match != "" && none != "":
		return eider.If{}, invalid("", "send If-Match or If-None-Match, not both")
	case none == "*":
		return eider.If{Absent: true}, nil
	case none != "":
		return eider.If{}, invalid("", "on a write If-None-Match must be *")
	case match == "*":
		return eider.If{Exists: true}, nil
	case match != "":
		version, err := strconv.ParseUint(strings.Trim(match, `"`), 10, 64)
		if err != nil || version == 0 {
			return eider.If{}, invalid("", "If-Match must be the ETag of a document, such as \"3\", or *")
		}
		return eider.If{Version: version}, nil
	}
	return eider.If{}, nil
}

// unmet makes a failed condition of a header the 412 that HTTP has for it.
func unmet(err error, cond eider.If) error {
	met := !errors.Is(err, eider.ErrConflict) && !errors.Is(err, eider.ErrExists) && !errors.Is(err, eider.ErrNotFound)
	if cond == (eider.If{}) || met {
		return err
	}
	p := problemOf(err)
	p.Status = http.StatusPreconditionFailed
	if p.Hint == "" {
		p.Hint = "GET the document again and decide anew"
	}
	return p
}

// placed moves the pointer of an error of a write, which starts with the
// document's position in the call, to where the body has the document: at, and
// for several their number after it.
func placed(err error, at string, first int) error {
	p := problemOf(err)
	if p.Pointer == "" {
		return err
	}
	number, rest, _ := strings.Cut(p.Pointer[1:], "/")
	i, perr := strconv.Atoi(number)
	if perr != nil {
		return err
	}
	p.Pointer = at
	if at != "" {
		p.Pointer += "/" + strconv.Itoa(first+i)
	}
	if rest != "" {
		p.Pointer += "/" + rest
	}
	return p
}

// wrote answers a write of one document.
func (c *call) wrote(r eider.Receipt, created bool) error {
	c.lsn(r.LSN)
	status := http.StatusOK
	if len(r.Docs) == 1 {
		if r.Docs[0].Version > 0 {
			c.etag(r.Docs[0].Version)
		}
		if created && !r.Docs[0].Existed {
			status = http.StatusCreated
		}
	}
	return c.reply(status, r)
}

// doc reads the document of a body; its id is the one of the path.
func (c *call) doc() (eider.Doc, error) {
	var d eider.Doc
	if err := c.decode(&d); err != nil {
		return d, err
	}
	if id := c.path("id"); d.ID == "" {
		d.ID = id
	} else if d.ID != id {
		return d, invalid("/id", "the id in the body differs from the one in the path; leave it out")
	}
	return d, nil
}

func putDoc(c *call) error {
	coll, err := c.collection()
	if err != nil {
		return err
	}
	d, err := c.doc()
	if err != nil {
		return err
	}
	cond, err := c.condition()
	if err != nil {
		return err
	}
	r, err := coll.UpsertIf(c.ctx, d, cond)
	if err != nil {
		return unmet(placed(err, "", 0), cond)
	}
	return c.wrote(r, true)
}

func patchDoc(c *call) error {
	coll, err := c.collection()
	if err != nil {
		return err
	}
	d, err := c.doc()
	if err != nil {
		return err
	}
	cond, err := c.condition()
	if err != nil {
		return err
	}
	r, err := coll.Update(c.ctx, d, cond)
	if err != nil {
		return unmet(placed(err, "", 0), cond)
	}
	return c.wrote(r, false)
}

func deleteDoc(c *call) error {
	coll, err := c.collection()
	if err != nil {
		return err
	}
	cond, err := c.condition()
	if err != nil {
		return err
	}
	var r eider.Receipt
	if cond == (eider.If{}) {
		r, err = coll.Delete(c.ctx, c.path("id"))
	} else {
		r, err = coll.DeleteIf(c.ctx, c.path("id"), cond)
	}
	if err != nil {
		return unmet(err, cond)
	}
	return c.wrote(r, false)
}

func getDoc(c *call) error {
	coll, err := c.collection()
	if err != nil {
		return err
	}
	fields, vectors := c.list("fields"), c.list("vectors")
	d, err := coll.Get(c.ctx, c.path("id"), fields...)
	if err != nil {
		return err
	}
	if fields != nil && len(fields) == 0 {
		d.Fields = nil
	}
	for name := range d.Vectors {
		if !slices.Contains(vectors, name) {
			delete(d.Vectors, name)
		}
	}
	c.etag(d.Version)
	if tag := c.r.Header.Get("If-None-Match"); tag != "" && tag == c.w.Header().Get("ETag") {
		c.w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return c.reply(http.StatusOK, d)
}

// batch is up to 1000 writes. Atomic (the default) applies all or none;
// otherwise each succeeds or fails by itself.
type batch struct {
	Atomic *bool `json:"atomic,omitempty"`
	Ops    []op  `json:"ops"`
}

// op is one write: "upsert" and "update" take doc, "delete" takes id.
type op struct {
	Op  string     `json:"op" enum:"upsert,update,delete"`
	Doc *eider.Doc `json:"doc,omitempty"`
	ID  string     `json:"id,omitempty"`
	If  eider.If   `json:"if,omitzero"`
}

type batchResult struct {
	LSN     uint64     `json:"lsn"`
	Results []opResult `json:"results"`
}

// opResult is the outcome of one operation, with the status it would have had
// alone.
type opResult struct {
	Status  int      `json:"status"`
	ID      string   `json:"id"`
	Version uint64   `json:"version,omitempty"`
	Existed bool     `json:"existed"`
	Problem *problem `json:"problem,omitempty"`
}

func (o *op) check(at string) error {
	switch o.Op {
	case "upsert", "update":
		if o.Doc == nil {
			return invalid(at+"/doc", "%s needs a document", o.Op)
		}
		if o.ID != "" {
			return invalid(at+"/id", "the id of an %s is in its doc", o.Op)
		}
		o.ID = o.Doc.ID
	case "delete":
		if o.Doc != nil {
			return invalid(at+"/doc", "delete takes an id and no document")
		}
	default:
		return invalid(at+"/op", "op is upsert, update or delete")
	}
	if o.ID == "" {
		return invalid(at, "the operation names no document id")
	}
	return nil
}

// add puts the operation into b.
func (o *op) add(b *eider.Batch, collection string) {
	switch {
	case o.Op == "update":
		b.Update(collection, *o.Doc, o.If)
	case o.Op == "upsert" && o.If == (eider.If{}):
		b.Upsert(collection, *o.Doc)
	case o.Op == "upsert":
		b.UpsertIf(collection, *o.Doc, o.If)
	case o.If == (eider.If{}):
		b.Delete(collection, o.ID)
	default:
		b.DeleteIf(collection, o.ID, o.If)
	}
}

func (o *op) result(w eider.Written) opResult {
	status := http.StatusOK
	if o.Op == "upsert" && !w.Existed {
		status = http.StatusCreated
	}
	return opResult{Status: status, ID: w.ID, Version: w.Version, Existed: w.Existed}
}

func batchDocs(c *call) error {
	coll, err := c.collection()
	if err != nil {
		return err
	}
	var b batch
	if err := c.decode(&b); err != nil {
		return err
	}
	if len(b.Ops) == 0 || len(b.Ops) > maxBatch {
		return invalid("/ops", "give 1 to %d operations; docs/import takes more", maxBatch)
	}
	for i := range b.Ops {
		if err := b.Ops[i].check("/ops/" + strconv.Itoa(i)); err != nil {
			return err
		}
	}
	out, err := c.apply(coll.Name(), b.Ops, 0)
	if err == nil {
		c.lsn(out.LSN)
		return c.reply(http.StatusOK, out)
	}
	if b.Atomic == nil || *b.Atomic {
		p := problemOf(err)
		if i := slices.IndexFunc(b.Ops, func(o op) bool { return o.ID == p.ID }); i >= 0 && p.ID != "" && p.Pointer == "" {
			p.Pointer = "/ops/" + strconv.Itoa(i)
		}
		return p
	}
	// Together they failed: alone, each may do.
	out = batchResult{Results: make([]opResult, len(b.Ops))}
	for i := range b.Ops {
		one, err := c.apply(coll.Name(), b.Ops[i:i+1], i)
		if err != nil {
			if c.ctx.Err() != nil {
				return err
			}
			p := problemOf(err)
			out.Results[i] = opResult{Status: p.Status, ID: b.Ops[i].ID, Problem: p}
			continue
		}
		out.Results[i], out.LSN = one.Results[0], one.LSN
	}
	if out.LSN == 0 {
		out.LSN = c.a.db.LSN()
	}
	c.lsn(out.LSN)
	return c.reply(http.StatusOK, out)
}

// apply commits operations as one. first is the place of the first one in the
// body.
func (c *call) apply(collection string, ops []op, first int) (batchResult, error) {
	b := c.a.db.Batch()
	for i := range ops {
		ops[i].add(b, collection)
	}
	r, err := b.Commit(c.ctx)
	if err != nil {
		return batchResult{}, placed(err, "/ops", first)
	}
	out := batchResult{LSN: r.LSN, Results: make([]opResult, len(ops))}
	for i := range ops {
		if i < len(r.Docs) {
			out.Results[i] = ops[i].result(r.Docs[i])
		}
	}
	return out, nil
}

func scrollDocs(c *call) error {
	coll, err := c.collection()
	if err != nil {
		return err
	}
	var s eider.Scroll
	if len(c.body) > 0 {
		if err := c.decode(&s); err != nil {
			return err
		}
	}
	if s.Limit < 0 || s.Limit > eider.MaxLimit {
		return invalid("/limit", "limit is 1 to %d", eider.MaxLimit)
	}
	page, err := coll.Scroll(c.ctx, s)
	if err != nil {
		return err
	}
	c.lsn(page.LSN)
	c.a.advice.saw(coll, s.Filter)
	page.Docs = append([]eider.Doc{}, page.Docs...) // [] and not null
	return c.reply(http.StatusOK, page)
}

// where is a filter; nil means every document.
type where struct {
	Filter *eider.Filter `json:"filter,omitempty"`
}

type counted64 struct {
	Count uint64 `json:"count"`
}

func countDocs(c *call) error {
	coll, err := c.collection()
	if err != nil {
		return err
	}
	var w where
	if len(c.body) > 0 {
		if err := c.decode(&w); err != nil {
			return err
		}
	}
	n, err := coll.Count(c.ctx, w.Filter)
	if err != nil {
		return err
	}
	c.a.advice.saw(coll, w.Filter)
	return c.reply(http.StatusOK, counted64{n})
}

// deletion deletes what passes its filter; {"and": []} passes everything.
type deletion struct {
	Filter *eider.Filter `json:"filter"`
	DryRun bool          `json:"dry_run,omitempty"`
}

// updating sets fields (null removes) of what passes its filter.
type updating struct {
	Filter *eider.Filter  `json:"filter"`
	Fields map[string]any `json:"fields"`
	DryRun bool           `json:"dry_run,omitempty"`
}

// touched says how many documents a filter matched.
type touched struct {
	Matched uint64 `json:"matched"`
	DryRun  bool   `json:"dry_run,omitempty"`
	LSN     uint64 `json:"lsn"`
}

func (c *call) touched(n, lsn uint64, dry bool) error {
	if lsn == 0 {
		lsn = c.a.db.LSN()
	}
	c.lsn(lsn)
	return c.reply(http.StatusOK, touched{Matched: n, DryRun: dry, LSN: lsn})
}

func deleteWhere(c *call) error {
	coll, err := c.collection()
	if err != nil {
		return err
	}
	var d deletion
	if err := c.decode(&d); err != nil {
		return err
	}
	if d.Filter == nil {
		return invalid("/filter", `a filter is needed; {"and": []} means every document`)
	}
	n, r, err := coll.DeleteWhere(c.ctx, *d.Filter, d.DryRun)
	if err != nil {
		return err
	}
	return c.touched(n, r.LSN, d.DryRun)
}

func updateWhere(c *call) error {
	coll, err := c.collection()
	if err != nil {
		return err
	}
	var u updating
	if err := c.decode(&u); err != nil {
		return err
	}
	if u.Filter == nil {
		return invalid("/filter", `a filter is needed; {"and": []} means every document`)
	}
	if len(u.Fields) == 0 {
		return invalid("/fields", "name the fields to set; null removes one")
	}
	n, r, err := coll.UpdateWhere(c.ctx, *u.Filter, u.Fields, u.DryRun)
	if err != nil {
		return err
	}
	return c.touched(n, r.LSN, u.DryRun)
}
