package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/recsys/din"
)

// oldPickle writes the few opcodes that Python 2 writes with protocol 2.
type oldPickle struct {
	bytes.Buffer
	memo int
}

func (p *oldPickle) begin() { p.WriteString("\x80\x02"); p.memo = 0 }

func (p *oldPickle) put() int {
	p.memo++ // from 1, as the C program has it
	p.WriteString("r")
	binary.Write(p, binary.LittleEndian, uint32(p.memo))
	return p.memo
}

func (p *oldPickle) get(n int) { p.WriteString("h" + string(rune(n))) }

func (p *oldPickle) number(n int) {
	switch {
	case n < 0 || n >= 1<<16:
		p.WriteString("J")
		binary.Write(p, binary.LittleEndian, int32(n))
	case n >= 256:
		p.Write([]byte{'M', byte(n), byte(n >> 8)})
	default:
		p.Write([]byte{'K', byte(n)})
	}
}

func (p *oldPickle) list(ids ...int) int {
	p.WriteString("]")
	at := p.put()
	p.WriteString("(")
	for _, n := range ids {
		p.number(n)
	}
	p.WriteString("e")
	return at
}

// array writes numpy's int32 of the numbers.
func (p *oldPickle) array(numbers ...int32) {
	p.WriteString("cnumpy.core.multiarray\n_reconstruct\n")
	p.put()
	p.WriteString("cnumpy\nndarray\n")
	p.put()
	p.WriteString("K\x00\x85U\x01b\x87")
	p.put()
	p.WriteString("R")
	p.put()
	p.WriteString("(K\x01")
	p.number(len(numbers))
	p.WriteString("\x85cnumpy\ndtype\n")
	p.put()
	p.WriteString("U\x02i4K\x00K\x01\x87R")
	p.put()
	p.WriteString("(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T")
	binary.Write(p, binary.LittleEndian, uint32(4*len(numbers)))
	binary.Write(p, binary.LittleEndian, numbers)
	p.WriteString("tb")
}

// oldDataset is two rows, a test and five items in the layout of the authors' program;
// the rows share a history.
func oldDataset() []byte {
	var p oldPickle
	p.begin()
	p.WriteString("]")
	p.put()
	p.WriteString("((")
	p.number(7)
	past := p.list(3)
	p.number(1)
	p.WriteString("K\x01t")
	p.put()
	p.WriteString("(")
	p.number(7)
	p.get(past)
	p.number(4)
	p.WriteString("K\x00t")
	p.put()
	p.WriteString("e.")
	p.begin()
	p.WriteString("]")
	p.put()
	p.WriteString("(")
	p.number(300)
	p.list(3, 1)
	p.number(2)
	p.number(0)
	p.WriteString("\x86")
	p.put()
	p.WriteString("\x87e.")
	p.begin()
	p.array(0, 1, 1, 0, 2)
	p.WriteString(".")
	p.begin()
	for _, n := range []int{1, 5, 3} {
		p.number(n)
	}
	p.WriteString("\x87.")
	return p.Bytes()
}

func decode(b []byte) (*electronics, error) {
	var e electronics
	return &e, e.unpickle(bytes.NewReader(b))
}

func TestADatasetOfPython2IsRead(t *testing.T) {
	e, err := decode(oldDataset())
	if err != nil {
		t.Fatal(err)
	}
	if want := []row{{[]uint32{3}, 1, 1}, {[]uint32{3}, 4, 0}}; !reflect.DeepEqual(e.rows, want) {
		t.Errorf("rows %v, want %v", e.rows, want)
	}
	if want := []click{{300, []uint32{3, 1}, []uint32{2, 0}}}; !reflect.DeepEqual(e.tests, want) {
		t.Errorf("tests %v, want %v", e.tests, want)
	}
	if e.items != 5 || e.fields[1].Rows != 3 || !slices.Equal(e.columns[1].IDs, []uint32{0, 1, 1, 0, 2}) {
		t.Errorf("%d items, %v, %v", e.items, e.fields, e.columns)
	}
}

