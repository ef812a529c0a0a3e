package bench

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/eiderdb/eider/internal/metric"
	"github.com/eiderdb/eider/internal/train"
	"github.com/eiderdb/eider/recsys"
	"github.com/eiderdb/eider/recsys/din"
)

// clicks is a data set of interactions, and what is asked about it: who comes next
// for each user, among a hundred items that the user never met.
type clicks struct {
	name     string
	items    int
	fields   []din.Field // of items, the first is the item
	columns  []din.Column
	split    recsys.Split[uint32]
	examples []click
	valid    []click // as tests, to choose the epoch by; none where the protocol counts the last ones
	tests    []click // the target is the first of items
	draws    *recsys.Sampler[uint32]
}

// click is an item that a user took, with the history before it, oldest first.
type click struct {
	user  uint32
	past  []uint32
	items []uint32
}

// Of the protocol: histories of fifty, and negatives that are the same in every
// run. With one negative a user one model reads anywhere from .860 to .895.
const (
	historyLength = 50
	testNegatives = 100
	testSeed      = 777
	validSeed     = 778
	validUsers    = 5000 // at most, evenly over the users: they are judged after every epoch
)

// readClicks reads one of the sets that the suite knows from the data directory.
func readClicks(dir, name string) (*clicks, error) {
	switch name {
	case "", "ml-100k":
		return movielens(dir, false)
	case "ml-100k-valid":
		return movielens(dir, true)
	case "beauty":
		return amazon(dir, name, "Beauty")
	case "sports":
		return amazon(dir, name, "Sports_and_Outdoors")
	}
	return nil, fmt.Errorf("%w: %q; din knows ml-100k, ml-100k-valid, beauty, sports, and without dinspeed amazon-electronics and amazon-electronics-bars", ErrSet, name)
}

// movielens reads MovieLens-100K from dir/ml-100k: every rating is a click, ties in
// time are in order of the item, the last click of each user is held out. valid
// leaves that one out altogether and holds the one before it out: to choose by.
func movielens(dir string, valid bool) (*clicks, error) {
	var c *clicks
	err := unzipped(filepath.Join(dir, "ml-100k", "u.data"), func(r io.Reader) error {
		all, err := recsys.Sequences(ratings(bufio.NewScanner(r)), recsys.ByItem)
		if err != nil {
			return err
		}
		name := "ml-100k"
		if valid {
			name = "ml-100k-valid"
			for i, s := range all {
				all[i].Events = s.Events[:len(s.Events)-1]
			}
			all = slices.DeleteFunc(all, func(s recsys.Sequence[uint32]) bool { return len(s.Events) == 0 })
		}
		c, _ = newClicks(name, all, recsys.Rules{History: historyLength})
		c.fields, c.columns = []din.Field{{Name: "item_id", Rows: c.items, Dim: 32}}, []din.Column{{}}
		return nil
	})
	return c, err
}

func ratings(lines *bufio.Scanner) iter.Seq2[recsys.Event[uint32], error] {
	return func(yield func(recsys.Event[uint32], error) bool) {
		for lines.Scan() {
			var e recsys.Event[uint32]
			_, err := fmt.Sscan(lines.Text(), &e.User, &e.Item, &e.Value, &e.Time)
			if !yield(e, err) || err != nil {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(recsys.Event[uint32]{}, err)
		}
	}
}

// amazon reads a set of dir/amazon-lastfm-s3rec: lines of a user and items in order
// of time, and the attributes (categories, brand) of items as JSON. An item is its
// id and the mean of its attributes, 32 numbers each. The last click but one of each
// user is held out as well.
func amazon(dir, name, file string) (*clicks, error) {
	dir = filepath.Join(dir, "amazon-lastfm-s3rec")
	var all []recsys.Sequence[uint32]
	err := unzipped(filepath.Join(dir, file+".txt"), func(r io.Reader) error {
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var q recsys.Sequence[uint32]
			for i, word := range strings.Fields(lines.Text()) {
				id, err := strconv.ParseUint(word, 10, 32)
				if err != nil {
					return err
				}
				if i == 0 {
					q.User = uint32(id)
				} else {
					q.Events = append(q.Events, recsys.Event[uint32]{User: q.User, Item: uint32(id), Time: int64(i)})
				}
			}
			if len(q.Events) > 0 {
				all = append(all, q)
			}
		}
		return lines.Err()
	})
	attributes := map[string][]uint32{}
	if err == nil {
		err = unzipped(filepath.Join(dir, file+"_item2attributes.json"), func(r io.Reader) error {
			return json.NewDecoder(r).Decode(&attributes)
		})
	}
	if err != nil {
		return nil, err
	}
	c, names := newClicks(name, recsys.Distinct(all), recsys.Rules{History: historyLength, Valid: true})
	column, rows := din.Column{Start: []int32{0}}, 0
	for _, item := range names {
		for _, a := range attributes[fmt.Sprint(item)] {
			column.IDs, rows = append(column.IDs, a), max(rows, int(a)+1)
		}
		column.Start = append(column.Start, int32(len(column.IDs)))
	}
	c.fields = []din.Field{{Name: "item_id", Rows: c.items, Dim: 32}, {Name: "attributes", Rows: max(rows, 1), Dim: 32, Many: true}}
	c.columns = []din.Column{{}, column}
	return c, nil
}

