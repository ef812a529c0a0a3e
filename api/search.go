package api

import (
	"bytes"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"

	"github.com/eiderdb/eider"
)

const maxSearches = 100 // of one batch

// checkQuery applies the caps of S13 with pointers into the body. The library
// checks everything else.
func checkQuery(q *eider.Query) error {
	switch {
	case q.Limit < 0 || q.Limit > eider.MaxLimit:
		return invalid("/limit", "limit is 1 to %d", eider.MaxLimit)
	case len(q.Retrieve) > eider.MaxSources:
		return invalid("/retrieve", "at most %d sources", eider.MaxSources)
	}
	for i := range q.Retrieve {
		r, at := &q.Retrieve[i], "/retrieve/"+strconv.Itoa(i)
		switch {
		case r.K < 0 || r.K > eider.MaxLimit:
			return invalid(at+"/k", "k is 1 to %d", eider.MaxLimit)
		case r.Ef < 0 || r.Ef > eider.MaxEf:
			return invalid(at+"/ef", "ef is k to %d", eider.MaxEf)
		case r.Like != nil && len(r.Like.Positive)+len(r.Like.Negative) > maxBatch:
			return invalid(at+"/like", "at most %d examples", maxBatch)
		}
	}
	return nil
}

func search(c *call) error  { return c.search(false) }
func explain(c *call) error { return c.search(true) }

func (c *call) search(explained bool) error {
	coll, err := c.collection()
	if err != nil {
		return err
	}
	var q eider.Query
	if err := c.decode(&q); err != nil {
		return err
	}
	q.Explain = q.Explain || explained
	res, timing, err := c.run(coll, q)
	if err != nil {
		return err
	}
	h := c.w.Header()
	if timing != "" {
		h.Set("Server-Timing", timing)
	}
	c.lsn(res.LSN)
	buf := buffers.Get().(*bytes.Buffer)
	defer recycle(buf)
	if err := encodeResult(buf, &res); err != nil {
		return err
	}
	return c.send(http.StatusOK, buf.Bytes())
}

// run searches and times the phases for Server-Timing; the result keeps them
// only if the query asked.
func (c *call) run(coll *eider.Collection, q eider.Query) (eider.Result, string, error) {
	if err := checkQuery(&q); err != nil {
		return eider.Result{}, "", err
	}
	q.Timed = true
	res, err := coll.Search(c.ctx, q)
	if err != nil {
		return eider.Result{}, "", err
	}
	if len(res.Advice) > 0 { // it read documents to filter: note which fields
		c.a.advice.saw(coll, q.Filter)
	}
	timing := serverTiming(res.Explain)
	if !q.Explain {
		res.Explain = nil
	}
	return res, timing, nil
}

// serverTiming lists the phases with their milliseconds.
func serverTiming(e *eider.Explain) string {
	if e == nil {
		return ""
	}
	b := make([]byte, 0, 128)
	for i := range e.Phases {
		p := &e.Phases[i]
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(b, p.Name...)
		b = append(b, ";dur="...)
		us := int64(p.Micros + 0.5)
		b = strconv.AppendInt(b, us/1000, 10)
		b = append(b, '.', byte('0'+us/100%10), byte('0'+us/10%10), byte('0'+us%10))
	}
	return string(b)
}

// searches is a batch of searches, each in its collection.
type searches struct {
	Searches []oneSearch `json:"searches"`
}

type oneSearch struct {
	Collection string      `json:"collection"`
	Query      eider.Query `json:"query"`
}

type searchResults struct {
	Results []searchResult `json:"results"`
}

// searchResult is what the search would have answered alone.
type searchResult struct {
	Status  int           `json:"status"`
	Result  *eider.Result `json:"result,omitempty"`
	Problem *problem      `json:"problem,omitempty"`
}

func searchBatch(c *call) error {
	var s searches
	if err := c.decode(&s); err != nil {
		return err
	}
	if len(s.Searches) == 0 || len(s.Searches) > maxSearches {
		return invalid("/searches", "give 1 to %d searches", maxSearches)
	}
	for i := range s.Searches {
		if err := c.allow(read, s.Searches[i].Collection); err != nil {
			return err
		}
	}
	out := searchResults{Results: make([]searchResult, len(s.Searches))}
	var wg sync.WaitGroup
	work := make(chan int)
	for range min(c.route.cost.units, len(s.Searches)) {
		wg.Go(func() {
			for i := range work {
				out.Results[i] = c.one(&s.Searches[i], i)
			}
		})
	}
	for i := range s.Searches {
		work <- i
	}
	close(work)
	wg.Wait()
	if err := c.ctx.Err(); err != nil {
		return err
	}
	return c.reply(http.StatusOK, out)
}

// one runs a search of a batch. It runs in its own goroutine, where a panic
// would end the process.
func (c *call) one(s *oneSearch, i int) (r searchResult) {
	defer func() {
		if cause := recover(); cause != nil {
			c.a.log.Error("panic", "request_id", c.w.id, "route", c.w.route, "cause", cause, "stack", string(debug.Stack()))
			p := problemOf(&problem{Code: eider.CodeInternal, Detail: "the server failed", Hint: "the log has the cause under the request_id"})
			r = searchResult{Status: p.Status, Problem: p}
		}
	}()
	coll, err := c.a.db.Collection(s.Collection)
	if err == nil {
		var res eider.Result
		if res, _, err = c.run(coll, s.Query); err == nil {
			return searchResult{Status: http.StatusOK, Result: &res}
		}
	}
	p := problemOf(err)
	if p.Pointer != "" {
		p.Pointer = "/searches/" + strconv.Itoa(i) + "/query" + p.Pointer
	}
	return searchResult{Status: p.Status, Problem: p}
}
