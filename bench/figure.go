package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Figure is one measured number. As JSON it is one line; the keys suite, figure,
// value, unit, peer and ratio are always there, peer and ratio null where there
// is nothing to compare with.
type Figure struct {
	Suite  string   `json:"suite"`
	Figure string   `json:"figure"` // what was measured, "qps@0.95" for one
	Value  float64  `json:"value"`  // Engine's
	Unit   string   `json:"unit"`
	Peer   *string  `json:"peer"`  // compared with
	Ratio  *float64 `json:"ratio"` // value / the peer's value
	// PeerValue is what Ratio divides by, in Unit.
	PeerValue *float64 `json:"peer_value,omitempty"`
	Better    string   `json:"better,omitempty"` // "higher" or "lower"
	Engine    string   `json:"engine"`           // what was measured, "eider" but for curves of peers
	Codes     string   `json:"codes,omitempty"`  // form of Eider's vectors: one of Codes, or "best" of those run
	Set       string   `json:"set,omitempty"`    // data set
	Ef        int      `json:"ef,omitempty"`     // of a point of a curve
	Recall    float64  `json:"recall,omitempty"` // of a point of a curve
	At        int      `json:"at,omitempty"`     // step of a figure that was taken along a count, from 1
	Note      string   `json:"note,omitempty"`   // what the number means or why there is none
}

// report collects a suite's figures and writes them: JSON lines at once, tables
// when asked.
type report struct {
	suite string
	set   string
	json  bool
	gob   bool // Go's benchmark format
	brief bool // the suite prints its own tables
	w     io.Writer
	all   []Figure
	about []About
	err   error // the first write that failed
}

func newReport(suite, set string, o Options, w io.Writer) *report {
	return &report{suite: suite, set: set, json: o.JSON, gob: o.Gobench && !o.JSON, w: w}
}

// add records a figure of Eider's.
func (r *report) add(name string, value float64, unit, note string) {
	r.put(Figure{Figure: name, Value: value, Unit: unit, Note: note})
}

// against records a figure of Eider's beside a peer's. better is "higher" or
// "lower".
func (r *report) against(peer, name string, value, theirs float64, unit, better, note string) {
	Figure{}.against(r, peer, name, value, theirs, unit, better, note)
}

// add is report.add for the engine, the codes and whatever else f names.
func (f Figure) add(r *report, name string, value float64, unit, note string) {
	f.Figure, f.Value, f.Unit, f.Note = name, value, unit, note
	r.put(f)
}

// against is report.against for the engine, the codes and whatever else f names.
func (f Figure) against(r *report, peer, name string, value, theirs float64, unit, better, note string) {
	f.Figure, f.Value, f.Unit, f.Peer, f.Better, f.Note = name, value, unit, &peer, better, note
	if theirs > 0 && !math.IsNaN(theirs) && !math.IsInf(theirs, 0) {
		ratio := value / theirs
		f.PeerValue, f.Ratio = &theirs, &ratio
	}
	r.put(f)
}

// engine notes what took part and how it runs.
func (r *report) engine(e engine) {
	r.about = append(r.about, About{e.name(), e.about()})
	r.printf("  %-13s %s\n", e.name(), e.about())
}

// absent records that a peer did not run, and why.
func (r *report) absent(peer, why string) {
	r.put(Figure{Figure: "absent", Unit: "none", Peer: &peer, Note: why})
}

func (r *report) put(f Figure) {
	f.Suite, f.Set = r.suite, r.set
	if f.Engine == "" {
		f.Engine = "eider"
	}
	if math.IsNaN(f.Value) || math.IsInf(f.Value, 0) {
		f.Note = fmt.Sprintf("not a number (%v). %s", f.Value, f.Note)
		f.Value = 0
	}
	r.all = append(r.all, f)
	if r.gob && f.Peer == nil && f.Value > 0 {
		_, err := fmt.Fprintf(r.w, "Benchmark%s/%s/engine=%s/ef=%d-1 1 %g %s\n",
			strings.ToUpper(f.Suite[:1])+f.Suite[1:], f.Figure, f.Engine, f.Ef, f.Value, f.Unit)
		r.keep(err)
	}
	if r.json {
		b, err := json.Marshal(f)
		if err == nil {
			_, err = r.w.Write(append(b, '\n'))
		}
		r.keep(err)
	}
}

func (r *report) keep(err error) {
	if r.err == nil {
		r.err = err
	}
}

// printf writes a line of a table; machine formats have none.
func (r *report) printf(format string, args ...any) {
	if !r.json && !r.gob {
		_, err := fmt.Fprintf(r.w, format, args...)
		r.keep(err)
	}
}

// table prints every figure but curves as rows of name, value and comparison.
func (r *report) table() {
	if r.json || r.gob || r.brief {
		return
	}
	t := tabwriter.NewWriter(r.w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "figure\tcodes\teider\tunit\tpeer\tpeer's\tratio\t")
	for _, f := range r.all {
		switch {
		case f.Figure == "curve" || f.At > 0:
		case f.Figure == "absent":
			fmt.Fprintf(t, "absent\t\t\t\t%s\t\t\t%s\n", *f.Peer, f.Note)
		case f.Peer == nil:
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t\t\t\t%s\n", f.Figure, f.Codes, number(f.Value), f.Unit, f.Note)
		case f.Ratio == nil:
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t\t\t%s\n", f.Figure, f.Codes, number(f.Value), f.Unit, *f.Peer, f.Note)
		default:
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%.2fx\t%s\n", f.Figure, f.Codes, number(f.Value), f.Unit, *f.Peer, number(*f.PeerValue), *f.Ratio, f.Note)
		}
	}
	r.keep(t.Flush())
}

// number prints four significant digits, large ones as integers.
func number(x float64) string {
	if math.Abs(x) >= 1000 {
		return strconv.FormatFloat(x, 'f', 0, 64)
	}
	return strconv.FormatFloat(x, 'g', 4, 64)
}
