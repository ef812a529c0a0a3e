package api

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/eiderdb/eider"
	"github.com/go-chi/chi/v5"
)

// pool says which gate a route passes.
type pool int

const (
	reading   pool = iota // processor-bound
	writing               // waits for the disk
	streaming             // as long as the client likes
)

// cost is what a route takes from its pool while it runs; ungated routes take
// nothing and never wait.
type cost struct {
	pool  pool
	units int
}

var ungated = cost{units: -1}

// scope says what a key must have access to.
type scope int

const (
	onCollection scope = iota + 1 // the collection of the path
	onDatabase                    // "*"
	onListed                      // the handler asks for each collection it touches
)

// noBody is the body cap of routes that take none.
const noBody = -1

// route is a row of the table. Every column but query must be filled in:
// mount refuses a row otherwise.
type route struct {
	method, path string
	access       access
	scope        scope // any for public routes
	body         int64 // cap in bytes, or noBody
	cost         cost
	handle       func(*call) error
	doc          doc
}

// doc describes a route in the OpenAPI document.
type doc struct {
	id      string // operationId
	tag     string
	summary string
	in      any // zero value of the JSON body, nil for none or for a stream
	inType  string
	out     any // zero value of the JSON answer, nil for none or for a stream
	outType string
	status  int     // of success
	also    []int   // other successes
	query   []param // query parameters and headers
}

type param struct {
	name   string
	header bool
	kind   string // JSON schema type
	about  string
}

// timeless reports whether only the client ends the request.
func (rt *route) timeless() bool { return rt.cost.pool == streaming && rt.cost.units > 0 }

// reads reports whether the body is JSON that is read before the handler runs.
func (rt *route) reads() bool { return rt.body != noBody && rt.doc.in != nil }

// check reports what a row lacks.
func (rt *route) check() error {
	missing := []string{}
	note := func(bad bool, what string) {
		if bad {
			missing = append(missing, what)
		}
	}
	note(rt.access < public || rt.access > admin, "access")
	note(rt.access > public && rt.scope == 0, "scope")
	note(rt.scope == onCollection && !strings.Contains(rt.path, "{c}"), "{c} for its scope")
	note(rt.body == 0, "body")
	note(rt.cost.units == 0, "cost")
	note(rt.handle == nil, "handle")
	note(rt.doc.id == "" || rt.doc.tag == "" || rt.doc.summary == "" || rt.doc.status == 0, "doc")
	if len(missing) > 0 {
		return fmt.Errorf("api: route %s %s lacks %s", rt.method, rt.path, strings.Join(missing, ", "))
	}
	return nil
}

// The names that paths may carry. Document ids are free text: they never reach
// the file system.
var (
	names = map[string]naming{
		"c":   {isName, `^[a-z0-9_-]{1,64}$`, "a collection name is 1 to 64 of a-z 0-9 _ -"},
		"a":   {isName, `^[a-z0-9_-]{1,64}$`, "an alias is 1 to 64 of a-z 0-9 _ -"},
		"v":   {isName, `^[a-z0-9_-]{1,64}$`, "a vector name is 1 to 64 of a-z 0-9 _ -"},
		"b":   {isName, `^[a-z0-9_-]{1,64}$`, "a bottleneck name is 1 to 64 of a-z 0-9 _ -"},
		"s":   {isName, `^[a-z0-9_-]{1,64}$`, "a snapshot name is 1 to 64 of a-z 0-9 _ -"},
		"m":   {isName, `^[a-z0-9_-]{1,64}$`, "a model name is 1 to 64 of a-z 0-9 _ -"},
		"ref": {isName, `^[a-z0-9_-]{1,64}$`, "a version is a number from 1, an alias 1 to 64 of a-z 0-9 _ -"},
		"k":   {isKeyID, `^[0-9a-f]{12}$`, "a key id is 12 of 0-9 a-f"},
		"j":   {isJobID, `^[0-9a-f]{16}$`, "a job id is 16 of 0-9 a-f"},
		"f":   {isField, `^[A-Za-z_][A-Za-z0-9_.-]{0,127}$`, "a field name is a letter or _, then up to 127 of A-Z a-z 0-9 _ . -"},
	}
	pathNames = regexp.MustCompile(`\{([a-z]+)\}`)
)

// naming is what a path parameter may be: as a test of each request, as the
// OpenAPI document says it, and as an error does.
type naming struct {
	ok      func(string) bool
	pattern string
	what    string
}

