package eider

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/eiderdb/eider/storage/format"
)

// Train trains a model on events and documents as of one LSN and stores it as a new
// version, in the background: one training at a time, on one processor, giving way to
// others between steps. It returns when the job is queued; the job tells the rest.
//
// What it learned is stored once, at its end: until then no version has anything of
// it. A job that the database's or the process's end interrupts is kept, with its last
// checkpoint (Options.CheckpointInterval), for Resume; not in memory. Whatever happens,
// the version that serves goes on serving. Model weights are no events: erasing a user does not
// change versions trained before. Errors: ErrInvalid and ErrUnknownField with the
// place, ErrNotFound, ErrOverloaded, ErrReadOnly, ErrClosed.
func (db *DB) Train(ctx context.Context, spec TrainSpec) (*Job, error) {
	err := ctx.Err()
	if err == nil && db.opts.ReadOnly {
		err = ErrReadOnly
	}
	if err == nil {
		err = spec.complete()
	}
	if err == nil {
		_, err = db.dinFields(spec.Collection, spec.Fields)
	}
	if err != nil {
		return nil, db.Models().fail("train", err)
	}
	var id [8]byte
	rand.Read(id[:])
	j := db.newJob(binary.BigEndian.Uint64(id[:]), jobRecord{Spec: spec, Created: db.opts.Now().UTC()})
	db.storeJob(j, nil)
	if err := db.startJob(j, nil); err != nil {
		db.dropJob(j)
		return nil, db.Models().fail("train", err)
	}
	return j, nil
}

// train is the work of a job.
func (db *DB) train(ctx context.Context, j *Job) error {
	spec := &j.stored.Spec
	stored, held, err := db.trained(ctx, j)
	if err != nil {
		return err
	}
	j.update(func(s *JobState) {
		v := describeVersion(stored)
		s.Version = &v
	})
	if !spec.Promote {
		return nil
	}
	p, err := db.promoteBetter(ctx, spec, held, stored.Version)
	if ctx.Err() != nil {
		return err
	}
	j.update(func(s *JobState) {
		if err != nil {
			s.Refused = err.Error()
		} else {
			s.Promotion = &p
		}
	})
	return nil
}

// trained returns the version of a job, and the clicks to measure it on: it trains
// and stores it, unless the job had when it was interrupted. The weights have the
// job's number, which tells.
func (db *DB) trained(ctx context.Context, j *Job) (*format.Model, *clicks, error) {
	spec := &j.stored.Spec
	if j.resumed {
		stored, err := db.registry.Find(spec.Model, j.number)
		if err == nil && stored != nil {
			held, err := db.clicksUntil(ctx, spec, stored.To)
			return stored, held, err
		}
		if err != nil {
			return nil, nil, err
		}
	}
	t, reason, err := db.learn(ctx, j)
	if err != nil {
		return nil, nil, err
	}
	m := t.model.manifest(spec.Model)
	m.Weights, m.From, m.To, m.Seed, m.Code = j.number, t.clicks.from, t.clicks.lsn, spec.Seed, revision()
	if m.Metrics, err = t.measure(ctx); err != nil {
		return nil, nil, err
	}
	stored, err := db.registry.Put(ctx, m, t.model.tensors())
	if err != nil {
		return nil, nil, err
	}
	j.update(func(s *JobState) { s.Reason = reason })
	db.log.Info("model trained", "model", stored.Name, "version", stored.Version, "why", reason)
	return stored, t.clicks, nil
}

// clicksUntil reads what is left of the clicks that a training had, up to an LSN.
func (db *DB) clicksUntil(ctx context.Context, spec *TrainSpec, until uint64) (*clicks, error) {
	view, err := db.viewAt(0)
	if err != nil {
		return nil, err
	}
	defer view.Release()
	q := spec.clicks()
	q.until = until
	return readClicks(ctx, view, q)
}

// promoteBetter promotes a version whose GAUC is not below that of the version that
// serves, both measured now, on the same events and documents.
func (db *DB) promoteBetter(ctx context.Context, spec *TrainSpec, k *clicks, version uint32) (Promotion, error) {
	view, err := db.viewAt(0)
	if err != nil {
		return Promotion{}, err
	}
	defer view.Release()
	gate := Gate{Metric: "gauc", Margin: spec.Margin}
	measure := func(ref string) (*Metric, error) {
		l, err := db.serving.at(ctx, view, ref)
		if err != nil {
			return nil, err
		}
		all, err := k.measure(ctx, db, view, l)
		if err != nil {
			return nil, fmt.Errorf("measuring %v: %w", l, err)
		}
		return &all[slices.IndexFunc(all, func(m Metric) bool { return m.Name == gate.Metric })], nil
	}
	if gate.Candidate, err = measure(versionRef(spec.Model, version)); err != nil {
		return Promotion{}, err
	}
	gate.Served, err = measure(spec.Model + "@" + spec.Alias)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Promotion{}, err
	}
	return db.Models().Promote(ctx, spec.Model, version, PromoteOptions{Alias: spec.Alias, Gate: gate, Note: "trained"})
}
