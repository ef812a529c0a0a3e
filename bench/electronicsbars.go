package bench

import (
	"bufio"
	"crypto/md5"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Of the benchmark's files: md5 sums and columns.
var (
	sumsBARS    = map[string]string{"train.csv": "e9bf80b92985e463db18fdc753d347b5", "test.csv": "57a20e82fe736dd495f2eaf0669bf6d0"}
	columnsBARS = []string{"label", "user_id", "item_id", "cate_id", "item_history", "cate_history"}
)

// maxID is the greatest number of an item or a category there may be.
const maxID = 1 << 22

// readBARS reads DIR/amazon-electronics-bars/train.csv and test.csv: the rows of the
// same set, histories as numbers between ^. A test is two lines with the one that
// was taken first. Error: ErrSet.
func readBARS(dir string) (*electronics, error) {
	e := &electronics{clicks: clicks{name: electronicsBARS}, known: "the files are the benchmark's, by their md5 sums"}
	var category []uint32
	categories := 0
	for _, file := range []string{"train.csv", "test.csv"} {
		sum := md5.New()
		err := unzipped(filepath.Join(dir, electronicsBARS, file), func(r io.Reader) error {
			lines := csv.NewReader(bufio.NewReaderSize(io.TeeReader(r, sum), 1<<16))
			lines.ReuseRecord, lines.FieldsPerRecord = true, len(columnsBARS)
			for n := 0; ; n++ {
				f, err := lines.Read()
				if errors.Is(err, io.EOF) {
					return nil
				} else if err != nil {
					return err
				}
				if n == 0 {
					if got := strings.Join(f, ","); got != strings.Join(columnsBARS, ",") {
						return fmt.Errorf("%w: columns %s, not %v", ErrSet, got, columnsBARS)
					}
					continue
				}
				l, err := parseBARS(f)
				if err == nil {
					category = l.note(category)
				}
				if err == nil && file == "train.csv" {
					e.rows = append(e.rows, row{l.past, l.item, float32(l.label)})
				} else if err == nil {
					err = e.pair(l)
				}
				if err != nil {
					return fmt.Errorf("line %d: %w", n+1, err)
				}
				categories = max(categories, int(l.category)+1, int(slices.Max(append(l.kinds, 0)))+1)
			}
		})
		if err != nil {
			return nil, err
		}
		if got := hex.EncodeToString(sum.Sum(nil)); got != sumsBARS[file] {
			e.known = fmt.Sprintf("%s is not the benchmark's: md5 %s, not %s", file, got, sumsBARS[file])
		}
	}
	if n := len(e.tests); n > 0 && len(e.tests[n-1].items) != 2 {
		return nil, fmt.Errorf("%w: the last test has one line", ErrSet)
	}
	return e, e.catalogue(category, categories)
}

// lineBARS is a line of the benchmark's files.
type lineBARS struct {
	label, user, item, category uint32
	past, kinds                 []uint32 // items of the history and their categories
}

func parseBARS(f []string) (l lineBARS, err error) {
	for i, into := range []*uint32{&l.label, &l.user, &l.item, &l.category} {
		if *into, err = parseID(f[i]); err != nil {
			return l, err
		}
	}
	if l.label > 1 {
		return l, fmt.Errorf("%w: label %d", ErrSet, l.label)
	}
	l.past, err = parseIDs(f[4])
	if err == nil {
		l.kinds, err = parseIDs(f[5])
	}
	if err == nil && len(l.kinds) != len(l.past) {
		err = fmt.Errorf("%w: a history of %d items and %d categories", ErrSet, len(l.past), len(l.kinds))
	}
	return l, err
}

func parseIDs(text string) (ids []uint32, err error) {
	if text == "" {
		return nil, nil
	}
	ids = make([]uint32, strings.Count(text, "^")+1)
	for i := range ids {
		var word string
		word, text, _ = strings.Cut(text, "^")
		if ids[i], err = parseID(word); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

func parseID(word string) (uint32, error) {
	n, err := strconv.ParseUint(word, 10, 32)
	if err != nil || n > maxID {
		return 0, fmt.Errorf("%w: %q for a number up to %d", ErrSet, word, maxID)
	}
	return uint32(n), nil
}

// note sets the categories of the items that the line has.
func (l *lineBARS) note(category []uint32) []uint32 {
	set := func(item, c uint32) {
		if n := int(item) + 1; n > len(category) {
			category = append(category, make([]uint32, n-len(category))...)
		}
		category[item] = c
	}
	set(l.item, l.category)
	for i, it := range l.past {
		set(it, l.kinds[i])
	}
	return category
}

// pair adds a line of the tests: the item taken, then the other one.
func (e *electronics) pair(l lineBARS) error {
	n := len(e.tests) - 1
	switch open := n >= 0 && len(e.tests[n].items) == 1; {
	case !open && l.label == 1:
		e.tests = append(e.tests, click{l.user, l.past, []uint32{l.item}})
	case open && l.label == 0 && e.tests[n].user == l.user:
		e.tests[n].items = append(e.tests[n].items, l.item)
	default:
		return fmt.Errorf("%w: tests are a line with label 1 and one of the same user with 0", ErrSet)
	}
	return nil
}
