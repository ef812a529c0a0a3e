package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/eiderdb/eider"
	"github.com/eiderdb/eider/internal/demo"
)

// liked is the type of the demo's events.
const liked = "like"

// learnTaste stores what people like of set, trains a model on it and promotes that,
// unless an earlier run has done so.
func learnTaste(ctx context.Context, t *terminal, db *eider.DB, set demo.Collection) error {
	if _, err := db.Models().Version(ctx, set.Taste.Model); !errors.Is(err, eider.ErrNotFound) {
		return err
	}
	if err := storeLikes(ctx, db, set); err != nil {
		return err
	}
	j, err := resumed(ctx, db, set.Taste.Model)
	if err == nil && j == nil {
		j, err = db.Train(ctx, eider.TrainSpec{Model: set.Taste.Model, Collection: set.Name, Fields: set.Taste.Fields, Events: []string{liked},
			Dim: 16, Seed: 1, Promote: true})
	}
	if err != nil {
		return err
	}
	if !t.json {
		t.printf("\n")
	}
	follow(ctx, t, j)
	s, err := j.Wait(ctx)
	if err != nil || t.json {
		return err
	}
	metrics := map[string]float64{}
	for _, m := range s.Version.Metrics {
		metrics[m.Name] = m.Value
	}
	t.printf("  %s@%d learned in %v from %s likes of %s people; of likes it has not seen and other %s\n  it puts %.1f %% of pairs in order, popularity alone %.1f %%\n",
		s.Version.Model, s.Version.Version, s.Ended.Sub(s.Started).Round(100*time.Millisecond), count(s.Progress.Examples), count(s.Progress.Users),
		set.Name, 100*metrics["gauc"], 100*metrics["gauc-popularity"])
	return nil
}

// storeLikes stores the events of set; again, it stores none twice.
func storeLikes(ctx context.Context, db *eider.DB, set demo.Collection) error {
	var events []eider.Event
	flush := func() error {
		_, err := db.Events().Append(ctx, events...)
		events = events[:0]
		return err
	}
	err := set.Taste.Each(func(user string, likes []string) error {
		for i, id := range likes {
			// Nobody asked when: the seconds keep the order, and mean nothing.
			events = append(events, eider.Event{User: user, Item: id, Type: liked, ID: strconv.Itoa(i), Time: time.Unix(int64(i), 0)})
		}
		if len(events) < 5000 {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}

// tasteTitle is the title of a search for a user with what that user likes.
func tasteTitle(ctx context.Context, db *eider.DB, title, user string) (string, error) {
	h, err := db.Events().History(ctx, user, eider.HistoryOptions{Types: []string{liked}})
	names := make([]string, len(h.Events))
	for i, e := range h.Events {
		names[i] = e.Item
	}
	return fmt.Sprintf("%s, for %s who likes %s", title, user, strings.Join(names, ", ")), err
}
