package main

import (
	"context"
	"fmt"
	"time"

	"github.com/eiderdb/eider"
)

type trainCmd struct {
	directory
	Model string `arg:"" help:"Model to train; what comes out is its next version."`
	collection
	heldOut
	Field     []string      `help:"Field of documents that is a feature: keyword, int64 or bool; repeat or separate by commas." placeholder:"NAME"`
	History   int           `help:"Events of a user that the model sees, 1 to 500." default:"50"`
	Dim       int           `help:"Size of an item's vector, 4 to 256." default:"32"`
	Negatives int           `help:"Items drawn against each event, 1 to 20." default:"1"`
	Epochs    int           `help:"At most so many passes." default:"20"`
	Patience  int           `help:"End after so many epochs that were not better." default:"3"`
	Batch     int           `help:"Events of a step." default:"128"`
	Rate      float64       `help:"Learning rate." default:"0.003"`
	Seed      uint64        `help:"Equal seeds give equal models of equal data."`
	Threads   int           `help:"Threads that share each batch, 1 to 64; more is sooner, and slows searches that go on." default:"1"`
	Bytes     bool          `help:"Serve with vectors as bytes: a quarter of the memory."`
	Budget    time.Duration `help:"End after this time with the best epoch so far, as 10m." placeholder:"TIME"`
	Promote   bool          `help:"Let the version serve if it ranks no worse than the one that does, on the same events."`
	Alias     string        `help:"Alias to move." default:"production"`
	Margin    float64       `help:"How much worse its GAUC may be."`
	Resume    bool          `help:"Go on with the newest training of the model that was interrupted, as it was asked for; other flags do not count."`
}

// heldOut says which events count and which of them are held out.
type heldOut struct {
	Event      []string `help:"Type of events that count; repeat or separate by commas. All by default." placeholder:"TYPE"`
	Since      string   `help:"Leave out events before this time, RFC 3339." placeholder:"TIME"`
	Repeats    bool     `help:"Count items that the user had before, too, as for music."`
	Split      string   `help:"Hold out the last events of each user (last) or of all (time)." enum:",last,time" default:""`
	Candidates int      `help:"Items that an event held out is ranked among, 1 to 1000." placeholder:"N"`
}

func (h *heldOut) since() (t time.Time, err error) {
	if h.Since != "" {
		if t, err = time.Parse(time.RFC3339, h.Since); err != nil {
			err = usage("--since "+h.Since+" is not a time", "write it like 2026-01-02T15:04:05Z")
		}
	}
	return t, err
}

// Run trains a model and waits for it; an interrupt leaves a job that can be resumed.
func (c *trainCmd) Run(ctx context.Context, t *terminal) (err error) {
	since, err := c.since()
	if err != nil {
		return err
	}
	db, err := c.write(false)
	if err != nil {
		return err
	}
	defer closing(db, &err)
	j, err := c.job(ctx, db, since)
	if err != nil {
		return err
	}
	follow(ctx, t, j)
	if ctx.Err() != nil && !j.State().Status.Ended() {
		if err := db.Close(); err != nil {
			return err
		}
	}
	s, err := j.Wait(context.Background())
	if s.Status == eider.JobInterrupted {
		return failed("interrupted", fmt.Sprintf("go on with eider train %s %s --resume", c.Dir, c.Model))
	}
	if err != nil {
		return err
	}
	if t.json {
		return t.print(s)
	}
	c.print(t, &s)
	return nil
}

