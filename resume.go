package eider

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/eiderdb/eider/internal/train"
	"github.com/eiderdb/eider/recsys"
)

// jobRecord is what is stored of a job beside its checkpoint.
type jobRecord struct {
	Spec     TrainSpec     `json:"spec"`
	Created  time.Time     `json:"created"`
	Progress TrainProgress `json:"progress"`
	// Used is the time that it trained so far.
	Used Duration `json:"used"`
	// LSN is that of the data it trains on, Data their fingerprint; 0 and nil before
	// the first checkpoint.
	LSN  uint64 `json:"lsn,omitempty"`
	Data []byte `json:"data,omitempty"`
}

// storesJobs reports whether jobs outlive the process.
func (db *DB) storesJobs() bool { return db.dir != "" && !db.opts.ReadOnly }

// storeJob stores a job that has not ended, with the checkpoint that write writes,
// nil for none. What goes wrong costs time after a crash, so it is only logged.
func (db *DB) storeJob(j *Job, write func(io.Writer) error) {
	if !db.storesJobs() {
		return
	}
	r := j.stored
	r.Progress = j.State().Progress
	about, err := json.Marshal(r)
	if err == nil {
		err = db.store.SaveJob(context.WithoutCancel(db.ctx), j.number, about, write)
	}
	if err != nil {
		db.log.Warn("job was not saved; after a crash it is as it was before", "job", j.ID(), "err", err)
	}
}

// dropJob deletes what is stored of a job.
func (db *DB) dropJob(j *Job) {
	if !db.storesJobs() {
		return
	}
	if err := db.store.DropJob(j.number); err != nil {
		db.log.Warn("what is stored of a job could not be deleted", "job", j.ID(), "err", err)
	}
}

var errInterrupted = fmt.Errorf("%w: the job was interrupted; resume it", ErrClosed)

// openJobs makes the jobs known that had not ended when the database was left, the
// newest maxQueued of them. Those that cannot be read are deleted.
func (db *DB) openJobs() error {
	if !db.storesJobs() {
		return nil
	}
	stored, err := db.store.Jobs()
	if err != nil {
		return translate(err)
	}
	for _, f := range stored {
		var r jobRecord
		err := json.Unmarshal(f.About, &r)
		j := db.newJob(f.ID, r)
		if err != nil {
			db.log.Warn("what is stored of a job cannot be read and is deleted", "job", j.ID(), "err", err)
			db.dropJob(j)
			continue
		}
		j.cancel = func() { db.giveUp(j) }
		j.state.Status = JobInterrupted
		j.err = db.Models().fail("train", errInterrupted)
		j.state.Error, j.state.Code = j.err.Error(), CodeOf(j.err)
		close(j.done)
		db.jobs.all = append(db.jobs.all, j)
	}
	slices.SortStableFunc(db.jobs.all, func(a, b *Job) int { return a.stored.Created.Compare(b.stored.Created) })
	for len(db.jobs.all) > maxQueued {
		db.log.Warn("many jobs were interrupted and never resumed; the oldest is given up", "job", db.jobs.all[0].ID())
		db.dropJob(db.jobs.all[0])
		db.jobs.all = slices.Delete(db.jobs.all, 0, 1)
	}
	return nil
}

// giveUp cancels an interrupted job, unless it was resumed.
func (db *DB) giveUp(j *Job) {
	db.jobs.mu.Lock()
	defer db.jobs.mu.Unlock()
	if db.jobs.closed || !slices.Contains(db.jobs.all, j) || j.State().Status != JobInterrupted {
		return
	}
	db.dropJob(j)
	j.update(func(s *JobState) { s.Status, s.Ended = JobCancelled, db.opts.Now().UTC() })
}

// Resume queues a job again that was interrupted: by Close, a crash or kill -9. It
// has its id as before and goes on from its last checkpoint, with the same bytes at
// the end as a training that was not interrupted, of the same binary on the same kind
// of processor. Before its first checkpoint it begins anew, and so it does where the
// checkpoint is damaged or of another version.
//
// It trains on the same data: events up to the LSN of the first run, read again. If
// any of them, or fields of their documents that it learns from, were changed or
// deleted since (by erasing a user, by retention) the job fails with ErrConflict.
//
// A process killed after the version was stored, before the job was done, leaves a job
// that can be resumed too: it stores no other version, and promotes that one. Errors:
// ErrNotFound, ErrConflict if the job is not interrupted, ErrOverloaded, ErrReadOnly,
// ErrClosed; those of Train for what is no longer there.
func (db *DB) Resume(ctx context.Context, id string) (*Job, error) {
	err := ctx.Err()
	if err == nil && db.opts.ReadOnly {
		err = ErrReadOnly
	}
	if err != nil {
		return nil, db.Models().fail("resume", err)
	}
	old, err := db.Job(id)
	if err != nil {
		return nil, err
	}
	if s := old.State(); s.Status != JobInterrupted {
		return nil, db.Models().fail("resume", fmt.Errorf("%w: job %s is %s, not interrupted", ErrConflict, s.ID, s.Status))
	}
	j := db.newJob(old.number, old.stored)
	j.resumed = true
	if err = j.stored.Spec.complete(); err == nil {
		_, err = db.dinFields(j.stored.Spec.Collection, j.stored.Spec.Fields)
	}
	if err == nil {
		err = db.startJob(j, old)
	}
	if err != nil {
		return nil, db.Models().fail("resume", err)
	}
	return j, nil
}

