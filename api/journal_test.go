package api

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// sheet is a log that one goroutine may read while another writes.
type sheet struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (s *sheet) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(b)
}

// lines takes what was written.
func (s *sheet) lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.out.Reset()
	return slices.Collect(strings.Lines(s.out.String()))
}

// logged notes requests with the statuses given, numbered from 0.
func logged(j *journal, statuses ...int) {
	for i, s := range statuses {
		w := &response{status: s, id: strconv.Itoa(i), who: "-", route: "/x"}
		j.note(w, httptest.NewRequest("GET", "/x/secret", nil), time.Now(), time.Millisecond)
	}
}

func TestAccessLinesAreWrittenTogetherInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out sheet
		j := &journal{log: slog.New(slog.NewTextHandler(&out, nil)), lag: 20 * time.Millisecond}
		for round := range 3 { // the memory of a batch is used again
			logged(j, 200, 404, 201)
			if early := out.lines(); len(early) > 0 {
				t.Fatalf("written at once: %q", early)
			}
			time.Sleep(20 * time.Millisecond)
			synctest.Wait()
			lines := out.lines()
			if len(lines) != 3 {
				t.Fatalf("round %d: %q", round, lines)
			}
			for i, l := range lines {
				if !strings.Contains(l, "request_id="+strconv.Itoa(i)+" method=GET route=/x ") || strings.Contains(l, "secret") {
					t.Errorf("line %d: %s", i, l)
				}
			}
		}
	})
}

func TestAccessLinesDoNotWaitWhenItMatters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out sheet
		log := slog.New(slog.NewTextHandler(&out, nil))
		j := &journal{log: log, lag: time.Hour}
		count := func() int { return len(out.lines()) }
		logged(j, 200, 500)
		if n := count(); n != 2 {
			t.Errorf("a failure and the line before it: %d written", n)
		}
		logged(j, make([]int, maxLines)...)
		if n := count(); n != maxLines {
			t.Errorf("of a full batch %d lines were written", n)
		}
		now := &journal{log: log}
		logged(now, 200)
		if n := count(); n != 1 {
			t.Errorf("without a lag: %d written", n)
		}
		j.timer.Stop()
	})
}

// TestShutdownWritesTheAccessLog shows that no line waits for ever.
func TestShutdownWritesTheAccessLog(t *testing.T) {
	var out sheet
	s, err := NewServer(memory(t), Options{Logger: slog.New(slog.NewTextHandler(&out, nil))})
	if err != nil {
		t.Fatal(err)
	}
	s.a.journal.lag = time.Hour
	defer func() { s.a.journal.timer.Stop() }()
	s.http.Handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/livez", nil))
	if err := s.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if lines := out.lines(); len(lines) != 1 || !strings.Contains(lines[0], "route=/livez") {
		t.Errorf("the log is %q", lines)
	}
}
