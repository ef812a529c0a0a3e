package eider

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eiderdb/eider/recsys/din"
	"github.com/eiderdb/eider/storage/format"
	"github.com/eiderdb/eider/storage/registry"
)

// untrained is a model with weights as drawn: of items d0 to d9, of which even ones
// are of kind "even" and the others "odd", and three events of history.
func untrained(t testing.TB, seed uint64, change func(*dinConfig)) *dinModel {
	t.Helper()
	d := &dinModel{}
	var items []string
	for i := range 10 {
		items = append(items, fmt.Sprint("d", i))
	}
	for _, names := range [][]string{items, {"odd", "even"}} {
		d.vocabularies = append(d.vocabularies, must(din.NewVocabulary(names))(t))
	}
	kinds := din.Column{Start: []int32{0, 0}, IDs: []uint32{}}
	for i := range 10 {
		kinds.IDs = append(kinds.IDs, 2-uint32(i%2))
		kinds.Start = append(kinds.Start, int32(i+1))
	}
	d.columns = []din.Column{{}, kinds}
	d.config = dinConfig{History: 3, Events: []string{"click"}, Fields: []dinField{{"kind", Keyword}},
		Network: din.Config{Pooling: "attention", Softmax: true, Scaled: true, Product: true, Bias: true, Spread: 1,
			Item: []din.Field{{Name: "item", Rows: 11, Dim: 4}, {Name: "item.kind", Rows: 3, Dim: 2, Many: true}},
			Unit: din.Layers{Hidden: []int{5}, Activation: "sigmoid"}, Head: din.Layers{Hidden: []int{6}, Activation: "prelu"}}}
	for i := range d.config.Network.Item {
		d.config.Network.Item[i].Vocabulary = d.vocabularies[i].Hash()
	}
	if change != nil {
		change(&d.config)
	}
	d.net = must(din.New(d.config.Network, must(din.NewItems(11, d.config.Network.Item, d.columns))(t), seed))(t)
	return d
}

// servedDin stores a model and promotes it.
func servedDin(t testing.TB, db *DB, name string, d *dinModel) *format.Model {
	t.Helper()
	m := must(db.registry.Put(ctx, d.manifest(name), d.tensors()))(t)
	must(db.Models().Promote(ctx, name, m.Version, PromoteOptions{Force: true}))(t)
	return m
}

// shelf is a collection of the documents d0 to d11, the last two unknown to the model.
func shelf(t testing.TB, db *DB) *Collection {
	t.Helper()
	c := create(t, db, "shelf", Schema{Fields: map[string]Field{"kind": {Type: Keyword}}, Vectors: map[string]Vector{"v": {Dim: 2}}})
	for i := range 12 {
		must(c.Upsert(ctx, Doc{ID: fmt.Sprint("d", i), Fields: map[string]any{"kind": []string{"even", "odd"}[i%2]}, Vectors: map[string][]float32{"v": {float32(i), 0}}}))(t)
	}
	return c
}

func clicked(t testing.TB, db *DB, user string, items ...string) {
	t.Helper()
	for i, item := range items {
		must(db.Events().Append(ctx, Event{User: user, Item: item, Type: "click", Time: time.Unix(int64(i), 0)}))(t)
	}
}

