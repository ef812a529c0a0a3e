package text

import (
	"context"
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/eiderdb/eider/embed"
)

// encoders are the kinds that every encoder test runs over.
func encoders(t testing.TB) map[string]embed.Encoder {
	t.Helper()
	out := map[string]embed.Encoder{}
	for _, name := range []string{StaticTiny, HashedName, "hashed-64"} {
		e, err := Open(name)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = e
	}
	return out
}

func encodeOne(t testing.TB, e embed.Encoder, text string) []float32 {
	t.Helper()
	rows := [][]float32{nil}
	if err := e.Encode(context.Background(), []string{text}, rows); err != nil {
		t.Fatalf("%s: %.60q: %v", e.Name(), text, err)
	}
	return rows[0]
}

func cosine(a, b []float32) float64 {
	var dot, aa, bb float64
	for i := range a {
		dot += float64(a[i]) * float64(b[i])
		aa += float64(a[i]) * float64(a[i])
		bb += float64(b[i]) * float64(b[i])
	}
	return dot / math.Sqrt(aa*bb)
}

func TestEncoderAnswersToTheNameItWasOpenedBy(t *testing.T) {
	for name, e := range encoders(t) {
		if e.Name() != name || e.Dim() != len(encodeOne(t, e, "hello")) || len(e.Fingerprint()) != 32 {
			t.Errorf("%s: name %q, %d dimensions, fingerprint %q", name, e.Name(), e.Dim(), e.Fingerprint())
		}
	}
}

func TestUnknownNameListsTheKnownOnes(t *testing.T) {
	for _, name := range []string{"", "static-huge", "hashed-", "hashed-x", "text.go", "testdata"} {
		_, err := Open(name)
		if !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), StaticTiny) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := Open("hashed-5000"); err == nil || !strings.Contains(err.Error(), "16..4096") {
		t.Errorf("a width out of range gives %v", err)
	}
}

func TestDirectoryOpensAsAnEncoderOfItsOwnSpace(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, modelFS(t)); err != nil {
		t.Fatal(err)
	}
	e, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	builtIn := encoders(t)[StaticTiny]
	if e.Fingerprint() != builtIn.Fingerprint() {
		t.Error("the same files have another fingerprint")
	}
	wp, err := Open("testdata/wordpiece")
	if err != nil {
		t.Fatal(err)
	}
	if wp.Fingerprint() == e.Fingerprint() || wp.Name() != "testdata/wordpiece" {
		t.Errorf("%s has the fingerprint of another model", wp.Name())
	}
}

func TestTextWithoutWordsIsRefusedAndNamedByItsIndex(t *testing.T) {
	for name, e := range encoders(t) {
		for _, empty := range []string{"", " \t\n", "\x00\x01", "\xff\xfe"} {
			rows := make([][]float32, 3)
			err := e.Encode(context.Background(), []string{"good", empty, "never read"}, rows)
			var at *embed.TextError
			if !errors.Is(err, embed.ErrEmpty) || !errors.As(err, &at) || at.Index != 1 {
				t.Errorf("%s: %q gives %v", name, empty, err)
			}
			if !slices.ContainsFunc(rows[0], func(v float32) bool { return v != 0 }) {
				t.Errorf("%s: the row before the empty text was not written", name)
			}
		}
	}
}

func TestRowsOfTheWrongShapeAreRefused(t *testing.T) {
	for name, e := range encoders(t) {
		for _, rows := range [][][]float32{{}, {make([]float32, e.Dim()-1)}, {nil, nil}} {
			if err := e.Encode(context.Background(), []string{"a"}, rows); !errors.Is(err, embed.ErrShape) {
				t.Errorf("%s: %d rows: %v", name, len(rows), err)
			}
		}
	}
}

