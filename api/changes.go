package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

var changeParams = []param{
	{"after", false, "integer", "the LSN after which to start; 0 starts at the oldest kept change"},
	{"limit", false, "integer", "stop after this many changes; 0, the default, has no limit"},
	{"follow", false, "boolean", "wait for further changes instead of ending"},
}

// heartbeat is how often an idle feed says that it lives.
const heartbeat = 15 * time.Second

// changes streams the change feed. A change that no longer fits the feed's
// memory ends it; the client goes on after the last LSN it saw whole: several
// changes share the LSN of their batch, and the feed never ends inside one but
// by breaking the connection.
func changes(c *call) error {
	after, err := c.number("after", 0, 0, math.MaxUint64)
	if err != nil {
		return err
	}
	limit, err := c.number("limit", 0, 0, math.MaxUint64)
	if err != nil {
		return err
	}
	follow, err := c.flag("follow")
	if err != nil {
		return err
	}
	f := feedWriter{c: c, events: strings.Contains(c.r.Header.Get("Accept"), "text/event-stream"), limit: limit}
	if f.events {
		follow = true
		if id := c.r.Header.Get("Last-Event-ID"); id != "" {
			if after, err = strconv.ParseUint(id, 10, 64); err != nil {
				return invalid("", "Last-Event-ID must be an LSN of this feed")
			}
		}
	}
	for {
		until := c.a.db.LSN()
		if err := f.send(after); err != nil {
			if f.begun && c.ctx.Err() != nil {
				return nil
			}
			return err
		}
		after = max(after, until, f.last)
		f.begin()
		if !follow || f.full() {
			return nil
		}
		if err := c.w.Flush(); err != nil {
			return nil
		}
		if ok := f.wait(after + 1); !ok {
			return nil
		}
	}
}

type feedWriter struct {
	c      *call
	events bool
	begun  bool
	limit  uint64
	sent   uint64
	last   uint64
	buf    bytes.Buffer
}

// full reports whether the limit is reached; a batch is never cut.
func (f *feedWriter) full() bool { return f.limit > 0 && f.sent >= f.limit }

func (f *feedWriter) begin() {
	if f.begun {
		return
	}
	f.begun = true
	h := f.c.w.Header()
	h.Set("Content-Type", "application/x-ndjson")
	if f.events {
		h.Set("Content-Type", "text/event-stream")
	}
	h.Set("Cache-Control", "no-store")
	f.c.lsn(f.c.since)
	f.c.w.WriteHeader(200)
}

// send writes the changes after an LSN up to now.
func (f *feedWriter) send(after uint64) error {
	for ch, err := range f.c.a.db.Changes(f.c.ctx, after) {
		if err != nil {
			return err
		}
		if f.full() && ch.LSN != f.last {
			return nil
		}
		f.begin()
		f.buf.Reset()
		if f.events {
			f.buf.WriteString("id: " + strconv.FormatUint(ch.LSN, 10) + "\nevent: " + string(ch.Op) + "\ndata: ")
		}
		enc := json.NewEncoder(&f.buf)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(ch); err != nil {
			return err
		}
		if f.events {
			f.buf.WriteByte('\n')
		}
		if _, err := f.c.w.Write(f.buf.Bytes()); err != nil {
			return err
		}
		f.last = ch.LSN
		f.sent++
	}
	return nil
}

// wait returns true when there is an LSN to send, false when the feed ends.
func (f *feedWriter) wait(lsn uint64) bool {
	for {
		ctx, cancel := context.WithTimeout(f.c.ctx, heartbeat)
		done := make(chan error, 1)
		go func() { done <- f.c.a.db.WaitLSN(ctx, lsn) }()
		var err error
		select {
		case err = <-done:
		case <-f.c.a.draining:
			cancel()
			<-done
			return false
		}
		cancel()
		switch {
		case err == nil:
			return true
		case f.c.ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded):
			return false
		}
		beat := "\n" // an empty line, which ndjson readers skip
		if f.events {
			beat = ": alive\n\n"
		}
		if _, err := f.c.w.Write([]byte(beat)); err != nil {
			return false
		}
		if f.c.w.Flush() != nil {
			return false
		}
	}
}
