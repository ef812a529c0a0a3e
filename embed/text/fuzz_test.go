package text

import (
	"context"
	"errors"
	"math"
	"os"
	"testing"
	"testing/fstest"

	"github.com/eiderdb/eider/embed"
)

func checkFinite(t *testing.T, e embed.Encoder, text string) {
	rows := [][]float32{nil}
	if err := e.Encode(context.Background(), []string{text}, rows); err != nil {
		if !errors.Is(err, embed.ErrEmpty) {
			t.Fatalf("%s: %v", e.Name(), err)
		}
		return
	}
	norm := 0.0
	for i, v := range rows[0] {
		if v != v || math.IsInf(float64(v), 0) {
			t.Fatalf("%s: [%d] = %v", e.Name(), i, v)
		}
		norm += float64(v) * float64(v)
	}
	if norm == 0 {
		t.Fatalf("%s: the vector has no length", e.Name())
	}
}

func FuzzEncodeGivesAFiniteVectorOrErrEmpty(f *testing.F) {
	for _, s := range []string{"hello world", "", "a\xff\xfeb", "Ａ①ﬁ", "한국어", "\u0301\u0301", "[UNK]", "İ", "👩‍👩‍👧", "\xf0\x9f", "<extra>"} {
		f.Add(s)
	}
	all := []embed.Encoder{}
	for _, e := range encoders(f) {
		all = append(all, e)
	}
	wp, err := LoadStatic("wp", os.DirFS("testdata/wordpiece"))
	if err != nil {
		f.Fatal(err)
	}
	all = append(all, wp)
	f.Fuzz(func(t *testing.T, text string) {
		for _, e := range all {
			checkFinite(t, e, text)
		}
	})
}

func FuzzTokenizerFileIsReadOrRefused(f *testing.F) {
	f.Add([]byte(`{"model":{"type":"Unigram","unk_id":0,"vocab":[["<unk>",0],["▁a",-1],["b",-2.5]]},"normalizer":{"type":"Sequence","normalizers":[{"type":"NFKC"},{"type":"Replace","pattern":{"String":"x"},"content":" x "},{"type":"Replace","pattern":{"Regex":" {2,}"},"content":"▁"},{"type":"Strip"},{"type":"Prepend","prepend":"_"}]},"pre_tokenizer":{"type":"Metaspace","replacement":"▁","prepend_scheme":"first"}}`))
	f.Add([]byte(`{"added_tokens":[{"id":3,"content":"<s>","lstrip":true,"normalized":true}],"model":{"type":"WordPiece","unk_token":"[UNK]","vocab":{"[UNK]":0,"a":1,"##b":2}},"normalizer":{"type":"BertNormalizer"},"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"BertPreTokenizer"},{"type":"Digits","individual_digits":true}]}}`))
	f.Add([]byte(`{"model":{"type":"Unigram","vocab":[["",0]],"byte_fallback":true}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		tok, err := decodeTokenizer(data)
		if err != nil {
			if !errors.Is(err, ErrModel) {
				t.Fatalf("%v does not wrap ErrModel", err)
			}
			return
		}
		for _, text := range []string{"", "a b ab <s> x", "é\u0301 1２3", "\xff"} {
			for _, id := range tok.encode(text, &scratch{}) {
				if int(id) >= tok.size || id < none {
					t.Fatalf("token %d of %d", id, tok.size)
				}
			}
		}
	})
}

func FuzzWeightsFileIsReadOrRefused(f *testing.F) {
	good, err := os.ReadFile("testdata/wordpiece/model.safetensors")
	if err != nil {
		f.Fatal(err)
	}
	vocabulary, err := os.ReadFile("testdata/wordpiece/tokenizer.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good[:200])
	f.Add([]byte("\x3b\x00\x00\x00\x00\x00\x00\x00" + `{"embeddings":{"dtype":"I8","shape":[1,1],"data_offsets":[0,1]}}` + "\x01"))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := LoadStatic("x", fstest.MapFS{"config.json": {Data: []byte(`{"normalize":true}`)}, "tokenizer.json": {Data: vocabulary}, "model.safetensors": {Data: data}})
		if err != nil {
			if !errors.Is(err, ErrModel) {
				t.Fatalf("%v does not wrap ErrModel", err)
			}
			return
		}
		checkFinite(t, e, "a test of weights")
	})
}
