package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/eiderdb/eider"
	"github.com/eiderdb/eider/internal/dataset"
	"github.com/eiderdb/eider/internal/metric"
)

// perSecond is the open-loop load.
const perSecond = 1000

// turn is how many requests go one after the other before as many library calls:
// neither finds the processor's caches full of the other's work.
const turn = 100

// HTTP measures search over HTTP beside the same search as a library call: 100,000
// x 128 (20,000 when quick), k=10, one keyword filter, two fields returned. First
// a hundred requests and a hundred calls in turn, the calls on the same files opened for
// reading; and what HTTP adds to the call inside each request. Then 1,000 requests
// per second started on schedule whether or not earlier ones have returned, with
// latency counted from the schedule. The server is `eider serve` (Options.Serve),
// in a process of its own; the load comes from this one, on the same machine.
func HTTP(ctx context.Context, o Options, w io.Writer) error {
	rows, requests, span := 100_000, 3000, 20*time.Second
	if o.Quick {
		rows, requests, span = 20_000, 1000, 5*time.Second
	}
	span = o.span(span)
	dir, err := o.scratch()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	base, queries, name := recipe(o, rows, 200, 128)
	r := newReport("http", name, o, w)
	r.printf("%d x %d, k=10, one keyword filter, two fields, server and client share %d CPUs, %s\n",
		base.Rows, base.Cols, runtime.GOMAXPROCS(0), cpuName())
	if err := stock(ctx, o, dir, base); err != nil {
		return err
	}
	server, err := serve(ctx, o, dir)
	if err != nil {
		return err
	}
	defer server.stop()
	o.log("requests to %s", server.url)
	db, beside, err := openBeside(ctx, dir)
	if err != nil {
		return err
	}
	defer db.Close()
	bodies := requestBodies(queries)
	for i := range 200 {
		if _, err := server.search(ctx, bodies[i%len(bodies)]); err != nil {
			return err
		}
		if res, err := beside.Search(ctx, query(queries, i)); err != nil || len(res.Hits) != 10 {
			return fmt.Errorf("search %d found %d of 10: %w", i, len(res.Hits), err)
		}
	}
	var alone, call, added []float64
	for from := 0; from < requests; from += turn {
		for i := from; i < from+turn; i++ {
			start := time.Now()
			engine, err := server.search(ctx, bodies[i%len(bodies)])
			if err != nil {
				return err
			}
			took := time.Since(start).Seconds()
			alone, added = append(alone, took), append(added, took-engine)
		}
		for i := from; i < from+turn; i++ {
			start := time.Now()
			if _, err := beside.Search(ctx, query(queries, i)); err != nil {
				return err
			}
			call = append(call, time.Since(start).Seconds())
		}
	}
	p50, lib := metric.Median(alone)*1e6, metric.Median(call)*1e6
	r.against("library", "http_p50", p50, lib, "us", "lower", "one connection, one request at a time; the library call in another process on the same files, in turn")
	r.add("http_added_p50", metric.Median(added)*1e6, "us", "round trip less the library call inside the same request (Server-Timing)")
	r.add("http_p99", metric.Quantile(alone, 0.99)*1e6, "us", "")
	o.log("%d requests per second for %v", perSecond, span)
	if err := server.openLoop(ctx, r, bodies, span); err != nil {
		return err
	}
	return r.finish(o)
}

// stock fills the database and leaves it closed, as the server will find it.
func stock(ctx context.Context, o Options, dir string, base dataset.Matrix) error {
	db, c, err := create(ctx, dir, base.Cols)
	if err != nil {
		return err
	}
	o.log("loading")
	return errors.Join(fill(ctx, c, base, 0), c.Ready(ctx), db.Close())
}

// openBeside opens the server's directory for reading, so that the library call
// is measured on the same files.
func openBeside(ctx context.Context, dir string) (*eider.DB, *eider.Collection, error) {
	db, err := eider.Open(dir, &eider.Options{ReadOnly: true})
	if err != nil {
		return nil, nil, err
	}
	c, err := db.Collection(collection)
	if err == nil {
		err = c.Ready(ctx)
	}
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, c, nil
}

func query(queries dataset.Matrix, i int) eider.Query {
	f := eider.Eq("kind", fmt.Sprintf("k%d", i%10))
	return near(queries.Row(i%queries.Rows), &f)
}