// The served score is that of the network, given rows by hand.
func TestDinScoresDocumentsAfterTheHistoryOfTheUser(t *testing.T) {
	db := memory(t, nil)
	shelf(t, db)
	d := untrained(t, 1, nil)
	servedDin(t, db, "din", d)
	clicked(t, db, "u", "d1", "d2", "nowhere", "d3", "d4")
	must(db.Events().Append(ctx, Event{User: "u", Item: "d9", Type: "view", Time: time.Unix(99, 0)}))(t)
	p := must(db.Predict(ctx, "din@production", Inputs{Collection: "shelf", IDs: []string{"d0", "d7", "d4"}, User: "u", Explain: true}))(t)
	logits, weights := make([]float32, 3), make([]float32, 9)
	if err := d.net.Scorer(false).Score(din.Request{Past: []uint32{3, 4, 5}, Items: []uint32{1, 8, 5}}, logits, weights); err != nil {
		t.Fatal(err)
	}
	for i, z := range logits {
		if want := 1 / (1 + math.Exp(-float64(z))); math.Abs(p.Scores[i]-want) > 1e-6 {
			t.Errorf("score %v of document %d, the network's is %v", p.Scores[i], i, want)
		}
		sum := 0.0
		for j, item := range []string{"d2", "d3", "d4"} { // newest three clicks that it knows
			if got := p.Explain[i][item]; math.Abs(got-float64(weights[3*i+j])) > 1e-6 {
				t.Errorf("%s weighs %v for document %d, want %v", item, got, i, weights[3*i+j])
			}
			sum += p.Explain[i][item]
		}
		if len(p.Explain[i]) != 3 || math.Abs(sum-1) > 1e-5 {
			t.Errorf("document %d is explained by %v", i, p.Explain[i])
		}
	}
}

