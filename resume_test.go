package eider

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// long is a training of enough steps, 180 an epoch, to be killed in.
func long() TrainSpec {
	s := small()
	s.Batch, s.Epochs, s.Patience, s.Promote, s.Margin = 1, 20, 20, true, 1
	return s
}

// everyStep saves whenever it may.
var everyStep = &Options{CheckpointInterval: 1}

// TestResumeCrashChild is the child of the test below; on its own it does nothing. It
// trains, or goes on with what was interrupted, and kills itself after the step it was
// given, when a checkpoint has been stored after it, or near the end.
func TestResumeCrashChild(t *testing.T) {
	dir := os.Getenv(childDir)
	if dir == "" {
		return
	}
	step := must(strconv.Atoi(os.Getenv("EIDER_CRASH_SEED")))(t)
	db := must(Open(dir, everyStep))(t)
	var j *Job
	if all := db.Jobs(); len(all) > 0 {
		j = must(db.Resume(ctx, all[0].ID))(t)
	} else {
		j = must(db.Train(ctx, long()))(t)
	}
	var seen time.Time
	for s := range j.Watch(ctx) {
		if s.Progress.Step < step {
			continue
		}
		info := must(os.Stat(filepath.Join(dir, "jobs", j.ID())))(t)
		if seen.IsZero() {
			seen = info.ModTime()
		}
		if info.ModTime() != seen || s.Progress.Step > 2800 {
			must(0, must(os.FindProcess(os.Getpid()))(t).Kill())(t)
		}
	}
}

// killAfter runs the child, which is killed, not before it has done so many steps.
func killAfter(t *testing.T, dir string, step int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestResumeCrashChild$")
	cmd.Env = append(os.Environ(), childDir+"="+dir, fmt.Sprint("EIDER_CRASH_SEED=", step))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Exited() {
		t.Fatalf("the child was not killed: %v\n%s", err, out)
	}
}

// interrupted is the one job of a database, which was interrupted.
func interrupted(t *testing.T, db *DB) JobState {
	t.Helper()
	all := db.Jobs()
	if len(all) != 1 || all[0].Status != JobInterrupted || all[0].Code != CodeClosed {
		t.Fatalf("jobs %+v", all)
	}
	return all[0]
}

// shop is a directory with events and a version 1 of din that serves, and the SHA-256
// that a straight run of long has.
func shop(t *testing.T) (dir, straight string) {
	t.Helper()
	dir = t.TempDir()
	db := open(t, dir, nil)
	synthetic(t, db, 60, 6)
	straight = trained(t, db, long()).Version.SHA256
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, straight
}

func predictsBy(t *testing.T, db *DB, version uint32) {
	t.Helper()
	p := must(db.Predict(ctx, "din", Inputs{User: "u1", Collection: "films", IDs: []string{"f1", "f2"}}))(t)
	if p.Version != version {
		t.Errorf("version %d serves, want %d", p.Version, version)
	}
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	return must(filepath.Glob(filepath.Join(dir, "jobs", "*")))(t)
}

