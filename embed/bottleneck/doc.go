// Package bottleneck is a classifier that learns one row at a time, in any order,
// and forgets nothing: the discrete key-value bottleneck of Träuble et al., "Discrete
// Key-Value Bottleneck" (ICML 2023, arXiv 2207.11240).
//
//	z (dim) ── heads ──> h_c (KeyDim) ── nearest key ──> pair (c, i) ──> value ┐
//	            C fixed projections        C×K, frozen            C×K×classes  ├─ mean ──> logits
//	                                                                         ──┘
//
// Heads and keys are made once, of vectors without labels, and never change. Learning a
// row moves the values of its C pairs and of no other, so rows that fall on other pairs
// keep their answers. All of a row's pairs move by the same step, which the row's
// Record holds: applying records in order, on any machine, gives the same values
// bit for bit, and a row is unlearned by taking its step away.
//
// A Model is the frozen part and the values; a Ledger is who taught what. Neither
// locks: reading goes together with reading, changing with nothing.
package bottleneck
