package registry

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/eiderdb/eider/storage"
	"github.com/eiderdb/eider/storage/format"
)

func TestExportedFolderImportsAsTheSameModel(t *testing.T) {
	s, r := open(t, t.TempDir())
	ctx := t.Context()
	want := put(t, r, 7, 3<<20)
	dir := filepath.Join(t.TempDir(), "model")
	if err := r.Export(ctx, "ctr@1", dir); err != nil {
		t.Fatal(err)
	}
	if err := r.Export(ctx, "ctr@1", dir); !errors.Is(err, storage.ErrExists) {
		t.Errorf("exported over a folder: %v", err)
	}
	got, err := r.Import(ctx, dir, "", Expect{Kind: "din", Features: [32]byte{1}}.Match)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := whole(ctx, r, "ctr@2", 3<<20); err != nil {
		t.Error(err)
	}
	same := *got
	same.Version, same.Weights, same.LSN, same.Created = want.Version, want.Weights, want.LSN, want.Created
	if !reflect.DeepEqual(&same, want) {
		t.Errorf("imported %+v\nwant %+v", same, want)
	}
	if m, err := r.Import(ctx, dir, "other", nil); err != nil || m.Name != "other" || m.Version != 1 {
		t.Errorf("imported under another name: %+v, %v", m, err)
	}
	clean(t, s)
}

// The weights of testdata were written by the Python package safetensors in its
// own order; the configuration is the least that one writes by hand.
func TestFolderWrittenByPythonImports(t *testing.T) {
	_, r := open(t, t.TempDir())
	file, err := os.ReadFile("../format/testdata/python.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	dir := folderOf(t, `{"eider":1,"name":"ctr","kind":"din"}`, file)
	if _, err := r.Import(t.Context(), dir, "", nil); err != nil {
		t.Fatal(err)
	}
	v, err := r.Get("ctr@1")
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	want, _, err := format.ReadSafetensors(file)
	if err != nil {
		t.Fatal(err)
	}
	got, err := v.Load(t.Context(), Expect{})
	if err != nil || len(got) != len(want) {
		t.Fatal(err)
	}
	for name, w := range want {
		if g := got[name]; g.DType != w.DType || !slices.Equal(g.Shape, w.Shape) || !bytes.Equal(g.Data, w.Data) {
			t.Errorf("tensor %q is %v, want %v", name, g, w)
		}
	}
}

func folderOf(tb testing.TB, config string, weights []byte) string {
	tb.Helper()
	dir := tb.TempDir()
	if err := errors.Join(os.WriteFile(filepath.Join(dir, ConfigFile), []byte(config), 0o644),
		os.WriteFile(filepath.Join(dir, TensorsFile), weights, 0o644)); err != nil {
		tb.Fatal(err)
	}
	return dir
}

// S8: what is not a model is refused, and leaves nothing in the store.
func TestBrokenAndMaliciousFoldersAreRefusedAndLeaveNothing(t *testing.T) {
	s, r := open(t, t.TempDir())
	const config = `{"eider":1,"name":"ctr","kind":"din"}`
	_, tensors := draft(1, 2<<20)
	var w bytes.Buffer
	if err := format.WriteSafetensors(&w, tensors, nil); err != nil {
		t.Fatal(err)
	}
	good := w.Bytes()
	n := binary.LittleEndian.Uint64(good)
	inf := bytes.Clone(good)
	copy(inf[8+n:], []byte{0, 0, 0x80, 0x7f})
	link := folderOf(t, config, nil)
	if err := errors.Join(os.Remove(filepath.Join(link, TensorsFile)), os.Symlink("/etc/hostname", filepath.Join(link, TensorsFile))); err != nil {
		t.Fatal(err)
	}
	inner := folderOf(t, config, good)
	if err := errors.Join(os.Rename(filepath.Join(inner, TensorsFile), filepath.Join(inner, "x")), os.Symlink("x", filepath.Join(inner, TensorsFile))); err != nil {
		t.Fatal(err)
	}
	directory := folderOf(t, config, nil)
	if err := errors.Join(os.Remove(filepath.Join(directory, TensorsFile)), os.Mkdir(filepath.Join(directory, TensorsFile), 0o755)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		dir, says string
		want      Expect
	}{
		"no folder":            {filepath.Join(t.TempDir(), "none"), "not found", Expect{}},
		"no weights":           {filepath.Dir(folderOf(t, config, nil)), "not found", Expect{}},
		"link out":             {link, "not a regular file", Expect{}},
		"link inside":          {inner, "not a regular file", Expect{}},
		"directory":            {directory, "not a regular file", Expect{}},
		"cut":                  {folderOf(t, config, good[:len(good)-1]), "payload", Expect{}},
		"longer":               {folderOf(t, config, append(bytes.Clone(good), 0)), "cover", Expect{}},
		"pickle":               {folderOf(t, config, []byte("\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix")), "header", Expect{}},
		"zip":                  {folderOf(t, config, []byte("PK\x03\x04\x14\x00\x00\x00\x08\x00aaaaaaaaaa")), "header", Expect{}},
		"infinite weight":      {folderOf(t, config, inf), `element 0 of tensor "embedding.weight"`, Expect{}},
		"other sum":            {folderOf(t, config[:len(config)-1]+`,"sha256":"00"}`, good), "SHA-256", Expect{}},
		"path as name":         {folderOf(t, `{"eider":1,"name":"../ctr","kind":"din"}`, good), "name", Expect{}},
		"no kind":              {folderOf(t, `{"eider":1,"name":"ctr"}`, good), "name", Expect{}},
		"unknown field":        {folderOf(t, config[:len(config)-1]+`,"exec":"x"}`, good), "exec", Expect{}},
		"repeated field":       {folderOf(t, config[:len(config)-1]+`,"kind":"x"}`, good), "twice", Expect{}},
		"repeated inside":      {folderOf(t, config[:len(config)-1]+`,"config":{"a":[{"b":1,"b":2}]}}`, good), "twice", Expect{}},
		"deep":                 {folderOf(t, config[:len(config)-1]+`,"config":`+strings.Repeat("[", 1000)+strings.Repeat("]", 1000)+`}`, good), "deeper", Expect{}},
		"two documents":        {folderOf(t, config+config, good), "follows", Expect{}},
		"other layout":         {folderOf(t, `{"eider":2,"name":"ctr","kind":"din"}`, good), "layout", Expect{}},
		"config too long":      {folderOf(t, config+strings.Repeat(" ", MaxConfig), good), "at most", Expect{}},
		"hash that is none":    {folderOf(t, config[:len(config)-1]+`,"features":"XY"}`, good), "hash", Expect{}},
		"metric not in bounds": {folderOf(t, config[:len(config)-1]+`,"metrics":[{"name":"auc","value":1,"low":2,"high":3,"count":1,"set":""}]}`, good), "auc", Expect{}},
		"other shape":          {folderOf(t, config, good), `tensor "codes" of ctr is I8[3], the model needs I8[4]`, Expect{Tensors: map[string]Shape{"embedding.weight": {"F32", []int{-1, 4}}, "out.bias": {"F32", []int{1}}, "codes": {"I8", []int{4}}}}},
		"other features":       {folderOf(t, config, good), "feature schema", Expect{Features: [32]byte{9}}},
	} {
		if _, err := r.Import(t.Context(), c.dir, "", c.want.Match); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want words about %s", name, err, c.says)
		}
		if all, err := r.List(); err != nil || len(all) != 0 || waste(t, s) != 0 {
			t.Fatalf("%s left %+v, %v", name, all, err)
		}
	}
	clean(t, s)
}

