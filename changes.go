package eider

import (
	"context"
	"iter"
	"time"

	"github.com/eiderdb/eider/storage"
	"github.com/eiderdb/eider/storage/format"
)

// ChangeOp names what a change did.
type ChangeOp string

const (
	ChangePut    ChangeOp = "put"    // a document was written
	ChangeDelete ChangeOp = "delete" // a document was deleted
	ChangeCreate ChangeOp = "create" // a collection was created
	ChangeSchema ChangeOp = "schema" // a collection's schema changed
	ChangeDrop   ChangeOp = "drop"   // a collection was dropped
	ChangeAlias  ChangeOp = "alias"  // an alias was set or removed
	ChangeEvent  ChangeOp = "event"  // an event was stored
	ChangeErase  ChangeOp = "erase"  // a user was erased with all events
	ChangeRetain ChangeOp = "retain" // the oldest events of a user were deleted

	ChangeModel   ChangeOp = "model"   // a version of a model was stored
	ChangeUnmodel ChangeOp = "unmodel" // a version of a model was deleted
	ChangePromote ChangeOp = "promote" // an alias of a model was set to the version, or removed where that is 0
)

// Change is one entry of the change feed.
type Change struct {
	LSN        uint64   `json:"lsn"`
	Op         ChangeOp `json:"op"`
	Collection string   `json:"collection"` // "" if it has been dropped since
	ID         string   `json:"id,omitempty"`
	Alias      string   `json:"alias,omitempty"`
	// Doc is the document of a put, with its vectors.
	Doc *Doc `json:"doc,omitempty"`
	// Event is what an event was, UserNumber stands for its user: a later erase or
	// retain has the number alone, so that the feed names nobody who was erased.
	Event      *Event `json:"event,omitempty"`
	UserNumber uint64 `json:"user_number,omitempty"`
	// Before is the time before which a retain deleted the user's events.
	Before time.Time `json:"before,omitzero"`
	// Model and ModelVersion are what a model, unmodel or promote is about, Alias of a
	// promote the model's alias.
	Model        string `json:"model,omitempty"`
	ModelVersion uint32 `json:"model_version,omitempty"`
	// Superseded marks a put whose document was written or deleted again later, or an
	// event that was deleted: a later change in the feed says how.
	Superseded bool `json:"superseded,omitempty"`
}

// Changes yields the changes after an LSN up to the LSN at the call, in order.
// It is a compacted feed: applying it in order gives the state at its end, not
// every state between. The last element may be an error: ErrTrimmed when
// changes since then are no longer kept (see Options.ChangeRetention), or the
// context's.
func (db *DB) Changes(ctx context.Context, after uint64) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		view, err := db.viewAt(0)
		if err != nil {
			yield(Change{}, db.fail("changes", "", "", err))
			return
		}
		defer view.Release()
		for ch, err := range view.Changes(ctx, after) {
			var out Change
			if err == nil {
				out, err = db.describe(view, &ch)
			}
			if err != nil {
				yield(Change{}, db.fail("changes", "", "", err))
				return
			}
			if out.Op != "" && !yield(out, nil) {
				return
			}
		}
	}
}

var changeOps = map[format.ChangeOp]ChangeOp{
	format.OpPut: ChangePut, format.OpDelete: ChangeDelete, format.OpCreate: ChangeCreate, format.OpSchema: ChangeSchema,
	format.OpDrop: ChangeDrop, format.OpAlias: ChangeAlias, format.OpUnalias: ChangeAlias,
	format.OpEvent: ChangeEvent, format.OpErase: ChangeErase, format.OpRetain: ChangeRetain,
	format.OpModel: ChangeModel, format.OpUnmodel: ChangeUnmodel, format.OpPromote: ChangePromote,
}

// describe turns a stored change into a public one; its Op is "" for changes
// that are of no concern outside (postings being rebuilt).
func (db *DB) describe(view *storage.View, ch *storage.Change) (Change, error) {
	out := Change{LSN: ch.LSN, Op: changeOps[ch.Op], ID: ch.ID, Superseded: ch.Superseded}
	info, ok := view.CollectionByID(ch.Collection)
	if ok {
		out.Collection = info.Name
	}
	switch ch.Op {
	case format.OpEvent, format.OpErase, format.OpRetain:
		out.UserNumber = ch.User
		if ch.Event != nil {
			e := publicEvent(ch.Event)
			out.Event = &e
		}
		if ch.Op == format.OpRetain {
			out.Before = time.Unix(0, ch.Before).UTC()
		}
	case format.OpModel, format.OpUnmodel, format.OpPromote:
		out.Model, out.ModelVersion, out.Alias = ch.Name, ch.ModelVersion, ch.Alias
	case format.OpAlias, format.OpUnalias:
		out.Alias = ch.Name
	case format.OpCreate, format.OpSchema, format.OpDrop:
		out.Collection = ch.Name
	case format.OpPut:
		if ch.Superseded || !ok {
			return out, nil
		}
		c := db.collection(ch.Collection)
		if c == nil {
			return out, nil
		}
		st, err := c.stateAt(view.LSN())
		if err != nil {
			return out, err
		}
		rec := storage.Record{ID: ch.ID, Ord: ch.Ord, Version: ch.LSN, ExpireAt: ch.ExpireAt, Body: ch.Body}
		d, err := st.decode(view, rec, nil, st.vectorOrder)
		out.Doc = &d
		return out, err
	}
	return out, nil
}