func TestCancelledContextStopsTheBatch(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for name, e := range encoders(t) {
		if err := e.Encode(ctx, []string{"a"}, [][]float32{nil}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// lapsing is a context that is cancelled once it has been asked n times.
type lapsing struct {
	context.Context
	n int
}

func (l *lapsing) Err() error {
	if l.n--; l.n < 0 {
		return context.Canceled
	}
	return nil
}

func TestCancelledContextStopsAmidALongText(t *testing.T) {
	e := encoders(t)[HashedName]
	ctx := &lapsing{context.Background(), 2}
	if err := e.Encode(ctx, []string{strings.Repeat("word ", 50_000)}, [][]float32{nil}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestBatchGivesTheSameVectorsAsSingleTextsFromManyGoroutines(t *testing.T) {
	texts := []string{"a red fox", "naïve café", "東京 tower", "rocket 🚀", strings.Repeat("long text ", 900)}
	for name, e := range encoders(t) {
		batch := make([][]float32, len(texts))
		if err := e.Encode(context.Background(), texts, batch); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for i, text := range texts {
					row := [][]float32{make([]float32, e.Dim())}
					if err := e.Encode(context.Background(), []string{text}, row); err != nil || !slices.Equal(row[0], batch[i]) {
						t.Errorf("%s: %.20q alone differs from the batch (%v)", name, text, err)
					}
				}
			})
		}
		wg.Wait()
	}
}

func TestEncodeAllocatesNothingOnceWarm(t *testing.T) {
	for name, e := range encoders(t) {
		texts, rows := []string{sentence}, [][]float32{make([]float32, e.Dim())}
		n := testing.AllocsPerRun(200, func() {
			if err := e.Encode(context.Background(), texts, rows); err != nil {
				t.Fatal(err)
			}
		})
		// A garbage collection may empty the pool once.
		if n > 0.5 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestRelatedTextsAreNearerThanUnrelatedOnes(t *testing.T) {
	static, hashed := encoders(t)[StaticTiny], encoders(t)[HashedName]
	for _, c := range []struct {
		e                embed.Encoder
		text, near, away string
	}{
		{static, "doctor", "physician in a hospital", "a fast car race"},
		{static, "laughing face", "funny joke", "railway bridge"},
		{hashed, "color organizer", "organising colours", "music player"},
		{hashed, "postgresql-client", "PostgreSQL clients", "web browser"},
		{hashed, "café crème", "Cafe Creme", "cable cream"},
	} {
		q := encodeOne(t, c.e, c.text)
		near, away := cosine(q, encodeOne(t, c.e, c.near)), cosine(q, encodeOne(t, c.e, c.away))
		if near < away+0.1 {
			t.Errorf("%s: %q: %.3f to %q, %.3f to %q", c.e.Name(), c.text, near, c.near, away, c.away)
		}
	}
}

func TestIDFMakesRareWordsCount(t *testing.T) {
	corpus := []string{"library for sound", "library for images", "library for maps", "library for graphs", "library for fish"}
	idf := FitIDF(slices.Values(corpus))
	plain, err := NewHashed(HashedOptions{})
	if err != nil {
		t.Fatal(err)
	}
	weighted, err := NewHashed(HashedOptions{IDF: idf})
	if err != nil {
		t.Fatal(err)
	}
	if idf.Texts() != 5 || weighted.Fingerprint() == plain.Fingerprint() {
		t.Error("the table is not part of the fingerprint")
	}
	same := func(e embed.Encoder) float64 {
		return cosine(encodeOne(t, e, "library for fish"), encodeOne(t, e, "library for sound"))
	}
	if same(weighted) > same(plain)/2 {
		t.Errorf("sharing only frequent words: %.3f with weights, %.3f without", same(weighted), same(plain))
	}
}

func TestHashedOptionsOutOfRangeAreRefused(t *testing.T) {
	for _, o := range []HashedOptions{{Dim: 15}, {Dim: 4097}, {Dim: -1}, {MinGram: 3}, {MinGram: 5, MaxGram: 3}, {MinGram: 1, MaxGram: 9}, {GramWeight: math.NaN()}, {GramWeight: math.Inf(1)}} {
		if e, err := NewHashed(o); err == nil {
			t.Errorf("%+v was accepted as %s", o, e.Name())
		}
	}
}

func TestModelWhoseFilesDoNotFitIsRefused(t *testing.T) {
	read := func(name string) []byte {
		b, err := readFile(modelFS(t), name, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	config, vocabulary, weights := read("config.json"), read("tokenizer.json"), read("model.safetensors")
	load := func(c, v, w []byte) error {
		_, err := LoadStatic("x", fstest.MapFS{"config.json": {Data: c}, "tokenizer.json": {Data: v}, "model.safetensors": {Data: w}})
		return err
	}
	if err := load(config, vocabulary, weights); err != nil {
		t.Fatal(err)
	}
	edit := func(b []byte, old, with string) []byte {
		if !strings.Contains(string(b), old) {
			t.Fatalf("no %q to edit", old)
		}
		return []byte(strings.Replace(string(b), old, with, 1))
	}
	other, err := os.ReadFile("testdata/wordpiece/model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	nan := slices.Clone(weights)
	copy(nan[len(nan)-118096-4:], []byte{0, 0, 0xc0, 0x7f}) // the last embedding
	for name, err := range map[string]error{
		"weights of another model":   load(config, vocabulary, other),
		"cut weights":                load(config, vocabulary, weights[:len(weights)/2]),
		"no weights":                 load(config, vocabulary, nil),
		"a weight that is no number": load(config, vocabulary, nan),
		"cut vocabulary":             load(config, vocabulary[:len(vocabulary)/2], weights),
		"unknown normalizer":         load(config, edit(vocabulary, `"BertNormalizer"`, `"Precompiled"`), weights),
		"unknown splitter":           load(config, edit(vocabulary, `"Metaspace"`, `"ByteLevel"`), weights),
		"unknown model":              load(config, edit(vocabulary, `"Unigram"`, `"BPE"`), weights),
		"unknown token outside":      load(config, edit(vocabulary, `"unk_id":1`, `"unk_id":99999`), weights),
		"expression not in common":   load(config, edit(vocabulary, `\\s+`, `\\w+`), weights),
		"config that is no object":   load([]byte(`[]`), vocabulary, weights),
		"max_length below one":       load([]byte(`{"max_length":0}`), vocabulary, weights),
	} {
		if !errors.Is(err, ErrModel) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := LoadStatic("x", fstest.MapFS{}); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "model.safetensors") {
		t.Errorf("an empty directory gives %v", err)
	}
}
