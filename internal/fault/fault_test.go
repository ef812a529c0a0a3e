package fault

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestMain(m *testing.M) {
	switch Mode() {
	case "":
		os.Exit(m.Run())
	case "count": // acknowledges until it is killed
		reply := Reply()
		for n := uint64(1); ; n++ {
			reply.Send(Ack{Worker: 1, Count: n})
			time.Sleep(time.Millisecond)
		}
	case "exit":
		Reply().Send(Ack{Count: 1})
		fmt.Fprint(os.Stderr, "bye")
		os.Exit(7)
	case "hang":
		time.Sleep(time.Hour)
	}
}

func TestKilledChildReportsEveryAckItSent(t *testing.T) {
	c, err := Start("count")
	if err != nil {
		t.Fatal(err)
	}
	c.KillAfter(20*time.Millisecond, 10*time.Second)
	acks, code, _, hung := c.Wait(10 * time.Second)
	if code != -1 || hung || len(acks) == 0 {
		t.Fatalf("code %d, hung %v, %d acks", code, hung, len(acks))
	}
	for i, a := range acks {
		if a.Count != uint64(i)+1 || a.Worker != 1 {
			t.Fatalf("ack %d is %+v", i, a)
		}
	}
}

func TestChildExitCodeAndErrorsReachTheParent(t *testing.T) {
	c, err := Start("exit")
	if err != nil {
		t.Fatal(err)
	}
	acks, code, stderr, hung := c.Wait(10 * time.Second)
	if code != 7 || stderr != "bye" || hung || len(acks) != 1 {
		t.Fatalf("code %d, stderr %q, hung %v, acks %v", code, stderr, hung, acks)
	}
}

func TestHungChildIsKilledAndSaidToHang(t *testing.T) {
	c, err := Start("hang")
	if err != nil {
		t.Fatal(err)
	}
	if _, code, _, hung := c.Wait(50 * time.Millisecond); !hung || code != -1 {
		t.Fatalf("code %d, hung %v", code, hung)
	}
}

func write(fs vfs.FS, name string, sync bool) error {
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte("data"))
	if err == nil && sync {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func TestFailingFailsExactlyTheOperationsOfItsMode(t *testing.T) {
	for _, c := range []struct {
		mode FailMode
		want []bool
		is   error
	}{
		{Once, []bool{false, true, false, false}, ErrInjected},
		{Sticky, []bool{false, true, true, true}, ErrInjected},
		{NoSpace, []bool{false, true, true, true}, syscall.ENOSPC},
	} {
		f := &Failing{Mode: c.mode, At: 4} // a write is create, write, close
		fs := f.Wrap(vfs.NewMem())
		for i, want := range c.want {
			err := write(fs, fmt.Sprint(i), false)
			if (err != nil) != want || want && !errors.Is(err, c.is) {
				t.Errorf("%s: file %d: %v", c.mode, i, err)
			}
		}
	}
}

func TestCutKeepsWhatWasSyncedAndMayLoseTheRest(t *testing.T) {
	kept, lost := 0, 0
	c := &Cutter{Disk: vfs.NewCrashableMem(), Every: 1, Seed: 1}
	synced := false
	c.Cut = func(op int64, state *vfs.MemFS) {
		_, errA := state.Stat("synced")
		if synced && errA != nil {
			t.Errorf("cut at %d lost a synced file: %v", op, errA)
		}
		if _, err := state.Stat("unsynced"); err == nil {
			kept++
		} else {
			lost++
		}
	}
	fs := c.Wrap()
	if err := write(fs, "synced", true); err != nil {
		t.Fatal(err)
	}
	d, err := fs.OpenDir("")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Sync(); err != nil {
		t.Fatal(err)
	}
	synced = true
	if err := write(fs, "unsynced", false); err != nil {
		t.Fatal(err)
	}
	for range 40 {
		if err := write(fs, "other", false); err != nil {
			t.Fatal(err)
		}
	}
	if kept == 0 || lost == 0 {
		t.Errorf("an unsynced file was kept %d times and lost %d times", kept, lost)
	}
}

func TestQuotaEndsAtItsLimit(t *testing.T) {
	mem := vfs.NewMem()
	used := int64(0)
	q := NewQuota(mem, 10, func() int64 { return used })
	if err := write(q, "a", false); err != nil {
		t.Fatal(err)
	}
	used = 8
	if err := write(q, "b", false); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("write past the end: %v", err)
	}
	q.SetLimit(100)
	if u, err := q.GetDiskUsage("/"); err != nil || u.AvailBytes != 92 {
		t.Errorf("usage %+v, %v", u, err)
	}
}

func TestRollDamagesSomethingOnEveryFaceOfTheDie(t *testing.T) {
	seen := map[byte]bool{}
	for seed := range uint64(60) {
		dir := t.TempDir()
		for _, n := range []string{"a", "b"} {
			if err := os.WriteFile(filepath.Join(dir, n), []byte("contents of "+n), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		what, err := Roll(dir, rand.New(rand.NewPCG(seed, 0)), nil)
		if err != nil {
			t.Fatal(err)
		}
		seen[what[0]] = true
		a, errA := os.ReadFile(filepath.Join(dir, "a"))
		b, errB := os.ReadFile(filepath.Join(dir, "b"))
		whole := errA == nil && errB == nil && string(a) == "contents of a" && string(b) == "contents of b"
		if whole && what != "swap a and a" && what != "swap b and b" {
			t.Errorf("%s changed nothing", what)
		}
	}
	if len(seen) != 6 {
		t.Errorf("faces seen: %v", seen)
	}
}
