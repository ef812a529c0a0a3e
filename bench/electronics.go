package bench

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/eiderdb/eider/internal/train"
	"github.com/eiderdb/eider/recsys/din"
)

// Amazon Electronics, reviews of 192,403 users, as the authors of the Deep Interest
// Network divided them: every review but a user's last is learned from with one
// negative, drawn once and never among the user's own; the last one is tested beside
// one negative. The two sets hold the same rows in the files of two programs.
const (
	electronicsOfficial = "amazon-electronics"      // the authors' dataset.pkl
	electronicsBARS     = "amazon-electronics-bars" // the benchmark's train.csv and test.csv
)

// electronics is the rows as the files have them. Of clicks the tests are used, with
// the one that was taken first of two items.
type electronics struct {
	clicks
	rows  []row
	known string // of files that have sums: whether they are the benchmark's
}

// row is one example: an item offered after a history, oldest first.
type row struct {
	past  []uint32
	item  uint32
	label float32
}

// most keeps the newest n of a history, all of it if n is 0.
func most(past []uint32, n int) []uint32 {
	if n > 0 && len(past) > n {
		return past[len(past)-n:]
	}
	return past
}

// readPickle reads DIR/amazon-electronics/dataset.pkl: four pickles, of rows
// (user, history, item, label), of tests (user, history, (taken, not taken)), of the
// category of each item, and of the numbers of users, items and categories. Error:
// ErrSet.
func readPickle(dir string) (*electronics, error) {
	path := filepath.Join(dir, electronicsOfficial, "dataset.pkl")
	e := &electronics{clicks: clicks{name: electronicsOfficial}}
	err := unzipped(path, func(r io.Reader) error { return e.unpickle(r) })
	if err != nil {
		return nil, err
	}
	return e, nil
}

func (e *electronics) unpickle(r io.Reader) error {
	u := &unpickler{r: bufio.NewReaderSize(r, 1<<16)}
	if _, err := u.read(e.learn); err != nil {
		return fmt.Errorf("the rows: %w", err)
	}
	if _, err := u.read(e.test); err != nil {
		return fmt.Errorf("the tests: %w", err)
	}
	categories, err := u.read(nil)
	if err != nil {
		return fmt.Errorf("the categories: %w", err)
	}
	var of []uint32
	switch c := categories.(type) {
	case *list:
		of = c.ints
	case *array:
		for _, n := range c.ints {
			v, err := id(n)
			if err != nil {
				return fmt.Errorf("the categories: %w", err)
			}
			of = append(of, v)
		}
	}
	v, err := u.read(nil)
	if err != nil {
		return fmt.Errorf("the counts: %w", err)
	}
	counts, _ := v.([]any)
	if len(counts) != 3 || counts[1] != int64(len(of)) || counts[0] != int64(len(e.tests)) {
		return fmt.Errorf("%w: it counts %v users, items and categories, and has %d tests and the category of %d items", ErrSet, v, len(e.tests), len(of))
	}
	n, err := id(counts[2])
	if err != nil {
		return err
	}
	return e.catalogue(of, int(n))
}

// learn takes a row of the first pickle, test one of the second.
func (e *electronics) learn(v []any) error {
	if len(v) == 4 {
		past, ok := v[1].(*list)
		item, err := id(v[2])
		if label, isInt := v[3].(int64); ok && err == nil && isInt && (label == 0 || label == 1) {
			e.rows = append(e.rows, row{past.ints, item, float32(label)})
			return nil
		}
	}
	return fmt.Errorf("%w: %v for a row", ErrSet, v)
}

func (e *electronics) test(v []any) error {
	if len(v) == 3 {
		user, err := id(v[0])
		past, ok := v[1].(*list)
		if pair, _ := v[2].([]any); ok && err == nil && len(pair) == 2 {
			taken, err := id(pair[0])
			other, err2 := id(pair[1])
			if err == nil && err2 == nil {
				e.tests = append(e.tests, click{user, past.ints, []uint32{taken, other}})
				return nil
			}
		}
	}
	return fmt.Errorf("%w: %v for a test", ErrSet, v)
}

// catalogue sets the items and checks that rows and tests have no others.
func (e *electronics) catalogue(category []uint32, categories int) error {
	e.items = len(category)
	check := func(ids ...uint32) error {
		for _, i := range ids {
			if int(i) >= e.items {
				return fmt.Errorf("%w: item %d of %d", ErrSet, i, e.items)
			}
		}
		return nil
	}
	for _, r := range e.rows {
		if err := errors.Join(check(r.item), check(r.past...)); err != nil {
			return err
		}
	}
	for _, t := range e.tests {
		if err := errors.Join(check(t.items...), check(t.past...)); err != nil {
			return err
		}
	}
	if categories > maxID {
		return fmt.Errorf("%w: %d categories, at most %d", ErrSet, categories, maxID)
	}
	if len(e.rows) == 0 || len(e.tests) == 0 {
		return fmt.Errorf("%w: %d rows and %d tests", ErrSet, len(e.rows), len(e.tests))
	}
	for _, c := range category {
		if int(c) >= categories {
			return fmt.Errorf("%w: category %d of %d", ErrSet, c, categories)
		}
	}
	e.fields = []din.Field{{Name: "item_id", Rows: e.items, Dim: 64}, {Name: "cate_id", Rows: categories, Dim: 64}}
	e.columns = []din.Column{{}, {IDs: category}}
	return nil
}

// source yields all rows in a new order each epoch, size of them a batch, with
// histories of the newest length items.
func (e *electronics) source(seed uint64, size, length int) train.Source[*din.Batch] {
	return func(epoch int) iter.Seq2[*din.Batch, error] {
		return func(yield func(*din.Batch, error) bool) {
			rng := rand.New(rand.NewPCG(seed, uint64(epoch)))
			var b din.Batch
			b.Reset()
			for n, i := range rng.Perm(len(e.rows)) {
				r := &e.rows[i]
				b.Add(nil, most(r.past, length), []uint32{r.item}, []float32{r.label})
				if b.Requests() == size || n == len(e.rows)-1 {
					if !yield(&b, nil) {
						return
					}
					b.Reset()
				}
			}
		}
	}
}

// cut leaves the first rows and tests.
func (e *electronics) cut(rows, tests int) {
	e.rows, e.tests = e.rows[:min(rows, len(e.rows))], e.tests[:min(tests, len(e.tests))]
}

// readElectronics reads one of the two sets. Error: ErrSet, saying which files are
// wanted.
func readElectronics(dir, name string) (e *electronics, err error) {
	read, want := readPickle, "dataset.pkl of the authors' repository (din/: cat aa ab ac > dataset.pkl)"
	if name == electronicsBARS {
		read, want = readBARS, "train.csv and test.csv of BARS' AmazonElectronics_x1"
	}
	if e, err = read(dir); errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w; %s is %s, put there by you: it may not be passed on", err, name, want)
	}
	return e, err
}
