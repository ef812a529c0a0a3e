package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"

	"github.com/eiderdb/eider"
)

// The codes that only a server needs, beside those of eider.Code.
const (
	codeUnauthorized eider.Code = "unauthorized"
	codeForbidden    eider.Code = "forbidden"
	codeMethod       eider.Code = "method_not_allowed"
	codeMedia        eider.Code = "unsupported_media_type"
	codeRate         eider.Code = "rate_limited"
	codeSlow         eider.Code = "slow_client"
	codeDisabled     eider.Code = "not_enabled"
)

// statuses gives the HTTP status and the title of each code.
var statuses = map[eider.Code]struct {
	status int
	title  string
}{
	eider.CodeInvalid:      {400, "The request is not valid"},
	eider.CodeUnknownField: {400, "The request names a field that does not exist"},
	eider.CodeFilter:       {400, "The filter is not valid"},
	eider.CodeDimension:    {422, "The vector has the wrong dimension"},
	eider.CodeVector:       {422, "The vector cannot be used"},
	eider.CodeEncoder:      {422, "The encoder is not available"},
	eider.CodeNotFound:     {404, "Not found"},
	eider.CodeExists:       {409, "It already exists and differs"},
	eider.CodeConflict:     {409, "The document is not in the state the request requires"},
	eider.CodeReadOnly:     {409, "The database is read-only"},
	eider.CodeCursor:       {410, "The cursor is no longer valid"},
	eider.CodeTrimmed:      {410, "The changes are no longer kept"},
	eider.CodeGate:         {409, "The promotion is refused"},
	eider.CodeInUse:        {409, "The model version is in use"},
	eider.CodeMismatch:     {422, "The model does not fit"},
	eider.CodeTooLarge:     {413, "The request is too large"},
	eider.CodeCanceled:     {499, "The client went away"},
	eider.CodeInternal:     {500, "Internal error"},
	eider.CodeVersion:      {500, "The stored format is not supported"},
	eider.CodeCorrupt:      {500, "Stored data is damaged"},
	eider.CodeOverloaded:   {503, "Overloaded"},
	eider.CodeLocked:       {503, "The database is in use"},
	eider.CodeClosed:       {503, "The database is closed"},
	eider.CodeDeadline:     {504, "The deadline passed"},
	eider.CodeFull:         {507, "Out of disk space"},
	codeUnauthorized:       {401, "A valid key is needed"},
	codeForbidden:          {403, "The key may not do this"},
	codeMethod:             {405, "Method not allowed"},
	codeSlow:               {408, "The client is too slow"},
	codeDisabled:           {409, "Not enabled"},
	codeMedia:              {415, "The content type is not supported"},
	codeRate:               {429, "Too many requests"},
}

// problem is an RFC 9457 document, and the error type of every handler.
type problem struct {
	Type       string     `json:"type"`
	Title      string     `json:"title"`
	Status     int        `json:"status"`
	Code       eider.Code `json:"code"`
	Detail     string     `json:"detail,omitempty"`
	Pointer    string     `json:"pointer,omitempty"`
	Hint       string     `json:"hint,omitempty"`
	Collection string     `json:"collection,omitempty"`
	ID         string     `json:"id,omitempty"`
	RequestID  string     `json:"request_id,omitempty"`
	Retryable  bool       `json:"retryable"`

	retryAfter int // seconds, 0 for no header
	cause      error
}

// Error reads like the document.
func (p *problem) Error() string { return string(p.Code) + ": " + p.Detail }

// Unwrap gives the cause.
func (p *problem) Unwrap() error { return p.cause }

// invalid is a 400 with a pointer into the body ("" for none).
func invalid(pointer, format string, args ...any) *problem {
	return &problem{Code: eider.CodeInvalid, Pointer: pointer, Detail: fmt.Sprintf(format, args...)}
}

// problemOf turns any error into a document. Unexpected ones say nothing about
// their cause: that goes to the log, under the request's id.
func problemOf(err error) *problem {
	var p *problem
	if errors.As(err, &p) {
		q := *p
		return q.filled()
	}
	var s *jsonError
	if errors.As(err, &s) {
		code := eider.CodeInvalid
		if s.Kind == jsonUnknown {
			code = eider.CodeUnknownField
		}
		return (&problem{Code: code, Detail: s.Detail, Pointer: s.Pointer, Hint: s.Hint}).filled()
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return (&problem{Code: codeSlow, Detail: "the body did not arrive in time"}).filled()
	case errors.Is(err, io.ErrUnexpectedEOF):
		return (&problem{Code: eider.CodeInvalid, Detail: "the body ended early"}).filled()
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return tooLarge(large.Limit).filled()
	}
	p = &problem{Code: eider.CodeOf(err), cause: err}
	if p.Code == "" {
		p.Code = eider.CodeInternal
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		p.Code, p.Detail = eider.CodeDeadline, "the work did not end in the time the request allows"
		p.Hint = "raise Request-Timeout-Ms or ask for less"
	case errors.Is(err, context.Canceled):
		p.Code, p.Detail = eider.CodeCanceled, "the request was canceled"
	}
	var e *eider.Error
	if errors.As(err, &e) {
		p.Collection, p.ID, p.Pointer = e.Collection, e.ID, e.Field
		if p.Hint == "" {
			p.Hint = e.Hint
		}
		if p.Detail == "" && e.Err != nil {
			p.Detail = e.Err.Error()
		}
	}
	if statuses[p.Code].status == 500 {
		p.Detail, p.Hint = "the server failed", "the log has the cause under the request_id"
	} else if p.Detail == "" {
		p.Detail = err.Error()
	}
	return p.filled()
}

func tooLarge(limit int64) *problem {
	return &problem{Code: eider.CodeTooLarge, Detail: "the body is larger than " + strconv.FormatInt(limit, 10) + " bytes", Hint: "send less at once, or use docs/import"}
}

// filled completes the fields that follow from the code.
func (p *problem) filled() *problem {
	s := statuses[p.Code]
	if p.Status == 0 {
		p.Status = s.status
	}
	if p.Status == 0 {
		p.Status = 500
	}
	if p.Title == "" {
		p.Title = s.title
	}
	p.Type = "urn:eider:error:" + string(p.Code)
	switch p.Status {
	case 408, 429, 503, 504:
		p.Retryable = true
	}
	if p.Status == 429 || p.Status == 503 {
		p.retryAfter = max(p.retryAfter, 1)
	}
	return p
}

// write sends the document.
func (p *problem) write(w http.ResponseWriter, head bool) {
	body, _ := json.Marshal(p)
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Del("ETag")
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	if p.Status == 401 {
		h.Set("WWW-Authenticate", `Bearer realm="eider"`)
	}
	w.WriteHeader(p.Status)
	if !head {
		w.Write(append(body, '\n'))
	}
}
