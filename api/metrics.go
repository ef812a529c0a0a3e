package api

import (
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/eiderdb/eider"
)

// meter counts requests and shows the database's sizes. It has its own set, so
// that two handlers of one process do not mix.
type meter struct {
	set *metrics.Set

	mu    sync.RWMutex
	cells map[cell]counts
}

// cell is what requests are counted by. Routes and statuses are few, so the set
// stays small whatever clients send.
type cell struct {
	route, method string
	status        int
}

type counts struct {
	requests *metrics.Counter
	seconds  *metrics.Histogram // of the route and method, whatever the status
}

func newMeter(a *api) *meter {
	m := &meter{set: metrics.NewSet(), cells: map[cell]counts{}}
	for i, name := range []string{"reading", "writing", "streaming"} {
		g := a.gates[i]
		m.set.NewGauge(`eider_http_units_in_use{pool="`+name+`"}`, func() float64 { used, _ := g.load(); return float64(used) })
		m.set.NewGauge(`eider_http_waiting{pool="`+name+`"}`, func() float64 { _, waiting := g.load(); return float64(waiting) })
	}
	m.set.NewGauge("eider_lsn", func() float64 { return float64(a.db.LSN()) })
	m.set.NewGauge("eider_http_body_bytes_held", func() float64 { return float64(held.Load()) })
	return m
}

// observe counts one finished request.
func (m *meter) observe(route, method string, status int, took time.Duration) {
	if route == "" {
		route, method = "none", "any"
	}
	at := cell{route, method, status}
	m.mu.RLock()
	c, ok := m.cells[at]
	m.mu.RUnlock()
	if !ok {
		labels := `{route="` + route + `",method="` + method + `"`
		c = counts{
			requests: m.set.GetOrCreateCounter(`eider_http_requests_total` + labels + `,status="` + strconv.Itoa(status) + `"}`),
			seconds:  m.set.GetOrCreateHistogram(`eider_http_request_seconds` + labels + `}`),
		}
		m.mu.Lock()
		m.cells[at] = c
		m.mu.Unlock()
	}
	c.requests.Inc()
	c.seconds.Update(took.Seconds())
}

// refused counts work that found no room.
func (m *meter) refused(err error) {
	var p *problem
	if errors.As(err, &p) {
		m.set.GetOrCreateCounter(`eider_http_refused_total{code="` + string(p.Code) + `"}`).Inc()
	}
}

// metrics writes the Prometheus text form: requests, then the database.
func (a *api) metrics(c *call) error {
	s, err := a.db.Stats(c.ctx)
	if err != nil {
		return err
	}
	events, err := a.db.Events().Stats(c.ctx)
	if err != nil {
		return err
	}
	models, err := a.db.Models().List(c.ctx)
	if err != nil {
		return err
	}
	c.w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	set := metrics.NewSet()
	gauge := func(name string, v float64) { set.NewGauge(name, func() float64 { return v }) }
	gauge("eider_disk_bytes", float64(s.Storage.DiskBytes))
	gauge("eider_live_bytes", float64(s.Storage.LiveBytes))
	gauge("eider_dead_bytes", float64(s.Storage.DeadBytes))
	gauge("eider_cache_bytes", float64(s.Storage.Cache.Bytes))
	gauge("eider_events", float64(events.Events))
	gauge("eider_event_users", float64(events.Users))
	gauge("eider_event_bytes", float64(events.Bytes))
	versions := 0
	for _, m := range models {
		versions += len(m.Versions)
	}
	gauge("eider_models", float64(len(models)))
	gauge("eider_model_versions", float64(versions))
	jobs := map[eider.JobStatus]int{eider.JobQueued: 0, eider.JobRunning: 0, eider.JobDone: 0, eider.JobFailed: 0, eider.JobCancelled: 0, eider.JobInterrupted: 0}
	for _, j := range a.db.Jobs() {
		jobs[j.Status]++
	}
	for status, n := range jobs {
		gauge(`eider_jobs{status="`+string(status)+`"}`, float64(n))
	}
	for _, coll := range s.Collections {
		at := `{collection="` + coll.Name + `"`
		gauge("eider_docs"+at+"}", float64(coll.Docs))
		for name, v := range coll.Vectors {
			vec := at + `,vector="` + name + `"}`
			gauge("eider_vectors_live"+vec, float64(v.Live))
			gauge("eider_vectors_fresh"+vec, float64(v.Fresh))
			gauge("eider_index_bytes"+vec, float64(v.VectorBytes+v.GraphBytes))
		}
	}
	a.meter.set.WritePrometheus(c.w)
	set.WritePrometheus(c.w)
	metrics.WriteProcessMetrics(c.w)
	return nil
}
