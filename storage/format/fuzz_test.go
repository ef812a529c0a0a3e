package format

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"math"
	"runtime"
	"testing"
	"time"
)

// Each target decodes arbitrary bytes, and re-encodes what it accepted to the
// same bytes (D4). The committed corpus holds goldens of every artefact.

func sampleFields() []Field {
	return []Field{
		{"bool", Bool(true)}, {"float", Float64(-2.5)}, {"geo", Geo(52.5, 13.4)}, {"int", Int64(-7)},
		{"json", JSON(`{"a":1}`)}, {"list", List(String("x"), String("y"), Null())}, {"null", Null()},
		{"text", String("Grüße")}, {"time", Time(1_700_000_000_000_000_000)},
	}
}

// artefact is one encoding: a golden and how to decode and encode it again.
type artefact struct {
	golden []byte
	again  func(b []byte) ([]byte, error)
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// artefacts lists every artefact.
func artefacts() map[string]artefact {
	all := sealed()
	maps.Copy(all, open())
	return all
}

// sealed lists the artefacts in envelopes.
func sealed() map[string]artefact {
	chunk := make([]byte, 300)
	for i := range chunk {
		chunk[i] = byte(i * 7)
	}
	entry := Entry{LSN: 9, Time: 5, Changes: []Change{
		{Op: OpPut, Collection: 1, Ord: 70000, OldOrd: 3, HasOld: true, Key: []byte("a")},
		{Op: OpPut, Collection: 1, Ord: 4, Key: []byte("b")}, {Op: OpDelete, Collection: 2, OldOrd: 5, Key: []byte("c")},
		{Op: OpCreate, Collection: 3, Name: "films"}, {Op: OpAlias, Collection: 3, Name: "now"}, {Op: OpIndex, Collection: 3},
	}}
	models := Entry{LSN: 10, Time: 6, Changes: []Change{
		{Op: OpModel, Name: "ctr", Version: 3}, {Op: OpPromote, Name: "ctr", Version: 3, Alias: "production"}, {Op: OpUnmodel, Name: "ctr", Version: 1}}}
	events := Entry{LSN: 11, Time: 7, Changes: []Change{
		{Op: OpEvent, User: 1 << 40, Time: -5}, {Op: OpEvent, User: 3, Time: 5, Seq: 1}, {Op: OpErase, User: 3}, {Op: OpRetain, User: 9, Time: 70}}}
	readEntry := func(b []byte) ([]byte, error) {
		e, err := ParseEntry(b)
		if err != nil {
			return nil, err
		}
		return AppendEntry(nil, e)
	}
	return map[string]artefact{
		"record": {must(AppendRecord(nil, Record{LSN: 3, ExpireAt: 9, Fields: []uint16{0, 7}, Key: []byte("id"), Body: []byte("body")})), func(b []byte) ([]byte, error) {
			r, err := ParseRecord(b)
			if err != nil {
				return nil, err
			}
			return AppendRecord(nil, r)
		}},
		"change":  {must(AppendEntry(nil, entry)), readEntry},
		"change2": {must(AppendEntry(nil, models)), readEntry},
		"change3": {must(AppendEntry(nil, events)), readEntry},
		"event": {must(AppendEvent(nil, &Event{Item: "sku-7", Type: "click", ID: "01J", Value: 2.5, Context: []byte(`{"page":3}`)})), func(b []byte) ([]byte, error) {
			e, err := ParseEvent(b)
			if err != nil {
				return nil, err
			}
			return AppendEvent(nil, &e)
		}},
		"meta": {AppendMeta(nil, Meta{Format: 1, ID: [16]byte{1, 2}, Created: 7}), func(b []byte) ([]byte, error) {
			m, err := ParseMeta(b)
			if err != nil {
				return nil, err
			}
			return AppendMeta(nil, m), nil
		}},
		"collection": {must(AppendCollection(nil, Collection{ID: 4, Kind: IDUint64, Created: 1, Version: 2, Flags: 1, Dropped: []uint16{2, 9}, Name: "films", Schema: []byte("{}")})), func(b []byte) ([]byte, error) {
			c, err := ParseCollection(b)
			if err != nil {
				return nil, err
			}
			return AppendCollection(nil, c)
		}},
		"chunk": {must(AppendChunk(nil, Chunk{LSN: 4, Seq: 2, Last: true, Data: chunk})), func(b []byte) ([]byte, error) {
			c, err := ParseChunk(b)
			if err != nil {
				return nil, err
			}
			return AppendChunk(nil, c)
		}},
		"file": {must(AppendFile(nil, File{LSN: 4, Tag: 1 << 63, Size: 7, Sum: 5})), func(b []byte) ([]byte, error) {
			f, err := ParseFile(b)
			if err != nil {
				return nil, err
			}
			return AppendFile(nil, f)
		}},
		"rotation": {must(AppendRotation(nil, Rotation{Learned: 9, Rows: []float32{0.6, -0.8, 0.8, 0.6}})), func(b []byte) ([]byte, error) {
			r, err := ParseRotation(b)
			if err != nil {
				return nil, err
			}
			return AppendRotation(nil, r)
		}},
		"model": {must(AppendModel(nil, sampleModel())), func(b []byte) ([]byte, error) {
			m, err := ParseModel(b)
			if err != nil {
				return nil, err
			}
			return AppendModel(nil, m)
		}},
		"promotion": {must(AppendPromotion(nil, samplePromotion())), func(b []byte) ([]byte, error) {
			p, err := ParsePromotion(b)
			if err != nil {
				return nil, err
			}
			return AppendPromotion(nil, p)
		}},
		"weights": {must(AppendWeights(nil, Weights{ID: 7, Seq: 2, Data: chunk})), func(b []byte) ([]byte, error) {
			w, err := ParseWeights(b)
			if err != nil {
				return nil, err
			}
			return AppendWeights(nil, w)
		}},
		"job": {must(AppendJob(nil, Job{ID: 1 << 63, Size: 9, Sum: 5, About: []byte("{}")})), func(b []byte) ([]byte, error) {
			j, err := ParseJob(b)
			if err != nil {
				return nil, err
			}
			return AppendJob(nil, j)
		}},
		"part": {must(AppendPart(nil, Part{Kind: PartDocument, Collection: 1, Ord: 2, Value: []byte("record"), Vectors: []PartVector{{3, []byte("data")}}})), func(b []byte) ([]byte, error) {
			p, err := ParsePart(b)
			if err != nil {
				return nil, err
			}
			return AppendPart(nil, p)
		}},
	}
}

// open lists the artefacts without an envelope.
func open() map[string]artefact {
	manifest := must(EncodeManifest(Manifest{Version: 1, Store: "00112233445566778899aabbccddeeff", Format: 1, LSN: 9,
		Created: time.Unix(1_700_000_000, 0).UTC(), Files: []ManifestFile{{"db/000004.log", 12, string(bytes.Repeat([]byte("ab"), 32))}}}))
	var tensors bytes.Buffer
	if err := WriteSafetensors(&tensors, map[string]Tensor{
		"w": {"F32", []int{2, 2}, make([]byte, 16)}, "b": {"I64", []int{}, make([]byte, 8)}}, map[string]string{"k": "v"}); err != nil {
		panic(err)
	}
	return map[string]artefact{
		"document": {must(EncodeDocument(nil, sampleFields())), func(b []byte) ([]byte, error) {
			f, err := DecodeDocument(b)
			if err != nil {
				return nil, err
			}
			return EncodeDocument(nil, f)
		}},
		"key": {must(AppendKey(nil, String("a\x00b"))), func(b []byte) ([]byte, error) {
			v, err := ParseKey(b)
			if err != nil {
				return nil, err
			}
			return AppendKey(nil, v)
		}},
		"operand": {AppendOperand(nil, []uint16{1, 5, 900}, []uint16{2, 65535}), func(b []byte) ([]byte, error) {
			o, err := ParseOperand(b)
			if err != nil {
				return nil, err
			}
			var a, r Set
			o.Newer(&a, &r)
			return AppendSets(nil, &a, &r), nil
		}},
		"manifest": {manifest, func(b []byte) ([]byte, error) {
			m, err := DecodeManifest(b)
			if err != nil {
				return nil, err
			}
			return EncodeManifest(m)
		}},
		"safetensors": {tensors.Bytes(), func(b []byte) ([]byte, error) {
			ts, meta, err := ReadSafetensors(b)
			if err != nil {
				return nil, err
			}
			var out bytes.Buffer
			if err := WriteSafetensors(&out, ts, meta); err != nil {
				return nil, errors.Join(ErrCorrupt, err)
			}
			back, _, err := ReadSafetensors(out.Bytes())
			if err != nil || len(back) != len(ts) {
				panic("what was read cannot be written and read again")
			}
			return b, nil // another writer may order the header differently
		}},
	}
}

// checked names the artefacts with a checksum, where every damage is detected;
// the others sit in checksummed table blocks or inside a checksummed artefact.
var checked = map[string]bool{"record": true, "change": true, "meta": true, "collection": true, "chunk": true, "part": true, "rotation": true, "manifest": true,
	"change2": true, "change3": true, "event": true, "model": true, "promotion": true, "weights": true, "job": true}

func fuzz(f *testing.F, name string) {
	a := artefacts()[name]
	f.Add(a.golden)
	for i := 0; i < len(a.golden); i += 1 + len(a.golden)/16 {
		bad := bytes.Clone(a.golden)
		bad[i] ^= 0x41
		f.Add(bad)
		f.Add(a.golden[:i])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var before, after runtime.MemStats
		if name == "document" || name == "safetensors" || name == "model" {
			runtime.ReadMemStats(&before)
		}
		again, err := a.again(b)
		if before.TotalAlloc > 0 {
			runtime.ReadMemStats(&after)
			if used := after.TotalAlloc - before.TotalAlloc; used > uint64(64*len(b))+1<<20 {
				t.Fatalf("%d bytes of input took %d bytes of memory", len(b), used)
			}
		}
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Fatalf("untyped error: %v", err)
			}
			return
		}
		if !bytes.Equal(again, b) {
			t.Fatalf("decoded %x, encoded %x", b, again)
		}
	})
}

