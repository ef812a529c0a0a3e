// Package registry keeps models in a store: versions that never change, aliases
// that say which version serves, and the history of every alias.
//
//	Put, Import ── tensors in chunks ── manifest    a version is wholly there or absent
//	Promote, Rollback ── one promotion              an alias moves from whole to whole
//	Get ── a view of one LSN                        what a reader holds stays readable
//
// The invariants:
//
//	M1  A version that can be named is complete: its manifest is committed after
//	    its chunks, in the one log, under an LSN and with a changelog entry.
//	M2  A version never changes, and its number is never given again.
//	M3  An alias is its newest promotion. It points to a version that exists, whose
//	    bytes were read and checked before it was promoted.
//	M4  Where an alias pointed before can be rolled back to: neither the version
//	    that serves nor the one before it can be deleted.
//	M5  Nothing but tensors and bounded JSON is read from a folder, and nothing of
//	    a folder that is refused is left in the store.
//
// Promotions have LSNs of their own, because they decide what a prediction is: a
// change feed, a backup or a replica that follows the log must see them in order
// with the documents, and only one batch can make an alias and its history agree.
package registry
