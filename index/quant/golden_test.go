package quant_test

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/index/quant"
)

var update = flag.Bool("update", false, "write the golden files again")

// Snapshots hold codes, so their bytes are a format (storage/FORMAT.md): a change
// of them needs a new version of it.
func TestGoldenCodesStayAsTheyAre(t *testing.T) {
	v := make([]float32, 21)
	for i := range v {
		v[i] = float32((i*37)%23-11) / 7 // exact arithmetic: the same on every machine
	}
	pixels := make([]float32, 21)
	for i := range pixels {
		pixels[i] = float32((i * 97) % 256)
	}
	for name, c := range map[string]struct {
		code   index.Codes
		widths []int
		v      []float32
	}{
		"int8":        {index.Int8, nil, v},
		"int8-pixels": {index.Int8, nil, pixels},
		"int8-nested": {index.Int8, []int{8}, v},
		"int4":        {index.Int4, nil, v},
		"int4-nested": {index.Int4, []int{7, 16}, v},
		"bit":         {index.Bit, nil, v},
		"bit-long":    {index.Bit, nil, slices.Repeat(v, 9)}, // 189 components: rounds that overlap
	} {
		q, err := quant.New(c.code, len(c.v), c.widths...)
		if err != nil {
			t.Fatal(err)
		}
		got := []byte(hex.EncodeToString(encoded(q, c.v)) + "\n")
		file := filepath.Join("testdata", name+".hex")
		if *update {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: code is\n%swas\n%s", name, got, want)
		}
	}
}

// The distance over all blocks is the sum of theirs, and no block's
// bound is above it.
func TestDistancesOfBlocksAddUpToThatOfTheWhole(t *testing.T) {
	for _, code := range affine {
		c, err := quant.New(code, 96, 16, 48)
		if err != nil {
			t.Fatal(err)
		}
		vecs := make([][]float32, 40)
		var rows []byte
		r := seeded(4)
		for i := range vecs {
			vecs[i] = gaussian(r, 96, 1, 0)
			for j := range vecs[i] {
				vecs[i][j] /= float32(1 + j)
			}
			rows = append(rows, encoded(c, vecs[i])...)
		}
		var q quant.Query
		c.Prepare(&q, index.L2, vecs[0])
		back, self := make([]float32, 96), make([]float32, 96)
		c.Decode(self, rows[:c.Size()])
		for i := range vecs {
			row := rows[i*c.Size() : (i+1)*c.Size()]
			c.Decode(back, row)
			var sum float32
			for level := range c.Levels() {
				d := []float32{0}
				c.Gather(&q, level, rows, []uint32{uint32(i)}, d)
				sum += d[0]
				w := c.Width(level)
				true := distance(index.L2, vecs[0], vecs[i])
				least := q.Bounds(level).Least(sum, c.Measure(row, level)) + c.Rest(&q, row, level)
				if float64(least) > true*(1+1e-6) {
					t.Fatalf("%s: row %d is at %v, its least over %d components is %v", code, i, true, w, least)
				}
				if head := distance(index.L2, vecs[0][:w], vecs[i][:w]); float64(sum) > head*1.5+0.2 || float64(sum) < head/1.5-0.2 {
					t.Fatalf("%s: row %d is at %v over %d components, by codes %v", code, i, head, w, sum)
				}
			}
		}
	}
}