func requestBodies(queries dataset.Matrix) [][]byte {
	out := make([][]byte, queries.Rows)
	for i := range out {
		b, err := json.Marshal(query(queries, i))
		if err == nil {
			out[i] = b
		}
	}
	return out
}

// server is a running `eider serve`.
type server struct {
	url    string
	cmd    *exec.Cmd
	client *http.Client
}

// listening finds the base URL in what serve prints.
var listening = regexp.MustCompile(`https?://[0-9a-zA-Z.:\[\]]+`)

// serve starts the binary on a free port of the loopback address.
func serve(ctx context.Context, o Options, dir string) (*server, error) {
	bin := o.Serve
	if bin == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		bin = self
	}
	cmd := exec.CommandContext(ctx, bin, "serve", dir, "--addr", "127.0.0.1:0")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	found := make(chan string, 1)
	var errs tailBuffer
	cmd.Stdout, cmd.Stderr = &watch{found: found}, &errs
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s serve: %w", bin, err)
	}
	s := &server{cmd: cmd, client: &http.Client{Transport: &http.Transport{
		MaxIdleConns: 512, MaxIdleConnsPerHost: 512, DisableCompression: true,
	}}}
	select {
	case s.url = <-found:
		return s, nil
	case <-time.After(30 * time.Second):
	case <-ctx.Done():
	}
	s.stop()
	return nil, fmt.Errorf("%s serve did not say where it listens: %s", bin, errs.String())
}

// watch sends the first URL written to it.
type watch struct {
	text  []byte
	found chan string
	done  bool
}

func (w *watch) Write(p []byte) (int, error) {
	if w.done {
		return len(p), nil
	}
	w.text = append(w.text, p...)
	if !bytes.Contains(w.text, []byte("\n")) {
		return len(p), nil
	}
	if url := listening.Find(w.text); url != nil {
		w.done = true
		w.found <- string(url)
	}
	return len(p), nil
}

func (s *server) stop() {
	s.client.CloseIdleConnections()
	if s.cmd.Process.Signal(os.Interrupt) != nil {
		s.cmd.Process.Kill()
	}
	done := time.AfterFunc(20*time.Second, func() { s.cmd.Process.Kill() })
	s.cmd.Wait()
	done.Stop()
}

// search posts one search and reads the whole answer. It returns the seconds
// that the library call took inside the server, from Server-Timing.
func (s *server) search(ctx context.Context, body []byte) (engine float64, err error) {
	req, err := http.NewRequestWithContext(ctx, "POST", s.url+"/v1/collections/"+collection+"/search", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := s.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("search answered %s: %.300s", res.Status, answer)
	}
	for phase := range strings.SplitSeq(res.Header.Get("Server-Timing"), ",") {
		_, ms, _ := strings.Cut(phase, "dur=")
		if v, perr := strconv.ParseFloat(ms, 64); perr == nil {
			engine += v / 1000
		}
	}
	return engine, err
}

// openLoop starts requests on schedule and reports latency from the schedule.
func (s *server) openLoop(ctx context.Context, r *report, bodies [][]byte, d time.Duration) error {
	n := int(d.Seconds() * perSecond)
	latency := make([]float64, n)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed int
	var reason error
	start := time.Now()
	for i := range n {
		due := start.Add(time.Duration(i) * time.Second / perSecond)
		if wait := time.Until(due); wait > 0 {
			time.Sleep(wait)
		}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			_, err := s.search(ctx, bodies[i%len(bodies)])
			latency[i] = time.Since(due).Seconds()
			if err != nil {
				mu.Lock()
				failed++
				reason = err
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if failed == n {
		return fmt.Errorf("every request failed: %w", reason)
	}
	note := fmt.Sprintf("%d requests, %d failed", n, failed)
	if reason != nil {
		note += fmt.Sprintf(" (%v)", reason)
	}
	r.add("http_load", float64(n-failed)/time.Since(start).Seconds(), "requests/s", note)
	for _, q := range []float64{0.5, 0.99, 0.999} {
		r.add(fmt.Sprintf("http_load_p%g", q*100), metric.Quantile(latency, q)*1e3, "ms", "open loop at 1,000/s, from the scheduled start")
	}
	return nil
}
