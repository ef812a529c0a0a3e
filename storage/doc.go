// Package storage keeps Eider's truth: documents, vectors, postings and the
// changelog in one Pebble store, written by one committer and read through
// immutable views. FORMAT.md lists every byte on disk.
//
// The invariants that the code cites by number:
//
//	S1  Everything a call writes, its changelog entry included, is in one Pebble
//	    batch. A call is wholly there or wholly absent.
//	S2  Log sequence numbers (LSN) are dense: the nth accepted call has LSN n, and
//	    LSN order is the order of visibility.
//	S3  An acknowledged call is durable (fsynced, unless Async) and visible: its
//	    view was published, and Options.Apply had run, before Commit returned.
//	S4  A document version has an ordinal (ord) of its own. What is stored under an
//	    ord never changes while the ord is alive.
//	S5  An ord is reused only after every view that could see its old version is
//	    released and Options.Recycle agreed.
//	S6  Storage is the only truth. Index snapshots, caches and bitmaps can be
//	    dropped and derived again; damage to them is never an error of Open.
//	S7  We stop rather than lie: a write error in the log ends the process after
//	    Options.OnFatal; bytes that fail their checksum become ErrCorrupt.
//
// The committer is one goroutine. It takes all waiting calls, checks and stages
// each one over the effects of the ones before it, writes one Pebble batch,
// syncs it, tells Options.Apply, publishes the next View, and acknowledges:
//
//	Commit ─┐                     ┌ ack
//	Commit ─┼─> stage ─> batch ─> sync ─> Apply ─> publish ─┼ ack
//	Commit ─┘   (rejects single calls)                      └ ack
//
// A crash before "sync" ends loses the group wholly or keeps it wholly (S1); no
// caller was told. A crash after it keeps the group; some callers were told.
package storage
