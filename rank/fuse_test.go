package rank

import (
	"math"
	"testing"
)

func list(ids ...uint32) Source {
	var s Source
	for i, id := range ids {
		s.Candidates = append(s.Candidates, Candidate{ID: id, Score: float64(len(ids) - i)})
	}
	return s
}

func TestRRFMatchesTheFormulaByHand(t *testing.T) {
	a, b := list(1, 2, 3), list(3, 1)
	b.Weight = 2
	got := RRF(60, a, b)
	want := map[uint32]float64{1: 1.0/61 + 2.0/62, 2: 1.0 / 62, 3: 1.0/63 + 2.0/61}
	if len(got) != 3 || got[0].ID != 3 || got[1].ID != 1 || got[2].ID != 2 {
		t.Fatalf("order %+v", got)
	}
	for _, f := range got {
		if math.Abs(f.Score-want[f.ID]) > 1e-15 {
			t.Errorf("id %d: score %v, want %v", f.ID, f.Score, want[f.ID])
		}
	}
}

func TestEqualFusedScoresAreOrderedByID(t *testing.T) {
	got := RRF(60, list(9, 4), list(4, 9))
	if got[0].ID != 4 || got[1].ID != 9 || got[0].Score != got[1].Score {
		t.Fatalf("got %+v", got)
	}
}

func TestMinMaxIgnoresTheScaleOfASource(t *testing.T) {
	small := Source{Candidates: []Candidate{{1, 0.9}, {2, 0.8}}}
	large := Source{Candidates: []Candidate{{2, 9000}, {3, 8000}}}
	got := Weighted(MinMax, small, large)
	if got[0].ID != 1 || got[0].Score != 1 || got[1].ID != 2 || got[1].Score != 1 || got[2].Score != 0 {
		t.Fatalf("got %+v", got)
	}
}

func TestZScoreNeverRanksAbsenceAbovePresence(t *testing.T) {
	got := Weighted(ZScore, Source{Candidates: []Candidate{{1, 5}, {2, -5}}}, Source{Candidates: []Candidate{{2, 1}}})
	for _, f := range got {
		for _, p := range f.Parts {
			if p.Fused < 0 {
				t.Fatalf("id %d lost %v by being found", f.ID, p.Fused)
			}
		}
	}
}

func TestASourceWithOneScoreStaysFinite(t *testing.T) {
	for _, n := range []Norm{MinMax, ZScore} {
		for _, f := range Weighted(n, Source{Candidates: []Candidate{{1, 2}, {2, 2}}}, Source{}) {
			if math.IsNaN(f.Score) || math.IsInf(f.Score, 0) {
				t.Fatalf("%s gives %v", n, f.Score)
			}
		}
	}
}
