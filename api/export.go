package api

import (
	"bytes"
	"encoding/json"
	"iter"
	"net/http"

	"github.com/eiderdb/eider"
)

// exportDocs streams every document that passes the filter.
func exportDocs(c *call) error {
	coll, err := c.collection()
	if err != nil {
		return err
	}
	var filter *eider.Filter
	if c.query.Has("filter") {
		filter = new(eider.Filter)
		if err := decodeJSON([]byte(c.query.Get("filter")), filter); err != nil {
			return err
		}
	}
	return export(c, coll.All(c.ctx, filter))
}

// export streams values as lines of JSON. An error on the way breaks the
// connection, so that a cut export is not taken for a whole one.
func export[T any](c *call, all iter.Seq2[T, error]) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	started := false
	start := func() {
		if !started {
			started = true
			c.w.Header().Set("Content-Type", "application/x-ndjson")
			c.w.Header().Set("Cache-Control", "no-store")
			c.lsn(c.since)
			c.w.WriteHeader(http.StatusOK)
		}
	}
	for d, err := range all {
		if err != nil {
			return err
		}
		if err := enc.Encode(d); err != nil {
			return err
		}
		if buf.Len() < stride {
			continue
		}
		start()
		if _, err := c.w.Write(buf.Bytes()); err != nil {
			return err
		}
		buf.Reset()
	}
	start()
	_, err := c.w.Write(buf.Bytes())
	return err
}
