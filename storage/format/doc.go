// Package format is the bytes Eider keeps on disk, without the disk: typed
// values and documents, order-preserving keys, document ids, checksummed
// envelopes, posting operands, changelog entries, index snapshot chunks and
// safetensors files. storage/FORMAT.md draws every layout; docs_test.go holds
// that page and the constants here together.
//
// Every decoder keeps four promises (the tests cite them by number):
//
//	D1  no input makes it panic
//	D2  no count or length from the input is believed before it is compared
//	    with its cap in limits.go and with the bytes that are left, so memory is
//	    bounded by a small multiple of the input
//	D3  it consumes its input exactly; trailing bytes are damage
//	D4  what it accepts, it re-encodes to the same bytes (one encoding per value)
//
// Integers are little-endian or uvarints in values and big-endian in keys, so
// that byte order is numeric order.
package format
