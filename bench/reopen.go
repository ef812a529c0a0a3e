package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/eiderdb/eider"
	"github.com/eiderdb/eider/internal/dataset"
	"github.com/eiderdb/eider/internal/metric"
)

// unsaved is how many writes the killed process leaves out of its index
// snapshot.
const unsaved = 10_000

// childEnv tells this program, run again with the same arguments, to be the
// process that gets killed: directory, rows already there and dimension.
const childEnv = "EIDER_BENCH_REOPEN"

// Reopen measures from Open to the answer of the first search over 1M x 128
// (50,000 when quick): after Close, and after a SIGKILL that left 10,000 writes
// out of the index snapshot; then until every vector is in memory. The file cache is
// warm. The first answer must be the one given before.
func Reopen(ctx context.Context, o Options, w io.Writer) error {
	if job := os.Getenv(childEnv); job != "" {
		return victim(ctx, job)
	}
	rows := 1_000_000
	if o.Quick {
		rows = 50_000
	}
	dir, err := o.scratch()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	base, queries, name := recipe(o, rows, 1, 128)
	r := newReport("reopen", name, o, w)
	r.printf("%d x %d, Open to the first hit, warm file cache, %s\n", base.Rows, base.Cols, cpuName())
	q := queries.Row(0)
	before, err := prepare(ctx, o, dir, base, q)
	if err != nil {
		return err
	}
	if err := timed(ctx, o, r, "reopen", dir, q, before, 5); err != nil {
		return err
	}
	o.log("writing %d in a process that is killed", unsaved)
	if err := murder(ctx, dir, base.Rows, base.Cols); err != nil {
		return err
	}
	if err := timed(ctx, o, r, "reopen_after_kill", dir, q, nil, 1); err != nil {
		return err
	}
	if err := survivors(ctx, dir, base.Rows+unsaved); err != nil {
		return err
	}
	return r.finish(o)
}

// prepare fills the database and closes it; it returns the ids of one search.
func prepare(ctx context.Context, o Options, dir string, base dataset.Matrix, q []float32) ([]string, error) {
	db, c, err := create(ctx, dir, base.Cols)
	if err != nil {
		return nil, err
	}
	o.log("writing")
	err = fill(ctx, c, base, 0)
	o.log("linking")
	if err = errors.Join(err, c.Ready(ctx)); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	res, err := c.Search(ctx, near(q, nil))
	o.log("closing")
	return ids(res), errors.Join(err, db.Close())
}

func ids(r eider.Result) []string {
	var out []string
	for _, h := range r.Hits {
		out = append(out, h.ID)
	}
	return out
}

// timed opens, searches and closes, and reports the median time to the answer.
func timed(ctx context.Context, o Options, r *report, name, dir string, q []float32, want []string, reps int) error {
	var seconds, queries, whole []float64
	for range reps {
		o.log("opening")
		opened := time.Now()
		start := opened
		db, res, err := first(ctx, dir, q)
		if err != nil {
			return err
		}
		seconds = append(seconds, time.Since(start).Seconds())
		if c, err := db.Collection(collection); err == nil {
			start = time.Now()
			if _, err := c.Search(ctx, near(q, nil)); err == nil {
				queries = append(queries, time.Since(start).Seconds())
			}
		}
		if err := inMemory(ctx, db); err != nil {
			return errors.Join(err, db.Close())
		}
		whole = append(whole, time.Since(opened).Seconds())
		if err := db.Close(); err != nil {
			return err
		}
		if got := ids(res); want != nil && strings.Join(got, " ") != strings.Join(want, " ") {
			return fmt.Errorf("the first search after Open found %v, before Close it was %v", got, want)
		}
	}
	r.add(name, metric.Median(seconds)*1e3, "ms", fmt.Sprintf("median of %d; the second search took %.2f ms", reps, metric.Median(queries)*1e3))
	if reps > 1 {
		r.add(name+"_first", seconds[0]*1e3, "ms", "the first of them, which replays the end of the load's log")
	}
	r.add(name+"_resident", metric.Median(whole)*1e3, "ms", "until every vector is in memory, beside that search")
	return nil
}

// inMemory waits until the indexes have the vectors that they keep in memory.
func inMemory(ctx context.Context, db *eider.DB) error {
	for {
		s, err := db.Stats(ctx)
		if err != nil {
			return err
		}
		all := true
		for _, c := range s.Collections {
			for _, v := range c.Vectors {
				all = all && v.Resident
			}
		}
		if all {
			return nil
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// murder runs this program again as the victim and kills it once its writes are
// acknowledged.
func murder(ctx context.Context, dir string, rows, dim int) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d:%d:%s", childEnv, rows, dim, dir))
	var errs tailBuffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	ready := false
	for s := bufio.NewScanner(out); !ready && s.Scan(); {
		ready = s.Text() == "ready"
	}
	kill := cmd.Process.Kill()
	cmd.Wait() // its error is the kill
	if !ready {
		return fmt.Errorf("the writing process ended early: %s", errs.String())
	}
	return kill
}

// victim writes and then waits to be killed.
func victim(ctx context.Context, job string) error {
	part := strings.SplitN(job, ":", 3)
	if len(part) != 3 {
		return fmt.Errorf("%s=%q", childEnv, job)
	}
	rows, err := strconv.Atoi(part[0])
	dim, derr := strconv.Atoi(part[1])
	if err = errors.Join(err, derr); err != nil {
		return err
	}
	db, err := eider.Open(filepath.Clean(part[2]), &eider.Options{SnapshotInterval: -1})
	if err != nil {
		return err
	}
	c, err := db.Collection(collection)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	extra := dataset.Sphere(rows+unsaved, dim, 99)
	if err := fill(ctx, c, extra, rows); err != nil {
		return errors.Join(err, db.Close())
	}
	fmt.Println("ready")
	<-ctx.Done()
	return context.Cause(ctx)
}

// survivors checks that every acknowledged document is there.
func survivors(ctx context.Context, dir string, want int) error {
	db, err := eider.Open(dir, &eider.Options{SnapshotInterval: -1})
	if err != nil {
		return err
	}
	c, err := db.Collection(collection)
	var n uint64
	if err == nil {
		n, err = c.Count(ctx, nil)
	}
	if err = errors.Join(err, db.Close()); err == nil && int(n) != want {
		err = fmt.Errorf("%d documents were acknowledged, %d survived the kill", want, n)
	}
	return err
}
