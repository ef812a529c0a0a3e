package hnsw_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"math/rand"
	"os"
	"testing"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/index/hnsw"
	"github.com/eiderdb/eider/index/indextest"
)

// buried is n vectors whose first and last halves say nothing and everything, and
// the rotation that changes them over.
func buried(r *rand.Rand, n, dim int) (vecs [][]float32, rotation []float32) {
	vecs = clustered(r, n, dim)
	for _, v := range vecs {
		for i := range dim / 2 {
			v[i] = float32(r.NormFloat64()) * 0.01
		}
	}
	rotation = make([]float32, dim*dim)
	for i := range dim {
		rotation[i*dim+(i+dim/2)%dim] = 1
	}
	return vecs, rotation
}

func TestAWalkOnARotatedPrefixFindsWhatThePlainOneMisses(t *testing.T) {
	vecs, rotation := buried(rand.New(rand.NewSource(11)), 5000, 64)
	cfg := index.Config{Dim: 64, Codes: index.Int8, Widths: []int{32}}
	got := map[bool]float64{}
	for _, rotated := range []bool{false, true} {
		if rotated {
			cfg.Rotate, cfg.Rotation = true, rotation
		}
		x, f := pair(t, cfg)
		fill(t, x, vecs)
		fill(t, f, vecs)
		if x.Stats().Rotated != rotated {
			t.Errorf("rotated %v, want %v", x.Stats().Rotated, rotated)
		}
		got[rotated] = recall(t, x, f, vecs[:200], index.Params{K: 10, Ef: 60})
	}
	if got[true] < 0.95 || got[false] > 0.5 {
		t.Errorf("recall %.3f rotated, %.3f plain", got[true], got[false])
	}
}

func TestEveryPrefixIsCalibratedAndARecallIsFoundByOneOfThem(t *testing.T) {
	vecs, rotation := buried(rand.New(rand.NewSource(15)), 6200, 64)
	cfg := index.Config{Dim: 64, Codes: index.Int8, Widths: []int{32, 48}, EfConstruction: 60, Rotate: true, Rotation: rotation}
	x, f, queries := calibrated(t, cfg, vecs)
	points := map[int]int{}
	for _, p := range x.Stats().Curve {
		points[p.Prefix]++
	}
	if len(points) != 3 || points[32] == 0 || points[48] == 0 || points[64] == 0 {
		t.Errorf("points of the curve by prefix: %v", points)
	}
	for _, want := range []float64{0.9, 0.98} {
		p := index.Params{K: 10, Recall: want}
		_, w, err := x.Search(context.Background(), queries[0], p, nil)
		if err != nil || !w.Exact && (w.Recall < want-1e-9 || points[w.Prefix] == 0 || w.Depth < w.Prefix) {
			t.Errorf("%+v, %v", w, err)
		}
		if got := recall(t, x, f, queries, p); got < want-0.02 {
			t.Errorf("recall %.3f, asked for %.2f: %+v", got, want, w)
		}
	}
	_, w, err := x.Search(context.Background(), queries[0], index.Params{K: 10, Ef: 40}, nil)
	if err != nil || w.Prefix != 32 {
		t.Errorf("with a pool given: %+v, %v", w, err)
	}
}

func TestScansThroughRotatedCodesAreExact(t *testing.T) {
	ctx := context.Background()
	const dim = 96
	vecs := clustered(rand.New(rand.NewSource(12)), 6000, dim) // enough for a scan to go by codes
	for _, m := range []index.Metric{index.L2, index.Cosine} {
		cfg := index.Config{Dim: dim, Metric: m, Codes: index.Int8, Widths: []int{16, 48}, Rotate: true, Rotation: indextest.Reflection(dim)}
		x, f := pair(t, cfg)
		fill(t, x, vecs)
		fill(t, f, vecs)
		for _, q := range vecs[:50] {
			want, _, _ := f.Search(ctx, q, index.Params{K: 10}, nil)
			hits, _, err := x.Search(ctx, q, index.Params{K: 10, Exact: true}, nil)
			if err != nil || len(hits) != len(want) {
				t.Fatalf("%v: %d hits", err, len(hits))
			}
			for i := range hits {
				if hits[i] != want[i] {
					t.Fatalf("%s: hit %d is %v, want %v", m, i, hits[i], want[i])
				}
			}
		}
	}
}

