package main

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// logEvery is the time between progress lines where nothing can be drawn.
const logEvery = 5 * time.Second

// progress reports long work on standard error: a bar on a terminal, a line
// every few seconds elsewhere. Its methods belong to one goroutine.
type progress struct {
	t     *terminal
	verb  string
	noun  string       // what is counted: documents, events
	total int64        // bytes or items; 0 when unknown
	done  int64        // of total
	items atomic.Int64 // of noun; the bar's own goroutine reads it
	start time.Time
	last  time.Time

	bars *mpb.Progress
	bar  *mpb.Bar
}

// progress starts the report of one piece of work.
func (t *terminal) progress(verb, noun string, total int64) *progress {
	now := time.Now()
	p := &progress{t: t, verb: verb, noun: noun, total: total, start: now, last: now}
	if !t.errColour {
		return p
	}
	p.bars = mpb.New(mpb.WithOutput(t.errs), mpb.WithWidth(36), mpb.WithRefreshRate(120*time.Millisecond))
	// A bar made with a total completes by itself when it is reached and cannot
	// be ended before; this one is ended by end alone.
	p.bar = p.bars.New(0, mpb.BarStyle().Lbound("").Rbound("").Filler("━").Tip("━").Padding("─"),
		mpb.PrependDecorators(decor.Name(verb+" ")),
		mpb.AppendDecorators(
			decor.OnComplete(decor.Percentage(decor.WC{W: 5}), " done"),
			decor.Any(func(decor.Statistics) string { return p.rate() }),
		))
	p.bar.SetTotal(max(total, 1), false)
	return p
}

// set tells how far the work is.
func (p *progress) set(done, items int64) {
	p.done = done
	p.items.Store(items)
	if p.bar != nil {
		if p.total == 0 {
			p.bar.SetTotal(done+1, false)
		}
		p.bar.SetCurrent(done)
		return
	}
	if now := time.Now(); now.Sub(p.last) >= logEvery {
		p.last = now
		share := ""
		if p.total > 0 {
			share = fmt.Sprintf(" (%d%%)", 100*p.done/p.total)
		}
		p.t.note("%s:%s%s", p.verb, p.rate(), share)
	}
}

func (p *progress) rate() string {
	items := p.items.Load()
	perSecond := float64(items) / max(time.Since(p.start).Seconds(), 1e-3)
	return fmt.Sprintf(" %s %s, %s/s", count(items), p.noun, count(int64(perSecond)))
}

// end stops the report and leaves the bar, if any, as it stands.
func (p *progress) end() {
	if p.bar == nil {
		return
	}
	p.bar.SetTotal(-1, true)
	p.bars.Wait()
	p.bar = nil
}
