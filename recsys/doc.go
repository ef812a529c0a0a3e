// Package recsys turns interactions into what rankers learn from and are
// measured on: histories of users in order of time, splits that keep what is to
// be predicted out of what is learned from, and negatives.
//
// It takes events from slices and iterators and knows no storage. Users and items
// are named by texts or numbers, as the caller has them; a history, a split and a
// list of negatives depend on the events and the seeds alone, not on the order of
// maps or goroutines.
//
// The promises that the tests cite by number:
//
//	R1  a history holds only what comes before its target
//	R2  what is held out is in no sequence to learn from, and counts for nothing
//	    that is derived from them
//	R3  no negative is an item of its user in the sequences that Seen was made of
//	R4  events of equal time keep the order in which they came, or the one asked for
//	R5  lists drawn with a seed are the same for a user whoever is asked before
package recsys
