package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/internal/dataset"
	"github.com/eiderdb/eider/internal/metric"
)

// lines decodes JSON output and checks the keys every line must have.
func lines(t *testing.T, out []byte) []Figure {
	t.Helper()
	var all []Figure
	for line := range bytes.Lines(out) {
		var keys map[string]any
		if err := json.Unmarshal(line, &keys); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		for _, k := range []string{"suite", "figure", "value", "unit", "peer", "ratio"} {
			if _, ok := keys[k]; !ok {
				t.Fatalf("%q has no key %s", line, k)
			}
		}
		var f Figure
		if err := json.Unmarshal(line, &f); err != nil {
			t.Fatal(err)
		}
		all = append(all, f)
	}
	return all
}

func find(t *testing.T, all []Figure, name, peer string) Figure {
	t.Helper()
	for _, f := range all {
		if f.Figure == name && (peer == "" && f.Peer == nil || f.Peer != nil && *f.Peer == peer) {
			return f
		}
	}
	t.Fatalf("no figure %s of peer %q among %d", name, peer, len(all))
	return Figure{}
}

func TestANNReportsTheWholeCurveOnAGeneratedSet(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir := t.TempDir()
	var out bytes.Buffer
	o := Options{Quick: true, JSON: true, Set: "clusters-100k", Data: dir, Rows: 3000, Queries: 40, Peers: []string{"none"}, Out: dir,
		HTML: filepath.Join(dir, "page", "ann.html"), Command: "eider bench ann", Time: time.Millisecond}
	if err := ANN(context.Background(), o, &out); err != nil {
		t.Fatal(err)
	}
	all := lines(t, out.Bytes())
	best := 0.0
	for _, f := range all {
		if f.Figure == "curve" {
			best = max(best, f.Recall)
			if f.Value <= 0 || f.Ef < annK {
				t.Errorf("point %+v", f)
			}
		}
	}
	if best < 0.99 {
		t.Errorf("the curve ends at recall %v", best)
	}
	if f := find(t, all, "qps@0.99", ""); f.Value <= 0 || f.Set == "" {
		t.Errorf("%+v", f)
	}
	if f := find(t, all, "memory_own", ""); f.Value < 128*4 {
		t.Errorf("a vector of 512 bytes takes %v", f.Value)
	}
	if f := find(t, all, "build_rate", ""); f.Value <= 0 || f.Codes != "none" {
		t.Errorf("%+v", f)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "ann-*.json"))
	if len(files) != 1 {
		t.Fatalf("results %v", files)
	}
	f, err := os.Open(files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	run, err := ReadRun(f)
	if err != nil {
		t.Fatal(err)
	}
	if len(run.Figures) != len(all) || run.Command != o.Command || run.Machine.Go == "" || len(run.Engines) != 1 {
		t.Errorf("the file holds %d figures of %d, command %q, %+v, %v", len(run.Figures), len(all), run.Command, run.Machine, run.Engines)
	}
	page, err := os.ReadFile(o.HTML)
	if err != nil {
		t.Fatal(err)
	}
	if s := string(page); strings.Contains(s, "<script") || strings.Contains(s, "src=") || !strings.Contains(s, "<svg") {
		t.Error("the page is not self-contained")
	}
}

func TestAnAbsentPeerIsAFigureThatSaysHowToInstallIt(t *testing.T) {
	t.Setenv("EIDER_PEERS", t.TempDir())
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("PATH", t.TempDir())
	var out bytes.Buffer
	o := Options{Quick: true, JSON: true, Set: "sphere", Data: t.TempDir(), Rows: 300, Queries: 5, Time: time.Millisecond, Peers: []string{"hnswlib", "zvec"}}
	if err := ANN(context.Background(), o, &out); err != nil {
		t.Fatal(err)
	}
	all := lines(t, out.Bytes())
	for _, peer := range o.Peers {
		if f := find(t, all, "absent", peer); !strings.Contains(f.Note, "bench/peers/install") {
			t.Errorf("%s: %q", peer, f.Note)
		}
	}
}

