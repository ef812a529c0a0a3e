package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/eiderdb/eider"
)

// directory is the argument every verb on a database takes.
type directory struct {
	Dir string `arg:"" help:"Directory of the database."`
}

// read opens an existing database read-only. It never creates one: a typing
// error in a path must not leave an empty database behind.
func (d directory) read() (*eider.DB, error) {
	return d.open(&eider.Options{ReadOnly: true}, false)
}

// write opens the database for writing, and makes it if create is set.
func (d directory) write(create bool) (*eider.DB, error) {
	return d.open(&eider.Options{}, create)
}

func (d directory) open(o *eider.Options, create bool) (*eider.DB, error) {
	if d.Dir == "" {
		return nil, usage("the directory is empty text", "name a directory")
	}
	entries, err := os.ReadDir(d.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) && create:
	case errors.Is(err, fs.ErrNotExist):
		return nil, failed(fmt.Sprintf("there is no database at %s", d.Dir), "check the path, or make one with `eider import --create` or `eider demo --dir`")
	case err != nil:
		return nil, failed(fmt.Sprintf("cannot open %s: %v", d.Dir, reason(err)), "name a directory that holds a database")
	case len(entries) == 0 && !create:
		return nil, failed(fmt.Sprintf("%s is empty, not a database", d.Dir), "check the path, or make one with `eider import --create`")
	}
	if o.OnFatal == nil {
		o.OnFatal = func(err error) { report(os.Stderr, fatal(err)) }
	}
	return eider.Open(d.Dir, o)
}

// fatal is the last message before the process ends with exit code 70: disk
// and memory may disagree from here on.
func fatal(err error) error {
	what, _, _ := strings.Cut(err.Error(), "\n") // the rest are stack traces
	return failed("the disk failed under the database: "+what, "mend it and start again; what was acknowledged is kept")
}

// reason is the cause of a path error without the path, which the message
// names already.
func reason(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// collection is the flag of verbs that work on one collection.
type collection struct {
	Collection string `short:"c" help:"Collection or alias; may be left out when there is only one." placeholder:"NAME"`
}

// of finds the collection in db.
func (c collection) of(db *eider.DB) (*eider.Collection, error) {
	if c.Collection != "" {
		return db.Collection(c.Collection)
	}
	all := db.Collections()
	switch len(all) {
	case 0:
		return nil, failed("the database has no collections", "load one with `eider import --create`")
	case 1:
		return db.Collection(all[0].Name)
	}
	names := make([]string, len(all))
	for i, info := range all {
		names[i] = info.Name
	}
	return nil, usage("the database has several collections", "choose one with --collection: "+strings.Join(names, ", "))
}

// closing closes db and reports its error unless one is already on its way.
func closing(db *eider.DB, err *error) {
	if e := db.Close(); e != nil && *err == nil {
		*err = e
	}
}
