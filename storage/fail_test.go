package storage

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eiderdb/eider/internal/fault"
)

const (
	failWorkers = 2
	failCalls   = 120

	tagAck   = 0
	tagFatal = 1 // OnFatal ran
	tagOps   = 2 // operations seen; the child is done
)

// R3: every file operation failing once, for ever, or for want of space, ends
// in one of: absorbed, a typed error, exit 70 after OnFatal. Never a panic, a
// hang, a lost acknowledgement or a directory that does not open. One child
// process per point, because most faults in the log rightly end the process.
func TestFailedFileOperationNeverLosesAcknowledgedCalls(t *testing.T) {
	base := t.TempDir()
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		if dir, err := os.MkdirTemp("/dev/shm", "eider-fail-"); err == nil {
			base = dir
			defer os.RemoveAll(dir)
		}
	}
	_, ops, _ := failPoint(t, filepath.Join(base, "dry"), fault.Once, 0)
	if ops < 200 {
		t.Fatalf("the workload makes %d file operations, too few to mean anything", ops)
	}
	step := int64(1)
	if !fault.Soak() {
		step = ops/14 + 1
	}
	total := map[string]int{}
	for _, mode := range []fault.FailMode{fault.Once, fault.Sticky, fault.NoSpace} {
		outcomes := map[string]int{}
		for at := int64(1); at <= ops; at += step {
			outcome, _, detail := failPoint(t, filepath.Join(base, fmt.Sprint(mode, at)), mode, at)
			outcomes[outcome]++
			total[outcome]++
			if t.Failed() {
				t.Fatalf("%s at operation %d: %s: %s", mode, at, outcome, detail)
			}
		}
		var line []string
		for _, k := range slices.Sorted(maps.Keys(outcomes)) {
			line = append(line, fmt.Sprintf("%s %d", k, outcomes[k]))
		}
		t.Logf("%s, %d operations, every %d: %s", mode, ops, step, strings.Join(line, ", "))
	}
	if total["exit 70"] == 0 || total["absorbed"] == 0 {
		t.Errorf("the sweep did not reach both the log and what can be retried: %v", total)
	}
}

// failPoint runs one child and verifies what it leaves.
func failPoint(t *testing.T, dir string, mode fault.FailMode, at int64) (outcome string, ops int64, detail string) {
	t.Helper()
	defer os.RemoveAll(dir)
	child, err := fault.Start("fail", "EIDER_DIR="+dir, "EIDER_FAIL="+string(mode), fmt.Sprint("EIDER_AT=", at))
	if err != nil {
		t.Fatal(err)
	}
	acks, code, stderr, hung := child.Wait(20 * time.Second)
	acked := make([]uint64, failWorkers)
	fatal := false
	for _, a := range acks {
		switch a.Tag {
		case tagAck:
			acked[a.Worker] = a.Count
		case tagFatal:
			fatal = true
		case tagOps:
			ops = int64(a.Count)
		}
	}
	switch {
	case hung:
		outcome = "hang"
	case code == 0:
		outcome = "absorbed"
	case code == 3:
		outcome = "error from Open"
	case code == 4:
		outcome = "error from a call"
	case code == ExitFatal && fatal:
		outcome = "exit 70"
	default:
		outcome = "unknown"
	}
	if outcome == "hang" || outcome == "unknown" {
		t.Errorf("%s at operation %d: exit code %d, OnFatal ran: %v: %.3000s", mode, at, code, fatal, stderr)
		return outcome, ops, stderr
	}
	s, err := Open(dir, crashOptions(nil))
	if err != nil {
		t.Errorf("%s at operation %d, %s: reopen: %v", mode, at, outcome, err)
		return outcome, ops, stderr
	}
	if _, err := verifyScript(s, 5, acked); err != nil {
		t.Errorf("%s at operation %d, %s: %v", mode, at, outcome, err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("%s at operation %d, %s: close: %v", mode, at, outcome, err)
	}
	return outcome, ops, stderr
}

// failChild runs a short workload over a failing disk.
func failChild() {
	f := &fault.Failing{Mode: fault.FailMode(os.Getenv("EIDER_FAIL"))}
	if _, err := fmt.Sscan(os.Getenv("EIDER_AT"), &f.At); err != nil {
		os.Exit(97)
	}
	reply := fault.Reply()
	o := crashOptions(f.Wrap(vfs.Default))
	o.OnFatal = func(error) { reply.Send(fault.Ack{Tag: tagFatal}) }
	s, err := Open(os.Getenv("EIDER_DIR"), o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	failed := false
	var mu sync.Mutex
	note := func(err error) {
		if err != nil {
			mu.Lock()
			failed = true
			mu.Unlock()
			fmt.Fprintln(os.Stderr, err)
		}
	}
	if coll, err := scriptCollection(s); err != nil {
		note(err)
	} else {
		var wg sync.WaitGroup
		for w := range failWorkers {
			wg.Go(func() {
				note(script{5, w}.play(s, coll, 0, func(n uint64) bool {
					reply.Send(fault.Ack{Worker: uint32(w), Tag: tagAck, Count: n})
					return n < failCalls
				}))
			})
		}
		wg.Wait()
		note(s.SaveSnapshot(s.ctx, coll, 0, 1, func(w io.Writer) error {
			_, err := w.Write(make([]byte, 100))
			return err
		}))
	}
	note(s.Close())
	reply.Send(fault.Ack{Tag: tagOps, Count: uint64(f.Ops())})
	if failed {
		os.Exit(4)
	}
	os.Exit(0)
}
