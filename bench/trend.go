package bench

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// trend is one figure of several engines along a count of steps: recall by
// turnover, for one.
type trend struct {
	name, unit string
	lines      []series
}

type series struct {
	name string
	at   []int
	v    []float64
}

// trends is every figure of the run that has points along a count.
func (run *Run) trends() []trend {
	var out []trend
	for _, f := range run.Figures {
		if f.At == 0 {
			continue
		}
		i := slices.IndexFunc(out, func(t trend) bool { return t.name == f.Figure })
		if i < 0 {
			i, out = len(out), append(out, trend{name: f.Figure, unit: f.Unit})
		}
		t := &out[i]
		j := slices.IndexFunc(t.lines, func(s series) bool { return s.name == f.Engine })
		if j < 0 {
			j, t.lines = len(t.lines), append(t.lines, series{name: f.Engine})
		}
		t.lines[j].at, t.lines[j].v = append(t.lines[j].at, f.At), append(t.lines[j].v, f.Value)
	}
	return out
}

// svg draws the values over the steps, both axes linear.
func (t trend) svg() []byte {
	x1, y0, y1 := 1, math.Inf(1), math.Inf(-1)
	for _, s := range t.lines {
		for i := range s.at {
			x1, y0, y1 = max(x1, s.at[i]), min(y0, s.v[i]), max(y1, s.v[i])
		}
	}
	if y1 <= y0 {
		y0, y1 = y0-0.5, y1+0.5
	}
	const height = 260
	right, bottom := float64(plotWidth-plotRight), float64(height-plotBottom)
	x := func(at int) float64 { return plotLeft + float64(at)/float64(x1)*(right-plotLeft) }
	y := func(v float64) float64 { return bottom - (v-y0)/(y1-y0)*(bottom-plotTop) }
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="12" role="img">`+"\n", plotWidth, height)
	fmt.Fprintf(&b, `<title>%s</title><rect width="100%%" height="100%%" fill="#fff"/>`+"\n", html.EscapeString(t.name))
	fmt.Fprintf(&b, `<text x="%d" y="24" font-size="14" font-weight="600">%s, %s</text>`+"\n", plotLeft, html.EscapeString(t.name), html.EscapeString(t.unit))
	for i := range 5 {
		v := y0 + (y1-y0)*float64(i)/4
		fmt.Fprintf(&b, `<path d="M%d %.1fH%.1f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%.4g</text>`+"\n", plotLeft, y(v), right, plotLeft-8, y(v)+4, v)
	}
	marks := min(x1, 10)
	for i := range marks + 1 {
		at := int(float64(x1) * float64(i) / float64(marks))
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" text-anchor="middle">%d</text>`+"\n", x(at), bottom+18, at)
	}
	for i, s := range t.lines {
		colour := palette[i%len(palette)]
		var path strings.Builder
		for j := range s.at {
			fmt.Fprintf(&path, "%c%.1f %.1f", "ML"[min(j, 1)], x(s.at[j]), y(s.v[j]))
		}
		fmt.Fprintf(&b, `<path d="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", path.String(), colour)
		at := plotTop + 12 + 20*i
		fmt.Fprintf(&b, `<path d="M%.1f %dh18" stroke="%s" stroke-width="2"/><text x="%.1f" y="%d">%s</text>`+"\n",
			right+14, at, colour, right+38, at+4, html.EscapeString(s.name))
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}
