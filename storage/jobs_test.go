package storage

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eiderdb/eider/internal/fault"
	"github.com/eiderdb/eider/storage/format"
)

func writes(s string) func(io.Writer) error {
	return func(w io.Writer) error { _, err := io.WriteString(w, s); return err }
}

// jobIs fails unless what is stored of a job is that.
func jobIs(t *testing.T, s *Store, id uint64, about, checkpoint string) {
	t.Helper()
	all, err := s.Jobs()
	if err != nil || len(all) != 1 || all[0].ID != id || string(all[0].About) != about {
		t.Fatalf("jobs %+v, %v", all, err)
	}
	if b, err := s.LoadJob(id); err != nil || string(b) != checkpoint {
		t.Errorf("checkpoint %q, %v; want %q", b, err, checkpoint)
	}
}

func TestJobIsKeptUntilItIsDropped(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	if all, err := s.Jobs(); err != nil || len(all) != 0 {
		t.Errorf("jobs %v, %v", all, err)
	}
	if err := s.SaveJob(t.Context(), 7, []byte("spec"), nil); err != nil {
		t.Fatal(err)
	}
	jobIs(t, s, 7, "spec", "")
	if err := s.SaveJob(t.Context(), 7, []byte("spec 2"), writes("numbers")); err != nil {
		t.Fatal(err)
	}
	failed := errors.New("failed")
	err := s.SaveJob(t.Context(), 7, []byte("spec 3"), func(w io.Writer) error { return errors.Join(writes("num")(w), failed) })
	if !errors.Is(err, failed) {
		t.Errorf("saved: %v", err)
	}
	if err := s.SaveJob(t.Context(), 7, nil, nil); !errors.Is(err, format.ErrLimit) {
		t.Errorf("nothing was saved: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, nil)
	jobIs(t, s, 7, "spec 2", "numbers")
	for range 2 {
		if err := s.DropJob(7); err != nil {
			t.Error(err)
		}
	}
	if all, err := s.Jobs(); err != nil || len(all) != 0 || s.jobSize.Load() != 0 {
		t.Errorf("jobs %v of %d bytes, %v", all, s.jobSize.Load(), err)
	}
}

// The file was written once and is read for ever.
func TestGoldenJobIsRead(t *testing.T) {
	path := filepath.Join("testdata", "job-v1.hex")
	if _, err := os.Stat(path); *update && os.IsNotExist(err) {
		b, err := format.AppendJob([]byte("numbers"), format.Job{ID: 7, Size: 7, Sum: format.Checksum([]byte("numbers")), About: []byte(`{"spec":{}}`)})
		if err == nil {
			err = os.WriteFile(path, []byte(hex.EncodeToString(b)+"\n"), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := open(t, dir, nil)
	if err := errors.Join(os.Mkdir(filepath.Join(dir, jobDir), 0o755), os.WriteFile(s.jobFile(7), b, 0o644)); err != nil {
		t.Fatal(err)
	}
	jobIs(t, s, 7, `{"spec":{}}`, "numbers")
}

func TestEveryDamageOfAJobIsNoticed(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	if err := s.SaveJob(t.Context(), 7, []byte("spec"), writes("numbers")); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(s.jobFile(7))
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		for what, b := range map[string][]byte{"cut": whole[:i], "flipped": bytes.Clone(whole)} {
			if what == "flipped" {
				b[i] ^= 1
			}
			if err := os.WriteFile(s.jobFile(7), b, 0o644); err != nil {
				t.Fatal(err)
			}
			if b, err := s.LoadJob(7); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s at %d of %d: checkpoint %q, %v", what, i, len(whole), b, err)
			}
			all, err := s.Jobs()
			if known := what == "flipped" && i < len("numbers"); err != nil || len(all) == 1 != known {
				t.Errorf("%s at %d: jobs %v, %v", what, i, all, err)
			}
		}
	}
}

func TestPowerCutLeavesTheJobAsItWasOrIsToBe(t *testing.T) {
	type cut struct {
		state *vfs.MemFS
		acked int
	}
	var mu sync.Mutex
	var taken []cut
	acked := 0
	disk := &fault.Cutter{Disk: vfs.NewCrashableMem(), Every: 1, Seed: 1}
	disk.Cut = func(_ int64, state *vfs.MemFS) {
		mu.Lock()
		defer mu.Unlock()
		taken = append(taken, cut{state, acked})
	}
	s, err := Open("store", crashOptions(disk.Wrap()))
	if err != nil {
		t.Fatal(err)
	}
	of := func(n int) string { return strings.Repeat(fmt.Sprint(n), 1000) }
	mu.Lock()
	taken = nil // what Open did
	mu.Unlock()
	for n := 1; n <= 6; n++ {
		if err := s.SaveJob(t.Context(), 7, []byte(fmt.Sprint(n)), writes(of(n))); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		acked = n
		mu.Unlock()
	}
	disk.Stop()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for _, c := range taken {
		s, err := Open("store", crashOptions(c.state))
		if err != nil {
			t.Fatal(err)
		}
		all, err := s.Jobs()
		if c.acked == 0 && err == nil && len(all) == 0 {
			all = []format.Job{{About: []byte("0")}}
		}
		if err != nil || len(all) != 1 {
			t.Fatalf("after %d: jobs %v, %v", c.acked, all, err)
		}
		n, err := strconv.Atoi(string(all[0].About))
		if err != nil || n != c.acked && n != c.acked+1 {
			t.Errorf("after %d: job %+v", c.acked, all[0])
		}
		if b, err := s.LoadJob(7); n > 0 && (err != nil || string(b) != of(n)) {
			t.Errorf("after %d: checkpoint of %d bytes, %v", c.acked, len(b), err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if len(taken) < 30 {
		t.Errorf("only %d cuts: the test tests too little", len(taken))
	}
}

func FuzzJobFile(f *testing.F) {
	b, err := format.AppendJob([]byte("numbers"), format.Job{ID: 7, Size: 7, Sum: format.Checksum([]byte("numbers")), About: []byte("spec")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[1:])
	f.Add(b[7:])
	f.Fuzz(func(t *testing.T, b []byte) {
		var checkpoint bytes.Buffer
		j, err := readJob(bytes.NewReader(b), int64(len(b)), &checkpoint)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Errorf("untyped error: %v", err)
			}
			return
		}
		again, err := format.AppendJob(checkpoint.Bytes(), j)
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("decoded %x, encoded %x, %v", b, again, err)
		}
	})
}
