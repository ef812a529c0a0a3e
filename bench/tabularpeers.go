package bench

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/eiderdb/eider/simd"
	"github.com/eiderdb/eider/tabular"
)

//go:embed peers/tabular.py
var tabularPy []byte

// tabularPeers are the libraries of trees that the suite compares with.
var tabularPeers = []string{"xgboost", "lightgbm", "histgradientboosting"}

// contestant is a peer and what it scored.
type contestant struct {
	title string
	contest
}

// peers lets those that are installed fit the set for about so many seconds a seed.
func (s *tabularSuite) peers(ctx context.Context, seconds float64) (all []*contestant, err error) {
	choice := s.o.Peers
	if choice == nil || slices.Contains(choice, "all") {
		choice = tabularPeers
	}
	choice = slices.DeleteFunc(slices.Clone(choice), func(p string) bool { return !slices.Contains(tabularPeers, p) })
	if len(choice) == 0 {
		return nil, nil
	}
	shop, err := newWorkshop(nil)
	if err != nil {
		return nil, err
	}
	defer shop.close()
	script, rows := filepath.Join(shop.temp, "tabular.py"), filepath.Join(shop.temp, "rows")
	if err := errors.Join(os.WriteFile(script, tabularPy, 0o644), s.tables.hand(rows)); err != nil {
		return nil, err
	}
	for _, name := range choice {
		c, err := s.peer(ctx, shop, script, rows, name, seconds)
		if errors.Is(err, errAbsent) {
			why := strings.TrimPrefix(err.Error(), errAbsent.Error()+": ")
			s.report.absent(name, "run bench/peers/install --tables; "+why[strings.LastIndexByte(why, '\n')+1:])
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

func (s *tabularSuite) peer(ctx context.Context, shop *workshop, script, rows, name string, seconds float64) (*contestant, error) {
	p := &peer{title: name, how: "Python", shop: shop}
	if err := p.launch(ctx, shop.python(), script, name); err != nil {
		return nil, err
	}
	defer p.close()
	s.report.about = append(s.report.about, About{p.title, p.how})
	if _, err := p.ask(ctx, "load", rows+".json", rows); err != nil {
		return nil, err
	}
	c, d := &contestant{title: name}, s.tables.test
	for seed := range uint64(s.seeds) {
		file := filepath.Join(shop.temp, "predictions")
		f, err := p.ask(ctx, "fit", strconv.FormatUint(s.o.seed()+seed, 10), strconv.FormatFloat(seconds, 'f', 1, 64), strconv.Itoa(runtime.GOMAXPROCS(0)), file)
		if err != nil {
			return nil, err
		}
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if len(b) != 4*d.Rows*d.Width() {
			return nil, fmt.Errorf("%s predicts %d bytes, %d rows need %d", name, len(b), d.Rows, 4*d.Rows*d.Width())
		}
		out := make([]float32, len(b)/4)
		copy(simd.Bytes(out), b)
		c.rate = float64(d.Rows) / value(f, "predict")
		c.notes = append(c.notes, fmt.Sprintf("best of %s settings, validation %s", f["trials"], f["valid"]))
		if err := c.add(d, out, value(f, "wall")); err != nil {
			return nil, err
		}
		score, _ := d.Kind.Score()
		s.o.log("%s, seed %d: test %s %.5f, %s (%.1f s)", name, s.o.seed()+seed, score, c.single[seed][score].Value, c.notes[seed], c.seconds[seed])
	}
	return c, nil
}

// hand writes the set for peers: little-endian float32 rows of numbers, flags, codes
// and the target, in its own units, of the three parts one after the other; and
// path.json, which says how many of each.
func (t *tables) hand(path string) error {
	d := t.raw[0]
	about := map[string]any{
		"kind": d.Kind, "classes": d.Classes, "numbers": d.NumWidth, "flags": d.BinWidth, "categories": d.CatSizes,
		"rows": []int{t.raw[0].Rows, t.raw[1].Rows, t.raw[2].Rows},
	}
	if err := hand(path+".json", about); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	for _, d := range t.raw {
		for i := range d.Rows {
			if err := binary.Write(w, binary.LittleEndian, rawRow(d, i)); err != nil {
				return errors.Join(err, f.Close())
			}
		}
	}
	return errors.Join(w.Flush(), f.Close())
}

func rawRow(d *tabular.Data, i int) []float32 {
	row := slices.Concat(d.Num[i*d.NumWidth:(i+1)*d.NumWidth], d.Bin[i*d.BinWidth:(i+1)*d.BinWidth])
	for _, code := range d.Cat[i*len(d.CatSizes) : (i+1)*len(d.CatSizes)] {
		row = append(row, float32(code))
	}
	return append(row, float32(float64(d.Y[i])*d.Std+d.Mean))
}
