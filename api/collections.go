package api

import (
	"context"
	"net/http"
	"reflect"
	"strconv"

	"github.com/eiderdb/eider"
)

type collectionList struct {
	Collections []eider.Info `json:"collections"`
}

// evolution changes a schema: a field or vector that is new is added; one that
// exists gets the index it is given here; a vector that is null is dropped. Memory
// replaces the bound of vector indexes.
type evolution struct {
	Fields  map[string]*eider.Field  `json:"fields,omitempty"`
	Vectors map[string]*eider.Vector `json:"vectors,omitempty"`
	Memory  *eider.Size              `json:"memory,omitempty"`
}

// describe answers with a collection; its ETag is "s" and the schema version.
func (c *call) describe(status int, coll *eider.Collection) error {
	info := coll.Info()
	c.w.Header().Set("ETag", schemaTag(info.SchemaVersion))
	c.lsn(info.LSN)
	return c.reply(status, info)
}

func schemaTag(version uint64) string { return `"s` + strconv.FormatUint(version, 10) + `"` }

func listCollections(c *call) error {
	out := collectionList{Collections: []eider.Info{}}
	for _, i := range c.a.db.Collections() {
		if c.who.may(read, i.Name) {
			out.Collections = append(out.Collections, i)
		}
	}
	return c.reply(http.StatusOK, out)
}

func putCollection(c *call) error {
	var s eider.Schema
	if err := c.decode(&s); err != nil {
		return err
	}
	name, status := c.path("c"), http.StatusOK
	if _, err := c.a.db.Collection(name); err != nil {
		status = http.StatusCreated
	}
	coll, err := c.a.db.CreateCollection(c.ctx, name, s)
	if err != nil {
		return err
	}
	return c.describe(status, coll)
}

func getCollection(c *call) error {
	coll, err := c.collection()
	if err != nil {
		return err
	}
	return c.describe(http.StatusOK, coll)
}

func dropCollection(c *call) error {
	if err := c.a.db.DropCollection(c.ctx, c.path("c")); err != nil {
		return err
	}
	return c.nothing()
}

func patchCollection(c *call) error {
	var e evolution
	if err := c.decode(&e); err != nil {
		return err
	}
	coll, err := c.collection()
	if err != nil {
		return err
	}
	if tag := c.r.Header.Get("If-Match"); tag != "" && tag != "*" && tag != schemaTag(coll.Info().SchemaVersion) {
		return &problem{Status: http.StatusPreconditionFailed, Code: eider.CodeConflict, Detail: "the schema is at another version", Hint: "GET the collection again and decide anew"}
	}
	for name, f := range e.Fields {
		if f == nil {
			return invalid("/fields/"+name, "a declared field stays declared; DELETE .../fields/%s empties it", name)
		}
		if err := setField(c.ctx, coll, name, *f); err != nil {
			return err
		}
	}
	for name, v := range e.Vectors {
		if err := setVector(c.ctx, coll, name, v); err != nil {
			return err
		}
	}
	if e.Memory != nil {
		if err := coll.SetMemory(c.ctx, *e.Memory); err != nil {
			return err
		}
	}
	return c.describe(http.StatusOK, coll)
}

// setField declares a field, or gives a declared one of the same type the
// index that f asks for.
func setField(ctx context.Context, coll *eider.Collection, name string, f eider.Field) error {
	old, ok := coll.Schema().Fields[name]
	switch {
	case !ok:
		return coll.AddField(ctx, name, f)
	case old.Type != f.Type:
		return &problem{Code: eider.CodeExists, Detail: "field " + name + " is of type " + string(old.Type), Hint: "declare the new type under another name"}
	case old.Index == f.Index:
		return nil
	case f.Index:
		return coll.AddIndex(ctx, name)
	default:
		return coll.DropIndex(ctx, name)
	}
}