// job begins a training, or goes on with one.
func (c *trainCmd) job(ctx context.Context, db *eider.DB, since time.Time) (*eider.Job, error) {
	if c.Resume {
		j, err := resumed(ctx, db, c.Model)
		if err == nil && j == nil {
			err = failed("no training of "+c.Model+" was interrupted", "leave out --resume to begin one")
		}
		return j, err
	}
	items, err := c.of(db)
	if err != nil {
		return nil, err
	}
	return db.Train(ctx, eider.TrainSpec{
		Model: c.Model, Collection: items.Name(), Fields: c.Field, Events: c.Event, Since: since, Repeats: c.Repeats, History: c.History,
		Split: c.Split, Candidates: c.Candidates, Dim: c.Dim, Negatives: c.Negatives, Batch: c.Batch, Epochs: c.Epochs, Patience: c.Patience,
		Rate: c.Rate, Seed: c.Seed, Threads: c.Threads, Bytes: c.Bytes, Budget: eider.Duration(c.Budget), Promote: c.Promote, Alias: c.Alias, Margin: c.Margin,
	})
}

// resumed goes on with the newest training of a model that was interrupted; nil if
// there is none.
func resumed(ctx context.Context, db *eider.DB, model string) (*eider.Job, error) {
	for _, s := range db.Jobs() {
		if s.Status == eider.JobInterrupted && s.Spec.Model == model {
			return db.Resume(ctx, s.ID)
		}
	}
	return nil, nil
}

// follow shows how far a training is until it has ended.
func follow(ctx context.Context, t *terminal, j *eider.Job) {
	var bar *progress
	epoch := 0
	for s := range j.Watch(ctx) {
		p := &s.Progress
		if p.Batches == 0 {
			continue
		}
		if bar == nil {
			bar = t.progress("training", "steps", int64(p.Epochs*p.Batches))
			defer bar.end()
		}
		bar.set(int64(p.Step), int64(p.Step))
		if p.GAUC != 0 && p.Epoch > epoch && bar.bar == nil {
			epoch = p.Epoch
			t.note("epoch %d: loss %.4f, GAUC %.4f", p.Epoch, p.Loss, p.GAUC)
		}
	}
}

func (c *trainCmd) print(t *terminal, s *eider.JobState) {
	v := s.Version
	t.printf("  %s@%d (%s, %s) stored: %s events of %s users with %s items, %s in %v\n", v.Model, v.Version, v.Kind, bytesText(v.Bytes),
		count(s.Progress.Examples), count(s.Progress.Users), count(s.Progress.Items), s.Reason, s.Ended.Sub(s.Started).Round(time.Millisecond))
	printMetrics(t, v.Metrics)
	switch {
	case s.Promotion != nil:
		t.printf("  %s@%s is version %d\n", v.Model, s.Promotion.Alias, s.Promotion.Version)
	case s.Refused != "":
		t.printf("  not promoted: %s\n", clean(s.Refused))
	default:
		t.printf("\n  next: eider models promote %s %s@%d\n", c.Dir, v.Model, v.Version)
	}
}

func printMetrics(t *terminal, metrics []eider.Metric) {
	b := columns("metric", ">value", "95 %", ">examples")
	for _, m := range metrics {
		b.add(m.Name, fmt.Sprintf("%.4f", m.Value), fmt.Sprintf("%.4f to %.4f", m.Low, m.High), count(int(m.Count)))
	}
	b.write(t)
}

type evalCmd struct {
	directory
	reference
	Collection string `short:"c" help:"Collection whose documents are the items; for din that of the training." placeholder:"NAME"`
	heldOut
}

// Run measures a version on events that are held out.
func (c *evalCmd) Run(ctx context.Context, t *terminal) (err error) {
	since, err := c.since()
	if err != nil {
		return err
	}
	db, err := c.read()
	if err != nil {
		return err
	}
	defer closing(db, &err)
	e, err := db.Evaluate(ctx, c.Ref, eider.EvalSpec{Collection: c.Collection, Events: c.Event, Since: since, Repeats: c.Repeats, Split: c.Split, Candidates: c.Candidates})
	if err != nil || t.json {
		return answer(t, e, err)
	}
	printMetrics(t, e.Metrics)
	t.printf("\n  of %s@%d on %s\n", e.Model, e.Version, clean(e.Metrics[0].Set))
	return nil
}
