package text

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

// folder is a model whose files a test may change.
type folder fstest.MapFS

func (f folder) Open(name string) (fs.File, error) { return fstest.MapFS(f).Open(name) }

// replace changes a part of a file, which must be there.
func (f folder) replace(name, old, replacement string) {
	s := string(f[name].Data)
	if !strings.Contains(s, old) {
		panic(fmt.Sprintf("%s does not hold %q", name, old))
	}
	f[name] = &fstest.MapFile{Data: []byte(strings.Replace(s, old, replacement, 1))}
}

// tinyBERT is testdata/bert in memory.
func tinyBERT(t testing.TB) folder {
	t.Helper()
	f := folder{}
	root := os.DirFS("testdata/bert")
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(root, name)
		f[name] = &fstest.MapFile{Data: data}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFolderOfABERTModelIsOpenedByItsPath(t *testing.T) {
	e, err := Open("./testdata/bert")
	if err != nil {
		t.Fatal(err)
	}
	if want := loadBERT(t, tinyBERT(t), BERTOptions{}); e.Name() != "./testdata/bert" || e.Dim() != 32 || e.Fingerprint() != want.Fingerprint() {
		t.Errorf("%s has %d floats, fingerprint %s", e.Name(), e.Dim(), e.Fingerprint())
	}
}

func TestBrokenBERTFoldersAreRefusedWithTheFileAndTheReason(t *testing.T) {
	remove := func(name string) func(folder) { return func(f folder) { delete(f, name) } }
	swap := func(name, old, replacement string) func(folder) {
		return func(f folder) { f.replace(name, old, replacement) }
	}
	for _, c := range []struct {
		want   string
		damage func(folder)
		o      BERTOptions
	}{
		{"needs model.safetensors", remove("model.safetensors"), BERTOptions{}},
		{"needs config.json", remove("config.json"), BERTOptions{}},
		{"needs tokenizer.json", func(f folder) { delete(f, "tokenizer.json"); delete(f, "vocab.txt") }, BERTOptions{}},
		{"1_Pooling/config.json, which is missing", remove("1_Pooling/config.json"), BERTOptions{}},
		{`model_type is "gpt2"`, swap("config.json", `"bert"`, `"gpt2"`), BERTOptions{}},
		{`hidden_act "swish"`, swap("config.json", `"gelu"`, `"swish"`), BERTOptions{}},
		{"num_attention_heads 5", swap("config.json", `"num_attention_heads": 4`, `"num_attention_heads": 5`), BERTOptions{}},
		{"encoder.layer.3.attention.self.query.weight", swap("config.json", `"num_hidden_layers": 3`, `"num_hidden_layers": 4`), BERTOptions{}},
		{"has shape [64 32]; config.json asks for [48 32]", swap("config.json", `"intermediate_size": 64`, `"intermediate_size": 48`), BERTOptions{}},
		{"pooling is not supported", swap("1_Pooling/config.json", "mean_tokens", "max_tokens"), BERTOptions{}},
		{"is not a folder of the model", swap("modules.json", "1_Pooling", "../elsewhere"), BERTOptions{}},
		{`a step "Dense"`, swap("modules.json", "models.Normalize", "models.Dense"), BERTOptions{}},
		{"adds token 900", swap("tokenizer.json", `"ids":[2]`, `"ids":[900]`), BERTOptions{}},
		{"embeddings of 94 tokens", swap("tokenizer.json", `"##er":93`, `"##er":94`), BERTOptions{}},
		{"Layers is 4", nil, BERTOptions{Layers: 4}},
		{"Width is 33", nil, BERTOptions{Width: 33}},
		{"MaxTokens is 41", nil, BERTOptions{MaxTokens: 41}},
		{"2 are marks", nil, BERTOptions{MaxTokens: 2}},
		{`Pooling is "max"`, nil, BERTOptions{Pooling: "max"}},
		{"Threads is -1", nil, BERTOptions{Threads: -1}},
	} {
		model := tinyBERT(t)
		if c.damage != nil {
			c.damage(model)
		}
		_, err := LoadBERT("x", model, c.o)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
			continue
		}
		if !errors.Is(err, ErrModel) && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v is neither ErrModel nor of the file", err)
		}
	}
}