func FuzzRecord(f *testing.F)      { fuzz(f, "record") }
func FuzzChange(f *testing.F)      { fuzz(f, "change") }
func FuzzMeta(f *testing.F)        { fuzz(f, "meta") }
func FuzzCollection(f *testing.F)  { fuzz(f, "collection") }
func FuzzChunk(f *testing.F)       { fuzz(f, "chunk") }
func FuzzFile(f *testing.F)        { fuzz(f, "file") }
func FuzzRotation(f *testing.F)    { fuzz(f, "rotation") }
func FuzzPart(f *testing.F)        { fuzz(f, "part") }
func FuzzModel(f *testing.F)       { fuzz(f, "model") }
func FuzzPromotion(f *testing.F)   { fuzz(f, "promotion") }
func FuzzWeights(f *testing.F)     { fuzz(f, "weights") }
func FuzzEvent(f *testing.F)       { fuzz(f, "event") }
func FuzzJob(f *testing.F)         { fuzz(f, "job") }
func FuzzDocument(f *testing.F)    { fuzz(f, "document") }
func FuzzKey(f *testing.F)         { fuzz(f, "key") }
func FuzzOperand(f *testing.F)     { fuzz(f, "operand") }
func FuzzManifest(f *testing.F)    { fuzz(f, "manifest") }
func FuzzSafetensors(f *testing.F) { fuzz(f, "safetensors") }