func TestARotationIsSavedAndRefusedWhereItDoesNotBelong(t *testing.T) {
	ctx := context.Background()
	vecs := clustered(rand.New(rand.NewSource(13)), 3000, 16)
	made := index.Config{Dim: 16, Codes: index.Int8, Widths: []int{8}, Rotate: true, Rotation: indextest.Reflection(16)}
	x, _ := pair(t, made)
	fill(t, x, vecs)
	cfg := made
	cfg.Rotation = nil
	whole := save(t, x)
	y, loose := adopted(t, cfg, whole, span(0, 3000), store(vecs))
	if len(loose) != 0 || !y.Stats().Rotated {
		t.Fatalf("%d loose, rotated %v", len(loose), y.Stats().Rotated)
	}
	for _, q := range vecs[:100] {
		a, _, _ := x.Search(ctx, q, index.Params{K: 5, Ef: 50}, nil)
		b, _, err := y.Search(ctx, q, index.Params{K: 5, Ef: 50}, nil)
		if err != nil || len(a) != len(b) {
			t.Fatalf("%v: %v, saved %v", err, b, a)
		}
		for i := range a {
			if a[i] != b[i] {
				t.Fatalf("hit %d: %v, saved %v", i, b[i], a[i])
			}
		}
	}
	cfg.Rotate = false
	if _, err := hnsw.Load(ctx, cfg, bytes.NewReader(whole)); !errors.Is(err, index.ErrCorrupt) {
		t.Errorf("by an index that does not rotate: %v", err)
	}
	cfg.Rotate = true
	at := len(whole) - 4 - 4*16*16 // the rotation is the last section
	for what, f := range map[string]float32{"a number": 0.9, "a NaN": float32(math.NaN()), "a sign": -math.Float32frombits(binary.LittleEndian.Uint32(whole[at+4*17:]))} {
		b := bytes.Clone(whole)
		binary.LittleEndian.PutUint32(b[at+4*17:], math.Float32bits(f))
		if _, err := hnsw.Load(ctx, cfg, bytes.NewReader(b)); !errors.Is(err, index.ErrCorrupt) {
			t.Errorf("%s changed: %v", what, err)
		}
		resealWith(b, cfg.Widths)
		if _, err := hnsw.Load(ctx, cfg, bytes.NewReader(b)); !errors.Is(err, index.ErrCorrupt) {
			t.Errorf("%s changed, checksums mended: %v", what, err)
		}
	}
}

func TestRotationsThatCannotBeAreRefused(t *testing.T) {
	for _, cfg := range []index.Config{
		{Dim: 4, Codes: index.Int8, Rotation: make([]float32, 16)},
		{Dim: 4, Codes: index.Int8, Widths: []int{2}, Rotation: make([]float32, 15)},
	} {
		if _, err := hnsw.New(cfg); !errors.Is(err, index.ErrOption) {
			t.Errorf("%d widths, %d numbers: %v", len(cfg.Widths), len(cfg.Rotation), err)
		}
	}
}

func TestTheGoldenRotatedSnapshotLoads(t *testing.T) {
	ctx := context.Background()
	vecs := clustered(rand.New(rand.NewSource(14)), 60, 6)
	cfg := index.Config{Dim: 6, M: 4, Codes: index.Int8, Widths: []int{2}, Rotate: true, Seed: 9, Workers: 1}
	if *update {
		made := cfg
		made.Rotation = indextest.Reflection(6)
		x, _ := pair(t, made)
		fill(t, x, vecs)
		if err := os.WriteFile("testdata/v2.rotated.snapshot", save(t, x), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile("testdata/v2.rotated.snapshot")
	if err != nil {
		t.Fatal(err)
	}
	x, _ := adopted(t, cfg, b, span(0, 60), store(vecs))
	hits, _, err := x.Search(ctx, vecs[11], index.Params{K: 1}, nil)
	if err != nil || !x.Stats().Rotated || len(hits) != 1 || hits[0].ID != 11 {
		t.Fatalf("%v, %v", hits, err)
	}
	if again := save(t, x); !bytes.Equal(again, b) {
		t.Error("what was loaded is saved as other bytes")
	}
}
