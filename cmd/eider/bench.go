package main

import (
	"context"
	"strings"

	"github.com/eiderdb/eider/bench"
	"github.com/eiderdb/eider/index"
)

type benchCmd struct {
	Suite   string   `arg:"" optional:"" help:"Suite to run; without one, the list of suites."`
	Quick   bool     `help:"A smaller set and fewer peers: under a minute on two cores."`
	Data    string   `help:"Directory or file of vectors; default $EIDER_DATA, else ./data, else shared/data above." placeholder:"PATH"`
	Set     string   `help:"Data set; default fashion-mnist if present, else a generated one." placeholder:"NAME"`
	Peers   []string `help:"Libraries to compare with, or none; default the suite's own choice." placeholder:"NAME"`
	Out     string   `short:"o" help:"Directory for the plots and the report." placeholder:"DIR"`
	Seed    uint64   `help:"Seed of generated sets and of the index." default:"1"`
	Rows    int      `help:"At most so many vectors." placeholder:"N"`
	Queries int      `help:"At most so many queries." placeholder:"N"`
}

// Run runs a suite: figures to standard output, progress to standard error.
func (c *benchCmd) Run(ctx context.Context, t *terminal) error {
	suites := bench.Suites()
	if c.Suite == "" {
		return listSuites(t, suites)
	}
	names := make([]string, len(suites))
	for i, s := range suites {
		names[i] = s.Name
		if s.Name != c.Suite {
			continue
		}
		err := s.Run(ctx, bench.Options{
			Quick: c.Quick, JSON: t.json, Data: c.Data, Set: c.Set, Peers: c.Peers, Out: c.Out,
			Seed: c.Seed, Rows: c.Rows, Queries: c.Queries, Log: t.errs,
		}, flushing{t})
		return err
	}
	next := "choose one of " + strings.Join(names, ", ")
	if near := index.Nearest(c.Suite, names); near != "" {
		next = "did you mean " + near + "?"
	}
	return usage("there is no suite "+c.Suite, next)
}

func listSuites(t *terminal, suites []bench.Suite) error {
	if t.json {
		for _, s := range suites {
			if err := t.print(map[string]string{"suite": s.Name, "doc": s.Doc}); err != nil {
				return err
			}
		}
		return nil
	}
	b := columns("suite", "what it measures")
	for _, s := range suites {
		b.add(s.Name, s.Doc)
	}
	b.write(t)
	return nil
}

// flushing shows figures as they are measured.
type flushing struct{ t *terminal }

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.t.out.Write(p)
	if err == nil {
		err = f.t.flush()
	}
	return n, err
}
