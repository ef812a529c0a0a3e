package api

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/eiderdb/eider"
)

// advice remembers which unindexed fields filters have named.
type advice struct {
	mu   sync.Mutex
	seen map[fieldName]uint64
}

type fieldName struct{ collection, field string }

const maxSeen = 4096 // fields remembered

// saw notes the fields of a filter that have no index.
func (a *advice) saw(coll *eider.Collection, f *eider.Filter) {
	if f == nil {
		return
	}
	fields := coll.Schema().Fields
	for _, name := range f.Names() {
		if fields[name].Index {
			continue
		}
		key := fieldName{coll.Name(), name}
		a.mu.Lock()
		if a.seen == nil {
			a.seen = map[fieldName]uint64{}
		}
		if _, known := a.seen[key]; known || len(a.seen) < maxSeen {
			a.seen[key]++
		}
		a.mu.Unlock()
	}
}

// tip is one thing that would make the database faster or smaller.
type tip struct {
	Kind       string `json:"kind" enum:"unindexed_filter,dead_space,dead_vectors,fresh_vectors,open_server"`
	Collection string `json:"collection,omitempty"`
	Subject    string `json:"subject,omitempty"` // field or vector
	Detail     string `json:"detail"`
	Hint       string `json:"hint"`
}

type advices struct {
	Advice []tip `json:"advice"`
}

// adviceList compares what queries did and what the database holds with what
// would serve them better.
func adviceList(c *call) error {
	out := advices{Advice: []tip{}}
	a := &c.a.advice
	a.mu.Lock()
	seen := make(map[fieldName]uint64, len(a.seen))
	for k, n := range a.seen {
		seen[k] = n
	}
	a.mu.Unlock()
	for k, n := range seen {
		coll, err := c.a.db.Collection(k.collection)
		if err != nil || coll.Schema().Fields[k.field].Index {
			continue
		}
		t := coll.Schema().Fields[k.field].Type
		if t == eider.Text || t == eider.JSON {
			continue // these have no index
		}
		out.Advice = append(out.Advice, tip{"unindexed_filter", k.collection, k.field,
			fmt.Sprintf("%d filters read documents because the field has no index", n),
			fmt.Sprintf("PUT /v1/collections/%s/fields/%s/index", k.collection, k.field)})
	}
	s, err := c.a.db.Stats(c.ctx)
	if err != nil {
		return err
	}
	if s.Storage.DeadBytes > s.Storage.LiveBytes && s.Storage.DeadBytes > 64*mib {
		out.Advice = append(out.Advice, tip{"dead_space", "", "", fmt.Sprintf("%d MiB on disk are dead", s.Storage.DeadBytes/mib), "compaction frees them in the background; shorten the change retention to keep less"})
	}
	for _, coll := range s.Collections {
		for name, v := range coll.Vectors {
			if v.Dead > v.Live && v.Dead > 1000 {
				out.Advice = append(out.Advice, tip{"dead_vectors", coll.Name, name, fmt.Sprintf("%d of the index's vectors are dead, %d live", v.Dead, v.Live), "a rebuild (PUT the vector again with its index) frees their memory"})
			}
			if v.Fresh > 10000 {
				out.Advice = append(out.Advice, tip{"fresh_vectors", coll.Name, name, fmt.Sprintf("%d vectors are not linked yet and are scanned by every search", v.Fresh), "writes outrun the graph: pause them, or give it more processors"})
			}
		}
	}
	if !c.a.guarded() {
		out.Advice = append(out.Advice, tip{"open_server", "", "", "requests need no key", "POST /v1/keys, or start the server with one"})
	}
	slices.SortFunc(out.Advice, func(x, y tip) int {
		return cmp.Or(cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.Collection, y.Collection), cmp.Compare(x.Subject, y.Subject))
	})
	return c.reply(http.StatusOK, out)
}
