package api

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// browser is a headless Chromium driven over a pipe by the DevTools protocol:
// JSON messages that end in a zero byte.
type browser struct {
	t       testing.TB
	in      io.Writer
	session string

	mu       sync.Mutex
	next     int
	pending  map[int]chan json.RawMessage
	dialogs  int
	requests []string
	errors   []string // exceptions and policy violations
}

// chromium starts a browser with one blank page, or skips the test.
func chromium(t testing.TB) *browser {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		t.Skip("no Chromium on this machine; the console is not driven")
	}
	toBrowser, ours, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	theirs, fromBrowser, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update",
		"--disable-default-apps", "--disable-sync", "--disable-extensions", "--no-first-run", "--no-default-browser-check", "--mute-audio",
		"--window-size=1400,1000", "--user-data-dir="+t.TempDir(), "--remote-debugging-pipe", "about:blank")
	cmd.ExtraFiles = []*os.File{toBrowser, fromBrowser}
	if err := cmd.Start(); err != nil {
		t.Skipf("Chromium does not start: %v", err)
	}
	toBrowser.Close()
	fromBrowser.Close()
	b := &browser{t: t, in: ours, pending: map[int]chan json.RawMessage{}}
	read := make(chan struct{})
	go func() {
		defer close(read)
		b.read(theirs)
	}()
	t.Cleanup(func() {
		b.session = ""
		b.try("Browser.close", nil)
		done := make(chan struct{})
		go func() { cmd.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			cmd.Process.Kill()
			<-done
		}
		ours.Close()
		theirs.Close()
		<-read
	})
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Network", "Log"} {
		b.call(domain+".enable", nil, nil)
	}
	return b
}

func (b *browser) read(r io.Reader) {
	in := bufio.NewReaderSize(r, 1<<20)
	for {
		raw, err := in.ReadBytes(0)
		if err != nil {
			return
		}
		var m struct {
			ID     int
			Method string
			Params json.RawMessage
			Result json.RawMessage
			Error  *struct{ Message string }
		}
		if json.Unmarshal(bytes.TrimRight(raw, "\x00"), &m) != nil {
			continue
		}
		b.mu.Lock()
		if done := b.pending[m.ID]; m.ID != 0 && done != nil {
			delete(b.pending, m.ID)
			if m.Error != nil {
				b.errors = append(b.errors, m.Error.Message)
			}
			done <- m.Result
		}
		b.note(m.Method, m.Params)
		b.mu.Unlock()
	}
}

// note keeps what the tests ask about. Callers hold mu.
func (b *browser) note(method string, params json.RawMessage) {
	var p struct {
		Request          struct{ URL string }
		ExceptionDetails struct {
			Text      string
			Exception struct{ Description string }
		}
		Entry struct{ Source, Level, Text string }
	}
	json.Unmarshal(params, &p)
	switch method {
	case "Page.javascriptDialogOpening":
		b.dialogs++
		go b.try("Page.handleJavaScriptDialog", map[string]any{"accept": true})
	case "Network.requestWillBeSent":
		b.requests = append(b.requests, p.Request.URL)
	case "Runtime.exceptionThrown":
		b.errors = append(b.errors, p.ExceptionDetails.Text+" "+p.ExceptionDetails.Exception.Description)
	case "Log.entryAdded":
		if p.Entry.Source == "security" {
			b.errors = append(b.errors, p.Entry.Text)
		}
	}
}

// try sends a command and waits a while for its result.
func (b *browser) try(method string, params any) (json.RawMessage, error) {
	if params == nil {
		params = struct{}{}
	}
	done := make(chan json.RawMessage, 1)
	b.mu.Lock()
	b.next++
	id := b.next
	b.pending[id] = done
	m := map[string]any{"id": id, "method": method, "params": params}
	if b.session != "" {
		m["sessionId"] = b.session
	}
	raw, _ := json.Marshal(m)
	_, err := b.in.Write(append(raw, 0))
	b.mu.Unlock()
	if err != nil {
		return nil, err
	}
	select {
	case r := <-done:
		return r, nil
	case <-time.After(30 * time.Second):
		return nil, fmt.Errorf("%s: no answer", method)
	}
}

func (b *browser) call(method string, params, into any) {
	b.t.Helper()
	raw, err := b.try(method, params)
	if err != nil {
		b.t.Fatal(err)
	}
	if into != nil {
		if err := json.Unmarshal(raw, into); err != nil {
			b.t.Fatalf("%s: %v in %s", method, err, raw)
		}
	}
}

// open loads a page.
func (b *browser) open(url string) {
	b.t.Helper()
	b.call("Page.navigate", map[string]any{"url": url}, nil)
}

// eval runs an expression in the page and returns its value; promises are
// awaited.
func (b *browser) eval(expression string) any {
	b.t.Helper()
	var r struct {
		Result struct {
			Value any
		}
		ExceptionDetails *struct {
			Exception struct{ Description string }
		}
	}
	b.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &r)
	if r.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", expression, r.ExceptionDetails.Exception.Description)
	}
	return r.Result.Value
}

// until polls an expression until it is true.
func (b *browser) until(expression string) {
	b.t.Helper()
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if b.eval("(() => { try { return !!("+expression+"); } catch { return false; } })()") == true {
			return
		}
	}
	text, _ := b.eval("document.body.innerText").(string)
	b.t.Fatalf("never: %s\nerrors: %q\npage:\n%.2000s", expression, b.errors, text)
}

// text is what an element shows.
func (b *browser) text(selector string) string {
	b.t.Helper()
	s, _ := b.eval(fmt.Sprintf("(document.querySelector(%q) || {}).textContent || ''", selector)).(string)
	return s
}

// click presses the element whose text contains label.
func (b *browser) click(selector, label string) {
	b.t.Helper()
	find := fmt.Sprintf("[...document.querySelectorAll(%q)].find((e) => e.textContent.includes(%q))", selector, label)
	b.until(find)
	b.eval(find + ".click()")
}

// enter types into an input as a user would, with its events.
func (b *browser) enter(selector, text string) {
	b.t.Helper()
	b.eval(fmt.Sprintf("(() => { const e = document.querySelector(%q); e.focus(); e.value = %q; e.dispatchEvent(new Event('input', {bubbles: true})); e.dispatchEvent(new Event('change', {bubbles: true})); })()", selector, text))
}

// screenshot keeps a picture of the page in the directory EIDER_SCREENSHOTS, for
// people to look at; without it, it only checks that there is one.
func (b *browser) screenshot(name string) {
	b.t.Helper()
	var shot struct{ Data []byte }
	b.call("Page.captureScreenshot", map[string]any{"format": "png"}, &shot)
	if !bytes.HasPrefix(shot.Data, []byte("\x89PNG")) || len(shot.Data) < 5000 {
		b.t.Errorf("screenshot of %d bytes", len(shot.Data))
	}
	if dir := os.Getenv("EIDER_SCREENSHOTS"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, name+".png"), shot.Data, 0o644); err != nil {
			b.t.Error(err)
		}
	}
}

// quiet fails if the pages raised errors, opened dialogs, or asked another
// origin for anything.
func (b *browser) quiet(origin string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.dialogs > 0 {
		b.t.Errorf("%d dialogs opened", b.dialogs)
	}
	if len(b.errors) > 0 {
		b.t.Errorf("errors in the page: %q", b.errors)
	}
	for _, u := range b.requests {
		if !strings.HasPrefix(u, origin+"/") && !strings.HasPrefix(u, "data:") && u != "about:blank" {
			b.t.Errorf("request to %s", u)
		}
	}
}
