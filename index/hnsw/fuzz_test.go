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
	"github.com/eiderdb/eider/index/indextest"
)

// reseal sets the checksums of a snapshot to what its bytes say, so that damage
// gets past them to the checks behind; see codec.go.
func reseal(b []byte) { resealWith(b, nil) }

// resealWith is reseal for an index with widths.
func resealWith(b []byte, widths []int) {
	const head, unit = 64, 1 << 20
	if len(b) < head {
		return
	}
	table, le := crc32.MakeTable(crc32.Castagnoli), binary.LittleEndian
	crc := crc32.Checksum(b[:head-4], table)
	for _, w := range widths {
		crc = crc32.Update(crc, table, le.AppendUint32(nil, uint32(w)))
	}
	le.PutUint32(b[head-4:], crc)
	sum := func(number uint32, b, to []byte) {
		var seal [8]byte
		le.PutUint32(seal[:], crc)
		le.PutUint32(seal[4:], number)
		le.PutUint32(to, crc32.Update(crc32.Checksum(seal[:], table), table, b))
	}
	if le.Uint32(b[8:]) != 1 {
		for number := uint32(0); len(b) > 4; number++ {
			n := min(len(b), unit) - 4
			sum(number, b[:n], b[n:])
			b = b[n+4:]
		}
		return
	}
	n, m, lists := uint64(le.Uint32(b[24:])), uint64(le.Uint32(b[16:])), le.Uint64(b[48:])
	at, number := uint64(head), uint32(0)
	for _, section := range []uint64{n, 4 * n, 4 * m * (lists & 0xffff), 8 * m * n} {
		for left := section; left > 0; number++ {
			size := min(left, 1<<20)
			if at+size+4 > uint64(len(b)) {
				return
			}
			sum(number, b[at:at+size], b[at+size:])
			at += size + 4
			left -= size
		}
	}
}

// FuzzLoad gives Load any bytes, half of the time with checksums that fit. It
// must refuse them or make an index that works.
func FuzzLoad(f *testing.F) {
	ctx := context.Background()
	const ( // bits of form
		coded = 1 + iota
		nested
	)
	config := func(form uint8) index.Config {
		cfg := index.Config{Dim: 2, M: 2, Workers: 1}
		if form&(coded|nested) != 0 {
			cfg.Codes = index.Int8
		}
		if form&nested != 0 {
			cfg.Widths, cfg.Rotate = []int{1}, true
		}
		return cfg
	}
	vecs := make(store, 8)
	for id := range vecs {
		vecs[id] = []float32{float32(id), 1}
	}
	for _, form := range []uint8{0, coded, nested} {
		for _, n := range []int{0, 1, 30} {
			cfg := config(form)
			if cfg.Rotate {
				cfg.Rotation = indextest.Reflection(cfg.Dim)
			}
			x, err := hnsw.New(cfg)
			if err != nil {
				f.Fatal(err)
			}
			fill(f, x, clustered(rand.New(rand.NewSource(int64(n))), n, 2))
			f.Add(save(f, x), false, form)
			x.Close()
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, seal bool, form uint8) {
		cfg := config(form)
		if seal {
			b = bytes.Clone(b)
			resealWith(b, cfg.Widths)
		}
		x, err := hnsw.Load(ctx, cfg, bytes.NewReader(b))
		if err != nil {
			if !errors.Is(err, index.ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		defer x.Close()
		if x.Stocked() { // with the codes of other vectors: it answers, and then has none of them
			if _, err := x.Adopt(ctx, span(0, 8), vecs); err != nil {
				t.Fatal(err)
			}
			if _, _, err := x.Search(ctx, []float32{3, 1}, index.Params{K: 3, Allow: span(0, 8)}, nil); err != nil {
				t.Fatal(err)
			}
			for id := range uint32(8) {
				x.Delete(id, 1)
				if err := x.Insert(ctx, id, vecs[id]); err != nil {
					t.Fatal(err)
				}
			}
			x.Release(1)
		} else {
			for id := range uint32(8) {
				if err := x.Fill(id, vecs[id]); err != nil {
					t.Fatal(err)
				}
			}
			if err := x.Ready(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if err := x.Drain(ctx); err != nil {
			t.Fatal(err)
		}
		if hits, _, err := x.Search(ctx, []float32{3, 1}, index.Params{K: 3}, nil); err != nil || len(hits) != 3 || hits[0].ID != 3 {
			t.Fatalf("%v, %v", hits, err)
		}
	})
}
