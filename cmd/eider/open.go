package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/eiderdb/eider"
	"github.com/eiderdb/eider/embed"
	"github.com/eiderdb/eider/embed/text"
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

// texts is directory for verbs that turn text into vectors.
type texts struct {
	directory
	EncoderDir map[string]string `help:"Text encoder in a folder with config.json, model.safetensors and tokenizer.json (BERT, MiniLM, BGE, E5; Model2Vec), by the name that schemas call it; repeatable." placeholder:"NAME=FOLDER" mapsep:"none"`
	loaded     map[string]embed.Encoder
}

func (e *texts) read() (*eider.DB, error) { return e.open(&eider.Options{ReadOnly: true}, false) }

func (e *texts) write(create bool) (*eider.DB, error) { return e.open(&eider.Options{}, create) }

// open loads the encoders, then opens the database.
func (e *texts) open(o *eider.Options, create bool) (*eider.DB, error) {
	e.loaded = map[string]embed.Encoder{}
	for name, folder := range e.EncoderDir {
		flag := fmt.Sprintf("--encoder-dir %s=%s", name, folder)
		if name == "" || strings.ContainsAny(name, `/\.`) || builtIn(name) {
			return nil, usage(flag+": the name is empty, a path, or that of a built-in encoder", "choose another, as in minilm="+folder)
		}
		if info, err := os.Stat(folder); err != nil || !info.IsDir() {
			return nil, usage(flag+": there is no such folder", "name the folder of a model")
		}
		enc, err := text.Load(name, os.DirFS(folder))
		if err != nil {
			return nil, failed(flag+": "+strings.TrimPrefix(err.Error(), "embed/text: "), "download the whole model, or name another folder")
		}
		e.loaded[name] = enc
	}
	o.Encoders = e.loaded
	return e.directory.open(o, create)
}

// encoder is an encoder by name, once the database is open.
func (e *texts) encoder(name string) (embed.Encoder, error) {
	if enc, ok := e.loaded[name]; ok {
		return enc, nil
	}
	help := fmt.Sprintf("use %s or %s, or give --encoder-dir NAME=FOLDER", text.StaticTiny, text.HashedName)
	if !builtIn(name) {
		return nil, usage("--encoder "+name+" is not known", help)
	}
	enc, err := text.Open(name)
	if err != nil {
		return nil, usage("--encoder "+name+": "+err.Error(), help)
	}
	return enc, nil
}

func builtIn(encoder string) bool {
	return encoder == text.StaticTiny || strings.HasPrefix(encoder, text.HashedName)
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
