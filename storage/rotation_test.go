package storage

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/eiderdb/eider/storage/format"
)

var quarter = format.Rotation{Learned: 40, Rows: []float32{0, -1, 1, 0}}

// kept reads a rotation as of now.
func kept(t *testing.T, s *Store, coll uint32, field uint16) (format.Rotation, error) {
	t.Helper()
	v, err := s.Acquire()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Release()
	return v.Rotation(coll, field)
}

func TestARotationIsKeptWithItsFieldAndGoesWithIt(t *testing.T) {
	ctx := t.Context()
	var told []Change
	dir := t.TempDir()
	s := open(t, dir, &Options{Apply: func(_ uint64, ch []Change) { told = append(told, ch...) }})
	c := create(t, s, "films")
	if _, err := kept(t, s, c, 1); !errors.Is(err, ErrNotFound) {
		t.Errorf("before there is one: %v", err)
	}
	before := s.LSN()
	if err := s.SetRotation(ctx, c, 1, quarter); err != nil {
		t.Fatal(err)
	}
	if last := told[len(told)-1]; s.LSN() != before+1 || last.Op != format.OpSchema || last.Collection != c {
		t.Errorf("it was announced as %v at LSN %d, after %d", last.Op, s.LSN(), before)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, nil)
	got, err := kept(t, s, c, 1)
	if err != nil || got.Learned != quarter.Learned || !slices.Equal(got.Rows, quarter.Rows) {
		t.Fatalf("%v, %v", got, err)
	}
	clean(t, s)
	if err := s.SetRotation(ctx, c, 1, format.Rotation{}); err != nil {
		t.Fatal(err)
	}
	if _, err := kept(t, s, c, 1); !errors.Is(err, ErrNotFound) {
		t.Errorf("after it was removed: %v", err)
	}
	if err := s.SetRotation(ctx, c, 1, quarter); err != nil {
		t.Fatal(err)
	}
	if err := s.DropVector(ctx, c, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := kept(t, s, c, 1); !errors.Is(err, ErrNotFound) {
		t.Errorf("after its field was dropped: %v", err)
	}
	if err := s.SetRotation(ctx, c, 1, quarter); !errors.Is(err, ErrNotFound) {
		t.Errorf("set for a field that was dropped: %v", err)
	}
	if err := s.SetRotation(ctx, c, 2, quarter); err != nil {
		t.Fatal(err)
	}
	if err := s.DropCollection(ctx, c); err != nil {
		t.Fatal(err)
	}
	clean(t, s)
}

func TestBackupsCarryRotations(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	s := open(t, filepath.Join(dir, "db"), nil)
	c := create(t, s, "films")
	if err := s.SetRotation(ctx, c, 1, format.Rotation{Learned: 4, Rows: []float32{1}}); err != nil {
		t.Fatal(err)
	}
	full, err := s.Backup(ctx, filepath.Join(dir, "full"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetRotation(ctx, c, 1, quarter); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Backup(ctx, filepath.Join(dir, "more"), full.LSN); err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]uint64{"full": 4, "more": 40} {
		from := paths(dir, "full", "more")
		if target == "full" {
			from = from[:1]
		}
		to := filepath.Join(dir, "of-"+target)
		if _, err := Restore(ctx, to, from...); err != nil {
			t.Fatal(err)
		}
		back := open(t, to, nil)
		clean(t, back)
		if got, err := kept(t, back, c, 1); err != nil || got.Learned != want {
			t.Errorf("%s: learned from %d, want %d (%v)", target, got.Learned, want, err)
		}
	}
}

func TestADamagedRotationIsReportedAndDoesNotStopOpen(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	c := create(t, s, "films")
	if err := s.SetRotation(t.Context(), c, 1, quarter); err != nil {
		t.Fatal(err)
	}
	b, err := s.get(rotationKey(c, 1))
	if err != nil {
		t.Fatal(err)
	}
	b = slices.Clone(b)
	b[20] ^= 1
	if err := s.db.Set(rotationKey(c, 1), b, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, nil)
	if _, err := kept(t, s, c, 1); !errors.Is(err, ErrCorrupt) {
		t.Errorf("read: %v", err)
	}
	rep, err := s.Check(t.Context())
	if err != nil || len(rep.Problems) != 1 || rep.Problems[0].Kind != "rotation" || !strings.Contains(rep.Problems[0].Detail, "learned again") {
		t.Errorf("check: %v, %v", rep.Problems, err)
	}
}
