package api

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/eiderdb/eider"
)

// postLinear stores a linear model of the field price over HTTP.
func postLinear(t testing.TB, put func(path string, body any) answer, name string, weight float32) {
	t.Helper()
	put("/v1/models/"+name+"/versions", map[string]any{"kind": "linear", "config": map[string]any{"fields": []string{"price"}},
		"tensors": map[string]any{"weight": map[string]any{"shape": []int{1, 1}, "data": []float32{weight}}, "bias": map[string]any{"shape": []int{1}, "data": []float32{0}}}}).want(t, 201)
}

func TestModelIsPromotedRolledBackAndDeletedOverHTTP(t *testing.T) {
	db := memory(t)
	h := handler(t, db)
	post := func(path string, body any) answer { return do(t, h, "POST", path, body) }
	postLinear(t, post, "ctr", 1)
	postLinear(t, post, "ctr", 2)
	post("/v1/models/ctr/predict", `{"rows":[{}]}`).want(t, 404)
	post("/v1/models/ctr/promote", `{"version":1}`).want(t, 200)
	if p := post("/v1/models/ctr/promote", `{"version":2}`).want(t, 409).problem(t); p.Code != eider.CodeGate {
		t.Errorf("problem %+v", p)
	}
	a := post("/v1/models/ctr/promote", `{"version":2,"force":true}`).want(t, 200)
	var moved eider.Promotion
	if a.into(t, &moved); moved.Previous != 1 || !moved.Forced || a.header.Get("X-LSN") != fmt.Sprint(moved.LSN) {
		t.Errorf("promotion %+v", moved)
	}
	var p eider.Prediction
	post("/v1/models/ctr/predict", `{"rows":[{"price":3}]}`).want(t, 200).into(t, &p)
	if p.Version != 2 || p.Scores[0] != 6 {
		t.Errorf("prediction %+v", p)
	}
	do(t, h, "DELETE", "/v1/models/ctr/versions/1", nil).want(t, 409)
	do(t, h, "DELETE", "/v1/models/ctr/versions/production", nil).want(t, 400)
	post("/v1/models/ctr/rollback", `{}`).want(t, 200)
	post("/v1/models/ctr/predict", `{"rows":[{"price":3}]}`).want(t, 200).into(t, &p)
	if p.Version != 1 || p.Scores[0] != 3 {
		t.Errorf("prediction %+v", p)
	}
	do(t, h, "DELETE", "/v1/models/ctr/versions/2", nil).want(t, 204)
	do(t, h, "GET", "/v1/models/ctr/versions/2", nil).want(t, 404)
	var v eider.ModelVersion
	if do(t, h, "GET", "/v1/models/ctr/versions/production", nil).want(t, 200).into(t, &v); v.Version != 1 {
		t.Errorf("version %+v", v)
	}
	var l modelList
	if do(t, h, "GET", "/v1/models", nil).want(t, 200).into(t, &l); len(l.Models) != 1 || len(l.Models[0].Versions) != 1 || l.Models[0].Aliases[0].Version != 1 {
		t.Errorf("models %+v", l)
	}
	var past promotionList
	if do(t, h, "GET", "/v1/models/ctr/aliases/production", nil).want(t, 200).into(t, &past); len(past.Promotions) != 3 || !past.Promotions[0].Rollback {
		t.Errorf("history %+v", past)
	}
	do(t, h, "DELETE", "/v1/models/ctr/aliases/production?note=never", nil).want(t, 204)
	if do(t, h, "GET", "/v1/models/ctr/aliases/production", nil).want(t, 200).into(t, &past); past.Promotions[0].Version != 0 || past.Promotions[0].Note != "never" {
		t.Errorf("history %+v", past)
	}
	post("/v1/models/ctr/predict", `{"rows":[{}]}`).want(t, 404)
	if p := do(t, h, "GET", "/v1/models/crt", nil).want(t, 404).problem(t); !strings.Contains(p.Hint, "ctr") {
		t.Errorf("problem %+v", p)
	}
	if p := post("/v1/models/ctr/predict", `{"version":"1","rows":[{"prise":1}]}`).want(t, 400).problem(t); p.Pointer != "/rows/0" || p.Code != eider.CodeUnknownField {
		t.Errorf("problem %+v", p)
	}
}

