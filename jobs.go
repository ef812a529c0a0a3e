package eider

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"
)

// JobStatus is where a job is.
type JobStatus string

// A job is queued, then runs, and ends in one of the next three; or it is interrupted
// by the end of the process or of the database, until Resume queues it again.
const (
	JobQueued    JobStatus = "queued"
	JobRunning   JobStatus = "running"
	JobDone      JobStatus = "done"
	JobFailed    JobStatus = "failed"
	JobCancelled JobStatus = "cancelled"

	JobInterrupted JobStatus = "interrupted"
)

// JobState is what is known of a job.
type JobState struct {
	ID      string    `json:"id"`
	Kind    string    `json:"kind"` // "train"
	Status  JobStatus `json:"status"`
	Spec    TrainSpec `json:"spec"` // defaults written out
	Created time.Time `json:"created"`
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
	// Progress is how far the training is, or came.
	Progress TrainProgress `json:"progress,omitzero"`
	// Reason says why the training ended: "finished", "early stop", "out of time"; it is
	// empty where the process was killed between storing the version and saying so.
	Reason  string        `json:"reason,omitempty"`
	Version *ModelVersion `json:"version,omitempty"` // that was stored
	// Promotion is what became of TrainSpec.Promote, or Refused says why it was not
	// promoted; the version is stored all the same.
	Promotion *Promotion `json:"promotion,omitempty"`
	Refused   string     `json:"refused,omitempty"`
	// Error is why it failed or was cancelled, Code its kind.
	Error string `json:"error,omitempty"`
	Code  Code   `json:"code,omitempty"`
}

// Ended reports that the job does not go on by itself; but for an interrupted one it
// never will.
func (s JobStatus) Ended() bool { return s != JobQueued && s != JobRunning }

// Limits of jobs: those that wait or run, and as many that were interrupted; those
// that are remembered.
const (
	maxQueued = 16
	maxJobs   = 100
)

// Job is work that goes on after the call that began it: a training. One runs at a
// time. It ends by itself, by Cancel, or with the database. All methods may be
// called from many goroutines.
type Job struct {
	cancel  func()
	turn    chan struct{} // closed when it may run
	done    chan struct{} // closed when it has ended
	number  uint64        // its id
	resumed bool          // it was interrupted before
	stored  jobRecord     // the running job's alone

	mu      sync.Mutex
	state   JobState
	err     error
	changed chan struct{} // closed, and another made, when state changes
}

// jobs are those of a database, in memory; those that have not ended are stored, too.
type jobs struct {
	mu      sync.Mutex
	all     []*Job // oldest first
	running *Job   // the one whose turn it is, or nil
	closed  bool
}

// next gives the oldest job that waits its turn, if nobody has it. The caller holds
// mu.
func (s *jobs) next() {
	for _, j := range s.all {
		if s.running == nil && j.State().Status == JobQueued {
			s.running = j
			close(j.turn)
		}
	}
}

// ended passes the turn on. Called once for each job.
func (s *jobs) ended(j *Job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == j {
		s.running = nil
	}
	s.next()
}

var (
	errCancelled = fmt.Errorf("%w: the job was cancelled", context.Canceled)
	errClosing   = fmt.Errorf("%w: the job ended with it", ErrClosed)
)

// newJob is a job that is not known yet.
func (db *DB) newJob(number uint64, r jobRecord) *Job {
	return &Job{number: number, stored: r, turn: make(chan struct{}), done: make(chan struct{}), changed: make(chan struct{}),
		state: JobState{ID: fmt.Sprintf("%016x", number), Kind: "train", Status: JobQueued, Spec: r.Spec, Created: r.Created, Progress: r.Progress}}
}

