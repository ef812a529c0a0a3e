package bench

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/eiderdb/eider/internal/dataset"
)

//go:embed peers/peer.py
var peerPy []byte

//go:embed peers/hnswlib.cpp
var hnswlibCpp []byte

var infinity = float32(math.Inf(1))

// Peers lists the libraries that can run beside Eider, one name per element type
// or kind of index (bench/peers/README.md says what each is).
func Peers() []string {
	return []string{"hnswlib", "usearch", "usearch-bf16", "usearch-i8", "faiss", "faiss-sq8", "faiss-ivfpq", "zvec", "zvec-int8"}
}

// errAbsent reports a peer that is not installed.
var errAbsent = errors.New("not installed; run bench/peers/install")

// workshop is where peers are installed and built, and where vectors are handed
// to them.
type workshop struct {
	home string // of peers: a Python virtual environment with include/ beside
	temp string // removed by close

	once      sync.Once
	base, qry string // fbin files
	shared    error
	set       *Set
}

func newWorkshop(s *Set) (*workshop, error) {
	home := os.Getenv("EIDER_PEERS")
	if home == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return nil, err
		}
		home = filepath.Join(cache, "eider", "peers")
	}
	temp, err := os.MkdirTemp("", "eider-bench-")
	return &workshop{home: home, temp: temp, set: s}, err
}

func (w *workshop) close() { os.RemoveAll(w.temp) }

// share writes the set's vectors once for all peers.
func (w *workshop) share() (base, queries string, err error) {
	w.once.Do(func() {
		w.base, w.qry = filepath.Join(w.temp, "base.fbin"), filepath.Join(w.temp, "queries.fbin")
		w.shared = errors.Join(writeFile(w.base, w.set.Base), writeFile(w.qry, w.set.Queries))
	})
	return w.base, w.qry, w.shared
}

func writeFile(path string, m dataset.Matrix) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(dataset.Write(f, dataset.Fbin, m), f.Close())
}

// python is the interpreter of the peers' environment.
func (w *workshop) python() string {
	if p := filepath.Join(w.home, "bin", "python"); has(w.home, "bin/python") {
		return p
	}
	return "python3"
}

// compile builds the C++ runner and returns its path and what it was made from.
// The binary is cached by source, headers and flags.
func (w *workshop) compile(ctx context.Context) (bin, about string, err error) {
	cxx, err := exec.LookPath("g++")
	if err != nil {
		return "", "", fmt.Errorf("%w: no g++", errAbsent)
	}
	include, version := filepath.Join(w.home, "include"), "Debian's"
	if b, err := os.ReadFile(filepath.Join(include, "hnswlib", "VERSION")); err == nil {
		version = string(bytes.TrimSpace(b))
	} else if include = "/usr/include"; !has(include, "hnswlib/hnswlib.h") {
		return "", "", fmt.Errorf("%w: no hnswlib headers", errAbsent)
	}
	args := []string{"-std=c++17", "-O3", "-march=native", "-pthread", "-I" + include}
	if b, _ := os.ReadFile(filepath.Join(include, "hnswlib", "hnswlib.h")); bytes.Contains(b, []byte("BaseFilterFunctor")) {
		args = append(args, "-DFILTER")
	}
	about = fmt.Sprintf("%s headers, C++, g++ -O3 -march=native", version)
	key := crc32.ChecksumIEEE([]byte(fmt.Sprint(string(hnswlibCpp), args, version, cpuName())))
	bin = filepath.Join(w.home, fmt.Sprintf("hnswlib-runner-%08x", key))
	if has(w.home, filepath.Base(bin)) {
		return bin, about, nil
	}
	if err := os.MkdirAll(w.home, 0o755); err != nil {
		return "", "", err
	}
	made, source := filepath.Join(w.temp, "hnswlib-runner"), filepath.Join(w.temp, "hnswlib.cpp")
	if err := os.WriteFile(source, hnswlibCpp, 0o644); err != nil {
		return "", "", err
	}
	out, err := exec.CommandContext(ctx, cxx, append(args, source, "-o", made)...).CombinedOutput()
	if err != nil {
		return "", "", fmt.Errorf("compiling the hnswlib runner: %w: %s", err, bytes.TrimSpace(out))
	}
	b, err := os.ReadFile(made)
	if err == nil {
		if err = os.WriteFile(bin+".part", b, 0o755); err == nil {
			err = os.Rename(bin+".part", bin)
		}
	}
	if err != nil {
		return made, about, nil // no cache, then
	}
	return bin, about, nil
}

// start runs a peer and waits until it has loaded the set. The error wraps
// errAbsent when the peer is not installed.
func (w *workshop) start(ctx context.Context, name string) (*peer, error) {
	p := &peer{title: name, shop: w}
	if name == "hnswlib" {
		bin, about, err := w.compile(ctx)
		if err == nil {
			p.how, p.native = about, true
			return p, p.run(ctx, bin)
		}
		if !errors.Is(err, errAbsent) {
			return nil, err
		}
	}
	script := filepath.Join(w.temp, "peer.py")
	if err := os.WriteFile(script, peerPy, 0o644); err != nil {
		return nil, err
	}
	p.how = "Python"
	return p, p.run(ctx, w.python(), script, name)
}

