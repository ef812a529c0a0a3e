package api

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/eiderdb/eider"
)

const (
	stride      = 64 << 10  // bytes a client must move within Options.Patience
	maxRatio    = 100       // of inflated to gzipped bytes
	bodyBudget  = 256 << 20 // bytes of bodies held in memory at once
	firstBuffer = 1 << 20   // most memory a Content-Length gets before its bytes arrive
)

// held counts the bytes of bodies in memory, over all handlers of the process.
var held atomic.Int64

// paced reads a request body and breaks the connection of a client that does
// not deliver stride bytes within patience.
type paced struct {
	r        io.Reader
	rc       *http.ResponseController
	patience time.Duration
	due      int // bytes to go until the deadline moves
}

func (p *paced) Read(b []byte) (int, error) {
	if p.due <= 0 {
		// A writer that cannot set deadlines (a test recorder) has no slow clients.
		p.rc.SetReadDeadline(time.Now().Add(p.patience))
		p.due = stride
	}
	n, err := p.r.Read(b)
	p.due -= n
	if err != nil {
		p.rc.SetReadDeadline(time.Time{})
	}
	return n, err
}

// inflated caps what gzip makes of a body: in all, and against what was read.
type inflated struct {
	z     *gzip.Reader
	in    *counted
	left  int64
	out   int64
	limit int64
}

type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

func (f *inflated) Read(b []byte) (int, error) {
	if f.left <= 0 {
		return 0, &http.MaxBytesError{Limit: f.limit}
	}
	n, err := f.z.Read(b[:min(int64(len(b)), f.left)])
	f.left -= int64(n)
	f.out += int64(n)
	if f.out > 1<<20 && f.out > maxRatio*f.in.n {
		return 0, &problem{Code: eider.CodeTooLarge, Detail: "the gzip body inflates more than 100 times", Hint: "send it uncompressed"}
	}
	return n, err
}

// reader is the request body behind its caps: bytes on the wire, bytes after
// gzip, and pace.
func (a *api) reader(w *response, r *http.Request, limit int64) (io.Reader, error) {
	var body io.Reader = &paced{r: http.MaxBytesReader(w.ResponseWriter, r.Body, limit), rc: w.rc, patience: a.o.Patience}
	switch enc := r.Header.Get("Content-Encoding"); enc {
	case "", "identity":
		return body, nil
	case "gzip":
		in := &counted{r: body}
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, &problem{Code: eider.CodeInvalid, Detail: "the body is not gzip as Content-Encoding says"}
		}
		return &inflated{z: z, in: in, left: limit + 1, limit: limit}, nil
	default:
		return nil, &problem{Code: codeMedia, Detail: "the only Content-Encoding taken is gzip"}
	}
}

// slurp reads a whole body into a pooled buffer. done gives the buffer back.
func (a *api) slurp(w *response, r *http.Request, limit int64) (body []byte, done func(), err error) {
	if r.ContentLength > limit {
		return nil, nil, tooLarge(limit)
	}
	if r.ContentLength == 0 {
		return nil, func() {}, nil
	}
	in, err := a.reader(w, r, limit)
	if err != nil {
		return nil, nil, err
	}
	buf := buffers.Get().(*bytes.Buffer)
	var mine int64
	done = func() { held.Add(-mine); recycle(buf) }
	if r.ContentLength > 0 {
		buf.Grow(int(min(r.ContentLength, firstBuffer)) + bytes.MinRead)
	}
	for {
		if buf.Available() == 0 {
			buf.Grow(max(buf.Len(), bytes.MinRead))
		}
		free := buf.AvailableBuffer()
		n, rerr := in.Read(free[:cap(free)])
		buf.Write(free[:n])
		mine += int64(n)
		if held.Add(int64(n)) > bodyBudget {
			done()
			return nil, nil, &problem{Code: eider.CodeOverloaded, Detail: "too many bytes of request bodies are in flight", Hint: "retry after the time given"}
		}
		if rerr == io.EOF {
			break
		}
		if rerr == nil && int64(buf.Len()) > limit {
			rerr = &http.MaxBytesError{Limit: limit}
		}
		if rerr != nil {
			done()
			return nil, nil, rerr
		}
	}
	return buf.Bytes(), done, nil
}
