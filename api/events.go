package api

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

const maxEvents = 10_000 // of one request

var eventRange = []param{
	{"from", false, "string", "only events not before this RFC 3339 time"},
	{"to", false, "string", "only events before this RFC 3339 time"},
	{"types", false, "string", "only events of these types, separated by commas"},
}

var historyParams = append([]param{
	{"limit", false, "integer", "how many events, 1 to 10000, default 100"},
	{"cursor", false, "string", "the cursor of the last answer, for the events before those"},
}, eventRange...)

var eventImportParams = []param{
	{"format", false, "string", "ndjson, csv, tsv or parquet; found by Content-Type or the first bytes when absent"},
	{"columns", false, "string", "columns with other names than user, item, type, time, value, id, context: user=userId,..."},
	{"header", false, "string", "names of the columns of a csv or tsv without a header, separated by commas"},
	{"time_unit", false, "string", "of times that are numbers since 1970: s, the default, ms, us or ns"},
	{"stop", false, "boolean", "stop at the first bad row; the default skips it"},
}

// eventBatch is the body of an append.
type eventBatch struct {
	Events []eider.Event `json:"events"`
}

// eventAge is how long events are kept.
type eventAge struct {
	Age eider.Duration `json:"age"` // "720h"; "0s" keeps them for ever
}

type deletedEvents struct {
	Deleted uint64 `json:"deleted"`
}

func postEvents(c *call) error {
	var b eventBatch
	if err := c.decode(&b); err != nil {
		return err
	}
	if len(b.Events) == 0 || len(b.Events) > maxEvents {
		return invalid("/events", "want 1 to %d events, not %d; use import for more", maxEvents, len(b.Events))
	}
	r, err := c.a.db.Events().Append(c.ctx, b.Events...)
	if err != nil {
		return err
	}
	c.lsn(r.LSN)
	return c.reply(200, r)
}

func eventStats(c *call) error {
	st, err := c.a.db.Events().Stats(c.ctx)
	if err != nil {
		return err
	}
	c.lsn(st.LSN)
	return c.reply(200, st)
}

// moment reads a query parameter that is a time; the zero time when absent.
func (c *call) moment(name string) (time.Time, error) {
	s := c.query.Get(name)
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return t, invalid("", "query parameter %s must be an RFC 3339 time such as 2026-01-02T15:04:05Z", name)
	}
	return t, nil
}

// eventFilter reads the parameters of eventRange.
func (c *call) eventFilter() (f eider.EventFilter, err error) {
	if f.From, err = c.moment("from"); err != nil {
		return f, err
	}
	f.To, err = c.moment("to")
	f.Types = c.list("types")
	return f, err
}

func getHistory(c *call) error {
	f, err := c.eventFilter()
	if err != nil {
		return err
	}
	limit, err := c.number("limit", 0, 1, eider.MaxHistory)
	if err != nil {
		return err
	}
	h, err := c.a.db.Events().History(c.ctx, c.path("id"),
		eider.HistoryOptions{Limit: int(limit), From: f.From, To: f.To, Types: f.Types, Cursor: c.query.Get("cursor")})
	if err != nil {
		return err
	}
	c.lsn(h.LSN)
	return c.reply(200, h)
}

func eraseUser(c *call) error {
	n, err := c.a.db.Events().Erase(c.ctx, c.path("id"))
	if err != nil {
		return err
	}
	c.lsn(c.a.db.LSN())
	return c.reply(200, deletedEvents{n})
}

func putRetention(c *call) error {
	var o eventAge
	if err := c.decode(&o); err != nil {
		return err
	}
	n, err := c.a.db.Events().Retain(c.ctx, time.Duration(o.Age))
	if err != nil {
		return err
	}
	c.lsn(c.a.db.LSN())
	return c.reply(200, deletedEvents{n})
}

// exportEvents streams the events, in the form that import reads.
func exportEvents(c *call) error {
	f, err := c.eventFilter()
	if err != nil {
		return err
	}
	return export(c, func(yield func(eider.Event, error) bool) {
		for e, err := range c.a.db.Events().All(c.ctx, f) {
			e.LSN = 0 // a fact of this database; import starts anew
			if !yield(e, err) {
				return
			}
		}
	})
}

// importEvents reads a stream of events and stores them in batches, as importDocs
// does with documents.
func importEvents(c *call) error {
	o, err := c.eventOptions()
	if err != nil {
		return err
	}
	im := &importer[eider.Event]{c: c}
	im.store = func(ctx context.Context, events []eider.Event) error {
		r, err := c.a.db.Events().Append(ctx, events...)
		if err != nil {
			p := problemOf(err)
			p.Pointer = "" // into a batch of ours
			return p
		}
		im.counts.Written += int64(r.Stored)
		im.counts.Known += int64(r.Duplicates)
		im.counts.LSN = r.LSN
		return nil
	}
	return im.run(func(body io.Reader) (iter.Seq[importRow[eider.Event]], error) {
		o.Progress = im.progress
		rows, err := ingest.Events(body, o)
		if err != nil {
			return nil, err
		}
		return func(yield func(importRow[eider.Event]) bool) {
			for r := range rows {
				e := eider.Event{User: r.User, Item: r.Item, Type: r.Type, Time: r.Time, Value: r.Value, ID: r.ID, Context: r.Context}
				if !yield(importRow[eider.Event]{r.Line, r.ID, len(r.Context), e, r.Err}) {
					return
				}
			}
		}, nil
	})
}

// eventOptions reads the query parameters of an import.
func (c *call) eventOptions() (o ingest.EventOptions, err error) {
	o.Format = c.importFormat()
	o.MaxBytes = c.route.body
	o.Header = c.list("header")
	o.Column = map[string]string{}
	for _, s := range c.list("columns") {
		part, column, ok := strings.Cut(s, "=")
		if !ok {
			return o, invalid("", "columns is a list of part=column")
		}
		o.Column[part] = column
	}
	if unit := c.query.Get("time_unit"); unit != "" {
		if o.TimeUnit = ingest.Units[unit]; o.TimeUnit == 0 {
			return o, invalid("", "time_unit is s, ms, us or ns")
		}
	}
	if slices.Contains(o.Header, "") {
		return o, invalid("", "header names every column")
	}
	return o, nil
}
