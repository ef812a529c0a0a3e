package api

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// journal writes a line of log per request. With a lag it does so in batches,
// a moment after the answer: a write to a file or a pipe wakes whoever reads it,
// on a processor that the next request could use.
type journal struct {
	log *slog.Logger
	lag time.Duration // 0: before record returns

	mu      sync.Mutex
	lines   []line // not yet written
	spare   []line
	timer   *time.Timer
	writing sync.Mutex // held by who writes, so that batches stay in order
}

// maxLines is how many lines wait at most; one more is written by its request.
const maxLines = 1024

// line is what is logged of a request. The path is its pattern: ids and query
// strings may be private.
type line struct {
	ctx             context.Context
	level           slog.Level
	ended           time.Time
	took            time.Duration
	id, who         string
	method, route   string
	remote          string
	status          int
	received, bytes int64
}

// note takes down one finished request.
func (j *journal) note(w *response, r *http.Request, ended time.Time, took time.Duration) {
	level := slog.LevelInfo
	if w.status >= 500 {
		level = slog.LevelWarn
	}
	if !j.log.Enabled(r.Context(), level) {
		return
	}
	l := line{ctx: r.Context(), level: level, ended: ended, took: took, id: w.id, who: w.who, method: r.Method, route: w.route,
		remote: r.RemoteAddr, status: w.status, received: max(r.ContentLength, 0), bytes: w.bytes}
	j.mu.Lock()
	j.lines = append(j.lines, l)
	full := len(j.lines) >= maxLines
	if len(j.lines) == 1 && j.lag > 0 {
		if j.timer == nil {
			j.timer = time.AfterFunc(j.lag, j.flush)
		} else {
			j.timer.Reset(j.lag)
		}
	}
	j.mu.Unlock()
	if full || j.lag == 0 || level > slog.LevelInfo {
		j.flush()
	}
}

// flush writes the lines that wait.
func (j *journal) flush() {
	j.writing.Lock()
	defer j.writing.Unlock()
	j.mu.Lock()
	lines := j.lines
	j.lines, j.spare = j.spare[:0], nil
	j.mu.Unlock()
	for i := range lines {
		l := &lines[i]
		rec := slog.NewRecord(l.ended, l.level, "request", 0)
		rec.AddAttrs(
			slog.String("request_id", l.id),
			slog.String("method", l.method),
			slog.String("route", l.route),
			slog.Int("status", l.status),
			slog.Int64("bytes_in", l.received),
			slog.Int64("bytes_out", l.bytes),
			slog.Duration("took", l.took),
			slog.String("key", l.who),
			slog.String("remote", l.remote))
		j.log.Handler().Handle(l.ctx, rec) // as slog: a log that fails stops nobody
	}
	clear(lines)
	j.mu.Lock()
	j.spare = lines[:0]
	j.mu.Unlock()
}
