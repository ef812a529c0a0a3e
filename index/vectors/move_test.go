package vectors

import (
	"context"
	"slices"
	"testing"

	"github.com/eiderdb/eider/index"
)

// newLine is a set of n vectors, id i at i, slot i.
func newLine(t *testing.T, n int, codes index.Codes) *Set {
	t.Helper()
	s, err := New(index.Config{Dim: 2, Codes: codes}, MinRoom, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	for i := range n {
		slot, err := s.Reserve(uint32(i))
		if err != nil || slot != uint32(i) {
			t.Fatal(slot, err)
		}
		s.Write(slot, []float32{float32(i), 1})
		s.Publish(slot)
	}
	return s
}

// found is the ids that a scan as of at finds, sorted.
func found(t *testing.T, s *Set, at uint64) []uint32 {
	t.Helper()
	var c Scan
	var q Probe
	s.Trace(&q, []float32{0, 1})
	hits, _, err := c.Exact(context.Background(), s, &q, index.Params{K: 100, At: at}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]uint32, len(hits))
	for i, h := range hits {
		ids[i] = h.ID
	}
	slices.Sort(ids)
	return ids
}

func TestAMovingVectorIsFoundOnceAtEveryStep(t *testing.T) {
	for _, codes := range []index.Codes{index.None, index.Int8} {
		s := newLine(t, 6, codes)
		s.Delete(1, 1)
		s.Free([]uint32{1})
		want := []uint32{0, 2, 3, 4, 5}
		check := func(step string) {
			t.Helper()
			for _, at := range []uint64{0, 1, 9} {
				if got := found(t, s, at); !slices.Equal(got, want) {
					t.Fatalf("%s: as of %d ids %v are found, want %v", step, at, got, want)
				}
			}
			if err := s.Check(context.Background()); err != nil {
				t.Fatalf("%s: %v", step, err)
			}
			if v, ok := s.Vector(5, nil); !ok || v[0] != 5 {
				t.Fatalf("%s: vector 5 is %v", step, v)
			}
			if s.Len() != 5 {
				t.Fatalf("%s: len %d", step, s.Len())
			}
		}
		if free := s.Seize(); !slices.Equal(free, []uint32{1}) {
			t.Fatalf("free slots %v", free)
		}
		s.StartMoves()
		s.Copy(5, 1)
		check("copied")
		if !s.Switch(5, 1) {
			t.Fatal("a live vector did not move")
		}
		check("switched")
		s.Retire(5, 1)
		check("retired")
		s.Vacate([]uint32{5})
		s.EndMoves()
		check("freed")
		if s.Shadowed() || s.Dead() != 0 {
			t.Fatalf("%d dead after the move", s.Dead())
		}
	}
}

func TestADeleteDuringAMoveHidesBothSlots(t *testing.T) {
	s := newLine(t, 4, index.None)
	s.Delete(0, 1)
	s.Free([]uint32{0})
	s.Seize()
	s.StartMoves()
	s.Copy(3, 0)
	s.Switch(3, 0)
	if slot, ok := s.Delete(3, 7); !ok || slot != 0 {
		t.Fatalf("deleted slot %d, %v", slot, ok)
	}
	for at, want := range map[uint64][]uint32{0: {1, 2}, 6: {1, 2, 3}, 7: {1, 2}} {
		if got := found(t, s, at); !slices.Equal(got, want) {
			t.Errorf("as of %d ids %v are found, want %v", at, got, want)
		}
	}
	s.Retire(3, 0)
	if got := found(t, s, 6); !slices.Equal(got, []uint32{1, 2, 3}) {
		t.Errorf("as of 6 ids %v are found", got)
	}
	s.Free([]uint32{0})
	s.Vacate([]uint32{3})
	s.EndMoves()
	if s.Dead() != 0 || s.Shadowed() || s.Len() != 2 {
		t.Errorf("%d live, %d dead", s.Len(), s.Dead())
	}
}

func TestAVectorThatDiedIsNotMoved(t *testing.T) {
	s := newLine(t, 4, index.None)
	s.Delete(0, 1)
	s.Free([]uint32{0})
	s.Seize()
	s.StartMoves()
	s.Copy(3, 0)
	s.Delete(3, 7)
	if s.Switch(3, 0) {
		t.Fatal("a dead vector moved")
	}
	if got := found(t, s, 6); !slices.Equal(got, []uint32{1, 2, 3}) {
		t.Errorf("as of 6 ids %v are found", got)
	}
	s.Vacate([]uint32{0})
	s.Free([]uint32{3})
	if s.Dead() != 0 || s.Shadowed() || s.Len() != 2 {
		t.Errorf("%d live, %d dead", s.Len(), s.Dead())
	}
}

func TestAnnexedSlotsAreNotReserved(t *testing.T) {
	s := newLine(t, 4, index.None)
	first, err := s.Annex(3)
	if err != nil || first != 4 || s.Slots() != 7 {
		t.Fatalf("annexed from %d of %d slots, %v", first, s.Slots(), err)
	}
	if slot, err := s.Reserve(9); err != nil || slot != 7 {
		t.Fatalf("reserved slot %d, %v", slot, err)
	}
	if _, err := s.Annex(s.Most()); err == nil {
		t.Error("more slots were annexed than there can be")
	}
	s.Vacate([]uint32{4, 5, 6})
	if slot, err := s.Reserve(10); err != nil || slot != 6 {
		t.Fatalf("reserved slot %d, %v", slot, err)
	}
}

func TestATrimmedSetGrowsAgain(t *testing.T) {
	const n = 5000
	s := newLine(t, n, index.Int8)
	var high []uint32
	for i := uint32(100); i < n; i++ {
		s.Delete(i, 1)
		high = append(high, i)
	}
	s.Free(high)
	s.Seize()
	before := s.VectorBytes()
	if s.Trim(n-1, 100, func(int, int) { t.Error("dropped slots in use") }) {
		t.Fatal("trimmed a set that is longer")
	}
	dropped := 0
	if !s.Trim(n, 100, func(from, to int) { dropped = to - from }) || dropped != n-100 {
		t.Fatalf("dropped %d slots", dropped)
	}
	if s.Slots() != 100 || s.VectorBytes()*49 > before {
		t.Fatalf("%d slots, %d bytes", s.Slots(), s.VectorBytes())
	}
	for i := uint32(100); i < n; i++ {
		slot, err := s.Reserve(i)
		if err != nil {
			t.Fatal(err)
		}
		s.Write(slot, []float32{float32(i), 2})
		s.Publish(slot)
	}
	if v, ok := s.Vector(99, nil); !ok || !slices.Equal(v, []float32{99, 1}) {
		t.Fatalf("vector 99 is %v", v)
	}
	if v, ok := s.Vector(n-1, nil); !ok || !slices.Equal(v, []float32{n - 1, 2}) {
		t.Fatalf("vector %d is %v", n-1, v)
	}
	if err := s.Check(context.Background()); err != nil {
		t.Fatal(err)
	}
}
