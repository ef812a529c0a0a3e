package ingest

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"testing"
)

func TestDamagedParquetTakesNoMemoryForWhatIsNotThere(t *testing.T) {
	for _, name := range []string{"plain.parquet", "nested.parquet", "arrow.parquet"} {
		data := readTest(t, name)
		for seed := range uint64(400) {
			r := rand.New(rand.NewPCG(seed, 7))
			b := bytes.Clone(data)
			for range 1 + r.IntN(4) {
				at := r.IntN(len(b))
				if r.IntN(2) == 0 { // the footer
					at = len(b) - 1 - r.IntN(min(len(b), 3000))
				}
				switch r.IntN(3) {
				case 0:
					b[at] = byte(r.Uint32())
				case 1:
					b[at] ^= 1 << r.IntN(8)
				default: // large numbers
					copy(b[at:min(at+4, len(b))], "\xff\xff\xff\xff")
				}
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			drain(t, b, Options{Format: Parquet, Vectors: map[string]string{"v": ""}})
			runtime.ReadMemStats(&after)
			if took := (after.TotalAlloc - before.TotalAlloc) >> 20; took > 64 {
				t.Errorf("%s, seed %d: %d MiB for a file of %d bytes", name, seed, took, len(data))
			}
		}
	}
}

func TestRunsThatClaimMoreValuesThanThePageAreRefused(t *testing.T) {
	run := func(count uint64) []byte { return append(binary.AppendUvarint(nil, count<<1), 0) }
	for _, c := range []struct {
		b      []byte
		width  int
		values int64
		ok     bool
	}{
		{run(100), 1, 100, true},
		{append(run(60), run(40)...), 8, 100, true},
		{[]byte{13<<1 | 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13}, 1, 100, true}, // 104 bit-packed
		{run(1 << 30), 1, 100, false},
		{bytes.Repeat(run(1000), 20), 1, 100, false},
		{[]byte{13<<1 | 1, 1, 2}, 1, 100, false},
		{[]byte{0xff}, 1, 100, false},
		{binary.AppendUvarint(nil, 1<<63|1), 32, 100, false},
	} {
		if err := checkRuns(c.b, c.width, c.values); (err == nil) != c.ok {
			t.Errorf("% x: %v", c.b[:min(len(c.b), 16)], err)
		}
	}
}
