package format

import (
	"encoding/binary"
	"fmt"
	"math"
)

const (
	changeVersion = 3 // of entries that name events
	changeModels  = 2 // of entries that name models
	changePlain   = 1 // of the others, so that older binaries read them
)

// ChangeOp is what one element of a changelog entry did. The numbers are on
// disk.
type ChangeOp uint8

// The operations of a changelog entry.
const (
	OpPut     ChangeOp = 1  // a document version was written
	OpDelete  ChangeOp = 2  // a document was deleted
	OpCreate  ChangeOp = 3  // a collection was created
	OpSchema  ChangeOp = 4  // a collection's schema was replaced
	OpDrop    ChangeOp = 5  // a collection was dropped
	OpAlias   ChangeOp = 6  // an alias was set to the collection
	OpUnalias ChangeOp = 7  // an alias was removed
	OpIndex   ChangeOp = 8  // postings were derived or dropped; documents are unchanged
	OpModel   ChangeOp = 9  // a model version was stored
	OpUnmodel ChangeOp = 10 // a model version was deleted
	OpPromote ChangeOp = 11 // an alias of a model was set to the version, or removed
	OpEvent   ChangeOp = 12 // an event was stored
	OpErase   ChangeOp = 13 // a user was erased with all events
	OpRetain  ChangeOp = 14 // the oldest events of a user were deleted
)

var opNames = [...]string{"", "put", "delete", "create", "schema", "drop", "alias", "unalias", "index", "model", "unmodel", "promote", "event", "erase", "retain"}

// String returns the operation's lower-case name.
func (o ChangeOp) String() string {
	if int(o) < len(opNames) && o > 0 {
		return opNames[o]
	}
	return fmt.Sprintf("op(%d)", uint8(o))
}

// Change is one element of a changelog entry: references, not documents.
type Change struct {
	Op         ChangeOp
	Collection uint32
	Ord        uint32 // OpPut: the new version's ordinal
	OldOrd     uint32 // OpPut with HasOld, OpDelete: the ordinal that died
	HasOld     bool   // OpPut: it replaced a version
	Key        []byte // OpPut, OpDelete: id key
	Name       string // OpCreate, OpDrop: collection; OpAlias, OpUnalias: alias; OpModel and on: model
	Version    uint32 // OpModel and on: of the model; 0 for an alias removed
	Alias      string // OpPromote
	User       uint64 // OpEvent and on: the user's number
	Time       int64  // OpEvent: of the event; OpRetain: the deleted were before; nanoseconds since 1970 UTC
	Seq        uint32 // OpEvent: its place among the events of the call
}

// Models reports a change of the model registry.
func (o ChangeOp) Models() bool { return o >= OpModel && o <= OpPromote }

// Events reports a change of events.
func (o ChangeOp) Events() bool { return o >= OpEvent && o <= OpRetain }

// version is that of an entry with the operation.
func (o ChangeOp) version() byte {
	switch {
	case o.Events():
		return changeVersion
	case o.Models():
		return changeModels
	default:
		return changePlain
	}
}

// Entry is everything one committed call changed, in order.
type Entry struct {
	LSN     uint64
	Time    int64 // wall clock of the commit, nanoseconds since 1970 UTC; informative
	Changes []Change
}

