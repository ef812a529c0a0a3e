package recsys_test

import (
	"fmt"

	"github.com/eiderdb/eider/recsys"
)

// The protocol of MovieLens-100K, on less: learn from all but the last event of
// each user, rank that among items the user has not met.
func Example() {
	events := []recsys.Event[string]{
		{User: "ann", Item: "alien", Time: 1}, {User: "ann", Item: "heat", Time: 3}, {User: "ann", Item: "brazil", Time: 2},
		{User: "bob", Item: "heat", Time: 1}, {User: "bob", Item: "stalker", Time: 2},
	}
	all, err := recsys.Sequences(recsys.Of(events), recsys.ByItem)
	if err != nil {
		fmt.Println(err)
		return
	}
	split := recsys.LeaveLastOut(all, recsys.Rules{History: 50})
	for e := range recsys.Examples(split.Train, 50) {
		fmt.Println("learn", e.Target.User, e.Target.Item, "after", len(e.History))
	}
	sampler := recsys.NewUniform(recsys.Items(all), recsys.NewSeen(all))
	for r := range sampler.Fixed(777, split.Test, 100) {
		fmt.Println("rank", r.Target.User, r.Target.Item, "after", len(r.History), "among", len(r.Negatives))
	}
	// Output:
	// learn ann brazil after 1
	// rank ann heat after 2 among 1
	// rank bob stalker after 1 among 2
}
