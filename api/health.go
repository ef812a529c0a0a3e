package api

import (
	"net/http"
	"time"

	"github.com/eiderdb/eider"
)

// health is the answer of /livez and /readyz.
type health struct {
	Status  string  `json:"status"`
	Version string  `json:"version,omitempty"`
	Uptime  float64 `json:"uptime_seconds,omitempty"`
	Reason  string  `json:"reason,omitempty"`
}

func (a *api) live(c *call) error {
	return c.reply(http.StatusOK, health{Status: "live", Version: a.o.Version, Uptime: time.Since(a.started).Seconds()})
}

// ready is 503 while the server drains or cannot read.
func (a *api) ready(c *call) error {
	select {
	case <-a.draining:
		return &problem{Code: eider.CodeOverloaded, Detail: "the server is draining", Hint: "go to another server"}
	default:
	}
	return c.reply(http.StatusOK, health{Status: "ready"})
}

func (a *api) openapiJSON(c *call) error {
	h := c.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-cache")
	c.w.Write(a.openapi)
	return nil
}

func stats(c *call) error {
	s, err := c.a.db.Stats(c.ctx)
	if err != nil {
		return err
	}
	return c.reply(http.StatusOK, s)
}

func collectionStats(c *call) error {
	coll, err := c.collection()
	if err != nil {
		return err
	}
	s, err := c.a.db.Stats(c.ctx)
	if err != nil {
		return err
	}
	for i := range s.Collections {
		if s.Collections[i].Name == coll.Name() {
			return c.reply(http.StatusOK, s.Collections[i])
		}
	}
	return &problem{Code: eider.CodeNotFound, Detail: "the collection was dropped meanwhile"}
}