func TestExportedTarImportsAsTheSameModel(t *testing.T) {
	db := memory(t)
	h := handler(t, db)
	postLinear(t, func(path string, body any) answer { return do(t, h, "POST", path, body) }, "ctr", 1.5)
	a := do(t, h, "GET", "/v1/models/ctr/versions/1/export", nil).want(t, 200)
	if a.header.Get("Content-Type") != "application/x-tar" || a.header.Get("Content-Disposition") != `attachment; filename="ctr-1.tar"` {
		t.Errorf("headers %v", a.header)
	}
	raw := do(t, h, "GET", "/v1/models/ctr/versions/1/export?format=safetensors", nil).want(t, 200)
	in := tar.NewReader(bytes.NewReader(a.body))
	var inside []string
	for {
		e, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(in)
		if inside = append(inside, e.Name); err != nil || e.Name == "model.safetensors" && !bytes.Equal(b, raw.body) {
			t.Errorf("entry %s of %d bytes: %v", e.Name, len(b), err)
		}
	}
	if !slices.Equal(inside, []string{"config.json", "model.safetensors"}) {
		t.Errorf("the tar holds %v", inside)
	}
	var v, w eider.ModelVersion
	do(t, h, "POST", "/v1/models/copy/import", a.body).want(t, 201).into(t, &v)
	do(t, h, "GET", "/v1/models/ctr/versions/1", nil).want(t, 200).into(t, &w)
	if v.Model != "copy" || v.Version != 1 || v.SHA256 != w.SHA256 || !bytes.Equal(v.Config, w.Config) {
		t.Errorf("imported %+v of %+v", v, w)
	}
	do(t, h, "GET", "/v1/models/ctr/versions/1/export?format=zip", nil).want(t, 400)
	do(t, h, "GET", "/v1/models/ctr/versions/7/export", nil).want(t, 404)
}

// entry is one entry of a tar.
type entry struct {
	name, text string
	kind       byte
}

