package api

import (
	"bytes"
	"context"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/eiderdb/eider"
	"github.com/go-chi/chi/v5"
)

// Names of headers as net/http writes them: others it would convert each time.
const (
	headerLSN    = "X-Lsn"
	headerMinLSN = "X-Min-Lsn"
)

// Values that headers share; net/http only reads them.
var (
	typeJSON = []string{"application/json"}
	noStore  = []string{"no-store"}
	noSniff  = []string{"nosniff"}
)

// call is one request on its way through a route.
type call struct {
	a     *api
	w     *response
	r     *http.Request
	ctx   context.Context // ends with the request's deadline
	route *route
	who   *principal
	body  []byte // the whole body, but for streams; valid until the handler returns
	query url.Values
	since uint64 // LSN before the handler ran: what it reads is at least as new
}

// path returns the decoded path parameter.
func (c *call) path(name string) string {
	v := chi.URLParam(c.r, name)
	if c.r.URL.RawPath != "" { // chi matched the escaped path
		if u, err := url.PathUnescape(v); err == nil {
			return u
		}
	}
	return v
}

// collection opens the collection of the path.
func (c *call) collection() (*eider.Collection, error) { return c.a.db.Collection(c.path("c")) }

// decode reads the body into v, strictly. An empty body is an error.
func (c *call) decode(v any) error {
	if len(c.body) == 0 {
		return &problem{Code: eider.CodeInvalid, Detail: "the request needs a JSON body"}
	}
	return decodeJSON(c.body, v)
}

// reply sends v as JSON.
func (c *call) reply(status int, v any) error {
	buf := buffers.Get().(*bytes.Buffer)
	defer recycle(buf)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	return c.send(status, buf.Bytes())
}

// send writes finished JSON.
func (c *call) send(status int, body []byte) error {
	h := c.w.Header()
	h["Content-Type"], h["Cache-Control"] = typeJSON, noStore
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if h.Get(headerLSN) == "" {
		c.lsn(c.since)
	}
	c.w.WriteHeader(status)
	if c.r.Method != http.MethodHead {
		c.w.Write(body)
	}
	return nil
}

// nothing sends 204.
func (c *call) nothing() error {
	if c.w.Header().Get(headerLSN) == "" {
		c.lsn(c.a.db.LSN()) // after the write
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// lsn names the LSN that the answer is as of, or that the write got.
func (c *call) lsn(n uint64) { c.w.Header().Set(headerLSN, strconv.FormatUint(n, 10)) }

// etag sends the version of a document.
func (c *call) etag(version uint64) {
	c.w.Header().Set("ETag", `"`+strconv.FormatUint(version, 10)+`"`)
}

// number reads a query parameter, def when absent.
func (c *call) number(name string, def, lo, hi uint64) (uint64, error) {
	s := c.query.Get(name)
	if s == "" {
		return def, nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n < lo || n > hi {
		return 0, invalid("", "query parameter %s must be an integer %d..%d", name, lo, hi)
	}
	return n, nil
}

// flag reads a boolean query parameter.
func (c *call) flag(name string) (bool, error) {
	switch c.query.Get(name) {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	}
	return false, invalid("", "query parameter %s is true or false", name)
}

// list reads a comma-separated query parameter; nil when absent.
func (c *call) list(name string) []string {
	if !c.query.Has(name) {
		return nil
	}
	out := []string{}
	for s := range strings.SplitSeq(c.query.Get(name), ",") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// jsonBody reports whether a Content-Type may carry JSON.
func jsonBody(header string) bool {
	if header == "" || header == "application/json" { // as most are
		return true
	}
	t, _, err := mime.ParseMediaType(header)
	return err == nil && (t == "application/json" || strings.HasSuffix(t, "+json"))
}

// deadline derives the context of the request from Request-Timeout-Ms and the
// server's limit. Streams have no limit but the client's.
func (a *api) deadline(r *http.Request, stream bool) (context.Context, context.CancelFunc, error) {
	limit := a.o.Timeout
	if stream {
		limit = 0
	}
	if s := r.Header.Get("Request-Timeout-Ms"); s != "" {
		ms, err := strconv.ParseUint(s, 10, 32)
		if err != nil || ms == 0 {
			return nil, nil, invalid("", "Request-Timeout-Ms must be an integer of milliseconds, 1..4294967295")
		}
		if d := time.Duration(ms) * time.Millisecond; limit == 0 || d < limit {
			limit = d
		}
	}
	if limit == 0 {
		ctx, cancel := context.WithCancel(r.Context())
		return ctx, cancel, nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), limit)
	return ctx, cancel, nil
}

// caughtUp waits until the database has reached X-Min-LSN.
func (c *call) caughtUp() error {
	s := c.r.Header.Get(headerMinLSN)
	if s == "" {
		return nil
	}
	lsn, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return invalid("", "X-Min-LSN must be an integer")
	}
	if c.a.db.LSN() >= lsn {
		return nil
	}
	return c.a.db.WaitLSN(c.ctx, lsn)
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// recycle keeps buffers of ordinary size.
func recycle(b *bytes.Buffer) {
	if b.Cap() <= 1<<20 {
		b.Reset()
		buffers.Put(b)
	}
}
