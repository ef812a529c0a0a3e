package eider

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/eiderdb/eider/recsys"
	"github.com/eiderdb/eider/storage"
	"github.com/eiderdb/eider/storage/format"
)

// The splits of TrainSpec.
const (
	splitLast = "last"
	splitTime = "time"
)

// Limits of what is learned from and measured on, so that memory and time have
// bounds whatever the database holds.
const (
	maxClicks = 1 << 24 // events read
	maxValid  = 2000    // held out to find the best epoch; of more every so manieth
	maxTest   = 10_000  // held out to measure
)

// testSeed draws the candidates of events held out: the same for every model.
const testSeed = 777

// clickQuery says which events are clicks and how they are divided.
type clickQuery struct {
	collection string
	events     []string
	since      time.Time
	repeats    bool
	history    int
	split      string
	candidates int
	until      uint64 // LSN of the newest event, 0 for all
}

// clicks is what users did with items as of one view. Users and items have numbers,
// in the order in which they come.
type clicks struct {
	query       clickQuery
	items       []string
	users       int
	split       recsys.Split[uint32]
	popular     []float32 // by item: events learned from
	valid, test []heldOut
	from, lsn   uint64 // of the oldest event that was read; of the data
}

// heldOut is an event that is ranked among items the user never had.
type heldOut struct {
	past  []recsys.Event[uint32] // before it, oldest first
	items []uint32               // its own first
}

// readClicks reads and divides the events. Errors: ErrInvalid if nothing is left to
// learn from or to measure on, ErrTooLarge, the context's, storage's.
func readClicks(ctx context.Context, view *storage.View, q clickQuery) (*clicks, error) {
	if q.until == 0 {
		q.until = view.LSN()
	}
	k := &clicks{query: q, lsn: q.until, from: q.until}
	all, err := recsys.Sequences(k.read(ctx, view), nil)
	if err != nil {
		return nil, err
	}
	if !q.repeats {
		all = recsys.Distinct(all)
	}
	rules := recsys.Rules{History: q.history, Least: 1, Valid: true}
	if q.split == splitTime {
		valid, test := quantiles(all)
		k.split = recsys.SplitAt(all, valid, test, rules)
	} else {
		k.split = recsys.LeaveLastOut(all, rules)
	}
	k.users = len(all)
	k.popular = make([]float32, len(k.items))
	for _, s := range k.split.Train {
		for _, e := range s.Events {
			k.popular[e.Item]++
		}
	}
	fixed := recsys.NewUniform(recsys.Items(all), recsys.NewSeen(all))
	k.valid = holdOut(fixed, k.split.Valid, maxValid, q.candidates)
	k.test = holdOut(fixed, k.split.Test, maxTest, q.candidates)
	if len(k.test) == 0 {
		return nil, fmt.Errorf("%w: of %d events of %d users with %d items none can be held out; users need two events at least, and items they never had",
			ErrInvalid, count(all), len(all), len(k.items))
	}
	return k, nil
}

// read yields the events that a query asks for.
func (k *clicks) read(ctx context.Context, view *storage.View) iter.Seq2[recsys.Event[uint32], error] {
	return func(yield func(recsys.Event[uint32], error) bool) {
		numbers := map[string]uint32{}
		users, n, last := uint32(0), 0, ""
		q, err := eventQuery(k.query.since, time.Time{}, k.query.events)
		if err == nil {
			err = view.Events(ctx, q, func(e storage.Event) bool {
				if e.LSN > k.lsn {
					return true
				}
				if e.User != last {
					users, last = users+1, e.User
				}
				item, known := numbers[e.Item]
				if !known {
					item = uint32(len(k.items))
					numbers[e.Item] = item
					k.items = append(k.items, e.Item)
				}
				n++
				k.from = min(k.from, e.LSN)
				return n <= maxClicks && yield(recsys.Event[uint32]{User: users, Item: item, Time: e.Time}, nil)
			})
		}
		if n > maxClicks {
			err = fmt.Errorf("%w: more than %d events; leave old ones out with since", ErrTooLarge, maxClicks)
		}
		if err != nil {
			yield(recsys.Event[uint32]{}, err)
		}
	}
}

func count(all []recsys.Sequence[uint32]) (n int) {
	for _, s := range all {
		n += len(s.Events)
	}
	return n
}

// quantiles are the times before which four fifths and nine tenths of the events lie.
func quantiles(all []recsys.Sequence[uint32]) (valid, test int64) {
	times := make([]int64, 0, count(all))
	for _, s := range all {
		for _, e := range s.Events {
			times = append(times, e.Time)
		}
	}
	slices.Sort(times)
	if len(times) == 0 {
		return 0, 0
	}
	return times[len(times)*8/10], times[len(times)*9/10]
}

// holdOut lists examples with their candidates, at most so many, spread evenly; those
// whose user has had everything cannot be ranked.
func holdOut(s *recsys.Sampler[uint32], all []recsys.Example[uint32], most, candidates int) (out []heldOut) {
	if len(all) > most {
		some := make([]recsys.Example[uint32], most)
		for i := range some {
			some[i] = all[i*len(all)/most]
		}
		all = some
	}
	for r := range s.Fixed(testSeed, all, candidates) {
		if len(r.Negatives) > 0 {
			out = append(out, heldOut{r.History, append([]uint32{r.Target.Item}, r.Negatives...)})
		}
	}
	return out
}

// set names the events held out, for metrics.
func (k *clicks) set() string {
	what := "all events"
	if len(k.query.events) > 0 {
		what = fmt.Sprintf("%.60q", k.query.events)
	}
	return fmt.Sprintf("%s, %s as of %d: %s of %d, among %d", k.query.collection, what, k.lsn, k.query.split, len(k.test), k.query.candidates)
}

// catalogue is the items of the clicks as examples of a model, with the values that
// their documents have in a view.
func (k *clicks) catalogue(ctx context.Context, db *DB, view *storage.View, l *loaded) (*examples, error) {
	c, err := db.Collection(k.query.collection)
	if err != nil {
		return nil, err
	}
	st, err := c.stateAt(view.LSN())
	if err == nil {
		err = st.checkInputs(l)
	}
	if err != nil {
		return nil, err
	}
	x := &examples{n: len(k.items), values: make([]format.Value, 0, len(k.items)*len(l.needs.fields)), view: view}
	for i, item := range k.items {
		if i%64 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var rec storage.Record
		ord, _, ok, err := view.Lookup(st.id, item)
		if err == nil && ok {
			rec, err = view.Record(st.id, ord)
		}
		if err != nil {
			return nil, err
		}
		x.addDoc(l, item, rec.Body)
	}
	return x, nil
}
