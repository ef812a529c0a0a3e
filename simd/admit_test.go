package simd

import (
	"slices"
	"testing"
)

func TestAdmitGivesTheUnseenWhoseIDMatches(t *testing.T) {
	implementations(t, func(t *testing.T) {
		for n := range 100 {
			r := seeded(n)
			slots := 1 + r.IntN(500)
			seen := make([]uint8, slots, (slots+3)&^3)
			ids := make([]uint32, slots+r.IntN(3))
			allow := make([]uint64, r.IntN(1+slots/64+2))
			for i := range seen {
				seen[i] = uint8(r.IntN(3))
			}
			for i := range ids {
				ids[i] = uint32(r.IntN(slots + 100))
			}
			ids[0] = 1<<32 - 1
			for i := range allow {
				allow[i] = r.Uint64() | r.Uint64()
			}
			for _, length := range []int{0, 1, 15, 16, 17, 31, 32, 33, 64, n} {
				row := make([]uint32, length)
				for i := range row {
					row[i] = uint32(r.IntN(slots + 3))
				}
				if length > 2 {
					row[length-1], row[length/2] = 1<<32-1, 0
				}
				var want []uint32
				for _, s := range row {
					if int(s) < slots && seen[s] != 2 && int(ids[s]/64) < len(allow) && allow[ids[s]/64]>>(ids[s]%64)&1 == 1 {
						want = append(want, s)
					}
				}
				dst := make([]uint32, length)
				if got := dst[:Admit(row, seen, 2, ids, allow, dst)]; !slices.Equal(got, want) {
					t.Fatalf("of %v are admitted %v, want %v", row, got, want)
				}
			}
		}
	})
}

func TestAdmitRefusesSlicesThatAreTooShort(t *testing.T) {
	for name, call := range map[string]func(){
		"ids":  func() { Admit(nil, make([]uint8, 8), 1, make([]uint32, 7), nil, nil) },
		"dst":  func() { Admit(make([]uint32, 2), nil, 1, nil, nil, make([]uint32, 1)) },
		"seen": func() { Admit(nil, make([]uint8, 5)[:5:5], 1, make([]uint32, 5), nil, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			call()
		})
	}
}