// unzipped reads a file, or the one with .gz behind its name. Error: ErrSet.
func unzipped(path string, read func(io.Reader) error) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		path += ".gz"
		f, err = os.Open(path)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSet, err)
	}
	defer f.Close()
	r := io.Reader(f)
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrSet, path, err)
		}
	}
	if err := read(r); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrSet, path, err)
	}
	return nil
}

// newClicks numbers items from 0, in the order of names, and splits.
func newClicks(name string, all []recsys.Sequence[uint32], rules recsys.Rules) (c *clicks, names []uint32) {
	ids := map[uint32]uint32{}
	names = recsys.Items(all)
	for i, item := range names {
		ids[item] = uint32(i)
	}
	for _, s := range all {
		for i := range s.Events {
			s.Events[i].Item = ids[s.Events[i].Item]
		}
	}
	c = &clicks{name: name, items: len(ids), split: recsys.LeaveLastOut(all, rules)}
	for e := range recsys.Examples(c.split.Train, rules.History) {
		c.examples = append(c.examples, newClick(e))
	}
	c.draws = recsys.NewUniform(recsys.Items(all), recsys.NewSeen(all))
	c.tests = c.lists(testSeed, c.split.Test)
	var valid []recsys.Example[uint32]
	for i := 0; i < len(c.split.Valid); i += (len(c.split.Valid) + validUsers - 1) / validUsers {
		valid = append(valid, c.split.Valid[i])
	}
	c.valid = c.lists(validSeed, valid)
	return c, names
}

// lists adds the fixed negatives to what was held out.
func (c *clicks) lists(seed uint64, held []recsys.Example[uint32]) (all []click) {
	for r := range c.draws.Fixed(seed, held, testNegatives) {
		t := newClick(r.Example)
		t.items = append(t.items, r.Negatives...)
		all = append(all, t)
	}
	return all
}

func newClick(e recsys.Example[uint32]) click {
	c := click{user: e.Target.User, items: []uint32{e.Target.Item}}
	for _, h := range e.History {
		c.past = append(c.past, h.Item)
	}
	return c
}

// source yields all clicks in a new order, each with one negative of this epoch;
// requests clicks are a batch.
func (c *clicks) source(seed uint64, requests int) train.Source[*din.Batch] {
	return func(epoch int) iter.Seq2[*din.Batch, error] {
		return func(yield func(*din.Batch, error) bool) {
			rng := rand.New(rand.NewPCG(seed, uint64(epoch)))
			var b din.Batch
			b.Reset()
			offer, labels := make([]uint32, 0, 2), []float32{1, 0}
			for n, i := range rng.Perm(len(c.examples)) {
				e := &c.examples[i]
				offer = c.draws.Draw(rng, e.user, 1, append(offer[:0], e.items[0]))
				b.Add(nil, e.past, offer, labels[:len(offer)])
				if b.Requests() == requests || n == len(c.examples)-1 {
					if !yield(&b, nil) {
						return
					}
					b.Reset()
				}
			}
		}
	}
}

// judged is the scores of all tests, one group a user.
type judged struct {
	scores, labels []float32
	start          []int32
}

// users is the AUC of each.
func (j *judged) users() []float64 {
	all := make([]float64, 0, len(j.start)-1)
	for i, lo := range j.start[:len(j.start)-1] {
		hi := j.start[i+1]
		all = append(all, metric.AUC(j.scores[lo:hi], j.labels[lo:hi]).Value)
	}
	return all
}

// judge asks score for the items of each test; out has room for one number each.
func judge(tests []click, score func(t *click, out []float32) error) (judged, error) {
	j := judged{start: []int32{0}}
	for i := range tests {
		t := &tests[i]
		at := len(j.scores)
		j.scores = append(j.scores, make([]float32, len(t.items))...)
		j.labels = append(j.labels, make([]float32, len(t.items))...)
		j.labels[at] = 1
		j.start = append(j.start, int32(len(j.scores)))
		if err := score(t, j.scores[at:]); err != nil {
			return j, err
		}
	}
	return j, nil
}
