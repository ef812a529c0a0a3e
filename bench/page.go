package bench

import (
	"bytes"
	"fmt"
	"html"
	"io"
	"slices"
	"strings"

	"github.com/eiderdb/eider/internal/metric"
)

const pageHead = `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>eider bench</title>
<style>body{font:14px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#222}
h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2.5rem;border-top:1px solid #ccc;padding-top:1rem}
table{border-collapse:collapse;margin:.8rem 0}td,th{padding:.15rem .7rem;text-align:left;border-bottom:1px solid #ddd;vertical-align:top}
th{font-weight:600}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}td.w{color:#666}
.win{color:#00694b}.loss{color:#a33c00}svg{max-width:100%;height:auto;display:block}code{background:#f3f3f3;padding:.1rem .3rem;overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:max-content 1fr;gap:0 1rem}dt{color:#666}dd{margin:0}summary{cursor:pointer;color:#666}</style>
<h1>eider bench</h1>
<p>Engines took turns within each run; medians are reported. Speeds at a recall are interpolated between measured points and never
extrapolated. A ratio is Eider's figure over the peer's.</p>
`

// Page writes a self-contained HTML report of runs: a table of speed ratios, then
// each run with its machine, versions, command, curves and figures. No script,
// nothing fetched. It returns the writer's error.
func Page(w io.Writer, runs []*Run) error {
	var b bytes.Buffer
	b.WriteString(pageHead)
	summary(&b, runs)
	for _, run := range runs {
		section(&b, run)
	}
	b.WriteString("</html>\n")
	_, err := w.Write(b.Bytes())
	return err
}

// summary is the speed ratios of every ann run, one row per set, codes and recall.
func summary(b *bytes.Buffer, runs []*Run) {
	var peers []string
	type row struct {
		set, codes, figure string
		value              float64
		ratio              map[string]Figure
	}
	var rows []*row
	for _, run := range runs {
		for _, f := range run.Figures {
			if run.Suite != "ann" || !strings.HasPrefix(f.Figure, "qps@") || f.Peer == nil || f.Ratio == nil {
				continue
			}
			if !slices.Contains(peers, *f.Peer) {
				peers = append(peers, *f.Peer)
			}
			i := slices.IndexFunc(rows, func(r *row) bool {
				return r.set == run.Set && r.codes == f.Codes && r.figure == f.Figure
			})
			if i < 0 {
				i, rows = len(rows), append(rows, &row{run.Set, f.Codes, f.Figure, f.Value, map[string]Figure{}})
			}
			rows[i].ratio[*f.Peer] = f
		}
	}
	if len(rows) == 0 {
		return
	}
	b.WriteString(`<table><tr><th>set<th>codes<th>figure<th class="n">eider 1/s`)
	for _, p := range peers {
		fmt.Fprintf(b, `<th class="n">/ %s`, html.EscapeString(p))
	}
	b.WriteString("</tr>\n")
	for _, r := range rows {
		fmt.Fprintf(b, `<tr><td>%s<td>%s<td>%s<td class="n">%s`, html.EscapeString(r.set), html.EscapeString(r.codes),
			html.EscapeString(r.figure), number(r.value))
		for _, p := range peers {
			if f, ok := r.ratio[p]; ok {
				fmt.Fprintf(b, `<td class="n">%s`, ratio(f))
			} else {
				b.WriteString(`<td class="n">-`)
			}
		}
		b.WriteString("</tr>\n")
	}
	b.WriteString("</table>\n")
}

// ratio is a figure's ratio, coloured by which way is good.
func ratio(f Figure) string {
	if f.Ratio == nil {
		return ""
	}
	class := ""
	switch good := *f.Ratio > 1 == (f.Better == "higher"); {
	case f.Better == "" || *f.Ratio == 1:
	case good:
		class = "win"
	default:
		class = "loss"
	}
	title := ""
	if f.PeerValue != nil {
		title = number(*f.PeerValue) + " " + f.Unit
	}
	return fmt.Sprintf(`<span class="%s" title="%s">%.2fx</span>`, class, html.EscapeString(join(title, f.Note)), *f.Ratio)
}