func pack(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		hd := tar.Header{Name: e.name, Size: int64(len(e.text)), Mode: 0o644, Typeflag: e.kind}
		if e.kind != tar.TypeReg {
			hd.Size, hd.Linkname = 0, e.text
		}
		if err := w.WriteHeader(&hd); err != nil {
			t.Fatal(err)
		}
		if e.kind == tar.TypeReg {
			if _, err := io.WriteString(w, e.text); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// sparse is a tar whose one entry is 64 GiB of holes: a PAX header that says so
// before a file with an empty map.
func sparse(t testing.TB) []byte {
	t.Helper()
	record := func(k, v string) string {
		n := len(k) + len(v) + 3
		n += len(fmt.Sprint(n + len(fmt.Sprint(n))))
		return fmt.Sprintf("%d %s=%s\n", n, k, v)
	}
	b := pack(t, entry{"pax", record("GNU.sparse.major", "1") + record("GNU.sparse.minor", "0") + record("GNU.sparse.name", "model.safetensors") + record("GNU.sparse.realsize", "68719476736"), tar.TypeReg},
		entry{"model.safetensors", "0\n" + strings.Repeat("\x00", 510), tar.TypeReg})
	b[156] = 'x' // the first entry is the header of the second
	copy(b[148:156], "        ")
	sum := 0
	for _, c := range b[:512] {
		sum += int(c)
	}
	copy(b[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

func TestTarThatIsNoModelIsRefused(t *testing.T) {
	db := memory(t)
	h := handler(t, db)
	postLinear(t, func(path string, body any) answer { return do(t, h, "POST", path, body) }, "ctr", 1.5)
	good := do(t, h, "GET", "/v1/models/ctr/versions/1/export", nil).want(t, 200).body
	weights := do(t, h, "GET", "/v1/models/ctr/versions/1/export?format=safetensors", nil).body
	config := entry{"config.json", `{"eider":1,"name":"x","kind":"linear","config":{"fields":["price"]}}`, tar.TypeReg}
	tensors := entry{"model.safetensors", string(weights), tar.TypeReg}
	do(t, h, "POST", "/v1/models/x/import", pack(t, config, tensors)).want(t, 201)
	lsn := db.LSN()
	for name, c := range map[string]struct {
		body   []byte
		status int
		says   string
	}{
		"empty":            {nil, 400, "lacks"},
		"not a tar":        {bytes.Repeat([]byte("x"), 2048), 400, "not a tar"},
		"cut":              {good[:len(good)/2], 400, "cut"},
		"no weights":       {pack(t, config), 400, "lacks model.safetensors"},
		"third file":       {pack(t, config, tensors, entry{"code.py", "import os", tar.TypeReg}), 400, "config.json or model.safetensors"},
		"path":             {pack(t, config, entry{"../model.safetensors", string(weights), tar.TypeReg}), 400, "config.json or model.safetensors"},
		"link":             {pack(t, config, entry{"model.safetensors", "/etc/passwd", tar.TypeSymlink}), 400, "config.json or model.safetensors"},
		"twice":            {pack(t, config, config, tensors), 400, "twice"},
		"holes":            {sparse(t), 400, "holes"},
		"large config":     {pack(t, entry{"config.json", strings.Repeat(" ", 5<<20), tar.TypeReg}, tensors), 413, "4194304"},
		"other shape":      {pack(t, entry{"config.json", strings.Replace(config.text, `"price"`, `"price","stock"`, 1), tar.TypeReg}, tensors), 422, `tensor "weight" of x is F32[1 1], the model needs F32[1 2]`},
		"broken weights":   {pack(t, config, entry{"model.safetensors", string(weights[:len(weights)-1]), tar.TypeReg}), 400, "model.safetensors"},
		"unknown kind":     {pack(t, entry{"config.json", strings.Replace(config.text, "linear", "dni", 1), tar.TypeReg}, tensors), 400, "this binary serves"},
		"misspelt member":  {pack(t, entry{"config.json", strings.Replace(config.text, "kind", "knid", 1), tar.TypeReg}, tensors), 400, "knid"},
		"another language": {pack(t, entry{"config.json", "kind: linear", tar.TypeReg}, tensors), 400, "config.json"},
	} {
		p := do(t, h, "POST", "/v1/models/x/import", c.body).want(t, c.status).problem(t)
		if !strings.Contains(p.Detail, c.says) || strings.Contains(p.Detail, "eider-model-") {
			t.Errorf("%s: %s, want words about %q and no path of the server", name, p.Detail, c.says)
		}
	}
	small := handler(t, db, func(o *Options) { o.ImportBytes = 1024 })
	do(t, small, "POST", "/v1/models/x/import", pack(t, config, tensors)).want(t, 413)
	if db.LSN() != lsn {
		t.Error("refused tars left something")
	}
}

func TestSearchRankedByAModelNamesItsVersion(t *testing.T) {
	db := memory(t)
	shop(t, db, 9)
	h := handler(t, db)
	post := func(path string, body any) answer { return do(t, h, "POST", path, body) }
	postLinear(t, post, "ctr", 1)
	post("/v1/models/ctr/promote", `{"version":1}`).want(t, 200)
	var r eider.Result
	a := post("/v1/collections/shop/search", `{"retrieve":[{"near":{"value":[1,0,0,0]}}],"rank":[{"model":"ctr@production"}],"limit":1,"fields":["price"],"explain":true}`).want(t, 200)
	a.into(t, &r)
	if len(r.Models) != 1 || r.Models[0] != "ctr@1" || r.Hits[0].ID != "p8" || r.Hits[0].Ranked[0].Model != "ctr@1" || r.Hits[0].Ranked[0].Features["price"] != 8.5 {
		t.Errorf("result %+v", r)
	}
	if !strings.Contains(a.header.Get("Server-Timing"), "rank;dur=") {
		t.Errorf("Server-Timing %s", a.header.Get("Server-Timing"))
	}
	if p := post("/v1/collections/shop/search", `{"rank":[{"model":"ctr@canary"}]}`).want(t, 404).problem(t); p.Pointer != "/rank/0/model" {
		t.Errorf("problem %+v", p)
	}
}

func FuzzTarIsRefusedOrHoldsTheTwoFiles(f *testing.F) {
	config := entry{"config.json", `{"eider":1}`, tar.TypeReg}
	f.Add(pack(f, config, entry{"model.safetensors", "weights", tar.TypeReg}))
	f.Add(pack(f, config, entry{"../model.safetensors", "weights", tar.TypeReg}))
	f.Add(sparse(f))
	f.Add([]byte("x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		err := unpack(&counted{r: bytes.NewReader(b)}, dir)
		size, names := 0, []string{}
		entries, rerr := os.ReadDir(dir)
		if rerr != nil {
			t.Fatal(rerr)
		}
		for _, e := range entries {
			info, ierr := e.Info()
			if ierr != nil {
				t.Fatal(ierr)
			}
			size += int(info.Size())
			names = append(names, e.Name())
		}
		if whole := slices.Equal(names, []string{"config.json", "model.safetensors"}); err == nil && !whole || size > len(b) {
			t.Fatalf("%v, %d bytes from %d: %v", names, size, len(b), err)
		}
	})
}
