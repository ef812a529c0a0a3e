package bench

import (
	"context"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/eiderdb/eider/internal/metric"
)

func TestTheBestFormIsComparedWithTheWorstPeer(t *testing.T) {
	curve := func(scale float64, recalls ...float64) []metric.Point {
		var out []metric.Point
		for i, r := range recalls {
			out = append(out, metric.Point{Ef: i, Recall: r, QPS: scale * math.Pow(0.5, float64(i))})
		}
		return out
	}
	a := &ann{report: newReport("ann", "s", Options{}, io.Discard)}
	own := []lane{{"eider", "none", curve(100, 0.9, 0.95, 0.99)}, {"eider-int8", "int8", curve(300, 0.9, 0.95, 0.99)}}
	slow, fast, blind := lane{"slow", "", curve(10, 0.9, 0.95, 0.99)}, lane{"fast", "", curve(200, 0.9, 0.95, 0.99)}, lane{"blind", "", curve(900, 0.5, 0.6)}
	a.compare("qps@0.95", "best", "best other", own, []lane{slow, blind, fast}, 0.95)
	f := find(t, a.report.all, "qps@0.95", "best other")
	if f.Ratio == nil || math.Abs(*f.Ratio-1.5) > 1e-9 || f.Engine != "eider-int8" || !strings.Contains(f.Note, "fast") {
		t.Errorf("%+v", f)
	}
	a.report.all = nil
	a.compare("qps@0.95", "best", "best other", own, []lane{blind}, 0.95)
	if f := find(t, a.report.all, "qps@0.95", "best other"); f.Ratio != nil || !strings.Contains(f.Note, "0.6000") {
		t.Errorf("a peer short of the recall: %+v", f)
	}
}

func TestAPeerThatEndsBelowOurStartIsComparedAtItsBest(t *testing.T) {
	own := lane{"eider", "none", []metric.Point{{Recall: 0.999, QPS: 100}}}
	peer := lane{"p", "", []metric.Point{{Recall: 0.96, QPS: 80}, {Recall: 0.994, QPS: 50}}}
	if m := meet(own, peer, 0.95); m.ratio() != 2 || !strings.Contains(m.note, "0.9990") || !strings.Contains(m.note, "0.9940") {
		t.Errorf("%+v", m)
	}
	if m := meet(own, peer, 0.995); m.ratio() != 0 || !strings.Contains(m.note, "the peer's best recall was 0.9940") {
		t.Errorf("a peer short of the target: %+v", m)
	}
	if m := meet(peer, own, 0.95); m.ratio() != 0 || !strings.Contains(m.note, "the peer's lowest 0.9990") {
		t.Errorf("ours short of the peer's start: %+v", m)
	}
}

func TestBadOptionsAreRefusedBeforeAnythingRuns(t *testing.T) {
	for _, c := range []struct {
		o    Options
		says string
	}{
		{Options{Rows: -1}, "--rows -1"},
		{Options{Queries: -2}, "--queries -2"},
		{Options{Time: -1}, "time"},
		{Options{Peers: []string{"hnswlib", "hnswlibb"}}, "did you mean hnswlib?"},
		{Options{Codes: []string{"none", "int9"}}, `"int9"`},
	} {
		for _, s := range Suites() {
			if err := s.Run(context.Background(), c.o, io.Discard); !errors.Is(err, ErrOption) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s with %+v: %v", s.Name, c.o, err)
			}
		}
	}
	if got := (Options{Peers: []string{"all"}}).peers(nil); len(got) != len(Peers()) {
		t.Errorf("all peers are %v", got)
	}
	if got := (Options{Peers: []string{"none"}}).peers(Peers()); len(got) != 0 {
		t.Errorf("no peers are %v", got)
	}
	if got := (Options{Codes: []string{"int8", "int8"}}).codes(); len(got) != 1 {
		t.Errorf("repeated codes are %v", got)
	}
}
