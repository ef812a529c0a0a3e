package train

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/storage/format"
)

var update = flag.Bool("update", false, "write golden files")

// checkpoint is the last one of two epochs of the toy model.
func checkpoint(t testing.TB) []byte {
	t.Helper()
	m := newToy()
	o := options(m)
	var last []byte
	o.Epochs, o.Save = 2, saver(&last)
	if _, err := Run(t.Context(), m, batches, o); err != nil {
		t.Fatal(err)
	}
	return last
}

func resume(t testing.TB, b []byte) (*toy, error) {
	m := newToy()
	o := options(m)
	o.Epochs, o.Resume = 2, b
	_, err := Run(t.Context(), m, batches, o)
	return m, err
}

// The file was written once and is read for ever.
func TestGoldenCheckpointIsRead(t *testing.T) {
	path := filepath.Join("testdata", "v1.safetensors")
	if *update {
		if err := os.WriteFile(path, checkpoint(t), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := resume(t, b)
	if err != nil {
		t.Fatal(err)
	}
	tensors, _, err := format.ReadSafetensors(b)
	if err != nil {
		t.Fatal(err)
	}
	if got := flat(m.out.Weight.State[0]); !bytes.Equal(got.Data, tensors["first/out.weight"].Data) {
		t.Error("the optimiser's state is not what the file holds")
	}
}

func TestCheckpointsOfOtherRunsAreRefusedByName(t *testing.T) {
	good := checkpoint(t)
	rewrite := func(change func(map[string]format.Tensor, map[string]string)) []byte {
		tensors, meta, err := format.ReadSafetensors(good)
		if err != nil {
			t.Fatal(err)
		}
		change(tensors, meta)
		var b bytes.Buffer
		if err := format.WriteSafetensors(&b, tensors, meta); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	state := func(from, to string) []byte {
		return rewrite(func(_ map[string]format.Tensor, meta map[string]string) {
			if !strings.Contains(meta["train"], from) {
				t.Fatalf("no %s in %s", from, meta["train"])
			}
			meta["train"] = strings.Replace(meta["train"], from, to, 1)
		})
	}
	for what, b := range map[string][]byte{
		"format":           rewrite(func(_ map[string]format.Tensor, meta map[string]string) { meta["format"] = "2" }),
		"value/out.weight": rewrite(func(x map[string]format.Tensor, _ map[string]string) { delete(x, "value/out.weight") }),
		"value/other":      rewrite(func(x map[string]format.Tensor, _ map[string]string) { x["value/other"] = flat(nil) }),
		"mean/norm":        rewrite(func(x map[string]format.Tensor, _ map[string]string) { x["mean/norm"] = flat([]float32{1}) }),
		"best/0":           rewrite(func(x map[string]format.Tensor, _ map[string]string) { delete(x, "best/0") }),
		"seed":             state(`"seed":3`, `"seed":4`),
		"epoch":            state(`"epoch":2`, `"epoch":-1`),
		"losses":           state(`"loss":[`, `"loss":[1,`),
		"parameters":       state(`"steps":[`, `"steps":[1,`),
		"invalid":          state(`{`, `}`),
		"judged":           state(`"auc"`, `"uac"`),
	} {
		m, err := resume(t, b)
		if !errors.Is(err, ErrCheckpoint) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
		if !bytes.Equal(m.bytes(), newToy().bytes()) {
			t.Errorf("%s: the model changed", what)
		}
	}
}

func FuzzResume(f *testing.F) {
	good := checkpoint(f)
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Fuzz(func(t *testing.T, b []byte) {
		m := newToy()
		r := &run[rows]{m: m, params: m.Params(), o: Options{Seed: 3, Optimizer: nn.Adam{}}}
		if err := r.restore(b); err != nil && !errors.Is(err, ErrCheckpoint) {
			t.Error(err)
		}
	})
}
