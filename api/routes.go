package api

import (
	"github.com/eiderdb/eider"
)

const (
	kib = 1 << 10
	mib = 1 << 20
)

// The costs of the table.
var (
	lookup = cost{reading, 1} // a key or two
	query  = cost{reading, 1} // one search
	scan   = cost{reading, 2} // may read many documents
	change = cost{writing, 1}
	bulk   = cost{writing, 8}
	feed   = cost{streaming, 1}
	long   = cost{streaming, 2} // rewrites much; has no time limit
)

// Query parameters and headers that several rows share.
var (
	ifMatch   = param{"If-Match", true, "string", "version the document must have, as its ETag, or * for any"}
	ifNone    = param{"If-None-Match", true, "string", "* when the document must not exist; on GET the ETag already held"}
	fieldList = param{"fields", false, "string", "names of fields to return, separated by commas; all by default"}
	vecList   = param{"vectors", false, "string", "names of vectors to return, separated by commas; none by default"}
	filterArg = param{"filter", false, "string", "a filter as JSON"}
)

// routes is the whole surface: one row per method and path.
func (a *api) routes() []route {
	rows := []route{
		{"GET", "/livez", public, 0, noBody, ungated, a.live, doc{id: "livez", tag: "health", summary: "The process runs", out: health{}, status: 200}},
		{"GET", "/readyz", public, 0, noBody, ungated, a.ready, doc{id: "readyz", tag: "health", summary: "The server takes work", out: health{}, status: 200}},
		{"GET", "/metrics", read, onDatabase, noBody, ungated, a.metrics, doc{id: "metrics", tag: "health", summary: "Metrics in Prometheus text form", outType: "text/plain", status: 200}},
		{"GET", "/openapi.json", public, 0, noBody, ungated, a.openapiJSON, doc{id: "openapi", tag: "health", summary: "This document", outType: "application/json", status: 200}},
		{"GET", "/docs", public, 0, noBody, ungated, docsPage, doc{id: "docs", tag: "console", summary: "The API as a page", outType: "text/html", status: 200}},
		{"GET", "/ui", public, 0, noBody, ungated, consolePage, doc{id: "ui", tag: "console", summary: "The console", outType: "text/html", status: 200}},
		{"GET", "/ui/*", public, 0, noBody, ungated, consolePage, doc{id: "uiFiles", tag: "console", summary: "Files of the console", outType: "*/*", status: 200}},

		{"GET", "/v1/collections", read, onListed, noBody, lookup, listCollections, doc{id: "listCollections", tag: "collections", summary: "The collections the key may read", out: collectionList{}, status: 200}},
		{"PUT", "/v1/collections/{c}", admin, onCollection, mib, change, putCollection, doc{id: "putCollection", tag: "collections", summary: "Create a collection; the same schema again is no error", in: eider.Schema{}, out: eider.Info{}, status: 201, also: []int{200}}},
		{"GET", "/v1/collections/{c}", read, onCollection, noBody, lookup, getCollection, doc{id: "getCollection", tag: "collections", summary: "Schema and counts of a collection", out: eider.Info{}, status: 200}},
		{"HEAD", "/v1/collections/{c}", read, onCollection, noBody, lookup, getCollection, doc{id: "headCollection", tag: "collections", summary: "Whether a collection exists", status: 200}},
		{"DELETE", "/v1/collections/{c}", admin, onCollection, noBody, change, dropCollection, doc{id: "dropCollection", tag: "collections", summary: "Drop a collection and its documents", status: 204}},
		{"PATCH", "/v1/collections/{c}", admin, onCollection, mib, change, patchCollection, doc{id: "patchCollection", tag: "collections", summary: "Evolve the schema", in: evolution{}, out: eider.Info{}, status: 200, query: []param{ifMatch}}},
		{"GET", "/v1/collections/{c}/stats", read, onCollection, noBody, scan, collectionStats, doc{id: "collectionStats", tag: "collections", summary: "Sizes of a collection and its indexes", out: eider.CollectionStats{}, status: 200}},
		{"PUT", "/v1/collections/{c}/fields/{f}", admin, onCollection, 64 * kib, change, putField, doc{id: "putField", tag: "schema", summary: "Declare a field", in: eider.Field{}, out: eider.Info{}, status: 200}},
		{"DELETE", "/v1/collections/{c}/fields/{f}", admin, onCollection, noBody, long, deleteField, doc{id: "deleteField", tag: "schema", summary: "Remove a field from the documents that have it and drop its index", out: touched{}, status: 200}},
		{"PUT", "/v1/collections/{c}/fields/{f}/index", admin, onCollection, noBody, long, putIndex, doc{id: "putIndex", tag: "schema", summary: "Index a field; answers when the index is ready", out: eider.Info{}, status: 200}},
		{"DELETE", "/v1/collections/{c}/fields/{f}/index", admin, onCollection, noBody, change, deleteIndex, doc{id: "deleteIndex", tag: "schema", summary: "Drop the index of a field", status: 204}},
		{"PUT", "/v1/collections/{c}/vectors/{v}", admin, onCollection, 64 * kib, long, putVector, doc{id: "putVector", tag: "schema", summary: "Add a named vector, or rebuild its index with other parameters", in: eider.Vector{}, out: eider.Info{}, status: 200}},
		{"DELETE", "/v1/collections/{c}/vectors/{v}", admin, onCollection, noBody, change, deleteVector, doc{id: "deleteVector", tag: "schema", summary: "Drop a named vector", status: 204}},

		{"GET", "/v1/aliases", read, onDatabase, noBody, lookup, listAliases, doc{id: "listAliases", tag: "aliases", summary: "The aliases", out: aliasList{}, status: 200}},
		{"PUT", "/v1/aliases/{a}", admin, onDatabase, 64 * kib, change, putAlias, doc{id: "putAlias", tag: "aliases", summary: "Point an alias at a collection", in: aliasTarget{}, status: 204}},
		{"DELETE", "/v1/aliases/{a}", admin, onDatabase, noBody, change, deleteAlias, doc{id: "deleteAlias", tag: "aliases", summary: "Remove an alias", status: 204}},
		{"POST", "/v1/aliases/batch", admin, onDatabase, 64 * kib, change, batchAliases, doc{id: "batchAliases", tag: "aliases", summary: "Change several aliases at once", in: aliasBatch{}, status: 204}},

		{"PUT", "/v1/collections/{c}/docs/{id}", write, onCollection, mib, change, putDoc, doc{id: "putDoc", tag: "documents", summary: "Write a document", in: eider.Doc{}, out: eider.Receipt{}, status: 201, also: []int{200}, query: []param{ifMatch, ifNone}}},
		{"GET", "/v1/collections/{c}/docs/{id}", read, onCollection, noBody, lookup, getDoc, doc{id: "getDoc", tag: "documents", summary: "Read a document", out: eider.Doc{}, status: 200, also: []int{304}, query: []param{fieldList, vecList, ifNone}}},
		{"PATCH", "/v1/collections/{c}/docs/{id}", write, onCollection, mib, change, patchDoc, doc{id: "patchDoc", tag: "documents", summary: "Change fields of a document; null removes one", in: eider.Doc{}, out: eider.Receipt{}, status: 200, query: []param{ifMatch}}},
		{"DELETE", "/v1/collections/{c}/docs/{id}", write, onCollection, noBody, change, deleteDoc, doc{id: "deleteDoc", tag: "documents", summary: "Delete a document", out: eider.Receipt{}, status: 200, query: []param{ifMatch}}},
		{"POST", "/v1/collections/{c}/docs/batch", write, onCollection, 32 * mib, bulk, batchDocs, doc{id: "batchDocs", tag: "documents", summary: "Write up to 1000 documents", in: batch{}, out: batchResult{}, status: 200}},
		{"POST", "/v1/collections/{c}/docs/scroll", read, onCollection, mib, scan, scrollDocs, doc{id: "scrollDocs", tag: "documents", summary: "Page through documents in id order", in: eider.Scroll{}, out: eider.Page{}, status: 200}},
		{"POST", "/v1/collections/{c}/docs/count", read, onCollection, mib, scan, countDocs, doc{id: "countDocs", tag: "documents", summary: "Count the documents that pass a filter", in: where{}, out: counted64{}, status: 200}},
		{"POST", "/v1/collections/{c}/docs/delete", write, onCollection, mib, long, deleteWhere, doc{id: "deleteWhere", tag: "documents", summary: "Delete the documents that pass a filter", in: deletion{}, out: touched{}, status: 200}},
		{"POST", "/v1/collections/{c}/docs/update", write, onCollection, mib, long, updateWhere, doc{id: "updateWhere", tag: "documents", summary: "Set fields of the documents that pass a filter", in: updating{}, out: touched{}, status: 200}},
		{"POST", "/v1/collections/{c}/docs/import", write, onCollection, a.o.ImportBytes, feed, importDocs, doc{id: "importDocs", tag: "bulk", summary: "Import a stream of ndjson, csv, parquet, npy or fvecs", inType: "application/octet-stream", outType: "application/x-ndjson", status: 200, query: importParams}},
		{"GET", "/v1/collections/{c}/docs/export", read, onCollection, noBody, feed, exportDocs, doc{id: "exportDocs", tag: "bulk", summary: "Every document as ndjson, in id order, as of one LSN", outType: "application/x-ndjson", status: 200, query: []param{filterArg}}},

		{"POST", "/v1/collections/{c}/search", read, onCollection, mib, query, search, doc{id: "search", tag: "search", summary: "Search a collection", in: eider.Query{}, out: eider.Result{}, status: 200}},
		{"POST", "/v1/collections/{c}/explain", read, onCollection, mib, query, explain, doc{id: "explain", tag: "search", summary: "Search, and say what each phase did", in: eider.Query{}, out: eider.Result{}, status: 200}},
		{"POST", "/v1/search/batch", read, onListed, 8 * mib, cost{reading, 4}, searchBatch, doc{id: "searchBatch", tag: "search", summary: "Up to 100 searches, across collections", in: searches{}, out: searchResults{}, status: 200}},

		{"GET", "/v1/collections/{c}/bottlenecks", read, onCollection, noBody, lookup, listBottlenecks, doc{id: "listBottlenecks", tag: "bottlenecks", summary: "The bottlenecks of a collection", out: bottleneckList{}, status: 200}},
		{"PUT", "/v1/collections/{c}/bottlenecks/{b}", admin, onCollection, mib, long, putBottleneck, doc{id: "putBottleneck", tag: "bottlenecks", summary: "Attach a classifier to a vector; answers when its keys are made", in: eider.BottleneckSpec{}, out: eider.BottleneckInfo{}, status: 201}},
		{"GET", "/v1/collections/{c}/bottlenecks/{b}", read, onCollection, noBody, lookup, getBottleneck, doc{id: "getBottleneck", tag: "bottlenecks", summary: "What a bottleneck is and has learned", out: eider.BottleneckInfo{}, status: 200}},
		{"DELETE", "/v1/collections/{c}/bottlenecks/{b}", admin, onCollection, noBody, change, deleteBottleneck, doc{id: "deleteBottleneck", tag: "bottlenecks", summary: "Drop a bottleneck with all it learned", status: 204}},
		{"POST", "/v1/collections/{c}/bottlenecks/{b}/learn", write, onCollection, 32 * mib, bulk, learnBottleneck, doc{id: "learn", tag: "bottlenecks", summary: "Teach up to 10000 examples, all or none", in: learnOrder{}, out: eider.Learned{}, status: 200}},
		{"POST", "/v1/collections/{c}/bottlenecks/{b}/predict", read, onCollection, 8 * mib, query, predictBottleneck, doc{id: "classify", tag: "bottlenecks", summary: "Predict rows by what was learned, and name the rows that voted", in: eider.Unclassified{}, out: classifiedList{}, status: 200}},
		{"POST", "/v1/collections/{c}/bottlenecks/{b}/unlearn", write, onCollection, 64 * kib, change, unlearnBottleneck, doc{id: "unlearn", tag: "bottlenecks", summary: "Take away what a document taught, or a class", in: unlearnOrder{}, status: 204}},

		{"POST", "/v1/events", write, onDatabase, 32 * mib, bulk, postEvents, doc{id: "appendEvents", tag: "events", summary: "Store up to 10000 events, all or none; an id that its user has is not stored again", in: eventBatch{}, out: eider.Appended{}, status: 200}},
		{"GET", "/v1/events", read, onDatabase, noBody, lookup, eventStats, doc{id: "eventStats", tag: "events", summary: "How many events and users there are, and how long events are kept", out: eider.EventStats{}, status: 200}},
		{"POST", "/v1/events/import", write, onDatabase, a.o.ImportBytes, feed, importEvents, doc{id: "importEvents", tag: "events", summary: "Import a stream of events as ndjson, csv or parquet", inType: "application/octet-stream", outType: "application/x-ndjson", status: 200, query: eventImportParams}},
		{"GET", "/v1/events/export", read, onDatabase, noBody, feed, exportEvents, doc{id: "exportEvents", tag: "events", summary: "Every event as ndjson, user by user, as of one LSN", outType: "application/x-ndjson", status: 200, query: eventRange}},
		{"PUT", "/v1/events/retention", admin, onDatabase, 64 * kib, long, putRetention, doc{id: "putRetention", tag: "events", summary: "Keep events for an age, and delete those that are older", in: eventAge{}, out: deletedEvents{}, status: 200}},
		{"GET", "/v1/events/users/{id}", read, onDatabase, noBody, scan, getHistory, doc{id: "history", tag: "events", summary: "The newest events of a user, oldest first", out: eider.History{}, status: 200, query: historyParams}},
		{"DELETE", "/v1/events/users/{id}", write, onDatabase, noBody, change, eraseUser, doc{id: "eraseUser", tag: "events", summary: "Erase a user with all events", out: deletedEvents{}, status: 200}},

		{"GET", "/v1/changes", read, onDatabase, noBody, feed, changes, doc{id: "changes", tag: "changes", summary: "The change feed after an LSN, as ndjson or server-sent events", outType: "application/x-ndjson", status: 200, query: changeParams}},

		{"GET", "/v1/snapshots", admin, onDatabase, noBody, lookup, listSnapshots, doc{id: "listSnapshots", tag: "snapshots", summary: "The snapshots", out: snapshotList{}, status: 200}},
		{"POST", "/v1/snapshots", admin, onDatabase, 64 * kib, long, postSnapshot, doc{id: "postSnapshot", tag: "snapshots", summary: "Take a snapshot", in: snapshotOrder{}, out: snapshot{}, status: 201}},
		{"GET", "/v1/snapshots/{s}", admin, onDatabase, noBody, lookup, getSnapshot, doc{id: "getSnapshot", tag: "snapshots", summary: "One snapshot", out: snapshot{}, status: 200}},
		{"DELETE", "/v1/snapshots/{s}", admin, onDatabase, noBody, change, deleteSnapshot, doc{id: "deleteSnapshot", tag: "snapshots", summary: "Delete a snapshot", status: 204}},

		{"GET", "/v1/models", read, onDatabase, noBody, lookup, listModels, doc{id: "listModels", tag: "models", summary: "The models", out: modelList{}, status: 200}},
		{"GET", "/v1/models/{m}", read, onDatabase, noBody, lookup, getModel, doc{id: "getModel", tag: "models", summary: "Versions and aliases of a model", out: eider.Model{}, status: 200}},
		{"GET", "/v1/models/{m}/versions", read, onDatabase, noBody, lookup, listVersions, doc{id: "listVersions", tag: "models", summary: "The versions of a model, oldest first", out: versionList{}, status: 200}},
		{"POST", "/v1/models/{m}/versions", admin, onDatabase, 32 * mib, bulk, postVersion, doc{id: "postVersion", tag: "models", summary: "Store a small model as a new version; larger ones are imported", in: newVersion{}, out: eider.ModelVersion{}, status: 201}},
		{"GET", "/v1/models/{m}/versions/{ref}", read, onDatabase, noBody, lookup, getVersion, doc{id: "getVersion", tag: "models", summary: "One version, by number or alias", out: eider.ModelVersion{}, status: 200}},
		{"DELETE", "/v1/models/{m}/versions/{ref}", admin, onDatabase, noBody, change, deleteVersion, doc{id: "deleteVersion", tag: "models", summary: "Delete a version, by number, that no alias needs", status: 204}},
		{"GET", "/v1/models/{m}/versions/{ref}/export", read, onDatabase, noBody, feed, exportModel, doc{id: "exportModel", tag: "models", summary: "A version as tar or safetensors", outType: "application/x-tar", status: 200, query: exportParams}},
		{"POST", "/v1/models/{m}/import", admin, onDatabase, a.o.ImportBytes, feed, importModel, doc{id: "importModel", tag: "models", summary: "Store a tar of config.json and model.safetensors as a new version", inType: "application/x-tar", out: eider.ModelVersion{}, status: 201}},
		{"GET", "/v1/models/{m}/aliases/{a}", read, onDatabase, noBody, lookup, getModelAlias, doc{id: "modelAlias", tag: "models", summary: "Where an alias pointed, newest first", out: promotionList{}, status: 200}},
		{"DELETE", "/v1/models/{m}/aliases/{a}", admin, onDatabase, noBody, change, deleteModelAlias, doc{id: "deleteModelAlias", tag: "models", summary: "Remove an alias; its history stays", status: 204, query: unaliasParams}},
		{"POST", "/v1/models/{m}/promote", admin, onDatabase, 64 * kib, long, promote, doc{id: "promote", tag: "models", summary: "Point an alias at a version that passes the gate", in: promotionOrder{}, out: eider.Promotion{}, status: 200}},
		{"POST", "/v1/models/{m}/rollback", admin, onDatabase, 64 * kib, long, rollback, doc{id: "rollback", tag: "models", summary: "Point an alias at the version that served before", in: rollbackOrder{}, out: eider.Promotion{}, status: 200}},
		{"POST", "/v1/models/{m}/predict", read, onDatabase, 8 * mib, query, predict, doc{id: "predict", tag: "models", summary: "Score rows or documents by a model", in: predictOrder{}, out: eider.Prediction{}, status: 200}},
		{"POST", "/v1/models/{m}/train", admin, onDatabase, 64 * kib, change, trainModel, doc{id: "train", tag: "models", summary: "Train a model on events and documents, as a job", in: eider.TrainSpec{}, out: eider.JobState{}, status: 202}},
		{"POST", "/v1/models/{m}/evaluate", admin, onDatabase, 64 * kib, long, evaluateModel, doc{id: "evaluate", tag: "models", summary: "Measure a version on events that are held out", in: evaluationOrder{}, out: eider.Evaluation{}, status: 200}},

		{"GET", "/v1/jobs", read, onDatabase, noBody, lookup, listJobs, doc{id: "listJobs", tag: "jobs", summary: "The jobs since the server began and those interrupted before, newest first", out: jobList{}, status: 200}},
		{"GET", "/v1/jobs/{j}", read, onDatabase, noBody, lookup, getJob, doc{id: "getJob", tag: "jobs", summary: "How far a job is", out: eider.JobState{}, status: 200}},
		{"DELETE", "/v1/jobs/{j}", admin, onDatabase, noBody, change, cancelJob, doc{id: "cancelJob", tag: "jobs", summary: "Ask a job to end", out: eider.JobState{}, status: 202}},
		{"POST", "/v1/jobs/{j}/resume", admin, onDatabase, noBody, change, resumeJob, doc{id: "resumeJob", tag: "jobs", summary: "Go on with an interrupted job from its last checkpoint", out: eider.JobState{}, status: 202}},
		{"GET", "/v1/jobs/{j}/events", read, onDatabase, noBody, feed, followJob, doc{id: "followJob", tag: "jobs", summary: "The states of a job until it has ended, as ndjson or server-sent events", outType: "application/x-ndjson", status: 200}},

		{"GET", "/v1/keys", admin, onDatabase, noBody, lookup, listKeys, doc{id: "listKeys", tag: "keys", summary: "The keys, without their secrets", out: keyList{}, status: 200}},
		{"POST", "/v1/keys", admin, onDatabase, 64 * kib, change, postKey, doc{id: "postKey", tag: "keys", summary: "Make a key; its text is shown once", in: keyOrder{}, out: newKey{}, status: 201}},
		{"DELETE", "/v1/keys/{k}", admin, onDatabase, noBody, change, deleteKey, doc{id: "deleteKey", tag: "keys", summary: "Revoke a key", status: 204}},

		{"GET", "/v1/stats", read, onDatabase, noBody, scan, stats, doc{id: "stats", tag: "health", summary: "Sizes of the database", out: eider.Stats{}, status: 200}},
		{"GET", "/v1/advice", read, onDatabase, noBody, scan, adviceList, doc{id: "advice", tag: "health", summary: "What would make this database faster or smaller", out: advices{}, status: 200}},
	}
	return rows
}