// seal gives an arbitrary body a right checksum, so that fuzzing reaches what
// lies behind it.
func FuzzSealedBody(f *testing.F) {
	kinds := []byte{EnvMeta, EnvRecord, EnvCollection, EnvChange, EnvChunk, EnvFile, EnvBackup, EnvRotation, EnvModel, EnvPromotion, EnvWeights, EnvEvent, EnvJob}
	names := []string{"meta", "record", "collection", "change", "chunk", "file", "part", "rotation", "model", "promotion", "weights", "event", "job"}
	all := artefacts()
	for i, n := range names {
		g := all[n].golden
		end := envelopeHead + int(binary.LittleEndian.Uint32(g[2:]))
		f.Add(uint8(i), g[envelopeHead:end])
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		i := int(which) % len(kinds)
		b := must(AppendEnvelope(nil, kinds[i], 1, body))
		if kinds[i] == EnvJob {
			b = binary.LittleEndian.AppendUint32(b, uint32(len(b)))
		}
		again, err := all[names[i]].again(b)
		if err == nil && !bytes.Equal(again, b) {
			t.Fatalf("%s: decoded %x, encoded %x", names[i], b, again)
		}
	})
}

func TestEveryBitFlipAndTruncationOfAnArtefactIsDetected(t *testing.T) {
	for name, a := range artefacts() {
		if again, err := a.again(a.golden); err != nil || !bytes.Equal(again, a.golden) {
			t.Errorf("%s: golden does not round-trip: %v", name, err)
		}
		if !checked[name] {
			continue
		}
		for bit := range 8 * len(a.golden) {
			bad := bytes.Clone(a.golden)
			bad[bit/8] ^= 1 << (bit % 8)
			if _, err := a.again(bad); err == nil {
				t.Errorf("%s: flip of bit %d is not detected", name, bit)
			}
		}
		for n := range len(a.golden) {
			if _, err := a.again(a.golden[:n]); err == nil {
				t.Errorf("%s: cut to %d bytes is not detected", name, n)
			}
		}
	}
}

