package hnsw_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand"
	"testing"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/index/hnsw"
)

// reseal sets the checksums of a snapshot to what its bytes say, so that damage
// gets past them to the checks behind. Sections are as codec.go says; bytes that
// end early are left as they are.
func reseal(b []byte) {
	const head = 64
	if len(b) < head {
		return
	}
	table, le := crc32.MakeTable(crc32.Castagnoli), binary.LittleEndian
	crc := crc32.Checksum(b[:head-4], table)
	le.PutUint32(b[head-4:], crc)
	n, m, lists := uint64(le.Uint32(b[24:])), uint64(le.Uint32(b[16:])), le.Uint64(b[48:])
	at, number := uint64(head), uint32(0)
	for _, section := range []uint64{n, 4 * n, 4 * m * (lists & 0xffff), 8 * m * n} {
		for left := section; left > 0; number++ {
			size := min(left, 1<<20)
			if at+size+4 > uint64(len(b)) {
				return
			}
			var seal [8]byte
			le.PutUint32(seal[:], crc)
			le.PutUint32(seal[4:], number)
			le.PutUint32(b[at+size:], crc32.Update(crc32.Checksum(seal[:], table), table, b[at:at+size]))
			at += size + 4
			left -= size
		}
	}
}

// FuzzLoad gives Load any bytes, half of the time with checksums that fit. It
// must refuse them or make an index that works.
func FuzzLoad(f *testing.F) {
	ctx := context.Background()
	cfg := index.Config{Dim: 2, M: 2, Workers: 1}
	for _, n := range []int{0, 1, 30} {
		x, err := hnsw.New(cfg)
		if err != nil {
			f.Fatal(err)
		}
		fill(f, x, clustered(rand.New(rand.NewSource(int64(n))), n, 2))
		f.Add(save(f, x), false)
		x.Close()
	}
	f.Fuzz(func(t *testing.T, b []byte, seal bool) {
		if seal {
			b = bytes.Clone(b)
			reseal(b)
		}
		x, err := hnsw.Load(ctx, cfg, bytes.NewReader(b))
		if err != nil {
			if !errors.Is(err, index.ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		defer x.Close()
		for id := range uint32(8) {
			if err := x.Fill(id, []float32{float32(id), 1}); err != nil {
				t.Fatal(err)
			}
		}
		if err := x.Ready(ctx); err != nil {
			t.Fatal(err)
		}
		if err := x.Drain(ctx); err != nil {
			t.Fatal(err)
		}
		if hits, _, err := x.Search(ctx, []float32{3, 1}, index.Params{K: 3}, nil); err != nil || len(hits) != 3 || hits[0].ID != 3 {
			t.Fatalf("%v, %v", hits, err)
		}
	})
}
