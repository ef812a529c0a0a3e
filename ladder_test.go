package eider

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// Where nothing can be known, nothing is: of users who take items by chance, what is
// held out is ranked by chance. A target in its own history, held-out events in the
// counts, or ties that go to what is first would show here.
func TestClicksByChanceAreRankedByChance(t *testing.T) {
	db := memory(t, nil)
	c := create(t, db, "films", Schema{Fields: map[string]Field{"genre": {Type: Keyword}}})
	for i := range 40 {
		must(c.Upsert(ctx, Doc{ID: fmt.Sprint("f", i), Fields: map[string]any{"genre": genre(i)}}))(t)
	}
	rng := rand.New(rand.NewPCG(3, 3))
	var all []Event
	for u := range 900 {
		for n, item := range rng.Perm(40)[:6] {
			all = append(all, Event{User: fmt.Sprint("u", u), Item: fmt.Sprint("f", item), Type: "click", Time: time.Unix(int64(n), 0)})
		}
	}
	must(db.Events().Append(ctx, all...))(t)
	for _, split := range []string{"last", "time"} {
		spec := small()
		spec.Split, spec.Epochs, spec.Patience = split, 3, 3
		m := metricOf(t, trained(t, db, spec).Version, "gauc")
		if dev := (m.High - m.Low) / 2 / 1.96; math.Abs(m.Value-0.5) > 3.5*dev || dev > 0.02 {
			t.Errorf("%s: GAUC %+v", split, m)
		}
	}
}

// Without a history what is left is what items say of themselves, not a coin.
func TestUserWithoutAHistoryIsRankedByWhatOthersTake(t *testing.T) {
	db := memory(t, nil)
	c := create(t, db, "films", Schema{Fields: map[string]Field{"genre": {Type: Keyword}}})
	for i := range 40 {
		must(c.Upsert(ctx, Doc{ID: fmt.Sprint("f", i), Fields: map[string]any{"genre": genre(i)}}))(t)
	}
	rng := rand.New(rand.NewPCG(4, 4))
	var all []Event
	for u := range 300 {
		had := map[int]bool{}
		for n := 0; n < 6; {
			item := min(rng.IntN(40), rng.IntN(40), rng.IntN(40)) // the first are taken most
			if !had[item] {
				had[item] = true
				all = append(all, Event{User: fmt.Sprint("u", u), Item: fmt.Sprint("f", item), Type: "click", Time: time.Unix(int64(n), 0)})
				n++
			}
		}
	}
	must(db.Events().Append(ctx, all...))(t)
	spec := small()
	spec.Epochs = 10
	s := trained(t, db, spec)
	var ids []string
	for i := range 40 {
		ids = append(ids, fmt.Sprint("f", i))
	}
	scores := must(db.Predict(ctx, versionRef("din", s.Version.Version), Inputs{Collection: "films", IDs: ids, User: "nobody"}))(t).Scores
	right := 0
	for i := range 20 {
		for _, last := range scores[20:] {
			if scores[i] > last {
				right++
			}
		}
	}
	if right < 360 { // of 400
		t.Errorf("%d of 400 pairs are in order", right)
	}
}

// What only held-out events name is not learned: neither the item nor its genre has a
// row, and neither is counted.
func TestVocabulariesHaveOnlyWhatIsLearnedFrom(t *testing.T) {
	db := memory(t, nil)
	c := synthetic(t, db, 40, 6)
	must(c.Upsert(ctx, Doc{ID: "late", Fields: map[string]any{"genre": "western"}}))(t)
	must(db.Events().Append(ctx, Event{User: "u1", Item: "late", Type: "click", Time: time.Unix(1e9, 0)}))(t)
	spec := small()
	must(0, spec.complete())(t)
	for _, split := range []string{splitLast, splitTime} {
		spec.Split = split
		d := must(db.newDinTrainer(ctx, &spec, 0))(t)
		v := d.model.vocabularies
		if v[0].Row("late") != 0 || v[1].Row("western") != 0 || v[0].Row("f1") == 0 || v[1].Row("drama") == 0 {
			t.Errorf("%s: rows %d, %d, %d, %d", split, v[0].Row("late"), v[1].Row("western"), v[0].Row("f1"), v[1].Row("drama"))
		}
		for it, name := range d.clicks.items {
			if name == "late" && d.clicks.popular[it] != 0 {
				t.Errorf("%s: what is held out counts %v times", split, d.clicks.popular[it])
			}
		}
	}
}
