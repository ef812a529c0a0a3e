package api

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eiderdb/eider"
	"go.uber.org/goleak"
)

// listening runs a Server of db on loopback until the test ends.
func listening(t testing.TB, db *eider.DB, o Options) (*Server, string) {
	t.Helper()
	o.Logger = quiet
	s, err := NewServer(db, o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		s.Shutdown(ctx)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s, l.Addr().String()
}

// TestSlowClientsAreCutAndDelayNobody is R13 at a tenth of its size: clients
// that trickle headers, trickle bodies, or never read.
func TestSlowClientsAreCutAndDelayNobody(t *testing.T) {
	db := memory(t)
	c := shop(t, db, 500)
	for i := range 20 { // answers larger than the kernel's buffers
		if _, err := c.Upsert(ctx, eider.Doc{ID: fmt.Sprintf("big%d", i), Fields: map[string]any{"title": strings.Repeat("x", 400_000)}}); err != nil {
			t.Fatal(err)
		}
	}
	const patience = 400 * time.Millisecond
	_, addr := listening(t, db, Options{Patience: patience})
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	probe := func() []time.Duration {
		var took []time.Duration
		for range 60 {
			start := time.Now()
			res, err := client.Post("http://"+addr+"/v1/collections/shop/search", "application/json", strings.NewReader(`{"limit":3}`))
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
			if res.StatusCode != 200 {
				t.Fatalf("status %d", res.StatusCode)
			}
			took = append(took, time.Since(start))
		}
		slices.Sort(took)
		return took
	}
	calm := probe()
	goroutines := runtime.NumGoroutine()

	kinds := map[string]int{"headers": 100, "body": 20, "deaf": 8}
	var wg sync.WaitGroup
	start := time.Now()
	for kind, n := range kinds {
		for range n {
			wg.Go(func() { slowClient(t, addr, kind, patience) })
		}
	}
	busy := probe()
	if p50, was := busy[30], calm[30]; p50 > 2*was+5*time.Millisecond {
		t.Errorf("median of healthy requests %v, was %v", p50, was)
	}
	wg.Wait()
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("the slow clients were gone after %v", took)
	}
	eventually(t, "goroutines back", func() bool { return runtime.NumGoroutine() <= goroutines+5 })
	// A handler gives its body back after the client has seen the connection end.
	eventually(t, "bodies given back", func() bool { return held.Load() == 0 })
}

// slowClient misbehaves until the server hangs up.
func slowClient(t *testing.T, addr, kind string, patience time.Duration) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	const post = "POST /v1/collections/shop/docs/batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"
	switch kind {
	case "headers":
		io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: localhost\r\n")
	case "body":
		io.WriteString(conn, post)
	case "deaf":
		conn.(*net.TCPConn).SetReadBuffer(4096)
		io.WriteString(conn, "GET /v1/collections/shop/docs/export HTTP/1.1\r\nHost: localhost\r\n\r\n")
		// Not reading: only the server can end this. A write fails once it has.
		for {
			time.Sleep(patience / 8)
			if _, err := conn.Write([]byte("\r\n")); err != nil {
				return
			}
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				t.Error("a deaf client was never cut")
				return
			}
		}
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		io.Copy(io.Discard, conn)
	}()
	for {
		select {
		case <-gone:
			return
		case <-time.After(patience / 8):
			conn.Write([]byte("a"))
		}
	}
}

