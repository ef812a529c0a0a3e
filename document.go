package eider

import "time"

// Doc is a document: an id, typed fields, named vectors.
//
// Given to Upsert it is read during the call only. Returned from a read it
// belongs to the caller.
type Doc struct {
	ID string `json:"id"`
	// Fields by name, as the Go types listed at FieldType. A nil value means the
	// field is absent (in Update: remove it).
	Fields map[string]any `json:"fields,omitempty"`
	// Vectors by name.
	Vectors map[string][]float32 `json:"vectors,omitempty"`
	// ExpireAt, when not zero, is when the document stops existing.
	ExpireAt time.Time `json:"expire_at,omitzero"`
	// Version is the LSN of the write that made this version. Reads set it;
	// writes ignore it (see If).
	Version uint64 `json:"version,omitempty"`
}

// If is a condition on the state of a document that a write requires. The zero
// If requires nothing.
type If struct {
	Absent  bool   `json:"absent,omitempty"`  // the id must not exist
	Exists  bool   `json:"exists,omitempty"`  // the id must exist
	Version uint64 `json:"version,omitempty"` // the id must exist with this version
}

// Written is the outcome of one write.
type Written struct {
	ID      string `json:"id"`
	Version uint64 `json:"version,omitempty"` // version now, 0 after a delete
	Existed bool   `json:"existed"`           // the id existed before
}

// Receipt says what a call wrote. When it is returned the writes are durable
// (fsynced, unless Options.Async) and visible to every later read.
type Receipt struct {
	LSN  uint64    `json:"lsn"`
	Docs []Written `json:"docs"`
}
