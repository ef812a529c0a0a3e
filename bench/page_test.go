package bench

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
)

func sampleRun() *Run {
	peer, ratio, theirs := "hnswlib <fast>", 2.5, 1000.0
	return &Run{Suite: "ann", Set: "set & co", Command: "eider bench ann --set x", Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Machine: Machine{CPU: "cpu", Cores: 2, Memory: 8 << 30, Platform: "linux/amd64", Load: "0.1 0.2 0.3", Go: "go1", SIMD: "avx2", Revision: "abc+"},
		Engines: []About{{"eider", "here"}, {peer, "1.0"}},
		Figures: []Figure{
			{Suite: "ann", Figure: "curve", Engine: "eider", Value: 5000, Unit: "1/s", Ef: 10, Recall: 0.9},
			{Suite: "ann", Figure: "curve", Engine: "eider", Value: 900, Unit: "1/s", Ef: 50, Recall: 0.99},
			{Suite: "ann", Figure: "qps@0.95", Engine: "eider", Codes: "none", Value: 2500, Unit: "1/s", Peer: &peer, PeerValue: &theirs, Ratio: &ratio, Better: "higher"},
			{Suite: "ann", Figure: "recall", Engine: "eider", Value: 0.97, Unit: "1", At: 1},
			{Suite: "ann", Figure: "recall", Engine: "eider", Value: 0.96, Unit: "1", At: 2},
		}}
}

func TestAResultsFileReadsBackAsWritten(t *testing.T) {
	for _, run := range []*Run{sampleRun(), {Suite: "x", Figures: []Figure{{Figure: "a"}}}} {
		var out bytes.Buffer
		if err := run.Write(&out); err != nil {
			t.Fatal(err)
		}
		if lines := strings.Count(out.String(), "\n"); lines < len(run.Figures) {
			t.Errorf("%d lines for %d figures", lines, len(run.Figures))
		}
		got, err := ReadRun(&out)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, run) {
			t.Errorf("read %+v, wrote %+v", got, run)
		}
	}
}

func TestOtherFilesAreNotResults(t *testing.T) {
	for _, text := range []string{"", "{", "[]", `{"suite":"ann"}`, `{"figures":[{}]}`, `{"suite":1,"figures":[]}`} {
		if _, err := ReadRun(strings.NewReader(text)); !errors.Is(err, ErrResults) {
			t.Errorf("%q gives %v", text, err)
		}
	}
}

func TestThePageHoldsEveryRunAndNothingFromElsewhere(t *testing.T) {
	second := sampleRun()
	second.Suite, second.Figures = "build", second.Figures[2:3]
	var out bytes.Buffer
	if err := Page(&out, []*Run{sampleRun(), second}); err != nil {
		t.Fatal(err)
	}
	page := out.String()
	for _, want := range []string{"ann: set &amp; co", "build: set &amp; co", "<code>eider bench ann --set x</code>", "hnswlib &lt;fast&gt;",
		"2.50x", "8 GiB", "revision abc+", "load 0.1", "2026-01-02", "<dt>eider<dd>here"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, bad := range []string{"<script", "src=", "href=", "<fast>"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	if n := strings.Count(page, "<svg"); n != 2 {
		t.Errorf("%d plots, want a curve and a trend", n)
	}
}

func TestATrendIsWellFormedXML(t *testing.T) {
	for _, trend := range append(sampleRun().trends(), trend{name: "a<b", lines: []series{{"c", []int{1}, []float64{3}}}}) {
		d := xml.NewDecoder(bytes.NewReader(trend.svg()))
		for {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
}

func FuzzReadRun(f *testing.F) {
	var out bytes.Buffer
	if err := sampleRun().Write(&out); err != nil {
		f.Fatal(err)
	}
	f.Add(out.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		run, err := ReadRun(bytes.NewReader(b))
		if err != nil {
			return
		}
		if err := Page(io.Discard, []*Run{run}); err != nil {
			t.Fatal(err)
		}
	})
}