func isName(s string) bool {
	return len(s) >= 1 && len(s) <= 64 && all(s, func(c byte) bool { return lower(c) || digit(c) || c == '_' || c == '-' })
}

func isKeyID(s string) bool { return len(s) == 12 && all(s, hexDigit) }
func isJobID(s string) bool { return len(s) == 16 && all(s, hexDigit) }

func isField(s string) bool {
	letter := func(c byte) bool { return lower(c) || c >= 'A' && c <= 'Z' || c == '_' }
	return len(s) >= 1 && len(s) <= 128 && letter(s[0]) &&
		all(s, func(c byte) bool { return letter(c) || digit(c) || c == '.' || c == '-' })
}

func lower(c byte) bool { return c >= 'a' && c <= 'z' }
func digit(c byte) bool { return c >= '0' && c <= '9' }

func hexDigit(c byte) bool { return digit(c) || c >= 'a' && c <= 'f' }

// all reports whether every byte of s is fit.
func all(s string, fit func(byte) bool) bool {
	for i := range len(s) {
		if !fit(s[i]) {
			return false
		}
	}
	return true
}

// mount puts a row behind its key check, its caps and its gate.
func (a *api) mount(mux chi.Router, rt *route) error {
	if err := rt.check(); err != nil {
		return err
	}
	var params []string
	for _, m := range pathNames.FindAllStringSubmatch(rt.path, -1) {
		if m[1] != "id" && names[m[1]].ok == nil {
			return fmt.Errorf("api: route %s %s has the unknown path parameter %s", rt.method, rt.path, m[1])
		}
		params = append(params, m[1])
	}
	pattern := rt.path
	mux.MethodFunc(rt.method, rt.path, func(rw http.ResponseWriter, r *http.Request) {
		w := rw.(*response)
		w.route = pattern
		if err := a.serve(w, r, rt, params); err != nil {
			a.refuse(w, r, err)
		}
	})
	return nil
}

// serve runs one request through a route: who, may they, is it well formed, is
// there room, then the handler. Nothing that the request controls is looked at
// before the key.
func (a *api) serve(w *response, r *http.Request, rt *route, params []string) error {
	c := &call{a: a, w: w, r: r, route: rt, who: nobody}
	if rt.access > public {
		who, err := a.authenticate(r)
		if err != nil {
			return err
		}
		c.who, w.who = who, who.id
		switch rt.scope {
		case onDatabase:
			err = c.allow(rt.access, "*")
		case onCollection:
			err = c.allow(rt.access, c.path("c"))
		}
		if err != nil {
			return err
		}
	}
	for _, p := range params {
		if p != "id" && !names[p].ok(c.path(p)) {
			return &problem{Code: eider.CodeInvalid, Detail: names[p].what}
		}
	}
	if r.URL.RawQuery != "" {
		if err := c.readQuery(); err != nil {
			return err
		}
	}
	ctx, cancel, err := a.deadline(r, rt.timeless())
	if err != nil {
		return err
	}
	defer cancel()
	c.ctx = ctx
	if rt.reads() {
		if !jsonBody(r.Header.Get("Content-Type")) {
			return &problem{Code: codeMedia, Detail: "the body must be JSON", Hint: "send Content-Type: application/json"}
		}
		body, done, err := a.slurp(w, r, rt.body)
		if err != nil {
			return err
		}
		defer done()
		c.body = body
	} else if rt.body == noBody && r.ContentLength != 0 {
		return &problem{Code: eider.CodeInvalid, Detail: "this request takes no body"}
	}
	if err := c.caughtUp(); err != nil {
		return err
	}
	if rt.cost.units > 0 {
		leave, err := a.gates[rt.cost.pool].enter(ctx, c.who.id, rt.cost.units)
		if err != nil {
			a.meter.refused(err)
			return err
		}
		defer leave()
	}
	c.since = a.db.LSN()
	err = rt.handle(c)
	if err != nil && ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		return errors.Join(err, ctx.Err())
	}
	return err
}

// readQuery parses the query string and refuses parameters the route does not
// know, with the nearest one it does.
func (c *call) readQuery() error {
	q, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return invalid("", "the query string is not valid")
	}
	var known []string
	for _, p := range c.route.doc.query {
		if !p.header {
			known = append(known, p.name)
		}
	}
	for name, values := range q {
		if err := knownParam(name, known); err != nil && c.route.access > public {
			return err
		}
		if len(values) > 1 {
			return invalid("", "query parameter %s is given twice", name)
		}
	}
	c.query = q
	return nil
}