// setVector adds a vector, rebuilds the index of one, or drops it (nil).
func setVector(ctx context.Context, coll *eider.Collection, name string, v *eider.Vector) error {
	old, ok := coll.Schema().Vectors[name]
	switch {
	case v == nil:
		return coll.DropVector(ctx, name)
	case !ok:
		return coll.AddVector(ctx, name, *v)
	}
	// What v leaves out is as it is.
	if v.Metric == "" {
		v.Metric = old.Metric
	}
	if v.Storage == "" {
		v.Storage = old.Storage
	}
	if v.Dim == 0 {
		v.Dim = old.Dim
	}
	same := old
	same.Index = v.Index
	if v.Encoder == "" && len(v.Source) == 0 {
		v.Encoder, v.Source = old.Encoder, old.Source
	}
	if !reflect.DeepEqual(same, *v) {
		return &problem{Code: eider.CodeExists, Detail: "vector " + name + " exists with another shape; only its index can change", Hint: "add a vector under another name"}
	}
	return coll.SetVectorIndex(ctx, name, v.Index)
}

func putField(c *call) error {
	var f eider.Field
	if err := c.decode(&f); err != nil {
		return err
	}
	coll, err := c.collection()
	if err != nil {
		return err
	}
	if err := setField(c.ctx, coll, c.path("f"), f); err != nil {
		return err
	}
	return c.describe(http.StatusOK, coll)
}

// deleteField empties a field: documents lose it, and its index goes. The
// declaration stays, so that the name keeps its type.
func deleteField(c *call) error {
	coll, err := c.collection()
	if err != nil {
		return err
	}
	name := c.path("f")
	n, receipt, err := coll.UpdateWhere(c.ctx, eider.Exists(name), map[string]any{name: nil}, false)
	if err != nil {
		return err
	}
	if coll.Schema().Fields[name].Index {
		if err := coll.DropIndex(c.ctx, name); err != nil {
			return err
		}
	}
	return c.touched(n, receipt.LSN, false)
}

func putIndex(c *call) error {
	coll, err := c.collection()
	if err != nil {
		return err
	}
	if err := coll.AddIndex(c.ctx, c.path("f")); err != nil {
		return err
	}
	return c.describe(http.StatusOK, coll)
}

func deleteIndex(c *call) error {
	coll, err := c.collection()
	if err != nil {
		return err
	}
	if err := coll.DropIndex(c.ctx, c.path("f")); err != nil {
		return err
	}
	return c.nothing()
}

func putVector(c *call) error {
	var v eider.Vector
	if err := c.decode(&v); err != nil {
		return err
	}
	coll, err := c.collection()
	if err != nil {
		return err
	}
	if err := setVector(c.ctx, coll, c.path("v"), &v); err != nil {
		return err
	}
	return c.describe(http.StatusOK, coll)
}

func deleteVector(c *call) error {
	coll, err := c.collection()
	if err != nil {
		return err
	}
	if err := coll.DropVector(c.ctx, c.path("v")); err != nil {
		return err
	}
	return c.nothing()
}

// aliases

type aliasList struct {
	Aliases map[string]string `json:"aliases"` // alias to collection
}

type aliasTarget struct {
	Collection string `json:"collection"`
}

type aliasBatch struct {
	Changes []eider.AliasChange `json:"changes"`
}

func listAliases(c *call) error {
	all := c.a.db.Aliases()
	if all == nil {
		all = map[string]string{}
	}
	return c.reply(http.StatusOK, aliasList{all})
}

func putAlias(c *call) error {
	var t aliasTarget
	if err := c.decode(&t); err != nil {
		return err
	}
	if t.Collection == "" {
		return invalid("/collection", "name the collection that the alias stands for")
	}
	if err := c.a.db.SetAliases(c.ctx, eider.AliasChange{Alias: c.path("a"), Collection: t.Collection}); err != nil {
		return err
	}
	return c.nothing()
}

func deleteAlias(c *call) error {
	if err := c.a.db.SetAliases(c.ctx, eider.AliasChange{Alias: c.path("a")}); err != nil {
		return err
	}
	return c.nothing()
}

func batchAliases(c *call) error {
	var b aliasBatch
	if err := c.decode(&b); err != nil {
		return err
	}
	if len(b.Changes) == 0 || len(b.Changes) > maxBatch {
		return invalid("/changes", "give 1 to %d changes", maxBatch)
	}
	if err := c.a.db.SetAliases(c.ctx, b.Changes...); err != nil {
		return err
	}
	return c.nothing()
}