func TestBERTReadsNamesOfOlderCheckpoints(t *testing.T) {
	want := encodeAll(t, loadBERT(t, tinyBERT(t), BERTOptions{}), "the river")
	model := tinyBERT(t)
	header, payload := splitSafetensors(t, model["model.safetensors"].Data)
	renamed := map[string]any{}
	for name, h := range header {
		if name != "__metadata__" {
			name = "bert." + strings.NewReplacer("LayerNorm.weight", "LayerNorm.gamma", "LayerNorm.bias", "LayerNorm.beta").Replace(name)
		}
		renamed[name] = h
	}
	model["model.safetensors"] = &fstest.MapFile{Data: joinSafetensors(t, renamed, payload)}
	if got := encodeAll(t, loadBERT(t, model, BERTOptions{}), "the river"); furthest(t, got[0], want[0]) != 0 {
		t.Errorf("%v, want %v", got, want)
	}
}

func splitSafetensors(t testing.TB, data []byte) (header map[string]any, payload []byte) {
	t.Helper()
	n := 8 + (int(data[0]) | int(data[1])<<8 | int(data[2])<<16)
	if err := json.Unmarshal(data[8:n], &header); err != nil {
		t.Fatal(err)
	}
	return header, data[n:]
}

func joinSafetensors(t testing.TB, header map[string]any, payload []byte) []byte {
	t.Helper()
	b, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	size := []byte{byte(len(b)), byte(len(b) >> 8), byte(len(b) >> 16), 0, 0, 0, 0, 0}
	return append(append(size, b...), payload...)
}

func FuzzBERTFolderIsReadOrRefused(f *testing.F) {
	good := tinyBERT(f)
	f.Add(good["config.json"].Data, good["modules.json"].Data, good["1_Pooling/config.json"].Data, good["tokenizer.json"].Data, []byte{})
	f.Add([]byte(`{"model_type":"bert","hidden_size":32,"num_hidden_layers":1,"num_attention_heads":1,"intermediate_size":64,"max_position_embeddings":40,"layer_norm_eps":0}`),
		[]byte(`[]`), []byte(`{"pooling_mode":"cls"}`), []byte(nil), []byte("\xff\xff\x7f\x7f\x00\x00\x80\x7f"))
	f.Add(good["config.json"].Data, []byte(`[{"type":"Pooling","path":"."}]`), []byte(`{`),
		[]byte(`{"model":{"type":"WordPiece","unk_token":"a","vocab":{"a":0,"b":1}},"post_processor":{"type":"Sequence","processors":[{"type":"ByteLevel"},{"type":"RobertaProcessing","cls":["a",0],"sep":["b",1]}]}}`), []byte{1})
	f.Fuzz(func(t *testing.T, config, modules, pooling, tokenizer, damage []byte) {
		model := folder{}
		for name, file := range good {
			model[name] = file
		}
		set := func(name string, data []byte) { model[name] = &fstest.MapFile{Data: data} }
		set("config.json", config)
		set("modules.json", modules)
		set("1_Pooling/config.json", pooling)
		if tokenizer == nil {
			delete(model, "tokenizer.json")
		} else {
			set("tokenizer.json", tokenizer)
		}
		weights := append([]byte(nil), good["model.safetensors"].Data...)
		copy(weights[len(weights)-min(len(damage), len(weights)):], damage)
		set("model.safetensors", weights)
		e, err := LoadBERT("x", model, BERTOptions{Threads: 1})
		if err != nil {
			if !errors.Is(err, ErrModel) && !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("%v is neither ErrModel nor of a file", err)
			}
			return
		}
		if err := e.Encode(context.Background(), []string{"the river"}, [][]float32{nil}); errors.Is(err, ErrModel) {
			return // it overflows
		}
		checkFinite(t, e, "the river")
	})
}