func TestDinScoresWhatItDoesNotKnow(t *testing.T) {
	db := memory(t, nil)
	c := shelf(t, db)
	must(c.Upsert(ctx, Doc{ID: "bare", Vectors: map[string][]float32{"v": {50, 0}}}, Doc{ID: "strange", Fields: map[string]any{"kind": []string{"odd", "new"}}, Vectors: map[string][]float32{"v": {51, 0}}}))(t)
	servedDin(t, db, "din", untrained(t, 1, nil))
	clicked(t, db, "lost", "nowhere")
	var first []float64
	for _, user := range []string{"nobody", "lost"} {
		p := must(db.Predict(ctx, "din", Inputs{Collection: "shelf", IDs: []string{"d0", "d10", "bare", "strange"}, User: user, Explain: true}))(t)
		if len(p.Explain[0]) != 0 {
			t.Errorf("%s has no history, and %v carried the score", user, p.Explain[0])
		}
		if first == nil {
			first = p.Scores
		}
		if !slices.Equal(p.Scores, first) {
			t.Errorf("items it does not know are in the history: %v, without %v", p.Scores, first)
		}
		if p.Scores[1] == p.Scores[2] {
			t.Error("the kind of an item it does not know is not read")
		}
		rows := must(db.Predict(ctx, "din", Inputs{User: user, Rows: []map[string]any{{"id": "d0", "kind": "even"}, {"kind": "even"}, {}, {"id": "strange", "kind": "odd"}}}))(t)
		if !slices.Equal(rows.Scores, p.Scores) {
			t.Errorf("rows score %v, documents %v", rows.Scores, p.Scores)
		}
	}
	for name, in := range map[string]Inputs{
		"no user": {Rows: []map[string]any{{}}}, "id of another type": {User: "u", Rows: []map[string]any{{"id": 7}}},
		"value of another type": {User: "u", Rows: []map[string]any{{"kind": 7}}},
	} {
		if _, err := db.Predict(ctx, "din", in); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDinRanksHitsForAUserAndNamesTheHistory(t *testing.T) {
	db := memory(t, nil)
	c := shelf(t, db)
	d := untrained(t, 1, nil)
	m := servedDin(t, db, "din", d)
	clicked(t, db, "u", "d5", "d6")
	r := must(c.Search(ctx, Query{Retrieve: near(0), Limit: 12, Explain: true, Rank: []Rank{{Model: "din@production", User: "u"}}}))(t)
	ids := idsOf(r)
	p := must(db.Predict(ctx, "din", Inputs{Collection: "shelf", IDs: ids, User: "u"}))(t)
	if !slices.IsSortedFunc(p.Scores, func(a, b float64) int { return -int(math.Copysign(1, a-b)) }) || p.Version != m.Version {
		t.Errorf("hits %v have scores %v", ids, p.Scores)
	}
	if got := slices.Sorted(maps.Keys(r.Hits[0].Ranked[0].Features)); !slices.Equal(got, []string{"d5", "d6"}) {
		t.Errorf("the first hit is explained by %v", got)
	}
}

func TestDinArtefactKeepsItsScoresThroughAFolder(t *testing.T) {
	db := memory(t, nil)
	shelf(t, db)
	servedDin(t, db, "din", untrained(t, 1, func(c *dinConfig) { c.Bytes = true }))
	clicked(t, db, "u", "d1", "d2")
	in := Inputs{Collection: "shelf", IDs: []string{"d0", "d11"}, User: "u"}
	want := must(db.Predict(ctx, "din@1", in))(t)
	dir := filepath.Join(t.TempDir(), "din")
	if err := db.Models().Export(ctx, "din", dir); err != nil {
		t.Fatal(err)
	}
	v := must(db.Models().Import(ctx, dir, "copy"))(t)
	got := must(db.Predict(ctx, "copy@1", in))(t)
	if !slices.Equal(got.Scores, want.Scores) || v.Features == "" {
		t.Errorf("scores %v, before %v; features %q", got.Scores, want.Scores, v.Features)
	}
}

func TestDinArtefactThatDoesNotFitIsRefusedByName(t *testing.T) {
	db := memory(t, nil)
	for name, c := range map[string]struct {
		spoil func(m *format.Model, tensors map[string]format.Tensor)
		says  string
	}{
		"lacks a layer":  {func(_ *format.Model, x map[string]format.Tensor) { delete(x, "dnn.mlp.0.weight") }, `"dnn.mlp.0.weight"`},
		"foreign tensor": {func(_ *format.Model, x map[string]format.Tensor) { x["other"] = x["dnn.mlp.0.bias"] }, `"other"`},
		"other shape":    {func(_ *format.Model, x map[string]format.Tensor) { x["item_bias.weight"] = x["dnn.mlp.0.bias"] }, `"item_bias.weight"`},
		"no vocabulary":  {func(_ *format.Model, x map[string]format.Tensor) { delete(x, "vocabulary.item.kind") }, `"vocabulary.item.kind"`},
		"other features": {func(m *format.Model, _ map[string]format.Tensor) { m.Features[0]++ }, "feature schema"},
		"vast table": {func(m *format.Model, _ map[string]format.Tensor) {
			m.Config = []byte(strings.Replace(string(m.Config), `"rows":11`, `"rows":2000000000`, 1))
		}, "numbers in all tensors"},
		"cut vocabulary": {func(_ *format.Model, x map[string]format.Tensor) {
			x["vocabulary.item"] = format.Tensor{DType: "U8", Shape: []int{1}, Data: []byte{9}}
		}, `"vocabulary.item"`},
		"other vocabulary": {func(_ *format.Model, x map[string]format.Tensor) {
			x["vocabulary.item.kind"] = must(din.NewVocabulary([]string{"even", "odd"}))(t).Tensor()
		}, `"vocabulary.item.kind"`},
		"short vocabulary": {func(_ *format.Model, x map[string]format.Tensor) {
			x["vocabulary.item.kind"] = must(din.NewVocabulary([]string{"odd"}))(t).Tensor()
		}, "1 names"},
		"row of nothing": {func(_ *format.Model, x map[string]format.Tensor) { x["catalogue.item.kind"].Data[0] = 3 }, "item.kind"},
		"offsets":        {func(_ *format.Model, x map[string]format.Tensor) { x["catalogue.item.kind.start"].Data[4] = 99 }, "item.kind"},
	} {
		d := untrained(t, 1, nil)
		m, tensors := d.manifest("din"), d.tensors()
		c.spoil(&m, tensors)
		stored := must(db.registry.Put(ctx, m, tensors))(t)
		_, err := db.Models().Promote(ctx, "din", stored.Version, PromoteOptions{})
		if !errors.Is(err, ErrMismatch) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want ErrMismatch and %s", name, err, c.says)
		}
	}
	for name, spoil := range map[string]func(c *dinConfig){
		"history": func(c *dinConfig) { c.History = 501 }, "users": func(c *dinConfig) { c.Network.User = []din.Field{{Name: "u", Rows: 1, Dim: 1}} },
		"type": func(c *dinConfig) { c.Fields[0].Type = Float64 }, "field": func(c *dinConfig) { c.Fields[0].Name = "colour" },
		"pooling": func(c *dinConfig) { c.Network.Pooling = "max" }, "fewer": func(c *dinConfig) { c.Fields = nil },
	} {
		d := untrained(t, 1, nil)
		spoil(&d.config)
		m := d.manifest("din")
		m.Features, m.Version = [32]byte{}, 1
		for _, info := range must(format.InfoOf(d.tensors()))(t) {
			m.Tensors = append(m.Tensors, format.ModelTensor{TensorInfo: info})
		}
		if err := checkDin(&m); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What artefacts are made of does not change: others have them in files.
func TestDinArtefactHasItsForm(t *testing.T) {
	d := untrained(t, 1, func(c *dinConfig) {
		c.Training = dinTraining{Collection: "shelf", Split: "last", Candidates: 100}
	})
	want := `{"network":{"item":[{"name":"item","rows":11,"dim":4,"vocabulary":"` + d.vocabularies[0].Hash() + `"},{"name":"item.kind","rows":3,"dim":2,"many":true,"vocabulary":"` +
		d.vocabularies[1].Hash() + `"}],"pooling":"attention","unit":{"hidden":[5],"activation":"sigmoid"},"softmax":true,"scaled":true,"head":{"hidden":[6],"activation":"prelu"},` +
		`"product":true,"bias":true,"spread":1},"fields":[{"name":"kind","type":"keyword"}],"events":["click"],"history":3,"training":{"collection":"shelf","split":"last","candidates":100}}`
	if got := string(d.manifest("din").Config); got != want {
		t.Errorf("configuration %s\nwant %s", got, want)
	}
	tensors := d.tensors()
	names := []string{"attention_layers.0.attention_layer.mlp.0.bias", "attention_layers.0.attention_layer.mlp.0.weight", "attention_layers.0.attention_layer.mlp.2.bias",
		"attention_layers.0.attention_layer.mlp.2.weight", "catalogue.item.kind", "catalogue.item.kind.start", "dnn.mlp.0.bias", "dnn.mlp.0.weight", "dnn.mlp.1.weight", "dnn.mlp.2.bias",
		"dnn.mlp.2.weight", "embedding_layer.embedding_layers.item.kind.weight", "embedding_layer.embedding_layers.item.weight", "item_bias.weight", "vocabulary.item", "vocabulary.item.kind"}
	if got := slices.Sorted(maps.Keys(tensors)); !slices.Equal(got, names) {
		t.Errorf("tensors %q", got)
	}
	for name, want := range map[string]string{"vocabulary.item.kind": "\x03odd\x04even", "catalogue.item.kind": "\x02\x00\x00\x00\x01\x00\x00\x00\x02", "catalogue.item.kind.start": "\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x02"} {
		if got := string(tensors[name].Data); !strings.HasPrefix(got, want) {
			t.Errorf("%s begins %q, want %q", name, got[:min(len(got), len(want))], want)
		}
	}
}

// A manifest of PyTorch has counts that say nothing.
func TestDinTakesThePyTorchCountOfBatches(t *testing.T) {
	db := memory(t, nil)
	d := untrained(t, 1, func(c *dinConfig) { c.Network.Head.Norm = true })
	tensors := d.tensors()
	tensors["dnn.mlp.1.num_batches_tracked"] = format.Tensor{DType: "I64", Shape: []int{}, Data: make([]byte, 8)}
	m := must(db.registry.Put(ctx, d.manifest("din"), tensors))(t)
	must(db.Models().Promote(ctx, "din", m.Version, PromoteOptions{}))(t)
	tensors["dnn.mlp.9.num_batches_tracked"] = tensors["dnn.mlp.1.num_batches_tracked"]
	m = must(db.registry.Put(ctx, d.manifest("din"), tensors))(t)
	if _, err := db.Models().Promote(ctx, "din", m.Version, PromoteOptions{Force: true}); !errors.Is(err, registry.ErrMismatch) {
		t.Errorf("a count of no norm: %v", err)
	}
}