// startJob makes a job known, in place of the interrupted one that it resumes or nil,
// and runs it in the background when its turn comes. Errors: ErrOverloaded, ErrClosed,
// ErrConflict.
func (db *DB) startJob(j, old *Job) error {
	s := &db.jobs
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := 0
	for _, j := range s.all {
		if !j.State().Status.Ended() {
			waiting++
		}
	}
	at := slices.Index(s.all, old)
	switch {
	case s.closed:
		return ErrClosed
	case waiting >= maxQueued:
		return fmt.Errorf("%w: %d jobs wait; one runs at a time", ErrOverloaded, waiting)
	case old != nil && (at < 0 || old.State().Status != JobInterrupted):
		return fmt.Errorf("%w: job %s is not interrupted", ErrConflict, old.ID())
	case old != nil:
		s.all = slices.Delete(s.all, at, at+1)
	}
	ctx, cancel := context.WithCancelCause(db.ctx)
	j.cancel = func() { cancel(errCancelled) }
	s.all = append(s.all, j)
	s.drop()
	s.next()
	db.wg.Go(func() {
		defer cancel(nil)
		err := db.runJob(ctx, j)
		if err != nil && ctx.Err() != nil { // whatever it met on its way out
			if err = context.Cause(ctx); !errors.Is(err, errCancelled) {
				err = errClosing
			}
		}
		if err != nil && !errors.Is(err, errCancelled) && !errors.Is(err, errClosing) {
			db.log.Warn("job failed", "job", j.ID(), "model", j.stored.Spec.Model, "err", err)
		}
		status := statusOf(err)
		if errors.Is(err, errClosing) && db.storesJobs() {
			status = JobInterrupted
		} else {
			db.dropJob(j)
		}
		j.end(status, db.Models().fail("train", err), db.opts.Now().UTC())
		s.ended(j)
	})
	return nil
}

func statusOf(err error) JobStatus {
	switch {
	case err == nil:
		return JobDone
	case errors.Is(err, errCancelled), errors.Is(err, errClosing):
		return JobCancelled
	}
	return JobFailed
}

// drop forgets the oldest jobs beyond the limit. The caller holds mu.
func (s *jobs) drop() {
	if drop := len(s.all) - maxJobs; drop > 0 {
		s.all = slices.DeleteFunc(s.all, func(j *Job) bool {
			status := j.State().Status
			gone := drop > 0 && status.Ended() && status != JobInterrupted
			if gone {
				drop--
			}
			return gone
		})
	}
}

// runJob waits for the job's turn and works.
func (db *DB) runJob(ctx context.Context, j *Job) (err error) {
	select {
	case <-j.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrInternal, p)
		}
	}()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	j.update(func(s *JobState) { s.Status, s.Started = JobRunning, db.opts.Now().UTC() })
	return db.train(ctx, j)
}

// close lets no job begin; those that run end with DB.ctx.
func (s *jobs) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

// Jobs lists the jobs since the database was opened, the newest first: all that go
// on, the last hundred or so, and those that were interrupted before.
func (db *DB) Jobs() []JobState {
	db.jobs.mu.Lock()
	defer db.jobs.mu.Unlock()
	states := make([]JobState, 0, len(db.jobs.all))
	for _, j := range slices.Backward(db.jobs.all) {
		states = append(states, j.State())
	}
	return states
}

// Job finds a job by its id. Error: ErrNotFound, also for one that ended before a restart.
func (db *DB) Job(id string) (*Job, error) {
	db.jobs.mu.Lock()
	defer db.jobs.mu.Unlock()
	for _, j := range db.jobs.all {
		if j.ID() == id {
			return j, nil
		}
	}
	return nil, db.fail("job", "", "", fmt.Errorf("%w: job %.40q; jobs that ended are known until the database is closed", ErrNotFound, id))
}

// ID is the job's name among those of the database.
func (j *Job) ID() string { return j.state.ID } // never changes

// State is what is known now.
func (j *Job) State() JobState {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.state
}

// Cancel asks the job to end; what it has not stored by then is lost, checkpoints
// too. A job that has ended stays as it is; an interrupted one is given up. Wait tells
// when it has.
func (j *Job) Cancel() { j.cancel() }

// Wait returns when the job has ended, with its error: an *Error, of code canceled
// if it was cancelled, closed if it was interrupted. If ctx ends before, the job goes on.
func (j *Job) Wait(ctx context.Context) (JobState, error) {
	select {
	case <-j.done:
		return j.State(), j.err
	case <-ctx.Done():
		return j.State(), ctx.Err()
	}
}

// Watch yields the job's state now and after changes, and its last one; who is slow
// misses what came between. It ends with the job or with ctx.
func (j *Job) Watch(ctx context.Context) iter.Seq[JobState] {
	return func(yield func(JobState) bool) {
		for {
			j.mu.Lock()
			s, changed := j.state, j.changed
			j.mu.Unlock()
			if !yield(s) || s.Status.Ended() {
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}
}

func (j *Job) update(f func(*JobState)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	f(&j.state)
	close(j.changed)
	j.changed = make(chan struct{})
}

func (j *Job) end(status JobStatus, err error, now time.Time) {
	j.err = err
	j.update(func(s *JobState) {
		s.Status, s.Ended = status, now
		if err != nil {
			s.Error, s.Code = err.Error(), CodeOf(err)
		}
	})
	close(j.done)
}