func TestAnUnknownPeerIsRefused(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	o := Options{Quick: true, Set: "sphere", Data: t.TempDir(), Rows: 100, Queries: 2, Peers: []string{"nmslib"}}
	if err := ANN(context.Background(), o, io.Discard); err == nil || !strings.Contains(err.Error(), "nmslib") {
		t.Fatal(err)
	}
}

func TestTheCppRunnerFindsExactNeighboursAndFilters(t *testing.T) {
	ctx := context.Background()
	m := dataset.Sphere(600, 32, 1)
	s := &Set{Name: "t", Base: m.Head(550), Queries: tail(m, 550), Metric: index.L2}
	shop, err := newWorkshop(s)
	if err != nil {
		t.Fatal(err)
	}
	defer shop.close()
	p, err := shop.start(ctx, "hnswlib")
	if errors.Is(err, errAbsent) {
		t.Skip("hnswlib is not installed: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if !p.native {
		t.Skip("no C++ compiler or no hnswlib headers")
	}
	b, err := p.build(ctx, 16, 200, 2)
	if err != nil || b.cpu <= 0 || b.wall <= 0 {
		t.Fatalf("%+v, %v", b, err)
	}
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	exact, err := solve(ctx, s, 10)
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]int32, 10*s.Queries.Rows)
	if _, err := p.search(ctx, 10, 200, ids); err != nil {
		t.Fatal(err)
	}
	if r := exact.recall(ids); r < 0.99 {
		t.Errorf("recall %v", r)
	}
	flags := make([]byte, s.Base.Rows)
	flags[7], flags[9] = 1, 1
	if err := p.filter(ctx, flags); err != nil {
		t.Skip("headers without filters: ", err)
	}
	if _, err := p.search(ctx, 2, 200, ids[:2*s.Queries.Rows]); err != nil {
		t.Fatal(err)
	}
	for i, id := range ids[:2*s.Queries.Rows] {
		if id != 7 && id != 9 {
			t.Fatalf("answer %d is row %d, which the filter refuses", i, id)
		}
	}
	if _, err := p.ask(ctx, "sing"); err == nil || !strings.Contains(err.Error(), "unknown verb") {
		t.Errorf("an unknown verb gives %v", err)
	}
}

