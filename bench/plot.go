package bench

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"strings"

	"github.com/eiderdb/eider/internal/metric"
)

// line is one engine's curve in a plot.
type line struct {
	name   string
	points []metric.Point // recall ascending
}

// The plot's frame, in SVG user units.
const (
	plotWidth, plotHeight = 820, 480
	plotLeft, plotRight   = 78, 170
	plotTop, plotBottom   = 44, 56
)

// palette is Okabe and Ito's, which colour-blind readers can tell apart.
var palette = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"}

// recallTicks are the marks of the horizontal axis, whose scale is the number of
// nines: -log10(1-recall).
var recallTicks = []float64{0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999}

// svg draws speed against recall: up and to the right is better.
func svg(title string, lines []line) []byte {
	x0, x1, y0, y1 := math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
	for _, l := range lines {
		for _, p := range l.points {
			x0, x1 = min(x0, nines(p.Recall)), max(x1, nines(p.Recall))
			y0, y1 = min(y0, math.Log10(p.QPS)), max(y1, math.Log10(p.QPS))
		}
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="12" role="img">`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&b, `<title>%s</title><rect width="100%%" height="100%%" fill="#fff"/>`+"\n", html.EscapeString(title))
	fmt.Fprintf(&b, `<text x="%d" y="24" font-size="14" font-weight="600">%s</text>`+"\n", plotLeft, html.EscapeString(title))
	if x1 > x0 && y1 > y0 {
		p := &plane{x0: x0 - 0.03*(x1-x0), x1: x1 + 0.03*(x1-x0), y0: y0 - 0.05*(y1-y0), y1: y1 + 0.05*(y1-y0)}
		p.grid(&b)
		for i, l := range lines {
			p.curve(&b, i, l)
		}
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func nines(recall float64) float64 { return -math.Log10(math.Max(1-recall, 1e-4)) }

// plane maps nines and log10 of speed to user units.
type plane struct{ x0, x1, y0, y1 float64 }

func (p *plane) x(v float64) float64 {
	return plotLeft + (v-p.x0)/(p.x1-p.x0)*(plotWidth-plotLeft-plotRight)
}

func (p *plane) y(v float64) float64 {
	return plotHeight - plotBottom - (v-p.y0)/(p.y1-p.y0)*(plotHeight-plotTop-plotBottom)
}

func (p *plane) grid(b *bytes.Buffer) {
	right, bottom := float64(plotWidth-plotRight), float64(plotHeight-plotBottom)
	for _, r := range recallTicks {
		if v := nines(r); v >= p.x0 && v <= p.x1 {
			fmt.Fprintf(b, `<path d="M%.1f %dV%.1f" stroke="#ddd"/><text x="%.1f" y="%.1f" text-anchor="middle">%g</text>`+"\n",
				p.x(v), plotTop, bottom, p.x(v), bottom+18, r)
		}
	}
	for decade := math.Floor(p.y0); decade <= p.y1; decade++ {
		for _, m := range []float64{1, 2, 5} {
			if v := decade + math.Log10(m); v >= p.y0 && v <= p.y1 {
				fmt.Fprintf(b, `<path d="M%d %.1fH%.1f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%g</text>`+"\n",
					plotLeft, p.y(v), right, plotLeft-8, p.y(v)+4, m*math.Pow(10, decade))
			}
		}
	}
	fmt.Fprintf(b, `<rect x="%d" y="%d" width="%.1f" height="%.1f" fill="none" stroke="#888"/>`+"\n",
		plotLeft, plotTop, right-plotLeft, bottom-plotTop)
	fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="middle">recall@10</text>`+"\n", (plotLeft+right)/2, plotHeight-14)
	fmt.Fprintf(b, `<text transform="translate(18 %.1f) rotate(-90)" text-anchor="middle">queries per second, one thread</text>`+"\n", (plotTop+bottom)/2)
}

func (p *plane) curve(b *bytes.Buffer, i int, l line) {
	colour := palette[i%len(palette)]
	var path strings.Builder
	for j, pt := range l.points {
		fmt.Fprintf(&path, "%c%.1f %.1f", "ML"[min(j, 1)], p.x(nines(pt.Recall)), p.y(math.Log10(pt.QPS)))
	}
	fmt.Fprintf(b, `<path d="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", path.String(), colour)
	for _, pt := range l.points {
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"><title>%s ef=%d: recall %.4f, %.0f/s</title></circle>`+"\n",
			p.x(nines(pt.Recall)), p.y(math.Log10(pt.QPS)), colour, html.EscapeString(l.name), pt.Ef, pt.Recall, pt.QPS)
	}
	y := float64(plotTop + 12 + 20*i)
	x := float64(plotWidth - plotRight + 14)
	fmt.Fprintf(b, `<path d="M%.1f %.1fh18" stroke="%s" stroke-width="2"/><text x="%.1f" y="%.1f">%s</text>`+"\n",
		x, y, colour, x+24, y+4, html.EscapeString(l.name))
}
