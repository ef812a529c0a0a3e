package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/eiderdb/eider"
	"github.com/eiderdb/eider/embed/bottleneck"
)

type bottleneckCmd struct {
	List    bottleneckListCmd    `cmd:"" help:"List the bottlenecks of a collection."`
	Create  bottleneckCreateCmd  `cmd:"" help:"Attach a classifier to a vector; its keys are made of the vectors stored."`
	Learn   bottleneckLearnCmd   `cmd:"" help:"Teach examples: documents and their labels."`
	Predict bottleneckPredictCmd `cmd:"" help:"Predict documents, and name the documents that voted."`
	Unlearn bottleneckUnlearnCmd `cmd:"" help:"Take away what documents taught, or a class."`
	Drop    bottleneckDropCmd    `cmd:"" help:"Drop a bottleneck with all it learned."`
}

// bottleneckArgs name one.
type bottleneckArgs struct {
	directory
	Name string `arg:"" help:"Name of the bottleneck."`
	collection
}

// of finds it in db.
func (a *bottleneckArgs) of(db *eider.DB) (*eider.Bottleneck, error) {
	coll, err := a.collection.of(db)
	if err != nil {
		return nil, err
	}
	return coll.Bottleneck(a.Name)
}

type bottleneckListCmd struct {
	directory
	collection
}

// Run lists the bottlenecks.
func (c *bottleneckListCmd) Run(ctx context.Context, t *terminal) (err error) {
	db, err := c.read()
	if err != nil {
		return err
	}
	defer closing(db, &err)
	coll, err := c.of(db)
	if err != nil {
		return err
	}
	all, err := coll.Bottlenecks(ctx)
	if err != nil || t.json {
		return answer(t, all, err)
	}
	if len(all) == 0 {
		t.printf("  no bottlenecks\n")
		return nil
	}
	b := columns("bottleneck", "vector", ">heads x keys", ">used", ">rows", "learns")
	for _, x := range all {
		learns := strings.Join(x.Classes, ", ")
		if x.Config.Targets > 0 {
			learns = count(x.Config.Targets) + " targets"
		}
		b.add(x.Name, x.Vector, fmt.Sprintf("%d x %d", x.Config.Heads, x.Config.Keys), count(x.Used), count(x.Rows), clean(learns))
	}
	b.write(t)
	return nil
}

type bottleneckCreateCmd struct {
	bottleneckArgs
	Vector  string   `help:"Vector to read; may be left out when there is only one." placeholder:"NAME"`
	Heads   int      `help:"Heads, which vote." default:"64"`
	Keys    int      `help:"Keys of each head." default:"1024"`
	KeyDim  int      `help:"Components of a key; default 14, of chunks what divides the vector." placeholder:"N"`
	Split   string   `help:"project by random matrices, or chunk." default:"project" enum:"project,chunk"`
	Classes []string `help:"Classes known beforehand." placeholder:"CLASS"`
	Closed  bool     `help:"Take no other classes."`
	Targets int      `help:"Learn so many numbers instead of classes." placeholder:"N"`
	Method  string   `help:"How keys are made: ema or kmeans." default:"ema" enum:"ema,kmeans"`
	Epochs  int      `help:"Passes over the vectors that keys are made of." default:"4"`
	Sample  int      `help:"How many vectors keys are made of." default:"16384"`
	Seed    uint64   `help:"Seed of projections and keys."`
}

// Run makes a bottleneck.
func (c *bottleneckCreateCmd) Run(ctx context.Context, t *terminal) (err error) {
	db, err := c.write(false)
	if err != nil {
		return err
	}
	defer closing(db, &err)
	coll, err := c.collection.of(db)
	if err != nil {
		return err
	}
	began := time.Now()
	b, err := coll.CreateBottleneck(ctx, c.Name, eider.BottleneckSpec{Vector: c.Vector, Sample: c.Sample,
		Start: bottleneck.Start{Method: bottleneck.Method(c.Method), Epochs: c.Epochs},
		Config: bottleneck.Config{Heads: c.Heads, Keys: c.Keys, KeyDim: c.KeyDim, Split: bottleneck.Split(c.Split), Seed: c.Seed,
			Classes: c.Classes, Closed: c.Closed, Targets: c.Targets}})
	if err != nil {
		return err
	}
	info, err := b.Info(ctx)
	if err != nil || t.json {
		return answer(t, info, err)
	}
	t.printf("  %s on %s: %d x %d keys made of %s vectors in %s\n", info.Name, info.Vector, info.Config.Heads, info.Config.Keys,
		count(info.Sampled), time.Since(began).Round(time.Millisecond))
	return nil
}

type bottleneckLearnCmd struct {
	bottleneckArgs
	File   string   `arg:"" optional:"" help:"Lines of JSON like {\"id\":\"s1\",\"label\":\"boot\"}; - for standard input."`
	ID     []string `help:"Documents to teach --label by; repeat or separate by commas." placeholder:"ID"`
	Label  string   `help:"The label of --id."`
	Field  string   `help:"Teach every document that has this field, with its value as the label." placeholder:"NAME"`
	Epochs int      `help:"How many times, each a step more." default:"1"`
}