// peer is a library in a child process; see peers/README.md for the protocol.
type peer struct {
	title, how string
	native     bool // the C++ runner, which can filter
	shop       *workshop
	cmd        *exec.Cmd
	in         io.WriteCloser
	out        *bufio.Scanner
	errs       tailBuffer
}

func (p *peer) name() string  { return p.title }
func (p *peer) about() string { return p.how }

// run launches the peer and lets it load the set.
func (p *peer) run(ctx context.Context, bin string, args ...string) error {
	base, queries, err := p.shop.share()
	if err != nil {
		return err
	}
	if err := p.launch(ctx, bin, args...); err != nil {
		return err
	}
	_, err = p.ask(ctx, "load", base, queries, string(p.shop.set.Metric))
	return err
}

// launch starts the process and waits until it is ready.
func (p *peer) launch(ctx context.Context, bin string, args ...string) (err error) {
	p.cmd = exec.CommandContext(ctx, bin, args...)
	p.cmd.Stderr, p.cmd.WaitDelay = &p.errs, 2*time.Second
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	p.out = bufio.NewScanner(out)
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("%w: %v", errAbsent, err)
	}
	fields, err := p.answer(ctx)
	if err != nil {
		p.close()
		return fmt.Errorf("%w: %v", errAbsent, err)
	}
	if v := fields["version"]; v != "" {
		p.how = v + ", " + p.how
	}
	return nil
}

// ask sends one request and reads its answer.
func (p *peer) ask(ctx context.Context, words ...string) (map[string]string, error) {
	if _, err := io.WriteString(p.in, strings.Join(words, "\t")+"\n"); err != nil {
		return nil, fmt.Errorf("%s has gone: %w: %s", p.title, err, p.errs.String())
	}
	return p.answer(ctx)
}

func (p *peer) answer(ctx context.Context) (map[string]string, error) {
	if !p.out.Scan() {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("%s ended: %s", p.title, p.errs.String())
	}
	words := strings.Split(p.out.Text(), "\t")
	if words[0] != "ok" {
		return nil, fmt.Errorf("%s: %s", p.title, strings.Join(words[1:], " "))
	}
	fields := map[string]string{}
	for _, w := range words[1:] {
		if key, value, ok := strings.Cut(w, "="); ok {
			fields[key] = value
		}
	}
	return fields, nil
}

func (p *peer) build(ctx context.Context, m, ef, threads int) (build, error) {
	f, err := p.ask(ctx, "build", strconv.Itoa(m), strconv.Itoa(ef), strconv.Itoa(threads))
	if err != nil {
		return build{}, err
	}
	b := build{wall: value(f, "wall"), cpu: value(f, "cpu"), bytes: value(f, "bytes")}
	for _, word := range strings.FieldsFunc(f["settings"], func(r rune) bool { return r == ',' }) {
		n, err := strconv.Atoi(word)
		if err != nil {
			return build{}, fmt.Errorf("%s says its settings are %q: %w", p.title, f["settings"], err)
		}
		b.settings = append(b.settings, n)
	}
	return b, nil
}

func (p *peer) search(ctx context.Context, k, ef int, ids []int32) (cost, error) {
	file := "-"
	if ids != nil {
		file = filepath.Join(p.shop.temp, p.title+".ibin")
	}
	f, err := p.ask(ctx, "search", strconv.Itoa(k), strconv.Itoa(ef), file)
	if err != nil {
		return cost{}, err
	}
	if ids != nil {
		r, closer, err := open(file)
		if err != nil {
			return cost{}, err
		}
		defer closer()
		found, err := r.Ints(0)
		if err == nil && (found.Cols != k || len(found.Data) != len(ids)) {
			err = fmt.Errorf("%s answered %d x %d ids", p.title, found.Rows, found.Cols)
		}
		if err != nil {
			return cost{}, err
		}
		copy(ids, found.Data)
	}
	return cost{value(f, "wall"), value(f, "cpu")}, nil
}

// filter restricts the searches that follow to rows with a flag; nil lifts it.
func (p *peer) filter(ctx context.Context, flags []byte) error {
	file := "-"
	if flags != nil {
		file = filepath.Join(p.shop.temp, "flags")
		if err := os.WriteFile(file, flags, 0o644); err != nil {
			return err
		}
	}
	_, err := p.ask(ctx, "filter", file)
	return err
}

func (p *peer) close() {
	if p.in != nil {
		io.WriteString(p.in, "quit\n")
		p.in.Close()
	}
	if p.cmd != nil && p.cmd.Process != nil {
		done := time.AfterFunc(5*time.Second, func() { p.cmd.Process.Kill() })
		p.cmd.Wait()
		done.Stop()
	}
}

func value(fields map[string]string, key string) float64 {
	v, err := strconv.ParseFloat(fields[key], 64)
	if err != nil {
		return math.NaN()
	}
	return v
}

// tailBuffer keeps the last 2 KiB written to it.
type tailBuffer struct {
	mu sync.Mutex
	b  []byte
}

func (t *tailBuffer) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	t.b = t.b[max(0, len(t.b)-2048):]
	return len(p), nil
}

func (t *tailBuffer) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.b))
}