// The file is one that testdata/electronics.py wrote: by protocol 4, users numpy's scalars.
func TestADatasetOfPython3IsThatOfTheBenchmark(t *testing.T) {
	own, err := readElectronics("testdata", electronicsOfficial)
	if err != nil {
		t.Fatal(err)
	}
	bars, err := readElectronics("testdata", electronicsBARS)
	if err != nil {
		t.Fatal(err)
	}
	if len(own.rows) != 240 || len(own.tests) != 20 || own.items != 30 {
		t.Fatalf("%d rows, %d tests, %d items", len(own.rows), len(own.tests), own.items)
	}
	if !reflect.DeepEqual(own.rows, bars.rows) || !reflect.DeepEqual(own.tests, bars.tests) {
		t.Error("the two forms have other rows or tests")
	}
	for i := range bars.items { // those that no line names have none
		if c := bars.columns[1].IDs[i]; c != own.columns[1].IDs[i] && c != 0 {
			t.Errorf("item %d has category %d, want %d", i, c, own.columns[1].IDs[i])
		}
	}
	if !strings.Contains(bars.known, "not the benchmark's") {
		t.Errorf("made up, and said to be %q", bars.known)
	}
}

func TestBothRecipesRunOnTheirFiles(t *testing.T) {
	for _, set := range []string{electronicsOfficial, electronicsBARS} {
		var out bytes.Buffer
		if err := Din(context.Background(), Options{Quick: true, JSON: true, Data: "testdata", Set: set}, &out); err != nil {
			t.Fatal(err)
		}
		all := lines(t, out.Bytes())
		for _, name := range []string{"din, GAUC", "din, AUC"} {
			if f := find(t, all, name, "published"); f.Value <= 0 || f.Value > 1 || f.Ratio == nil {
				t.Errorf("%s: %+v", set, f)
			}
		}
	}
}

func TestTheOfficialRecipeFindsWhatTheHistorySays(t *testing.T) {
	e, err := readElectronics("testdata", electronicsOfficial)
	if err != nil {
		t.Fatal(err)
	}
	c := officialRecipes(e.fields)[1]
	c.epochs = 30
	r := newReport("din", e.name, Options{JSON: true}, new(bytes.Buffer))
	if err := e.learnBy(context.Background(), c, Options{}, r); err != nil {
		t.Fatal(err)
	}
	if r.all[0].Value < 0.8 { // users stay with one half of the items; negatives are of either
		t.Errorf("%+v", r.all[0])
	}
}

func TestAHistoryIsCutToItsNewestItems(t *testing.T) {
	e := electronics{rows: []row{{[]uint32{1, 2, 3}, 4, 1}}}
	for b, err := range e.source(1, 1, 2)(0) {
		if err != nil || !slices.Equal(b.Past, []uint32{2, 3}) {
			t.Errorf("%v, %v", b.Past, err)
		}
	}
}

func TestEqualScoresAreNoSuccessOfAPair(t *testing.T) {
	if got := wins(judged{scores: []float32{2, 1, 1, 1, 0, 1, 3, 0}}).Value; got != 0.5 {
		t.Errorf("%v of two won, one equal and one lost", got)
	}
}

func TestTablesThatDecayWholeMoveRowsNoBatchUsed(t *testing.T) {
	c := din.BARS([]din.Field{{Name: "item_id", Rows: 3, Dim: 2}}, nil)
	items, err := din.NewItems(3, c.Item, []din.Column{{}})
	if err != nil {
		t.Fatal(err)
	}
	m, err := din.New(c, items, 1)
	if err != nil {
		t.Fatal(err)
	}
	table := m.Params()[0]
	before := slices.Clone(table.Value.Data)
	decayed{m, 0.5}.Regularise()
	nn.SGD{}.Step(m.Params(), 1)
	for i, w := range table.Value.Data {
		if w != before[i]/2 {
			t.Errorf("number %d went from %v to %v", i, before[i], w)
		}
	}
}

func TestAMissingDatasetNamesTheFileWanted(t *testing.T) {
	for set, file := range map[string]string{electronicsOfficial: "dataset.pkl", electronicsBARS: "train.csv"} {
		err := Din(context.Background(), Options{Data: t.TempDir(), Set: set}, new(bytes.Buffer))
		if !errors.Is(err, ErrSet) || !strings.Contains(err.Error(), file) {
			t.Errorf("%v", err)
		}
	}
}

