package eider

import (
	"testing"

	"github.com/eiderdb/eider/index"
)

func TestWritersWaitForFewerFreshVectorsWhileSearchesGoOn(t *testing.T) {
	l := &live{spec: Vector{Dim: 128}}
	for _, c := range []struct {
		fresh      int
		busy, room bool
	}{
		{512, true, true},
		{513, true, false},
		{513, false, true},
		{32768, false, true},
		{32769, false, false},
	} {
		if got := l.roomy(index.Stats{Fresh: c.fresh, Busy: c.busy}); got != c.room {
			t.Errorf("%d fresh, searches %v: room is %v", c.fresh, c.busy, got)
		}
	}
}
