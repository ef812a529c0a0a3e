package eider

import (
	"fmt"
	"slices"
	"time"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/storage/format"
	"github.com/eiderdb/eider/storage/registry"
)

// TrainSpec says what to train, on what of the database. Model and Collection must
// be given, of the rest defaults are good.
type TrainSpec struct {
	Model      string `json:"model,omitempty"` // the version to be is the next of this name
	Kind       string `json:"kind,omitempty"`  // "din", the default
	Collection string `json:"collection"`      // whose documents are the items of events
	// Fields of documents are features beside the item itself: declared, of type
	// keyword, int64 or bool, up to 32 of them.
	Fields []string `json:"fields,omitempty"`
	// Events are the types of events that say a user liked an item; all if empty.
	// Since leaves earlier ones out.
	Events []string  `json:"events,omitempty"`
	Since  time.Time `json:"since,omitzero"`
	// Repeats learns and measures items that the user had before, too: for music, not
	// for films. Without, the first event of a user with an item counts.
	Repeats bool `json:"repeats,omitempty"`
	// History is how many of a user's newest events the model sees, 1 to 500,
	// default 50.
	History int `json:"history,omitempty"`
	// Split says which events are held out, half to find the best epoch, half to
	// measure: "last" (default), the last two of each user; "time", those of the last
	// fifth of all.
	Split string `json:"split,omitempty"`
	// Candidates is how many items that its user never had an event held out is
	// ranked among, 1 to 1000, default 100.
	Candidates int `json:"candidates,omitempty"`

	Dim       int     `json:"dim,omitempty"`       // of an item's vector, 4 to 256, default 32; fields have half
	Negatives int     `json:"negatives,omitempty"` // drawn for each event, 1 to 20, default 1
	Batch     int     `json:"batch,omitempty"`     // events of a step, 1 to 4096, default 128
	Epochs    int     `json:"epochs,omitempty"`    // at most, 1 to 1000, default 20
	Patience  int     `json:"patience,omitempty"`  // epochs that may be worse in a row, default 3
	Rate      float64 `json:"rate,omitempty"`      // of Adam, default 0.003
	Seed      uint64  `json:"seed,omitempty"`      // equal ones give equal models of equal data, with as many threads
	Threads   int     `json:"threads,omitempty"`   // that share each batch, 1 to 64, default 1, which leaves the rest to searches
	Bytes     bool    `json:"bytes,omitempty"`     // serve with vectors as bytes: a quarter of the memory
	// Budget ends the training; the best epoch by then is stored. 0 is none.
	Budget Duration `json:"budget,omitempty"`

	// Promote makes Alias (default Production) point to the version, if on the same
	// held-out events its GAUC is not more than Margin below that of the version that
	// serves, measured anew.
	Promote bool    `json:"promote,omitempty"`
	Alias   string  `json:"alias,omitempty"`
	Margin  float64 `json:"margin,omitempty"`
}

// TrainProgress is how far a training is.
type TrainProgress struct {
	Users    int     `json:"users"`    // with events
	Items    int     `json:"items"`    // of events
	Examples int     `json:"examples"` // events learned from
	LSN      uint64  `json:"lsn"`      // of the data
	Epoch    int     `json:"epoch"`    // from 1
	Epochs   int     `json:"epochs"`   // at most
	Step     int     `json:"step"`     // in all
	Batch    int     `json:"batch"`    // of the epoch
	Batches  int     `json:"batches"`  // of an epoch
	Loss     float64 `json:"loss"`     // mean of the epoch so far
	// GAUC is of the last epoch that was measured, Best of the best one, both on the
	// events held out to find it; 0 before.
	GAUC float64 `json:"gauc,omitempty"`
	Best float64 `json:"best,omitempty"`
}