// learn trains from the job's last checkpoint on, or from the beginning, and returns
// why the training ended.
func (db *DB) learn(ctx context.Context, j *Job) (*dinTrainer, string, error) {
	checkpoint, err := db.loadCheckpoint(j)
	if err != nil {
		return nil, "", err
	}
	t, reason, err := db.learnFrom(ctx, j, checkpoint)
	if errors.Is(err, train.ErrCheckpoint) {
		db.log.Warn("the checkpoint does not fit; the training begins anew", "job", j.ID(), "err", err)
		j.begin()
		t, reason, err = db.learnFrom(ctx, j, nil)
	}
	return t, reason, err
}

// loadCheckpoint is the job's, nil if there is none that can be used.
func (db *DB) loadCheckpoint(j *Job) ([]byte, error) {
	if j.stored.Data == nil {
		return nil, nil
	}
	b, err := db.store.LoadJob(j.number)
	if err != nil || b == nil {
		db.log.Warn("the checkpoint cannot be read; the training begins anew", "job", j.ID(), "err", err)
		j.begin()
	}
	return b, nil
}

// begin forgets how far the job was.
func (j *Job) begin() {
	j.stored.Used, j.stored.LSN, j.stored.Data = 0, 0, nil
	j.update(func(s *JobState) { s.Progress = TrainProgress{} })
}

func (db *DB) learnFrom(ctx context.Context, j *Job, checkpoint []byte) (*dinTrainer, string, error) {
	r := &j.stored
	t, err := db.newDinTrainer(ctx, &r.Spec, r.LSN)
	if err != nil {
		return nil, "", err
	}
	data := t.fingerprint()
	if r.Data != nil && (!bytes.Equal(data, r.Data) || r.LSN > db.LSN()) {
		return nil, "", fmt.Errorf("%w: events or documents that the job began with, as of LSN %d, were changed or deleted; train anew", ErrConflict, r.LSN)
	}
	r.LSN, r.Data = t.clicks.lsn, data
	o := train.Options{Resume: checkpoint}
	if db.storesJobs() {
		o.Every, o.Save = 1, db.saver(ctx, j)
	}
	if r.Spec.Budget > 0 {
		o.Budget = max(1, time.Duration(r.Spec.Budget-r.Used))
	}
	reason, err := t.run(ctx, j, o)
	return t, reason, err
}

// saver stores checkpoints when it is time, and when the database closes.
func (db *DB) saver(ctx context.Context, j *Job) func(func(io.Writer) error) error {
	began, used, wait := time.Now(), j.stored.Used, db.opts.CheckpointInterval
	next := began.Add(wait)
	return func(write func(io.Writer) error) error {
		now := time.Now()
		if ctx.Err() != nil && errors.Is(context.Cause(ctx), errCancelled) || ctx.Err() == nil && (wait < 0 || now.Before(next)) {
			return nil
		}
		j.stored.Used = used + Duration(now.Sub(began))
		db.storeJob(j, write)
		saved := time.Now()
		next = saved.Add(max(wait, 10*saved.Sub(now)))
		return nil
	}
}

// fingerprint is the SHA-256 of all that the training and its measurement depend on
// beside the specification: items, what users did in which order, what is held out,
// and the features of documents.
func (t *dinTrainer) fingerprint() []byte {
	k, h := t.clicks, sha256.New()
	w := bufio.NewWriterSize(h, 1<<16) // a hash takes all it is given
	var b []byte
	number := func(x uint64) { b = binary.AppendUvarint(b[:0], x); w.Write(b) }
	text := func(s string) { number(uint64(len(s))); w.WriteString(s) }
	events := func(all []recsys.Event[uint32]) {
		number(uint64(len(all)))
		for _, e := range all {
			number(uint64(e.Item))
			number(uint64(e.Time))
		}
	}
	held := func(all []heldOut) {
		number(uint64(len(all)))
		for i := range all {
			events(all[i].past)
			number(uint64(len(all[i].items)))
			for _, it := range all[i].items {
				number(uint64(it))
			}
		}
	}
	number(k.from)
	number(uint64(k.users))
	number(uint64(len(k.items)))
	for it, name := range k.items {
		text(name)
		for f := range t.model.config.Fields {
			names := featureNames(t.docs.row(it)[f])
			number(uint64(len(names)))
			for _, n := range names {
				text(n)
			}
		}
	}
	number(uint64(len(k.split.Train)))
	for _, s := range k.split.Train {
		number(uint64(s.User))
		events(s.Events)
	}
	held(k.valid)
	held(k.test)
	w.Flush()
	return h.Sum(nil)
}