// AppendEntry appends e's envelope to dst. Error: ErrLimit.
func AppendEntry(dst []byte, e Entry) ([]byte, error) {
	if len(e.Changes) > MaxChange {
		return dst, fmt.Errorf("%w: %d changes in one commit, at most %d", ErrLimit, len(e.Changes), MaxChange)
	}
	start := len(dst)
	version := byte(changePlain)
	for i := range e.Changes {
		version = max(version, e.Changes[i].Op.version())
	}
	dst = beginEnvelope(dst, EnvChange, version)
	dst = binary.LittleEndian.AppendUint64(dst, e.LSN)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(e.Time))
	dst = binary.AppendUvarint(dst, uint64(len(e.Changes)))
	for i := range e.Changes {
		c := &e.Changes[i]
		op := byte(c.Op)
		if c.HasOld {
			op |= 0x80
		}
		dst = append(dst, op)
		dst = binary.AppendUvarint(dst, uint64(c.Collection))
		switch c.Op {
		case OpPut:
			dst = binary.AppendUvarint(dst, uint64(c.Ord))
			if c.HasOld {
				dst = binary.AppendUvarint(dst, uint64(c.OldOrd))
			}
			dst = appendBlock(dst, c.Key)
		case OpDelete:
			dst = binary.AppendUvarint(dst, uint64(c.OldOrd))
			dst = appendBlock(dst, c.Key)
		case OpModel, OpUnmodel, OpPromote:
			dst = binary.AppendUvarint(dst, uint64(c.Version))
			dst = appendBlock(dst, []byte(c.Name))
			if c.Op == OpPromote {
				dst = appendBlock(dst, []byte(c.Alias))
			}
		case OpEvent, OpErase, OpRetain:
			dst = binary.AppendUvarint(dst, c.User)
			if c.Op != OpErase {
				dst = binary.LittleEndian.AppendUint64(dst, uint64(c.Time))
			}
			if c.Op == OpEvent {
				dst = binary.AppendUvarint(dst, uint64(c.Seq))
			}
		default:
			dst = appendBlock(dst, []byte(c.Name))
		}
	}
	return endEnvelope(dst, start)
}

// ParseEntry decodes an envelope of AppendEntry; keys alias b. Errors:
// ErrCorrupt, ErrVersion.
func ParseEntry(b []byte) (Entry, error) {
	version, body, err := OpenEnvelope(b, EnvChange, changeVersion)
	if err != nil {
		return Entry{}, err
	}
	c := cursor{b: body}
	e := Entry{LSN: c.u64(), Time: int64(c.u64())}
	n := c.uvarint(MaxChange)
	if c.bad || n > uint64(len(c.b))/3 { // op, collection, length
		return Entry{}, corrupt("changelog entry of %d changes in %d bytes", n, len(body))
	}
	e.Changes = make([]Change, 0, min(n, 1024))
	want := byte(changePlain)
	for range n {
		ch := c.change()
		want = max(want, ch.Op.version())
		e.Changes = append(e.Changes, ch)
		if c.bad {
			return Entry{}, corrupt("change %d of entry %d", len(e.Changes)-1, e.LSN)
		}
	}
	if version != want {
		return Entry{}, corrupt("changelog entry %d of version %d", e.LSN, version)
	}
	if !c.done() {
		return Entry{}, corrupt("bytes after changelog entry %d", e.LSN)
	}
	return e, nil
}

func (c *cursor) change() (ch Change) {
	op := c.u8()
	ch.Op, ch.HasOld = ChangeOp(op&0x7f), op&0x80 != 0
	ch.Collection = c.ord()
	switch ch.Op {
	case OpPut:
		ch.Ord = c.ord()
		if ch.HasOld {
			ch.OldOrd = c.ord()
		}
		ch.Key = c.block(MaxID)
		c.bad = c.bad || len(ch.Key) == 0
		return ch
	case OpDelete:
		ch.OldOrd = c.ord()
		ch.Key = c.block(MaxID)
		c.bad = c.bad || len(ch.Key) == 0
	case OpCreate, OpSchema, OpDrop, OpAlias, OpUnalias, OpIndex:
		ch.Name = string(c.block(MaxLabel))
	case OpModel, OpUnmodel, OpPromote:
		ch.Version, ch.Name = c.ord(), string(c.block(MaxLabel))
		if ch.Op == OpPromote {
			ch.Alias = string(c.block(MaxLabel))
		}
	case OpEvent, OpErase, OpRetain:
		ch.User = c.uvarint(math.MaxUint64)
		if ch.Op != OpErase {
			ch.Time = int64(c.u64())
		}
		if ch.Op == OpEvent {
			ch.Seq = c.ord()
		}
	default:
		c.bad = true
	}
	c.bad = c.bad || ch.HasOld
	return ch
}

func (c *cursor) ord() uint32 { return uint32(c.uvarint(1<<32 - 1)) }
