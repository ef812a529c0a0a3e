package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eiderdb/eider/internal/fault"
)

// R4: on a disk that fills up, puts are refused with ErrFull before the end,
// reads and deletes go on, and puts resume within 5 s of space.
func TestFullDiskRefusesPutsKeepsReadsAndRecovers(t *testing.T) {
	for run := range fault.Size(1, 50) {
		t.Run(fmt.Sprint(run), func(t *testing.T) { fullDisk(t, fault.Seed(3)+uint64(run)) })
	}
}

func fullDisk(t *testing.T, seed uint64) {
	mem := vfs.NewMem()
	const minFree = 16 << 20
	var external atomic.Int64 // somebody else's files on the same disk
	used := func() int64 { return external.Load() + treeSize(mem, "/") }
	disk := fault.NewQuota(mem, 48<<20, used)
	o := crashOptions(disk)
	o.MinFree = minFree
	o.OnFatal = func(err error) {
		fmt.Fprintf(os.Stderr, "run of seed %d: the disk filled up to the end: %v\n", seed, err)
	}
	s := open(t, "store", o)
	c := create(t, s, "films")
	ctx := context.Background()
	rng := rand.New(rand.NewPCG(seed, 0))
	junk := make([]byte, 100_000)
	for i := range junk {
		junk[i] = byte(rng.Uint32())
	}
	n := 0
	var err error
	for ; n < 10_000 && err == nil; n++ {
		_, err = s.Commit(ctx, []Op{{Kind: Put, Collection: c, ID: fmt.Sprint(n), Body: junk[:1+rng.IntN(len(junk))]}})
	}
	if !errors.Is(err, ErrFull) {
		t.Fatalf("after %d documents: %v", n, err)
	}
	if free := disk.Free(); free < minFree/4 {
		t.Errorf("only %d bytes were free at the first refusal", free)
	}
	if _, err := acquire1(t, s).Get(c, "0"); err != nil {
		t.Errorf("read on a full disk: %v", err)
	}
	if _, err := s.Commit(ctx, []Op{{Kind: Delete, Collection: c, ID: "0"}}); err != nil {
		t.Errorf("delete on a full disk: %v", err)
	}
	external.Store(-(80 << 20)) // somebody freed space
	start := time.Now()
	for {
		if _, err = s.Commit(ctx, []Op{{Kind: Put, Collection: c, ID: "again", Body: junk[:10]}}); err == nil {
			break
		}
		if time.Since(start) > 5*time.Second {
			t.Fatalf("writes did not resume: %v", err)
		}
		time.Sleep(10 * time.Millisecond) // the pace of a retrying client
	}
}

func treeSize(fs vfs.FS, dir string) (n int64) {
	names, err := fs.List(dir)
	if err != nil {
		return 0
	}
	for _, name := range names {
		path := fs.PathJoin(dir, name)
		info, err := fs.Stat(path)
		if err != nil {
			continue
		}
		if info.IsDir() {
			n += treeSize(fs, path)
		} else {
			n += info.Size()
		}
	}
	return n
}

func TestQuotaRefusesPutsPastMaxBytes(t *testing.T) {
	o := crashOptions(vfs.NewMem())
	o.MaxBytes = 1 << 20
	s := open(t, "store", o)
	c := create(t, s, "films")
	junk, rng := make([]byte, 10_000), rand.New(rand.NewPCG(1, 2))
	var err error
	for n := 0; n < 100_000 && err == nil; n++ {
		for i := range junk {
			junk[i] = byte(rng.Uint32())
		}
		_, err = s.Commit(context.Background(), []Op{{Kind: Put, Collection: c, ID: fmt.Sprint(n), Body: junk}})
		if n%50 == 0 {
			s.quota.look()
		}
	}
	if !errors.Is(err, ErrFull) {
		t.Fatal(err)
	}
}

// R5: random damage to files of a store is answered by ErrCorrupt, by an
// error, by a Check that reports it, or by nothing being lost; never by a panic
// or by wrong contents that pass for right ones.
func TestDamagedDirectoryIsReportedOrWhole(t *testing.T) {
	seed := fault.Seed(11)
	base := filepath.Join(t.TempDir(), "store")
	build := func() map[string]string {
		s, err := Open(base, crashOptions(nil))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		c := create(t, s, "films")
		churn(t, s, c, rand.New(rand.NewPCG(seed, 0)), 1500)
		err = s.SaveSnapshot(context.Background(), c, 0, s.LSN(), func(w io.Writer) error {
			_, err := w.Write(make([]byte, 100_000))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return dump(t, s)
	}
	want := build()
	outcomes := map[string]int{}
	for i := range fault.Size(60, 2000) {
		dir := filepath.Join(t.TempDir(), "copy")
		if err := os.CopyFS(dir, os.DirFS(base)); err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(seed, uint64(i)+1))
		what, err := fault.Roll(filepath.Join(dir, dbDir), rng, func(name string) bool { return name == "LOCK" })
		if err != nil {
			t.Fatal(err)
		}
		outcome := damaged(t, dir, want)
		outcomes[outcome]++
		if outcome == "silent" {
			t.Errorf("seed %d, damage %d (%s): contents differ and nothing was reported", seed, i, what)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("seed %d: %v", seed, outcomes)
}

// damaged opens a damaged directory and says how it went.
func damaged(t *testing.T, dir string, want map[string]string) string {
	s, err := Open(dir, crashOptions(nil))
	if err != nil {
		if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
			t.Errorf("a damaged store is refused without saying so: %v", err)
		}
		return "Open refused"
	}
	defer s.Close()
	rep, err := s.Check(context.Background())
	if err != nil {
		return "Check failed"
	}
	if !rep.OK() {
		return "Check reported"
	}
	got := dump(t, s)
	if got["lsn"] < want["lsn"] && len(got["lsn"]) <= len(want["lsn"]) {
		return "end of the log lost" // a cut log looks like a crash before its end
	}
	for k, w := range want {
		if got[k] != w {
			return "silent"
		}
	}
	return "whole"
}
