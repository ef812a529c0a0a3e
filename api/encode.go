package api

import (
	"bytes"
	"encoding/json"

	"github.com/eiderdb/eider"
)

// encodeResult appends the JSON of a result and a line feed.
func encodeResult(buf *bytes.Buffer, r *eider.Result) error {
	if r.Hits == nil {
		r.Hits = []eider.Hit{}
	}
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	return enc.Encode(r)
}