func section(b *bytes.Buffer, run *Run) {
	fmt.Fprintf(b, "<h2>%s: %s</h2>\n<dl>", html.EscapeString(run.Suite), html.EscapeString(run.Set))
	m := run.Machine
	machine := fmt.Sprintf("%s, %d cores used, %s", m.CPU, m.Cores, m.Platform)
	if m.Memory > 0 {
		machine += fmt.Sprintf(", %d GiB", (m.Memory+1<<29)>>30)
	}
	if m.Load != "" {
		machine += ", load " + m.Load
	}
	build := fmt.Sprintf("%s, kernels %s", m.Go, m.SIMD)
	if m.Revision != "" {
		build += ", revision " + m.Revision
	}
	for _, row := range [][2]string{{"command", run.Command}, {"machine", machine}, {"build", build}, {"ended", run.Time.Format("2006-01-02 15:04 UTC")}} {
		switch {
		case row[1] == "":
		case row[0] == "command":
			fmt.Fprintf(b, "<dt>%s<dd><code>%s</code>\n", row[0], html.EscapeString(row[1]))
		default:
			fmt.Fprintf(b, "<dt>%s<dd>%s\n", row[0], html.EscapeString(row[1]))
		}
	}
	for _, e := range run.Engines {
		fmt.Fprintf(b, "<dt>%s<dd>%s\n", html.EscapeString(e.Name), html.EscapeString(e.How))
	}
	b.WriteString("</dl>\n")
	if curves := run.curves(); len(curves) > 0 {
		b.Write(svg(run.Suite+": "+run.Set, curves))
	}
	for _, t := range run.trends() {
		b.Write(t.svg())
	}
	figures(b, run)
}

// curves is the frontier of each engine's points, in order of appearance.
func (run *Run) curves() []line {
	var out []line
	for _, f := range run.Figures {
		if f.Figure != "curve" || f.Value <= 0 {
			continue
		}
		i := slices.IndexFunc(out, func(l line) bool { return l.name == f.Engine })
		if i < 0 {
			i, out = len(out), append(out, line{name: f.Engine})
		}
		out[i].points = append(out[i].points, metric.Point{Ef: f.Ef, Recall: f.Recall, QPS: f.Value})
	}
	for i := range out {
		out[i].points = metric.Frontier(out[i].points)
	}
	return out
}

// figures is the table of everything but the points, which are folded away below.
func figures(b *bytes.Buffer, run *Run) {
	b.WriteString(`<table><tr><th>figure<th>engine<th class="n">value<th>unit<th>peer<th class="n">peer's<th class="n">ratio<th>note</tr>` + "\n")
	points := 0
	for _, f := range run.Figures {
		if f.Figure == "curve" || f.At > 0 {
			points++
			continue
		}
		peer, theirs := "", ""
		if f.Peer != nil {
			peer = *f.Peer
		}
		if f.PeerValue != nil {
			theirs = number(*f.PeerValue)
		}
		engine, value := f.Engine, number(f.Value)
		if f.Codes == "best" {
			engine += " (best codes)"
		}
		if f.Figure == "absent" {
			value = ""
		}
		fmt.Fprintf(b, `<tr><td>%s<td>%s<td class="n">%s<td>%s<td>%s<td class="n">%s<td class="n">%s<td class="w">%s</tr>`+"\n",
			html.EscapeString(f.Figure), html.EscapeString(engine), value, html.EscapeString(f.Unit),
			html.EscapeString(peer), theirs, ratio(f), html.EscapeString(f.Note))
	}
	b.WriteString("</table>\n")
	if points == 0 {
		return
	}
	fmt.Fprintf(b, `<details><summary>%d points</summary><table><tr><th>figure<th>engine<th class="n">at<th class="n">value<th>unit<th class="n">recall</tr>`+"\n", points)
	for _, f := range run.Figures {
		if f.Figure != "curve" && f.At == 0 {
			continue
		}
		recall := ""
		if f.Figure == "curve" {
			recall = fmt.Sprintf("%.4f", f.Recall)
		}
		fmt.Fprintf(b, `<tr><td>%s<td>%s<td class="n">%d<td class="n">%s<td>%s<td class="n">%s</tr>`+"\n", html.EscapeString(f.Figure),
			html.EscapeString(f.Engine), max(f.Ef, f.At), number(f.Value), html.EscapeString(f.Unit), recall)
	}
	b.WriteString("</table></details>\n")
}