func TestPicklesOfOtherThingsAreRefused(t *testing.T) {
	good := oldDataset()
	for name, b := range map[string][]byte{
		"torn":              good[:len(good)-40],
		"a call":            []byte("\x80\x02cposix\nsystem\n(U\x02lstR."),
		"a call by stack":   []byte("\x80\x04\x8c\x02os\x8c\x06system\x93)R."),
		"a dictionary":      []byte("\x80\x02}q\x00."),
		"protocol 5":        []byte("\x80\x05]."),
		"a tuple again":     []byte("\x80\x02]q\x00(K\x01\x85q\x01h\x01e."),
		"a huge string":     []byte("\x80\x02T\xff\xff\xff\x7fab."),
		"a far memo":        []byte("\x80\x02]r\xff\xff\xff\x00."),
		"no value":          []byte("\x80\x02."),
		"a negative item":   []byte("\x80\x02](K\x01]J\xff\xff\xff\xffK\x01te."),
		"a type as type":    []byte("\x80\x02cnumpy\ndtype\n(]K\x00K\x01tR."),
		"another codec":     []byte("\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x04\x00\x00\x00utf8\x86R."),
		"a scalar of lists": []byte("\x80\x02cnumpy.core.multiarray\nscalar\n]]\x86R."),
	} {
		if _, err := decode(b); !errors.Is(err, errPickle) && !errors.Is(err, ErrSet) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFilesOfTheBenchmarkThatDoNotFitAreRefused(t *testing.T) {
	const head = "label,user_id,item_id,cate_id,item_history,cate_history\n"
	const good = head + "1,0,2,1,0^1,0^0\n0,0,3,1,0^1,0^0\n"
	for name, c := range map[string]struct{ train, test, want string }{
		"columns":        {"label,item\n", good, "wrong number of fields"},
		"order":          {strings.Replace(good, "label,user_id", "user_id,label", 1), good, "columns"},
		"label":          {head + "2,0,2,1,0,0\n", good, "label 2"},
		"number":         {head + "1,0,x,1,0,0\n", good, `"x"`},
		"large":          {head + "1,0,99999999,1,0,0\n", good, "99999999"},
		"categories":     {head + "1,0,2,1,0^1,0\n", good, "2 items and 1 categories"},
		"order of tests": {good, head + "0,0,3,1,0,0\n1,0,2,1,0,0\n", "tests are"},
		"half a test":    {good, head + "1,0,2,1,0,0\n", "one line"},
		"no rows":        {head, good, "0 rows"},
	} {
		dir := t.TempDir()
		folder := filepath.Join(dir, electronicsBARS)
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		for file, text := range map[string]string{"train.csv": c.train, "test.csv": c.test} {
			if err := os.WriteFile(filepath.Join(folder, file), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := readElectronics(dir, electronicsBARS); !errors.Is(err, ErrSet) || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzPickle(f *testing.F) {
	f.Add(oldDataset())
	if b, err := os.ReadFile(filepath.Join("testdata", electronicsOfficial, "dataset.pkl")); err == nil {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := decode(b)
		if err != nil {
			return
		}
		if _, err := din.NewItems(e.items, e.fields, e.columns); err != nil {
			t.Errorf("it was read, and is no catalogue: %v", err)
		}
		u := unpickler{r: bufio.NewReader(bytes.NewReader(b))}
		if _, err := u.read(func([]any) error { return nil }); err != nil {
			t.Error(err)
		}
	})
}

func TestBytesOfPython3ByProtocol2AreRead(t *testing.T) {
	u := unpickler{r: bufio.NewReader(strings.NewReader("\x80\x02c_codecs\nencode\nq\x00X\x03\x00\x00\x00a\xc3\xbfq\x01X\x06\x00\x00\x00latin1q\x02\x86q\x03Rq\x04."))}
	if v, err := u.read(nil); err != nil || v != "a\xff" {
		t.Errorf("%q, %v", v, err)
	}
}
