package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/eiderdb/eider/bench"
	"github.com/eiderdb/eider/index"
)

type benchCmd struct {
	Suite    string   `arg:"" optional:"" help:"Suite to run, or report; without one, the list of suites."`
	Files    []string `arg:"" optional:"" help:"Results files that report turns into one page." placeholder:"FILE"`
	Quick    bool     `help:"A smaller set and fewer peers: under a minute on two cores."`
	Data     string   `help:"Directory or file of vectors; default $EIDER_DATA, else ./data, else shared/data above." placeholder:"PATH"`
	Set      string   `help:"Data set; default fashion-mnist if present, else a generated one." placeholder:"NAME"`
	Peers    []string `help:"Libraries to compare with, all or none; default the suite's own choice." placeholder:"NAME"`
	Codes    []string `help:"Forms of Eider's vectors to measure; default none, plain float32." placeholder:"NAME"`
	Prefixes []int    `help:"Prefixes that nested walks on and reorders by; default a sixth and a half of the dimension." placeholder:"N"`
	Rotate   bool     `help:"With nested: also measure prefixes of vectors that a learned rotation was applied to."`
	Out      string   `short:"o" help:"Directory for the results file." placeholder:"DIR"`
	HTML     string   `name:"html" help:"File for a report with curves and tables." placeholder:"FILE"`
	Seed     uint64   `help:"Seed of generated sets and of the index." default:"1"`
	Rows     int      `help:"At most so many vectors." placeholder:"N"`
	Queries  int      `help:"At most so many queries." placeholder:"N"`
	Seeds    int      `help:"With tabular: so many models, a seed each; default 5." placeholder:"N"`
}

// Run runs a suite: figures to standard output, progress to standard error.
func (c *benchCmd) Run(ctx context.Context, t *terminal) error {
	suites := bench.Suites()
	switch {
	case c.Suite == "":
		return listSuites(t, suites)
	case c.Suite == "report":
		return c.report(t)
	case len(c.Files) > 0:
		return usage("only report takes files", "run `eider bench "+c.Suite+"` without "+c.Files[0])
	}
	names := []string{"report"}
	for _, s := range suites {
		names = append(names, s.Name)
		if s.Name != c.Suite {
			continue
		}
		err := s.Run(ctx, bench.Options{
			Quick: c.Quick, JSON: t.json, Data: c.Data, Set: c.Set, Peers: c.Peers, Codes: c.Codes, Prefixes: c.Prefixes, Rotate: c.Rotate, Out: c.Out, HTML: c.HTML,
			Command: commandLine(os.Args[1:]), Seed: c.Seed, Rows: c.Rows, Queries: c.Queries, Seeds: c.Seeds, Log: t.errs,
		}, flushing{t})
		if errors.Is(err, bench.ErrOption) {
			return usage(err.Error(), "")
		}
		return err
	}
	next := "choose one of " + strings.Join(names, ", ")
	if near := index.Nearest(c.Suite, names); near != "" {
		next = "did you mean " + near + "?"
	}
	return usage("there is no suite "+c.Suite, next)
}

// report turns results files into one page, on standard output or in --html.
func (c *benchCmd) report(t *terminal) error {
	if len(c.Files) == 0 {
		return usage("a report needs results files", "write them with `eider bench SUITE --out DIR`, then name them")
	}
	var runs []*bench.Run
	for _, name := range c.Files {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		run, err := bench.ReadRun(f)
		f.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		runs = append(runs, run)
	}
	if c.HTML == "" {
		return bench.Page(flushing{t}, runs)
	}
	f, err := os.Create(c.HTML)
	if err != nil {
		return err
	}
	return errors.Join(bench.Page(f, runs), f.Close())
}

// commandLine is what to type to measure again: the arguments without the places
// on this machine that files come from and go to.
func commandLine(args []string) string {
	out := []string{"eider"}
	for i := 0; i < len(args); i++ {
		name, _, joined := strings.Cut(args[i], "=")
		switch name {
		case "--out", "-o", "--html", "--data":
			if !joined {
				i++
			}
		case "--json":
		default:
			out = append(out, args[i])
		}
	}
	return strings.Join(out, " ")
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