// Run teaches examples and says how many.
func (c *bottleneckLearnCmd) Run(ctx context.Context, t *terminal) (err error) {
	given := 0
	for _, is := range []bool{c.File != "", len(c.ID) > 0, c.Field != ""} {
		if is {
			given++
		}
	}
	if given != 1 || (c.Label != "") != (len(c.ID) > 0) || c.Epochs < 1 {
		return usage("say what to learn, in one way", "name a FILE, or give --id with --label, or --field")
	}
	db, err := c.write(false)
	if err != nil {
		return err
	}
	defer closing(db, &err)
	b, err := c.of(db)
	if err != nil {
		return err
	}
	examples, err := c.examples(ctx, t, db)
	if err != nil {
		return err
	}
	var sum eider.Learned
	for range c.Epochs {
		sum.Loss = 0
		for at := 0; at < len(examples); at += 1000 {
			part := examples[at:min(at+1000, len(examples))]
			r, err := b.Learn(ctx, part...)
			if err != nil {
				return err
			}
			sum.Learned += r.Learned
			sum.Loss += r.Loss * float64(r.Learned) / float64(len(examples))
			sum.LSN = r.LSN
		}
	}
	if t.json {
		return t.print(sum)
	}
	t.printf("  %s learned, loss %.4f\n", count(sum.Learned), sum.Loss)
	return nil
}

func (c *bottleneckLearnCmd) examples(ctx context.Context, t *terminal, db *eider.DB) (all []eider.Example, err error) {
	switch {
	case c.Field != "":
		return c.fromField(ctx, db)
	case c.File == "":
		for _, id := range c.ID {
			all = append(all, eider.Example{ID: id, Label: c.Label})
		}
		return all, nil
	}
	in := t.in
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 4<<20)
	for n := 1; lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var e eider.Example
		if err := strictJSON(lines.Bytes(), &e); err != nil {
			return nil, usage(fmt.Sprintf("line %d is not an example: %v", n, err), `write it like {"id": "s1", "label": "boot"}`)
		}
		all = append(all, e)
	}
	return all, lines.Err()
}

// fromField makes examples of documents with a field.
func (c *bottleneckLearnCmd) fromField(ctx context.Context, db *eider.DB) (all []eider.Example, err error) {
	coll, err := c.collection.of(db)
	if err != nil {
		return nil, err
	}
	for d, err := range coll.All(ctx, nil) {
		if err != nil {
			return nil, err
		}
		switch v := d.Fields[c.Field].(type) {
		case nil:
		case string:
			all = append(all, eider.Example{ID: d.ID, Label: v})
		default:
			text, err := json.Marshal(v)
			if err != nil {
				return nil, err
			}
			all = append(all, eider.Example{ID: d.ID, Label: string(text)})
		}
	}
	if len(all) == 0 {
		err = failed(fmt.Sprintf("no document has the field %s", c.Field), "name a field of the collection")
	}
	return all, err
}

type bottleneckPredictCmd struct {
	bottleneckArgs
	ID      []string `arg:"" help:"Documents to predict." placeholder:"ID"`
	Explain int      `short:"e" help:"Name so many of the documents that voted." placeholder:"N"`
}

// Run predicts documents.
func (c *bottleneckPredictCmd) Run(ctx context.Context, t *terminal) (err error) {
	db, err := c.read()
	if err != nil {
		return err
	}
	defer closing(db, &err)
	b, err := c.of(db)
	if err != nil {
		return err
	}
	all, err := b.Classify(ctx, eider.Unclassified{IDs: c.ID, Explain: c.Explain})
	if err != nil || t.json {
		return answer(t, all, err)
	}
	out := columns("id", "prediction", ">share", "voters")
	for _, p := range all {
		label, share := p.Label, ""
		if len(p.Classes) > 0 {
			share = strconv.FormatFloat(p.Classes[0].Share, 'f', 3, 64)
		}
		if p.Targets != nil {
			label = strings.Trim(fmt.Sprint(p.Targets), "[]")
		}
		var voters []string
		for _, v := range p.Voters {
			voters = append(voters, fmt.Sprintf("%s %s %+.3g", v.Row, v.Label, v.Weight))
		}
		out.add(p.ID, clean(label), share, clean(strings.Join(voters, ", ")))
	}
	out.write(t)
	return nil
}

type bottleneckUnlearnCmd struct {
	bottleneckArgs
	ID    []string `help:"Documents; repeat or separate by commas." placeholder:"ID"`
	Label string   `help:"A class, with all rows that taught it."`
}

// Run takes away what was learned.
func (c *bottleneckUnlearnCmd) Run(ctx context.Context, t *terminal) (err error) {
	if (len(c.ID) > 0) == (c.Label != "") {
		return usage("say what to unlearn", "give --id or --label")
	}
	db, err := c.write(false)
	if err != nil {
		return err
	}
	defer closing(db, &err)
	b, err := c.of(db)
	if err != nil {
		return err
	}
	for _, id := range c.ID {
		if err := b.Unlearn(ctx, id); err != nil {
			return err
		}
	}
	if c.Label != "" {
		if err := b.UnlearnClass(ctx, c.Label); err != nil {
			return err
		}
	}
	info, err := b.Info(ctx)
	if err != nil || t.json {
		return answer(t, info, err)
	}
	t.printf("  unlearned; %s rows and %d classes are left\n", count(info.Rows), len(info.Classes))
	return nil
}

type bottleneckDropCmd struct{ bottleneckArgs }

// Run drops a bottleneck.
func (c *bottleneckDropCmd) Run(ctx context.Context, t *terminal) (err error) {
	db, err := c.write(false)
	if err != nil {
		return err
	}
	defer closing(db, &err)
	coll, err := c.collection.of(db)
	if err != nil {
		return err
	}
	if err := coll.DropBottleneck(ctx, c.Name); err != nil || t.json {
		return answer(t, map[string]string{"dropped": c.Name}, err)
	}
	t.printf("  %s is dropped\n", c.Name)
	return nil
}