func TestTruthIsReadBackFromItsCache(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	m := dataset.Sphere(120, 16, 1)
	s := &Set{Base: m.Head(100), Queries: tail(m, 100), Metric: index.L2}
	first, err := solve(context.Background(), s, 10)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(first.path()); err != nil {
		t.Fatal("nothing was cached: ", err)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel() // only the cache can answer now
	second, err := solve(ended, s, 10)
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range first.distances {
		if d != second.distances[i] {
			t.Fatalf("distance %d: %v and %v", i, d, second.distances[i])
		}
	}
	ids := make([]int32, 10*s.Queries.Rows)
	for i := range ids {
		ids[i] = int32(i%10) - 1 // -1 and out of order: mostly misses, never a panic
	}
	if r := second.recall(ids); r <= 0 || r > 0.5 {
		t.Errorf("recall of arbitrary ids is %v", r)
	}
}

func TestSpeedsAreComparedAtARecallBothReached(t *testing.T) {
	a := &ann{set: &Set{Queries: dataset.Matrix{Rows: 100}}, report: newReport("ann", "s", Options{}, io.Discard)}
	curve := func(points ...float64) *runner { // recall, seconds pairs
		r := &runner{engine: &peer{title: "p"}}
		for i := 0; i < len(points); i += 2 {
			r.points = append(r.points, &point{recall: points[i], wall: []float64{points[i+1]}})
		}
		return r
	}
	a.own, a.rivals = []*runner{curve(0.94, 1, 0.999, 4)}, []*runner{curve(0.97, 2, 0.999, 8)}
	a.speed("qps", 0.95)
	at97, _ := metric.QPSAt(a.curve(a.own[0], false), 0.97)
	f := find(t, a.report.all, "qps@0.95", "p")
	if math.Abs(*f.Ratio-at97/50) > 1e-9 || !strings.Contains(f.Note, "0.9700") {
		t.Errorf("ratio %v, note %q", *f.Ratio, f.Note)
	}
	want, _ := metric.QPSAt(a.curve(a.own[0], false), 0.95)
	if own := find(t, a.report.all, "qps@0.95", ""); own.Value != want {
		t.Errorf("own speed %v, want %v", own.Value, want)
	}
	a.rivals[0] = curve(0.80, 2, 0.90, 8)
	a.report.all = nil
	a.speed("qps", 0.95)
	if f := find(t, a.report.all, "qps@0.95", "p"); f.Ratio != nil || !strings.Contains(f.Note, "0.9000") {
		t.Errorf("a peer that never reached the recall has ratio %v, note %q", f.Ratio, f.Note)
	}
}

func TestThePlotIsWellFormedXML(t *testing.T) {
	points := []metric.Point{{Ef: 10, Recall: 0.9, QPS: 5000}, {Ef: 50, Recall: 1, QPS: 900}}
	for _, lines := range [][]line{nil, {{"a<b", points}, {"c", points[:1]}}} {
		d := xml.NewDecoder(bytes.NewReader(svg("x & y", lines)))
		for {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestSetsLoadFromEveryShapeOfFile(t *testing.T) {
	dir := t.TempDir()
	m := dataset.Sphere(50, 8, 1)
	for name, part := range map[string]dataset.Matrix{"tiny/x_base.fbin": m.Head(40), "tiny/x_query.fbin": tail(m, 40), "one.fbin": m} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := writeFile(path, part); err != nil {
			t.Fatal(err)
		}
	}
	h5, err := filepath.Abs("../internal/dataset/testdata/old.hdf5")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		o             Options
		rows, queries int
	}{
		{Options{Data: dir, Set: "tiny"}, 40, 10},
		{Options{Data: dir, Set: "one.fbin"}, 45, 5},
		{Options{Data: filepath.Join(dir, "one.fbin")}, 45, 5},
		{Options{Set: h5, Data: dir}, 37, 4},
		{Options{Set: "clusters", Data: dir, Rows: 30}, 30, 10},
	} {
		s, err := load(c.o, 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		if s.Base.Rows != c.rows || s.Queries.Rows != c.queries || s.Metric != index.L2 {
			t.Errorf("%+v: %d base vectors, %d queries, %s", c.o, s.Base.Rows, s.Queries.Rows, s.Metric)
		}
	}
	if _, err := load(Options{Data: dir, Set: "absent"}, 0, 1); !errors.Is(err, ErrSet) {
		t.Error(err)
	}
}

func TestExactAndFilterReportOnTinySets(t *testing.T) {
	for name, run := range map[string]func(context.Context, Options, io.Writer) error{"exact": Exact, "filter": Filter} {
		var out bytes.Buffer
		o := Options{Quick: true, JSON: true, Data: t.TempDir(), Set: "clusters", Rows: 3000, Queries: 10, Peers: []string{"none"}}
		if err := run(context.Background(), o, &out); err != nil {
			t.Fatal(err)
		}
		all := lines(t, out.Bytes())
		if len(all) == 0 || all[0].Suite != name {
			t.Fatalf("%s: %d figures", name, len(all))
		}
		for _, f := range all {
			if strings.HasSuffix(f.Figure, "_short") && f.Value != 0 {
				t.Errorf("%s = %v", f.Figure, f.Value)
			}
		}
	}
}

func TestSuitesEndSoonAfterTheirContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	for _, s := range Suites() {
		o := Options{Quick: true, Data: t.TempDir(), Out: t.TempDir(), Set: "clusters", Rows: 2500, Queries: 5, Peers: []string{"none"}}
		err := s.Run(ctx, o, io.Discard)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s ended with %v", s.Name, err)
		}
	}
}