// complete fills in defaults and checks.
func (s *TrainSpec) complete() error {
	bad := func(at, form string, args ...any) error {
		return locate("/"+at, fmt.Errorf("%w: "+form, append([]any{ErrInvalid}, args...)...))
	}
	s.Fields, s.Events = slices.Clone(s.Fields), slices.Clone(s.Events)
	for _, d := range []struct {
		name      string
		v         *int
		def, most int
	}{
		{"history", &s.History, 50, maxDinHistory}, {"candidates", &s.Candidates, 100, MaxLimit}, {"dim", &s.Dim, 32, 256},
		{"negatives", &s.Negatives, 1, 20}, {"batch", &s.Batch, 128, 4096}, {"epochs", &s.Epochs, 20, 1000}, {"patience", &s.Patience, 3, 1000},
		{"threads", &s.Threads, 1, 64},
	} {
		if *d.v == 0 {
			*d.v = d.def
		}
		if *d.v < 1 || *d.v > d.most {
			return bad(d.name, "%s %d; use 1 to %d", d.name, *d.v, d.most)
		}
	}
	s.Kind, s.Split, s.Alias = or(s.Kind, "din"), or(s.Split, splitLast), orProduction(s.Alias)
	if s.Rate == 0 {
		s.Rate = 3e-3
	}
	switch {
	case format.CheckLabel(s.Model) != nil:
		return locate("/model", format.CheckLabel(s.Model))
	case s.Kind != "din":
		return bad("kind", "kind %.40q cannot be trained; use din", s.Kind)
	case s.Collection == "":
		return bad("collection", "name the collection whose documents are the items")
	case s.Split != splitLast && s.Split != splitTime:
		return bad("split", "split %.40q; use %s or %s", s.Split, splitLast, splitTime)
	case s.Dim < 4:
		return bad("dim", "dim %d; use 4 to 256", s.Dim)
	case !(s.Rate > 0 && s.Rate <= 1):
		return bad("rate", "rate %v; use a number above 0 and up to 1", s.Rate)
	case s.Budget < 0:
		return bad("budget", "budget %v is negative", time.Duration(s.Budget))
	case !(s.Margin >= 0 && s.Margin <= 1):
		return bad("margin", "margin %v; use 0 to 1", s.Margin)
	}
	_, _, version, err := registry.Split(s.Model + "@" + s.Alias)
	if err == nil && version != 0 {
		err = fmt.Errorf("%w: alias %q is a number, which names a version", ErrInvalid, s.Alias)
	}
	if err != nil {
		return locate("/alias", err)
	}
	if !s.Since.IsZero() {
		_, err = nanoseconds(s.Since)
	}
	return locate("/since", err)
}

func or(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

// dinFields are fields of a collection with their types, if they can be features.
func (db *DB) dinFields(collection string, names []string) ([]dinField, error) {
	c, err := db.Collection(collection)
	if err != nil {
		return nil, locate("/collection", err)
	}
	fields := []dinField{}
	stored := c.state.Load().stored
	for i, name := range names {
		at := fmt.Sprintf("/fields/%d", i)
		f, ok := stored.Schema.Fields[name]
		switch {
		case !ok && stored.Schema.Strict:
			return nil, locate(at, stored.unknownField(name))
		case !ok:
			err := fmt.Errorf("%w: field %.140q is not declared in the schema", ErrInvalid, name)
			if near := index.Nearest(name, sortedKeys(stored.Schema.Fields)); near != "" {
				err = fmt.Errorf("%w; did you mean %q?", err, near)
			}
			return nil, locate(at, err)
		case !slices.Contains(dinTypes, f.Type):
			return nil, locate(at, fmt.Errorf("%w: field %q is of type %s; features are %v", ErrInvalid, name, f.Type, dinTypes))
		case slices.Contains(names[:i], name):
			return nil, locate(at, fmt.Errorf("%w: field %q is given twice", ErrInvalid, name))
		case i == maxDinFields:
			return nil, locate("/fields", fmt.Errorf("%w: %d fields; at most %d", ErrInvalid, len(names), maxDinFields))
		}
		fields = append(fields, dinField{name, f.Type})
	}
	return fields, nil
}
