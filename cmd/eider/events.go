package main

import (
	"context"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/eiderdb/eider"
	"github.com/eiderdb/eider/internal/ingest"
)

type eventsCmd struct {
	directory
	User  string   `arg:"" optional:"" help:"Show the events of this user instead of counting all."`
	Limit int      `help:"How many, the newest, 1 to 10000." default:"20"`
	Type  []string `help:"Only events of these types." placeholder:"TYPE"`
	Erase bool     `help:"Delete the user with all events. There is no way back."`
	Keep  string   `help:"Keep events for this age from now on, as 720h, and delete the older ones; 0s keeps them for ever." placeholder:"AGE"`
}

// Run counts events, shows or erases a user, or sets how long events are kept.
func (c *eventsCmd) Run(ctx context.Context, t *terminal) (err error) {
	var age time.Duration
	switch {
	case c.Erase && c.User == "":
		return usage("--erase without a user", "name the user")
	case c.Keep != "" && c.User != "":
		return usage("--keep is for all users", "leave the user out")
	case c.Keep != "":
		if age, err = time.ParseDuration(c.Keep); err != nil || age < 0 {
			return usage("--keep "+c.Keep+" is not an age", "write it like 720h, 0s for ever")
		}
	}
	open := c.read
	if c.Erase || c.Keep != "" {
		open = func() (*eider.DB, error) { return c.write(false) }
	}
	db, err := open()
	if err != nil {
		return err
	}
	defer closing(db, &err)
	switch {
	case c.Erase:
		n, err := db.Events().Erase(ctx, c.User)
		return deleted(t, n, err)
	case c.Keep != "":
		n, err := db.Events().Retain(ctx, age)
		return deleted(t, n, err)
	case c.User != "":
		return c.history(ctx, t, db)
	}
	st, err := db.Events().Stats(ctx)
	if err != nil || t.json {
		return answer(t, st, err)
	}
	kept := "for ever"
	if st.Retention > 0 {
		kept = "for " + time.Duration(st.Retention).String()
	}
	t.printf("  %s events of %s users, %s, kept %s\n", count(st.Events), count(st.Users), bytesText(st.Bytes), kept)
	return nil
}

// answer is t.print unless there was an error.
func answer(t *terminal, v any, err error) error {
	if err != nil {
		return err
	}
	return t.print(v)
}

func deleted(t *terminal, n uint64, err error) error {
	if err != nil || t.json {
		return answer(t, map[string]uint64{"deleted": n}, err)
	}
	t.printf("  %s events deleted\n", count(n))
	return nil
}

func (c *eventsCmd) history(ctx context.Context, t *terminal, db *eider.DB) error {
	h, err := db.Events().History(ctx, c.User, eider.HistoryOptions{Limit: c.Limit, Types: c.Type})
	if err != nil || t.json {
		return answer(t, h, err)
	}
	if len(h.Events) == 0 {
		t.printf("  no events\n")
		return nil
	}
	b := columns("time", "type", "item", ">value", "id", "context")
	for _, e := range h.Events {
		b.add(e.Time.Format(time.RFC3339), e.Type, e.Item, e.Value, e.ID, string(e.Context))
	}
	b.write(t)
	t.printf("\n  %d of %s events of %s\n", len(h.Events), count(h.Total), clean(c.User))
	return nil
}

// importedEvents is the report of an import of events.
type importedEvents struct {
	Events     int64   `json:"events"`     // stored
	Duplicates int64   `json:"duplicates"` // events that were there already, by their id
	Failed     int64   `json:"failed"`     // rows that could not be used
	Rows       int64   `json:"rows"`       // as for documents
	LSN        uint64  `json:"lsn"`
	Seconds    float64 `json:"seconds"`
}

// checkEvents refuses flags that do not go together.
func (c *importCmd) checkEvents() error {
	switch {
	case !c.Events && (len(c.Column) > 0 || len(c.Header) > 0 || c.TimeUnit != "s"):
		return usage("--column, --header and --time-unit describe events", "add --events")
	case !c.Events:
		return nil
	case c.Collection != "" || c.Schema != "" || len(c.Embed) > 0 || c.Memory > 0 || len(c.VectorField) > 0 || c.List != "":
		return usage("events belong to no collection", "leave out what describes documents")
	case ingest.Units[c.TimeUnit] == 0:
		return usage("--time-unit "+c.TimeUnit, "use s, ms, us or ns")
	}
	for _, s := range c.Column {
		if part, _, ok := strings.Cut(s, "="); !ok || !slices.Contains(ingest.EventColumns, part) {
			return usage("--column "+s, "write PART=NAME; parts are "+strings.Join(ingest.EventColumns, ", "))
		}
	}
	return nil
}

// events imports events and prints the report.
func (c *importCmd) events(ctx context.Context, t *terminal, db *eider.DB, bad *errorLog, in io.Reader, size int64) (stored, unusable, total int64, err error) {
	start := time.Now()
	l := &load[eider.Event]{cmd: c, t: t, noun: "events", bad: bad}
	o := ingest.EventOptions{Options: c.options(nil), Column: map[string]string{}, TimeUnit: ingest.Units[c.TimeUnit]}
	o.Header = c.Header
	for _, s := range c.Column {
		part, column, _ := strings.Cut(s, "=")
		o.Column[part] = column
	}
	o.Progress = func(n int64) { l.read.Store(n) }
	seq, err := ingest.Events(in, o)
	if err != nil {
		return 0, 0, 0, inputError(err)
	}
	r := importedEvents{}
	l.store = func(ctx context.Context, events []eider.Event) error {
		a, err := db.Events().Append(ctx, events...)
		r.Duplicates += int64(a.Duplicates)
		return err
	}
	err = l.run(ctx, eventRows(seq), size)
	r.Events, r.Failed, r.Rows = l.stored-r.Duplicates, l.failed, l.rows
	r.LSN, r.Seconds = db.LSN(), time.Since(start).Seconds()
	if t.json {
		if perr := t.print(r); err == nil {
			err = perr
		}
	} else {
		t.printf("  %s events stored, %s were there already, %s rows left out, %.1f s\n", count(r.Events), count(r.Duplicates), count(r.Failed), r.Seconds)
	}
	return l.stored, l.failed, l.rows, err
}

// eventRows are the rows of an input as events.
func eventRows(seq iter.Seq[ingest.Event]) iter.Seq[row[eider.Event]] {
	return func(yield func(row[eider.Event]) bool) {
		for r := range seq {
			e := eider.Event{User: r.User, Item: r.Item, Type: r.Type, Time: r.Time, Value: r.Value, ID: r.ID, Context: r.Context}
			if !yield(row[eider.Event]{r.Line, e, len(r.Context), r.Err}) {
				return
			}
		}
	}
}
