// Package vectors keeps the vectors of an index: fixed-stride rows in memory
// outside the Go heap, the map between ids and row numbers (slots), which slots
// are live, dead or free, and exact scans over them. The flat index is this
// package and nothing more; a graph index keeps its links beside it, by slot.
//
// # States of a slot
//
//	free ──Reserve──▶ reserved ──Publish──▶ live ──Delete──▶ dead ──Free──▶ free
//
// Only live slots are found by a search of now; a dead one is still found by a
// search whose LSN is older than the delete. A slot is freed only after every
// reader that may have seen it has left: readers call Enter and leave through
// the ticket it returns, and Wait returns when all readers that had entered
// before the call are gone. So a reader may score a slot it has found, or read
// its id, without any lock.
package vectors
