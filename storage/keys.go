package storage

import (
	"encoding/binary"

	"github.com/eiderdb/eider/storage/format"
)

// First byte of every key; FORMAT.md holds the same table. Ids in keys are
// fixed-width big-endian, so the bounds of a scan cannot leak into a neighbour.
const (
	prefixMeta       = 'm' // m name                          -> Meta | u64
	prefixCollection = 't' // t coll:4                        -> Collection
	prefixAlias      = 'a' // a name                          -> coll:4
	prefixID         = 'i' // i coll:4 idkey                  -> ord:4 lsn:8
	prefixRecord     = 'r' // r coll:4 ord:4                  -> Record
	prefixVector     = 'v' // v coll:4 field:2 ord:4          -> raw bytes
	prefixTerm       = 'x' // x coll:4 index:4 term chunk:2   -> posting operand
	prefixLive       = 'l' // l coll:4 chunk:2                -> posting operand
	prefixExpire     = 'e' // e coll:4 time:8 ord:4           -> nothing
	prefixChange     = 'c' // c lsn:8                         -> Entry
	prefixSnapshot   = 's' // s coll:4 field:2 gen:8 chunk:4  -> File, or Chunks
	prefixRotation   = 'o' // o coll:4 field:2                -> Rotation
	prefixSetting    = 'k' // k name                          -> enveloped bytes
	prefixModel      = 'g' // g key of format.ModelKey ..     -> Model, Promotion, u32
	prefixWeights    = 'w' // w id:8 chunk:4                  -> Weights
	prefixUser       = 'u' // u user                          -> user's number:8 events:8
	prefixHistory    = 'h' // h number:8 time:8 lsn:8 seq:4   -> Event; h number:8 -> user
	prefixEvent      = 'd' // d number:8 event id             -> time:8 lsn:8 seq:4
)

// wholly are the prefixes whose keys every incremental backup holds all of.
var wholly = []byte{prefixMeta, prefixCollection, prefixAlias, prefixSetting, prefixRotation, prefixModel}

// partly are the prefixes of which an incremental backup holds the keys that came
// after its beginning.
var partly = []byte{prefixWeights, prefixUser, prefixHistory, prefixEvent}

var (
	keyMeta = []byte{prefixMeta, 0} // the first key of a store
	keyNext = []byte("mnext")       // next collection id, u32
	keyTrim = []byte("mtrim")       // first LSN still in the changelog, u64

	keyEvents = []byte("mevents") // next user's number, users, events, u64 each
)

var be = binary.BigEndian

func collKey(prefix byte, coll uint32) []byte {
	return be.AppendUint32(append(make([]byte, 0, 48), prefix), coll)
}

func appendColl(dst []byte, prefix byte, coll uint32) []byte {
	return be.AppendUint32(append(dst, prefix), coll)
}

// collRange returns the bounds of everything one collection keeps under prefix.
func collRange(prefix byte, coll uint32) (lo, hi []byte) {
	lo = collKey(prefix, coll)
	return lo, successor(lo)
}

// successor returns the smallest key above all keys that start with p.
func successor(p []byte) []byte {
	s := append([]byte(nil), p...)
	for i := len(s) - 1; i >= 0; i-- {
		if s[i]++; s[i] != 0 {
			return s[:i+1]
		}
	}
	return nil // p is all 0xff: no bound; no prefix above is
}

func idKey(coll uint32, key []byte) []byte { return append(collKey(prefixID, coll), key...) }

func recordKey(coll, ord uint32) []byte { return appendRecordKey(make([]byte, 0, 9), coll, ord) }

func appendRecordKey(dst []byte, coll, ord uint32) []byte {
	return be.AppendUint32(appendColl(dst, prefixRecord, coll), ord)
}

func vectorKey(coll uint32, field uint16, ord uint32) []byte {
	return be.AppendUint32(be.AppendUint16(collKey(prefixVector, coll), field), ord)
}

func indexKey(coll, index uint32) []byte { return be.AppendUint32(collKey(prefixTerm, coll), index) }

// appendTermKey appends a posting key without its chunk.
func appendTermKey(dst []byte, coll, index uint32, term []byte) []byte {
	dst = be.AppendUint32(appendColl(dst, prefixTerm, coll), index)
	return format.AppendTerm(dst, term)
}

func liveKey(coll uint32, chunk uint16) []byte {
	return be.AppendUint16(collKey(prefixLive, coll), chunk)
}

func expireKey(coll uint32, at int64, ord uint32) []byte {
	return be.AppendUint32(be.AppendUint64(collKey(prefixExpire, coll), uint64(at)), ord)
}

func changeKey(lsn uint64) []byte { return be.AppendUint64([]byte{prefixChange}, lsn) }

func aliasKey(name string) []byte { return append([]byte{prefixAlias}, name...) }

func settingKey(name string) []byte { return append([]byte{prefixSetting}, name...) }

// idValue is the value under an id key.
func idValue(ord uint32, lsn uint64) []byte {
	return be.AppendUint64(be.AppendUint32(make([]byte, 0, 12), ord), lsn)
}

func parseIDValue(b []byte) (ord uint32, lsn uint64, err error) {
	if len(b) != 12 {
		return 0, 0, format.ErrCorrupt
	}
	return be.Uint32(b), be.Uint64(b[4:]), nil
}
