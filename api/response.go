package api

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/eiderdb/eider"
)

// response watches what is sent: its status and size for the log, and the pace
// of the client that takes it.
type response struct {
	http.ResponseWriter
	rc       *http.ResponseController
	patience time.Duration
	status   int // 0 until the header is sent
	bytes    int64
	route    string // pattern, "" when none matched
	who      string // id of the key
	id       string // of the request
}

// WriteHeader sends the header, once.
func (w *response) WriteHeader(status int) {
	if w.status != 0 {
		return
	}
	w.status = status
	w.rc.SetWriteDeadline(time.Now().Add(w.patience))
	w.ResponseWriter.WriteHeader(status)
}

// Write sends b, at least stride bytes per patience.
func (w *response) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	sent := 0
	for {
		part := b[sent:min(len(b), sent+stride)]
		if w.bytes > 0 {
			w.rc.SetWriteDeadline(time.Now().Add(w.patience))
		}
		n, err := w.ResponseWriter.Write(part)
		w.bytes += int64(n)
		if sent += n; err != nil || sent == len(b) {
			return sent, err
		}
	}
}

// Flush pushes what is buffered to the client.
func (w *response) Flush() error {
	w.WriteHeader(http.StatusOK)
	w.rc.SetWriteDeadline(time.Now().Add(w.patience))
	return w.rc.Flush()
}

// Unwrap serves http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// requestID keeps the caller's id if it is harmless in a log, or makes one.
func requestID(r *http.Request) string {
	if id := r.Header.Get("X-Request-Id"); id != "" && len(id) <= 64 {
		ok := true
		for i := range len(id) {
			c := id[i]
			ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.')
		}
		if ok {
			return id
		}
	}
	var b [12]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// outermost numbers, times, counts and logs every request, and turns a panic
// into a 500.
func (a *api) outermost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		start := time.Now()
		w := &response{ResponseWriter: rw, rc: http.NewResponseController(rw), patience: a.o.Patience, id: requestID(r), who: "-"}
		h := w.Header()
		h.Set("X-Request-Id", w.id)
		h["X-Content-Type-Options"] = noSniff
		defer func() {
			cause := recover()
			if cause == http.ErrAbortHandler {
				a.record(w, r, start)
				panic(cause)
			}
			if cause != nil {
				a.log.Error("panic", "request_id", w.id, "route", w.route, "cause", cause, "stack", string(debug.Stack()))
				a.refuse(w, r, &problem{Code: eider.CodeInternal, Detail: "the server failed", Hint: "the log has the cause under the request_id"})
			}
			w.WriteHeader(http.StatusOK)
			w.rc.Flush() // the client need not wait for the log; an error shows as a broken connection
			a.record(w, r, start)
		}()
		next.ServeHTTP(w, r)
	})
}

// record counts and logs one finished request.
func (a *api) record(w *response, r *http.Request, start time.Time) {
	now := time.Now()
	a.meter.observe(w.route, r.Method, w.status, now.Sub(start))
	a.journal.note(w, r, now, now.Sub(start))
}

// refuse answers with a problem, unless an answer is already on its way: then
// the connection is broken, so that the client sees that it is not whole.
func (a *api) refuse(rw http.ResponseWriter, r *http.Request, err error) {
	w, ok := rw.(*response)
	if !ok {
		w = &response{ResponseWriter: rw, rc: http.NewResponseController(rw), patience: a.o.Patience}
	}
	p := problemOf(err)
	p.RequestID = w.id
	if p.Status == 500 {
		cause := error(p)
		if p.cause != nil {
			cause = p.cause
		}
		a.log.Error("request failed", "request_id", w.id, "route", w.route, "error", cause)
	}
	if w.status != 0 {
		if errors.Is(err, r.Context().Err()) {
			return
		}
		panic(http.ErrAbortHandler)
	}
	if p.Status == 408 || p.Status == 413 {
		w.Header().Set("Connection", "close") // the rest of the body is not read
	}
	p.write(w, r.Method == http.MethodHead)
}
