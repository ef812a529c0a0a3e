// Command eider embeds the database behind a command line: serve it over HTTP
// with a web console, load and query collections, back them up, check them and
// measure them.
//
// Every verb is one file. Standard output carries the answer and nothing else
// (one JSON value or JSON lines with --json); progress and errors go to
// standard error. Exit codes: 0 done, 1 failed, 2 stored data is damaged, 64
// the command line is wrong.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

// commands is the grammar of the command line: kong reads it, the completion
// scripts are made from it.
type commands struct {
	JSON bool `help:"Print JSON on standard output, and nothing else there."`

	Serve       serveCmd       `cmd:"" help:"Serve a database over HTTP, with the console at /ui."`
	Demo        demoCmd        `cmd:"" help:"Load the demo collections, search them, open the console."`
	Import      importCmd      `cmd:"" help:"Load documents or events from a file or standard input."`
	Export      exportCmd      `cmd:"" help:"Write the documents of a collection, or all events, as JSON lines."`
	Search      searchCmd      `cmd:"" help:"Search a collection by text, vector, example or filter."`
	Events      eventsCmd      `cmd:"" help:"Count events, show those of a user, erase a user, keep events for an age."`
	Collections collectionsCmd `cmd:"" help:"List collections, or show the schema of one."`
	Models      modelsCmd      `cmd:"" help:"List, promote, roll back, import and export models."`
	Bottleneck  bottleneckCmd  `cmd:"" help:"Classifiers on vectors that learn one label at a time, explain and unlearn."`
	Train       trainCmd       `cmd:"" help:"Train a model on events and documents."`
	Eval        evalCmd        `cmd:"" help:"Measure a model on events that are held out."`
	Predict     predictCmd     `cmd:"" help:"Score rows or documents by a model."`
	Stats       statsCmd       `cmd:"" help:"Report sizes: documents, disk, memory of every index."`
	Check       checkCmd       `cmd:"" help:"Read everything and report damage (exit code 2)."`
	Backup      backupCmd      `cmd:"" help:"Copy the database, whole or since an LSN."`
	Restore     restoreCmd     `cmd:"" help:"Make a database from a full backup and its increments."`
	Bench       benchCmd       `cmd:"" help:"Measure speed and recall, beside other libraries."`
	Version     versionCmd     `cmd:"" help:"Say what this binary is."`
	Completion  completionCmd  `cmd:"" help:"Print a completion script for a shell."`
}

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run parses args, runs one verb and returns the exit code.
func run(args []string, in io.Reader, out, errs io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once

	var c commands
	exit := -1
	parser, err := newParser(&c, out, errs, func(code int) { exit = code })
	if err != nil {
		return report(errs, fmt.Errorf("the command line's grammar is broken: %w", err))
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parse(parser, args, &exit)
	if exit >= 0 { // --help has been printed
		return exit
	}
	if err != nil {
		return report(errs, err)
	}
	t := newTerminal(in, out, errs, c.JSON)
	parsed.BindTo(ctx, (*context.Context)(nil))
	parsed.Bind(t, parser.Model)
	err = parsed.Run()
	if e := t.flush(); e != nil && err == nil {
		err = failed(fmt.Sprintf("cannot write to standard output: %v", e), "")
	}
	if err != nil {
		return report(errs, err)
	}
	return exitOK
}

// newParser builds the grammar. exit is called where kong would end the
// process.
func newParser(c *commands, out, errs io.Writer, exit func(int)) (*kong.Kong, error) {
	return kong.New(c,
		kong.Name("eider"),
		kong.Description("An embedded vector database: search by meaning and by filters, in one directory."),
		kong.Writers(out, errs),
		kong.Exit(exit),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
}

// parse is parser.Parse with errors as usage errors that name the help to read.
// exit is not negative once kong has printed help; kong's own result is then
// meaningless.
func parse(parser *kong.Kong, args []string, exit *int) (*kong.Context, error) {
	parsed, err := parser.Parse(args)
	if *exit >= 0 || err == nil {
		return parsed, nil
	}
	help := "eider --help"
	var bad *kong.ParseError
	if errors.As(err, &bad) && bad.Context != nil && bad.Context.Selected() != nil {
		help = bad.Context.Selected().FullPath() + " --help"
	}
	return nil, usage(strings.TrimSpace(err.Error()), "run `"+help+"`")
}
