package bench

import (
	"fmt"

	"github.com/eiderdb/eider/internal/metric"
)

// lane is one engine's curve in a comparison.
type lane struct {
	name, codes string
	curve       []metric.Point
}

// curve is the engine's points by wall time or by CPU time.
func (a *ann) curve(r *runner, cpu bool) []metric.Point {
	var out []metric.Point
	for _, p := range r.points {
		seconds := metric.Median(p.wall)
		if cpu {
			seconds = metric.Median(p.cpu)
		}
		if seconds > 0 {
			out = append(out, metric.Point{Ef: p.ef, Recall: p.recall, QPS: float64(a.set.Queries.Rows) / seconds})
		}
	}
	return out
}

func (a *ann) lanes(runners []*runner, cpu bool) []lane {
	var out []lane
	for _, r := range runners {
		out = append(out, lane{r.engine.name(), codesOf(r.engine), a.curve(r, cpu)})
	}
	return out
}

// speed reports the speed at a recall: of each form of Eider's alone, of each
// beside each peer, and where there are several, of the fastest form beside each
// peer and beside the fastest of the peers other than hnswlib.
func (a *ann) speed(clock string, target float64) {
	name, cpu := fmt.Sprintf("%s@%.2f", clock, target), clock == "qps_cpu"
	own, rivals := a.lanes(a.own, cpu), a.lanes(a.rivals, cpu)
	for _, l := range own {
		a.alone(name, l, target)
		for _, r := range rivals {
			a.compare(name, l.codes, r.name, []lane{l}, []lane{r}, target)
		}
	}
	codes := own[0].codes
	if len(own) > 1 {
		codes = "best"
		for _, r := range rivals {
			a.compare(name, codes, r.name, own, []lane{r}, target)
		}
	}
	var others []lane
	for _, r := range rivals {
		if r.name != "hnswlib" {
			others = append(others, r)
		}
	}
	if len(others) > 1 {
		a.compare(name, codes, "best other", own, others, target)
	}
}

// alone reports one form's speed at the recall, or at the lowest it has.
func (a *ann) alone(name string, l lane, target float64) {
	f := Figure{Engine: l.name, Codes: l.codes}
	recall := max(target, start(l.curve))
	qps, ok := metric.QPSAt(l.curve, recall)
	if !ok {
		f.add(a.report, name, 0, "1/s", fmt.Sprintf("no setting reached the recall; the best was %.4f", best(l.curve)))
		return
	}
	f.add(a.report, name, qps, "1/s", at(recall, target))
}

// compare reports one form of ours beside one peer, each pair at one recall (see
// match). Of several forms the one with the best ratio is reported, of several
// peers the one that leaves us the worst.
func (a *ann) compare(name, codes, peer string, own, theirs []lane, target float64) {
	var worst match
	for i, r := range theirs {
		var top match
		for j, l := range own {
			if m := meet(l, r, target); j == 0 || m.ratio() > top.ratio() {
				top = m
			}
		}
		if i == 0 || worst.theirs == 0 || top.theirs > 0 && top.ratio() < worst.ratio() {
			worst = top
		}
	}
	f, note := Figure{Engine: worst.own.name, Codes: codes}, worst.note
	if len(own) > 1 {
		note = join(note, "the fastest was "+worst.own.name)
	}
	if len(theirs) > 1 {
		note = join(note, "the fastest peer was "+worst.peer.name)
	}
	f.against(a.report, peer, name, worst.mine, worst.theirs, "1/s", "higher", note)
}

// match is two lanes at one recall, with 0 for a speed that was not measured.
type match struct {
	own, peer    lane
	mine, theirs float64
	note         string
}

func (m match) ratio() float64 {
	if m.theirs == 0 {
		return 0
	}
	return m.mine / m.theirs
}

// meet compares two lanes at the target or, where a curve starts above it (its
// smallest setting already finds more), at the higher of the two starts: nothing is
// extrapolated, and neither is credited with a recall it did not measure. Where the
// peer ends below our start, but not below the target, its best is beside ours
// there, which finds more.
func meet(own, peer lane, target float64) match {
	recall := max(target, start(own.curve), start(peer.curve))
	m := match{own: own, peer: peer, note: at(recall, target)}
	m.mine, _ = metric.QPSAt(own.curve, recall)
	m.theirs, _ = metric.QPSAt(peer.curve, recall)
	top := best(peer.curve)
	switch {
	case m.mine == 0 && recall > target:
		m.note, m.theirs = fmt.Sprintf("the best recall was %.4f, the peer's lowest %.4f", best(own.curve), start(peer.curve)), 0
	case m.mine == 0:
		m.note, m.theirs = fmt.Sprintf("no setting reached the recall; the best was %.4f", best(own.curve)), 0
	case m.theirs == 0 && top >= target && len(peer.curve) > 0:
		m.theirs, _ = metric.QPSAt(peer.curve, top)
		m.note = fmt.Sprintf("at recall %.4f, the lowest measured, beside the peer's best, %.4f", recall, top)
	case m.theirs == 0:
		m.note = fmt.Sprintf("the peer's best recall was %.4f", top)
	}
	return m
}

func at(recall, target float64) string {
	if recall == target {
		return ""
	}
	return fmt.Sprintf("at recall %.4f, the lowest measured", recall)
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

// start is the lowest recall of a curve's frontier, best the highest.
func start(curve []metric.Point) float64 {
	if f := metric.Frontier(curve); len(f) > 0 {
		return f[0].Recall
	}
	return 0
}

func best(curve []metric.Point) float64 {
	if f := metric.Frontier(curve); len(f) > 0 {
		return f[len(f)-1].Recall
	}
	return 0
}
