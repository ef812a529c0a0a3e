// Package api serves an eider database over HTTP: documents, search,
// collections, aliases, the change feed, snapshots, keys, health and metrics,
// and the web console.
//
// [Handler] mounts in any router; [Server] is the standalone listener with the
// limits a network needs. Both serve one table of routes (routes.go): method,
// path, access, body cap and cost are columns of it, so that no route can be
// without them.
//
// Every error is an application/problem+json document (RFC 9457) whose code is
// the library's eider.Code. docs/api.md is the reference; its examples run as
// a test.
package api

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/eiderdb/eider"
	"github.com/go-chi/chi/v5"
)

// Options configures Handler and Server. The zero value works.
type Options struct {
	// Key is the administrator's key, accepted beside the keys stored in the
	// database. While it is empty and no key is stored, every request is served
	// without a key; Server then listens on loopback only.
	Key string
	// Snapshots is the directory that holds snapshots; "" turns the snapshot
	// routes off (409 with a hint).
	Snapshots string
	// Hosts, if not empty, are the only values of the Host header that are
	// served, without ports. Server sets the loopback names when it listens on
	// loopback, which stops DNS rebinding.
	Hosts []string
	// Logger takes one line per request and unexpected errors; nil means
	// slog.Default. Neither payloads nor keys are logged.
	Logger *slog.Logger
	// Timeout is the longest a request may take, default 30 s. Request-Timeout-Ms
	// shortens it. Imports, exports and feeds have none.
	Timeout time.Duration
	// Patience is how long a client may take to get its next 64 KiB through,
	// either way, default 5 s.
	Patience time.Duration
	// Readers is how many units of reading run at once, default 4 per CPU.
	Readers int
	// Writers is how many units of writing run at once, default 256; writers
	// share fsyncs, so they cost little while they wait.
	Writers int
	// Streams is how many imports, exports and feeds run at once, default 16.
	Streams int
	// Queue is how many requests of one key may wait for a unit, default 256;
	// beyond it they are refused with 429.
	Queue int
	// QueueTime is how long a request waits for a unit before 503, default 500 ms.
	QueueTime time.Duration
	// ImportBytes caps the body of an import, default 64 GiB.
	ImportBytes int64
	// Version names the program in /livez and the OpenAPI document.
	Version string
}

func (o Options) withDefaults() Options {
	def := func(p *int, v int) {
		if *p <= 0 {
			*p = v
		}
	}
	def(&o.Readers, 4*runtime.GOMAXPROCS(0))
	def(&o.Writers, 256)
	def(&o.Streams, 16)
	def(&o.Queue, 256)
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Patience <= 0 {
		o.Patience = 5 * time.Second
	}
	if o.QueueTime <= 0 {
		o.QueueTime = 500 * time.Millisecond
	}
	if o.ImportBytes <= 0 {
		o.ImportBytes = 64 << 30
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Version == "" {
		o.Version = "dev"
	}
	return o
}

// api is one mounted handler.
type api struct {
	db        *eider.DB
	o         Options
	log       *slog.Logger
	gates     [3]*gate // by pool
	meter     *meter
	journal   journal
	openapi   []byte
	snapshots *os.Root // nil when Options.Snapshots is ""
	advice    advice
	started   time.Time
	draining  <-chan struct{} // closed when a Server stops taking work; nil in Handler
	keyed     atomic.Pointer[keyed]
	exposed   bool // a Server listens beyond loopback: never serve without a key
}

// Handler serves db. It may be mounted at the root or below a prefix that the
// caller's router strips. Without Options.Key and stored keys it lets everyone
// in: mount it behind your own authentication, or set a key.
func Handler(db *eider.DB, o Options) (http.Handler, error) {
	h, _, err := newHandler(db, o, nil)
	return h, err
}

func newHandler(db *eider.DB, o Options, draining <-chan struct{}) (http.Handler, *api, error) {
	if db == nil {
		return nil, nil, errors.New("api: Handler needs an open database")
	}
	o = o.withDefaults()
	if o.Key != "" && len(o.Key) < minKey {
		return nil, nil, fmt.Errorf("api: Options.Key has %d characters; use at least %d, for example from `openssl rand -base64 32`", len(o.Key), minKey)
	}
	a := &api{db: db, o: o, log: o.Logger, journal: journal{log: o.Logger}, started: time.Now(), draining: draining}
	a.gates = [3]*gate{
		reading:   newGate(o.Readers, o.Queue, o.QueueTime),
		writing:   newGate(o.Writers, o.Queue, o.QueueTime),
		streaming: newGate(o.Streams, o.Queue, o.QueueTime),
	}
	if o.Snapshots != "" {
		if err := os.MkdirAll(o.Snapshots, 0o700); err != nil {
			return nil, nil, fmt.Errorf("api: snapshots directory: %w", err)
		}
		root, err := os.OpenRoot(o.Snapshots)
		if err != nil {
			return nil, nil, fmt.Errorf("api: snapshots directory: %w", err)
		}
		a.snapshots = root
	}
	a.meter = newMeter(a)
	mux := chi.NewRouter()
	mux.NotFound(func(w http.ResponseWriter, r *http.Request) {
		a.refuse(w, r, &problem{Status: 404, Code: eider.CodeNotFound, Detail: "there is no such path", Hint: "GET /openapi.json lists the paths"})
	})
	mux.MethodNotAllowed(func(w http.ResponseWriter, r *http.Request) {
		a.refuse(w, r, &problem{Status: 405, Code: codeMethod, Detail: "the path does not take " + r.Method, Hint: "GET /openapi.json lists the methods"})
	})
	routes := a.routes()
	for i := range routes {
		if err := a.mount(mux, &routes[i]); err != nil {
			return nil, nil, err
		}
	}
	doc, err := a.document(routes)
	if err != nil {
		return nil, nil, err
	}
	a.openapi = doc
	return a.outermost(a.sameSite(mux)), a, nil
}

// sameSite refuses requests that a foreign web page could have caused: a Host
// that is not ours (DNS rebinding), a cross-origin write (request forgery).
func (a *api) sameSite(next http.Handler) http.Handler {
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.refuse(w, r, &problem{Status: 403, Code: codeForbidden, Detail: "cross-origin requests may not write", Hint: "call the API from its own origin or from outside a browser"})
	}))
	next = guard.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(a.o.Hosts) > 0 && !a.ourHost(r.Host) {
			a.refuse(w, r, &problem{Status: 403, Code: codeForbidden, Detail: "the Host header names a host that is not served here", Hint: "add the name to the allowed hosts"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (a *api) ourHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	for _, h := range a.o.Hosts {
		if strings.EqualFold(h, host) {
			return true
		}
	}
	return false
}