func TestKeysOrderLikeTheirValues(t *testing.T) {
	groups := [][]Value{
		{Bool(false), Bool(true)},
		{Int64(math.MinInt64), Int64(-1), Int64(0), Int64(1), Int64(math.MaxInt64)},
		{Float64(math.Inf(-1)), Float64(-1e300), Float64(-1), Float64(-5e-324), Float64(0), Float64(5e-324), Float64(1), Float64(math.Inf(1))},
		{String(""), String("\x00"), String("\x00\x00"), String("\x00a"), String("a"), String("a\x00"), String("a\x00b"), String("aa"), String("b"), String("é")},
		{Time(-1), Time(0), Time(1)},
	}
	for _, g := range groups {
		for i := range g {
			k := must(AppendKey(nil, g[i]))
			if v, err := ParseKey(k); err != nil || !v.Equal(g[i]) {
				t.Errorf("%v comes back as %v, %v", g[i], v, err)
			}
			for j := range i {
				if o := must(AppendKey(nil, g[j])); bytes.Compare(o, k) >= 0 || bytes.HasPrefix(k, o) {
					t.Errorf("key of %v is not below that of %v, or is its prefix", g[j], g[i])
				}
			}
		}
	}
	if a, b := must(AppendKey(nil, Float64(math.Copysign(0, -1)))), must(AppendKey(nil, Float64(0))); !bytes.Equal(a, b) {
		t.Error("-0 and 0 have different keys")
	}
	if _, err := AppendKey(nil, Float64(math.NaN())); !errors.Is(err, ErrValue) {
		t.Errorf("key of NaN: %v", err)
	}
}

func TestPrefixBoundsExactlyTheTextsThatStartWithIt(t *testing.T) {
	for _, s := range []string{"", "a", "ab", "a\x00", "a\x00b", "b", "abc"} {
		for _, p := range []string{"", "a", "a\x00", "ab"} {
			got := bytes.HasPrefix(must(AppendKey(nil, String(s))), AppendPrefix(nil, p))
			if want := len(s) >= len(p) && s[:len(p)] == p; got != want {
				t.Errorf("%q under prefix %q: %v", s, p, got)
			}
		}
	}
}

func TestNearbyPointsShareMortonPrefixes(t *testing.T) {
	for _, p := range [][2]float64{{-90, -180}, {90, 180}, {0, 0}, {52.52, 13.405}, {-33.86, 151.2}} {
		code := Morton(p[0], p[1])
		lat, lon := Unmorton(code)
		if math.Abs(lat-p[0]) > 1e-7 || math.Abs(lon-p[1]) > 1e-7 || Morton(lat, lon) != code {
			t.Errorf("%v comes back as %v, %v", p, lat, lon)
		}
	}
	if Morton(10, 20)>>40 != Morton(10.00001, 20.00001)>>40 {
		t.Error("points a metre apart differ in the first 24 bits")
	}
}

func TestIDsKeepTheirOrderAndHaveOneSpelling(t *testing.T) {
	for _, bad := range []string{"", "01", "+1", "-1", "1 ", "18446744073709551616", "x"} {
		if _, err := EncodeID(IDUint64, bad); !errors.Is(err, ErrID) {
			t.Errorf("uint64 id %q: %v", bad, err)
		}
	}
	for _, bad := range []string{"", "\xff", string(make([]byte, MaxID+1))} {
		if _, err := EncodeID(IDString, bad); !errors.Is(err, ErrID) {
			t.Errorf("string id %.8q: %v", bad, err)
		}
	}
	var last []byte
	for _, id := range []string{"0", "9", "10", "18446744073709551615"} {
		k := must(EncodeID(IDUint64, id))
		if got, err := DecodeID(IDUint64, k); err != nil || got != id || bytes.Compare(last, k) >= 0 {
			t.Errorf("id %s: %q %v", id, got, err)
		}
		last = k
	}
}

func TestPostingMergeIsAssociativeAndEqualsReplay(t *testing.T) {
	ops := [][]byte{
		AppendOperand(nil, []uint16{1, 2, 3}, nil), AppendOperand(nil, []uint16{4}, []uint16{2}), AppendOperand(nil, nil, []uint16{1, 4}),
		AppendOperand(nil, []uint16{2}, []uint16{3}), AppendOperand(nil, []uint16{1, 65535}, []uint16{7}),
	}
	parse := func(b []byte) Operand {
		o, err := ParseOperand(b)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	fold := func(parts [][]byte) []byte {
		var a, r Set
		for _, p := range parts {
			parse(p).Newer(&a, &r)
		}
		return AppendSets(nil, &a, &r)
	}
	back := func(parts [][]byte) []byte {
		var a, r Set
		for i := len(parts) - 1; i >= 0; i-- {
			parse(parts[i]).Older(&a, &r)
		}
		return AppendSets(nil, &a, &r)
	}
	want := fold(ops)
	if got := back(ops); !bytes.Equal(got, want) {
		t.Errorf("from the newest: %x, from the oldest: %x", got, want)
	}
	for i := 1; i < len(ops); i++ {
		if got := fold([][]byte{fold(ops[:i]), back(ops[i:])}); !bytes.Equal(got, want) {
			t.Errorf("split at %d: %x, whole: %x", i, got, want)
		}
	}
}