func TestTrainingThatWasKilledIsResumedToTheBytesOfAStraightOne(t *testing.T) {
	dir, straight := shop(t)
	last := 0
	for _, step := range []int{500, 1300, 2100} { // of 3600
		killAfter(t, dir, step)
		db := open(t, dir, nil)
		s := interrupted(t, db)
		if s.Progress.Step < max(1, last) || s.Spec.Seed != 1 {
			t.Errorf("killed at step %d: %+v, before it was at %d", step, s.Progress, last)
		}
		last = s.Progress.Step
		t.Logf("killed after step %d, the checkpoint is of step %d", step, last)
		predictsBy(t, db, 1)
		if rep, err := db.Check(ctx); err != nil || !rep.OK {
			t.Fatalf("check: %v %+v", err, rep)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	db := open(t, dir, nil)
	must(db.Events().Append(ctx, Event{User: "u1", Item: "f3", Type: "click", Time: time.Unix(5, 0)}, Event{User: "new", Item: "f4", Type: "click", Time: time.Unix(1, 0)}))(t)
	j := must(db.Resume(ctx, interrupted(t, db).ID))(t)
	for s := range j.Watch(ctx) {
		if s.Progress.Step < last {
			t.Fatalf("it is at step %d, the checkpoint is of %d", s.Progress.Step, last)
		}
	}
	s := must(j.Wait(ctx))(t)
	if s.Status != JobDone || s.Version.Version != 2 || s.Version.SHA256 != straight || s.Promotion == nil {
		t.Errorf("job %+v, want the tensors %s", s, straight)
	}
	predictsBy(t, db, 2)
	if left := files(t, dir); len(left) != 0 {
		t.Errorf("the job has ended, and left %v", left)
	}
}

func TestTrainingThatCloseInterruptsIsResumed(t *testing.T) {
	dir, straight := shop(t)
	db := open(t, dir, &Options{CheckpointInterval: -1})
	j := must(db.Train(ctx, long()))(t)
	queued := must(db.Train(ctx, long()))(t)
	for s := range j.Watch(ctx) {
		if s.Progress.Step > 20 {
			break
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := j.Wait(ctx)
	codeIs(t, err, CodeClosed)
	if s.Status != JobInterrupted {
		t.Errorf("job %+v", s)
	}
	db = open(t, dir, nil)
	if all := db.Jobs(); len(all) != 2 || all[0].ID != queued.ID() || all[0].Progress.Step != 0 || all[1].Progress.Step < 20 {
		t.Fatalf("jobs %+v", all)
	}
	was := must(db.Job(queued.ID()))(t)
	a, b := must(db.Resume(ctx, j.ID()))(t), must(db.Resume(ctx, queued.ID()))(t)
	_, err = db.Resume(ctx, queued.ID())
	codeIs(t, err, CodeConflict)
	was.Cancel() // it is no longer what goes on
	for _, j := range []*Job{a, b} {
		if s := must(j.Wait(ctx))(t); s.Version == nil || s.Version.SHA256 != straight {
			t.Errorf("job %+v, want the tensors %s", s, straight)
		}
	}
	_, err = db.Resume(ctx, a.ID())
	codeIs(t, err, CodeConflict, "done")
	_, err = db.Resume(ctx, "none")
	codeIs(t, err, CodeNotFound)
}

func TestTrainingOnTwoThreadsIsResumedToTheBytesOfAStraightOne(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir, &Options{CheckpointInterval: -1})
	synthetic(t, db, 60, 6)
	spec := long()
	spec.Batch, spec.Threads = 4, 2
	straight := trained(t, db, spec).Version.SHA256
	if again := trained(t, db, spec).Version.SHA256; again != straight {
		t.Fatal("equal data and seeds give other tensors")
	}
	for s := range must(db.Train(ctx, spec))(t).Watch(ctx) {
		if s.Progress.Step > 20 {
			break
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, dir, nil)
	s := must(must(db.Resume(ctx, interrupted(t, db).ID))(t).Wait(ctx))(t)
	if s.Spec.Threads != 2 || s.Version == nil || s.Version.SHA256 != straight {
		t.Errorf("job %+v, want the tensors %s", s, straight)
	}
}

// stopped is a directory with a training that was interrupted after its twentieth step.
func stopped(t *testing.T) (dir, straight string) {
	t.Helper()
	dir, straight = shop(t)
	db := open(t, dir, nil)
	for s := range must(db.Train(ctx, long()))(t).Watch(ctx) {
		if s.Progress.Step > 20 {
			break
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, straight
}

func TestJobIsNotResumedOnOtherData(t *testing.T) {
	for name, change := range map[string]func(*DB) error{
		"an event is gone": func(db *DB) error {
			_, err := db.Events().Erase(ctx, "u7")
			return err
		},
		"a feature is another": func(db *DB) error {
			c, err := db.Collection("films")
			if err == nil {
				_, err = c.Upsert(ctx, Doc{ID: "f1", Fields: map[string]any{"genre": "western"}, Vectors: map[string][]float32{"v": {1, 0}}})
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, _ := stopped(t)
			db := open(t, dir, nil)
			if err := change(db); err != nil {
				t.Fatal(err)
			}
			s, err := must(db.Resume(ctx, interrupted(t, db).ID))(t).Wait(ctx)
			codeIs(t, err, CodeConflict, "train anew")
			if s.Status != JobFailed || s.Version != nil || len(files(t, dir)) != 0 {
				t.Errorf("job %+v, files %v", s, files(t, dir))
			}
			predictsBy(t, db, 1)
		})
	}
}

// The disk after a kill between the commit of the version and the end of the job is
// that after the job, with the job's file.
func TestJobKilledAfterItStoredItsVersionPromotesThatAndStoresNoOther(t *testing.T) {
	dir, _ := shop(t)
	db := open(t, dir, everyStep)
	j := must(db.Train(ctx, long()))(t)
	for s := range j.Watch(ctx) {
		if s.Progress.Step > 20 {
			break
		}
	}
	file := files(t, dir)[0]
	b := must(os.ReadFile(file))(t)
	stored := must(j.Wait(ctx))(t).Version
	must(db.Models().Rollback(ctx, "din", "", ""))(t)
	must(db.Events().Erase(ctx, "u7"))(t) // the training could not go on without
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b, 0o644); err != nil {
		t.Fatal(err)
	}
	db = open(t, dir, nil)
	s := must(must(db.Resume(ctx, interrupted(t, db).ID))(t).Wait(ctx))(t)
	if s.Status != JobDone || s.Version == nil || s.Version.LSN != stored.LSN || s.Promotion == nil || s.Promotion.Version != stored.Version {
		t.Errorf("job %+v, want the version %+v", s, stored)
	}
	if m := must(db.Models().Show(ctx, "din"))(t); len(m.Versions) != 2 || len(files(t, dir)) != 0 {
		t.Errorf("%d versions, files %v", len(m.Versions), files(t, dir))
	}
	predictsBy(t, db, stored.Version)
}

func TestDamagedCheckpointCostsTimeOnly(t *testing.T) {
	dir, straight := stopped(t)
	file := files(t, dir)[0]
	b := must(os.ReadFile(file))(t)
	b[len(b)/2] ^= 1
	if err := os.WriteFile(file, b, 0o644); err != nil {
		t.Fatal(err)
	}
	db := open(t, dir, nil)
	if s := must(must(db.Resume(ctx, interrupted(t, db).ID))(t).Wait(ctx))(t); s.Version == nil || s.Version.SHA256 != straight {
		t.Errorf("job %+v, want the tensors %s", s, straight)
	}
}

func TestDamagedJobIsForgottenAtOpen(t *testing.T) {
	dir, _ := stopped(t)
	file := files(t, dir)[0]
	b := must(os.ReadFile(file))(t)
	b[len(b)-10] ^= 1
	for name, b := range map[string][]byte{file: b, file + ".new": b[:20], filepath.Join(dir, "jobs", "0123456789abcdef"): nil} {
		if err := os.WriteFile(name, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	db := open(t, dir, nil)
	if len(db.Jobs()) != 0 || len(files(t, dir)) != 0 {
		t.Errorf("jobs %+v, files %v", db.Jobs(), files(t, dir))
	}
	predictsBy(t, db, 1)
}

func TestInterruptedJobIsGivenUpAndNotInBackups(t *testing.T) {
	dir, _ := stopped(t)
	db := open(t, dir, nil)
	id := interrupted(t, db).ID
	back := filepath.Join(t.TempDir(), "backup")
	must(db.Backup(ctx, back, 0))(t)
	if left := files(t, back); len(left) != 0 {
		t.Errorf("the backup has %v", left)
	}
	j := must(db.Job(id))(t)
	waiting, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	if s, err := j.Wait(waiting); s.Status != JobInterrupted || err == nil {
		t.Errorf("waited for %+v, %v", s, err)
	}
	j.Cancel()
	if s := db.Jobs()[0]; s.Status != JobCancelled || len(files(t, dir)) != 0 {
		t.Errorf("job %+v, files %v", s, files(t, dir))
	}
	_, err := db.Resume(ctx, id)
	codeIs(t, err, CodeConflict)
}

func TestOnlyTheNewestInterruptedJobsAreKept(t *testing.T) {
	dir, _ := shop(t)
	var first, last string
	for range 2 {
		db := open(t, dir, nil)
		for range maxQueued {
			last = must(db.Train(ctx, endless()))(t).ID()
			if first == "" {
				first = last
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	db := open(t, dir, nil)
	all := db.Jobs()
	if len(all) != maxQueued || len(files(t, dir)) != maxQueued || all[0].ID != last {
		t.Errorf("%d jobs, %d files, the newest %s, want %s", len(all), len(files(t, dir)), all[0].ID, last)
	}
	_, err := db.Job(first)
	codeIs(t, err, CodeNotFound)
}
