package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/eiderdb/eider/internal/fault"
	"github.com/eiderdb/eider/storage/format"
)

func TestReadOnlyOpenersUnderWritersSeeWholeStates(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	o := crashOptions(nil)
	o.Durability = Async // more flushes and compactions a second
	s := open(t, dir, o)
	coll, err := scriptCollection(s)
	if err != nil {
		t.Fatal(err)
	}
	acks := &ackLog{last: make([]uint64, 4)}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range acks.last {
		wg.Go(func() {
			err := script{9, w}.play(s, coll, 0, func(n uint64) bool {
				acks.set(w, n)
				select {
				case <-stop:
					return false
				default:
					return n < 2000
				}
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	last := uint64(0)
	for i := range fault.Size(10, 200) {
		ro := crashOptions(nil)
		ro.ReadOnly = true
		r, err := Open(dir, ro)
		if err != nil {
			t.Errorf("open %d: %v", i, err)
			break
		}
		rep, err := r.Check(t.Context())
		if err != nil || !rep.OK() {
			t.Errorf("open %d: %+v %v", i, rep.Problems, err)
		}
		if rep.LSN < last {
			t.Errorf("open %d: LSN went from %d to %d", i, last, rep.LSN)
		}
		last = rep.LSN
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	wg.Wait()
	if left, err := os.ReadDir(filepath.Join(dir, viewsDir)); err != nil || len(left) > 0 {
		t.Errorf("private copies left behind: %v %v", left, err)
	}
}

func TestReadOnlyOpenOfNothingSaysNotFound(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(dir, &Options{ReadOnly: true}); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("a read-only open wrote %v %v", left, err)
	}
}

func TestStaleViewsOfDeadReadersAreRemovedByTheNextWriter(t *testing.T) {
	dir := t.TempDir()
	dead := filepath.Join(dir, viewsDir, fmt.Sprint(1<<22+7, "-00"))
	if err := os.MkdirAll(dead, 0o755); err != nil {
		t.Fatal(err)
	}
	mine := filepath.Join(dir, viewsDir, fmt.Sprint(os.Getpid(), "-00"))
	if err := os.MkdirAll(mine, 0o755); err != nil {
		t.Fatal(err)
	}
	open(t, dir, nil)
	if _, err := os.Stat(dead); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the copy of a dead process is still there: %v", err)
	}
	if _, err := os.Stat(mine); err != nil {
		t.Errorf("the copy of a living process is gone: %v", err)
	}
}

func TestNewerFormatIsRefusedByName(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, crashOptions(nil))
	if err != nil {
		t.Fatal(err)
	}
	m := s.meta
	m.Format = FormatNumber + 1
	if err := s.db.Set(keyMeta, format.AppendMeta(nil, m), nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, crashOptions(nil)); !errors.Is(err, ErrVersion) {
		t.Error(err)
	}
}
