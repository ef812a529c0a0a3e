// Package text has the text encoders that need no server.
//
//   - "static-tiny" is built in: a Model2Vec model of 29,524 English tokens and
//     64 dimensions (MIT licence, The Minish Lab). Small and quick; it finds
//     what a text is about, not what it says.
//   - A directory with a Model2Vec model (config.json, tokenizer.json,
//     model.safetensors) is read by [LoadStatic].
//   - A directory with a model of the BERT family, as Hugging Face and
//     sentence-transformers keep them, is read by [LoadBERT]: MiniLM, BGE, E5.
//     It reads whole sentences; a text takes milliseconds, not microseconds.
//   - "hashed" needs no weights: words and parts of words hashed into a vector.
//     It is lexical: it finds texts that share words or spellings, never
//     meaning.
package text

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"

	encoder "github.com/eiderdb/eider/embed"
)

// ErrModel says that the files of a model cannot be used: damaged, of an
// unknown kind, or not fitting each other.
var ErrModel = errors.New("model not usable")

// ErrUnknown says that no encoder has the name.
var ErrUnknown = errors.New("unknown encoder")

//go:embed model
var files embed.FS

// StaticTiny is the name of the built-in encoder.
const StaticTiny = "static-tiny"

// HashedName is the name of the encoder without weights.
const HashedName = "hashed"

// tiny loads the built-in model once for the process.
var tiny = sync.OnceValues(func() (*Static, error) {
	root, err := fs.Sub(files, "model")
	if err != nil {
		return nil, err
	}
	return LoadStatic(StaticTiny, root)
})

// Names lists the encoders that Open knows without a directory.
func Names() []string { return []string{StaticTiny, HashedName, HashedName + "-<dim>"} }

// Open returns an encoder by name: "static-tiny"; "hashed" (256 dimensions) or
// "hashed-N" for N dimensions from 16 to 4096; or the path of a directory with a
// Model2Vec or BERT model, which becomes the encoder's name. A path has a slash or a dot
// in it ("./model"), so that a bare name, which may come from a stranger, never
// reads a file.
//
// Errors wrap [ErrUnknown] when it is neither, [ErrModel] when a directory's
// files cannot be used. Encoders by name are made once and shared.
func Open(name string) (encoder.Encoder, error) {
	switch {
	case name == StaticTiny:
		return tiny()
	case name == HashedName:
		return NewHashed(HashedOptions{})
	case strings.HasPrefix(name, HashedName+"-"):
		if dim, err := strconv.Atoi(name[len(HashedName)+1:]); err == nil {
			return NewHashed(HashedOptions{Dim: dim})
		}
	}
	if strings.ContainsAny(name, `./\`) {
		if info, err := os.Stat(name); err == nil && info.IsDir() {
			return Load(name, os.DirFS(name))
		}
	}
	return nil, fmt.Errorf("embed/text: %w %q: give one of %s, or the path (as in ./model) of a directory with config.json, tokenizer.json and model.safetensors, of Model2Vec or BERT",
		ErrUnknown, name, strings.Join(Names(), ", "))
}

// Load reads the model at the root of fsys, of whatever kind its config.json says:
// [LoadBERT] or [LoadStatic], whose errors it returns.
func Load(name string, fsys fs.FS) (encoder.Encoder, error) {
	if isBERT(fsys) {
		return LoadBERT(name, fsys, BERTOptions{})
	}
	return LoadStatic(name, fsys)
}