func FuzzConfig(f *testing.F) {
	m, _ := draft(1, 10)
	b, err := encodeConfig(describe(&m))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"eider":1,"name":"ctr","kind":"din","config":{"a":[1,{"b":"c"}],"d":[]}}`))
	f.Add([]byte(`{"eider":1,"name":"a","name":"b"}`))
	f.Add([]byte(`[[{}]]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, _, err := parseConfig(b)
		if err != nil {
			if !errors.Is(err, storage.ErrValue) {
				t.Fatalf("untyped error: %v", err)
			}
			return
		}
		again, err := encodeConfig(describe(&m))
		if err != nil {
			t.Fatal(err)
		}
		back, _, err := parseConfig(again)
		if err != nil || !reflect.DeepEqual(back.Config, m.Config) || back.Features != m.Features || back.Name != m.Name {
			t.Fatalf("read %+v, again %+v, %v", m, back, err)
		}
	})
}

// What the store cannot hold whole because the context ended is not there.
func TestImportThatIsCanceledLeavesNothing(t *testing.T) {
	s, r := open(t, t.TempDir())
	_, tensors := draft(1, 3<<20)
	var w bytes.Buffer
	if err := format.WriteSafetensors(&w, tensors, nil); err != nil {
		t.Fatal(err)
	}
	dir := folderOf(t, `{"eider":1,"name":"ctr","kind":"din"}`, w.Bytes())
	ctx := &countdown{Context: t.Context(), left: 3}
	if _, err := r.Import(ctx, dir, "", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("imported: %v", err)
	}
	if all, err := r.List(); err != nil || len(all) != 0 || waste(t, s) != 0 {
		t.Errorf("%+v is left, %v", all, err)
	}
}

// countdown is a context that ends after Err was asked some times.
type countdown struct {
	context.Context
	left int
}

func (c *countdown) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}