func TestShutdownFinishesWorkAndEndsFeeds(t *testing.T) {
	db := memory(t)
	shop(t, db, 1)
	s, err := NewServer(db, Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	addr := l.Addr().String()
	feed, err := http.Get("http://" + addr + "/v1/changes?follow=true")
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Body.Close()
	r := bufio.NewReader(feed.Body)
	if _, err := r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	// A request whose body is half sent when the drain begins.
	pr, pw := io.Pipe()
	answered := make(chan int, 1)
	go func() {
		req, _ := http.NewRequest("PUT", "http://"+addr+"/v1/collections/shop/docs/last", pr)
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			answered <- 0
			return
		}
		res.Body.Close()
		answered <- res.StatusCode
	}()
	pw.Write([]byte(`{"fields":`))
	eventually(t, "the body arrives", func() bool { return held.Load() > 0 })
	down := make(chan error, 1)
	go func() { down <- s.Shutdown(ctx) }()
	eventually(t, "not ready", func() bool {
		return do(t, s.http.Handler, "GET", "/readyz", nil).status == 503
	})
	if _, err := io.Copy(io.Discard, r); err != nil {
		t.Errorf("the feed ended with %v", err)
	}
	pw.Write([]byte(`{"price":1}}`))
	pw.Close()
	if status := <-answered; status != 201 {
		t.Errorf("the running request got %d", status)
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestConnectionsBeyondTheCapWait(t *testing.T) {
	db := memory(t)
	s, err := NewServer(db, Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	s.Conns = 2
	l, err := s.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(l)
	defer s.Shutdown(ctx)
	var conns []net.Conn
	for range 3 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprint(c, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
		conns = append(conns, c)
	}
	buf := make([]byte, 12)
	for _, c := range conns[:2] {
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.ReadFull(c, buf); err != nil {
			t.Fatal(err)
		}
	}
	conns[2].SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := conns[2].Read(buf); err == nil {
		t.Fatal("the third connection was served")
	}
	conns[0].Close()
	conns[2].SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.ReadFull(conns[2], buf); err != nil {
		t.Fatalf("the third connection was not served after the first closed: %v", err)
	}
}

func TestLargeHeadersAreRefused(t *testing.T) {
	db := memory(t)
	_, addr := listening(t, db, Options{})
	r, _ := http.NewRequest("GET", "http://"+addr+"/livez", nil)
	r.Header.Set("X-Junk", strings.Repeat("a", 64<<10))
	res, err := http.DefaultClient.Do(r)
	if err == nil {
		res.Body.Close()
		if res.StatusCode != 431 {
			t.Fatalf("status %d", res.StatusCode)
		}
	}
}

// TestMain fails the package when goroutines outlive it.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		http.DefaultClient.CloseIdleConnections()
	}), goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"), goleak.IgnoreTopFunction("internal/poll.runtime_pollWait"))
}

// TestOverloadRefusesEarlyAndPasses is R12 in small: far more requests than
// units get refused with 429 or 503 and Retry-After, nothing else, and the
// server is its old self afterwards.
func TestOverloadRefusesEarlyAndPasses(t *testing.T) {
	db := memory(t)
	shop(t, db, 2000)
	_, addr := listening(t, db, Options{Readers: 1, Queue: 4, QueueTime: 20 * time.Millisecond})
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	const body = `{"retrieve":[{"near":{"value":[1,2,3,4]},"k":1000,"exact":true}],"limit":1000,"facets":{"brand":10}}`
	var mu sync.Mutex
	got := map[int]int{}
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range 10 {
				res, err := client.Post("http://"+addr+"/v1/collections/shop/search", "application/json", strings.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
				mu.Lock()
				got[res.StatusCode]++
				mu.Unlock()
				if refused := res.StatusCode == 429 || res.StatusCode == 503; refused == (res.Header.Get("Retry-After") == "") {
					t.Errorf("status %d with Retry-After %q", res.StatusCode, res.Header.Get("Retry-After"))
				}
			}
		})
	}
	wg.Wait()
	if got[200] == 0 || got[429]+got[503] == 0 || got[200]+got[429]+got[503] != 640 {
		t.Errorf("answers by status: %v", got)
	}
	for range 5 {
		res, err := client.Post("http://"+addr+"/v1/collections/shop/search", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if res.StatusCode != 200 {
			t.Errorf("status %d after the storm", res.StatusCode)
		}
	}
}
