package registry

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/eiderdb/eider/storage"
	"github.com/eiderdb/eider/storage/format"
)

// Files of a model folder.
const (
	TensorsFile = "model.safetensors"
	ConfigFile  = "config.json"
)

// MaxConfig bounds config.json: the model's own configuration and the rest.
const MaxConfig = 2 * format.MaxModelConfig

// folderLayout is the number of the layout of config.json.
const folderLayout = 1

// folder is config.json. Name and Kind are needed; a file written by hand for
// weights trained elsewhere needs no more than those, features and config.
type folder struct {
	Eider    int             `json:"eider"` // folderLayout
	Name     string          `json:"name"`
	Kind     string          `json:"kind"`
	Version  uint32          `json:"version,omitempty"`  // where it was exported; not read
	Parent   uint32          `json:"parent,omitempty"`   // there; not read
	Created  string          `json:"created,omitempty"`  // there; not read
	Features string          `json:"features,omitempty"` // 64 hexadecimal digits
	From     uint64          `json:"from_lsn,omitempty"`
	To       uint64          `json:"to_lsn,omitempty"`
	Seed     uint64          `json:"seed,omitempty"`
	Code     string          `json:"code,omitempty"`
	Metrics  []format.Metric `json:"metrics,omitempty"`
	SHA256   string          `json:"sha256,omitempty"` // of model.safetensors as Export writes it
	Config   json.RawMessage `json:"config,omitempty"`
}

// Export writes a version as the folder dir: model.safetensors, which PyTorch's
// safetensors reads, and config.json. dir must not exist; it is complete when it
// does. Everything is checked on the way. Errors: storage.ErrExists, ErrNotFound,
// ErrCorrupt, ctx's and those of the file system.
func (r *Registry) Export(ctx context.Context, ref, dir string) (err error) {
	v, err := r.Get(ref)
	if err != nil {
		return err
	}
	defer v.Close()
	dir = filepath.Clean(dir)
	defer func() {
		if err != nil {
			err = fmt.Errorf("registry: exporting %v: %w", v, err)
		}
	}()
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, fmt.Errorf("%w: %s", storage.ErrExists, dir))
	}
	stage, err := os.MkdirTemp(filepath.Dir(dir), filepath.Base(dir)+".partial-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(stage))
		}
	}()
	if err := os.Chmod(stage, 0o755); err != nil {
		return err
	}
	err = writeSynced(filepath.Join(stage, TensorsFile), func(w io.Writer) error { return v.WriteTensors(ctx, w) })
	if err != nil {
		return err
	}
	b, err := v.Config()
	if err != nil {
		return err
	}
	err = writeSynced(filepath.Join(stage, ConfigFile), func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
	if err != nil {
		return err
	}
	return os.Rename(stage, dir)
}

// Config is the version's config.json.
func (v *Version) Config() ([]byte, error) { return encodeConfig(describe(v.Model)) }

// TensorsSize is the length of the version's model.safetensors in bytes.
func (v *Version) TensorsSize() (int64, error) {
	head, err := format.AppendSafetensorsHeader(nil, v.Model.Infos(), nil)
	return int64(len(head)) + v.Model.Size(), err
}

// WriteTensors writes the version's model.safetensors, checked on the way: only
// when it returns nil is what was written whole. Errors: storage.ErrCorrupt naming
// the tensor, w's and ctx's.
func (v *Version) WriteTensors(ctx context.Context, w io.Writer) error {
	return v.each(ctx, func(p []byte) error {
		_, err := w.Write(p)
		return err
	})
}

// describe is the config.json of a version.
func describe(m *format.Model) folder {
	f := folder{Eider: folderLayout, Name: m.Name, Kind: m.Kind, Version: m.Version, Parent: m.Parent,
		Created: time.Unix(0, m.Created).UTC().Format(time.RFC3339Nano), From: m.From, To: m.To, Seed: m.Seed,
		Code: m.Code, Metrics: m.Metrics, SHA256: hash(m.SHA256), Config: m.Config}
	if m.Features != [32]byte{} {
		f.Features = hash(m.Features)
	}
	return f
}

// encodeConfig is f as config.json, with no character of the model's own
// configuration spelt in another way.
func encodeConfig(f folder) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(f)
	return b.Bytes(), err
}

func writeSynced(name string, write func(io.Writer) error) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if err = write(f); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Import stores the folder dir as a new version of the model that config.json
// names, or of name if that is not "", and returns its manifest. Only the two
// files are read, and only if they are files. check sees the manifest, without
// version, LSN and checksums, before anything is written, and refuses it by an
// error; nil takes everything. The file must be the one whose SHA-256
// config.json has, if it has one.
// Memory O(header of the file). After an error nothing of it is in the store.
// Errors: ErrMismatch, storage.ErrCorrupt and ErrValue naming file or tensor,
// ErrNotFound, ErrLimit, and those of Put.
func (r *Registry) Import(ctx context.Context, dir, name string, check func(*format.Model) error) (*format.Model, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("registry: %w: %v", storage.ErrNotFound, err)
	}
	defer root.Close()
	m, sum, err := readConfig(root)
	if err != nil {
		return nil, fmt.Errorf("registry: %s: %w", ConfigFile, err)
	}
	if name != "" {
		m.Name = name
	}
	in, size, err := openRegular(root, TensorsFile)
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	defer in.Close()
	infos, _, payload, err := format.ReadSafetensorsHeader(in, size)
	if err != nil {
		return nil, fmt.Errorf("registry: %s: %w", TensorsFile, err)
	}
	at := make(map[string]int64, len(infos))
	for _, t := range infos {
		at[t.Name] = payload + t.Offset
	}
	if err := format.ArrangeTensors(infos); err != nil {
		return nil, fmt.Errorf("registry: %s: %w", TensorsFile, err)
	}
	plan := m
	for _, t := range infos {
		plan.Tensors = append(plan.Tensors, format.ModelTensor{TensorInfo: t})
	}
	if check != nil {
		if err := check(&plan); err != nil {
			return nil, fmt.Errorf("registry: %w", err)
		}
	}
	accept := func(m *format.Model) error {
		if sum != "" && sum != hash(m.SHA256) {
			return fmt.Errorf("%w: %s has SHA-256 %s, %s says %s; copy the folder again, or take sha256 out of %s if the tensors were changed on purpose",
				storage.ErrCorrupt, TensorsFile, hash(m.SHA256), ConfigFile, sum, ConfigFile)
		}
		return nil
	}
	return r.put(ctx, m, infos, accept, func(i int) io.Reader { return io.NewSectionReader(in, at[infos[i].Name], infos[i].Size) })
}

// openRegular opens a file of the folder that is a file, not a link or device.
func openRegular(root *os.Root, name string) (*os.File, int64, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %s: %v", storage.ErrNotFound, name, err)
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%w: %s is not a regular file", storage.ErrValue, name)
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, 0, err
	}
	opened, err := f.Stat()
	if err == nil && !os.SameFile(info, opened) {
		err = fmt.Errorf("%w: %s was replaced while it was opened", storage.ErrValue, name)
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, opened.Size(), nil
}

// readConfig reads config.json into a manifest without tensors, and the SHA-256
// that it promises.
func readConfig(root *os.Root) (m format.Model, sum string, err error) {
	in, size, err := openRegular(root, ConfigFile)
	if err != nil {
		return m, "", err
	}
	defer in.Close()
	if size > MaxConfig {
		return m, "", fmt.Errorf("%w: %d bytes, at most %d", storage.ErrLimit, size, MaxConfig)
	}
	b, err := io.ReadAll(io.LimitReader(in, MaxConfig))
	if err != nil {
		return m, "", err
	}
	return parseConfig(b)
}

func parseConfig(b []byte) (m format.Model, sum string, err error) {
	if err := strict(b); err != nil {
		return m, "", fmt.Errorf("%w: %v", storage.ErrValue, err)
	}
	var f folder
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return m, "", fmt.Errorf("%w: %v", storage.ErrValue, err)
	}
	if f.Eider != folderLayout {
		return m, "", fmt.Errorf("%w: \"eider\" is %d, this binary reads layout %d", storage.ErrValue, f.Eider, folderLayout)
	}
	m = format.Model{Name: f.Name, Kind: f.Kind, From: f.From, To: f.To, Seed: f.Seed, Code: f.Code, Metrics: f.Metrics}
	if m.Config, err = compact(f.Config); err != nil {
		return m, "", err
	}
	if f.Features != "" {
		h, err := hex.DecodeString(f.Features)
		if err != nil || len(h) != len(m.Features) || hex.EncodeToString(h) != f.Features {
			return m, "", fmt.Errorf("%w: features %.80q is not a hash of 64 lower-case hexadecimal digits", storage.ErrValue, f.Features)
		}
		copy(m.Features[:], h)
	}
	return m, f.SHA256, nil
}

// compact is JSON without white space, as configurations are stored, so that they
// come back the same from a folder.
func compact(config []byte) ([]byte, error) {
	if len(config) == 0 {
		return nil, nil
	}
	var b bytes.Buffer
	if err := json.Compact(&b, config); err != nil {
		return nil, fmt.Errorf("%w: configuration: %v", storage.ErrValue, err)
	}
	return b.Bytes(), nil
}

// maxDepth bounds the nesting of config.json.
const maxDepth = 32

// strict refuses JSON that nests too deep, repeats a name or is followed by
// something; encoding/json would keep the last of two members of one name.
func strict(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	var names [][]string // of the objects around, nil for a list
	key := []bool{}      // whether the next token of each is a name
	for first := true; first || len(names) > 0; first = false {
		token, err := d.Token()
		if err != nil {
			return err
		}
		in := len(names) - 1
		if name, ok := token.(string); ok && in >= 0 && key[in] {
			if slices.Contains(names[in], name) {
				return fmt.Errorf("name %.80q is given twice", name)
			}
			if names[in] = append(names[in], name); len(names[in]) > format.MaxFields {
				return fmt.Errorf("an object has more than %d members", format.MaxFields)
			}
			key[in] = false
			continue
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			if in >= 0 && names[in] != nil {
				key[in] = true // after this value
			}
			if len(names) == maxDepth {
				return fmt.Errorf("nested deeper than %d", maxDepth)
			}
			object := token == json.Delim('{')
			names, key = append(names, nil), append(key, object)
			if object {
				names[in+1] = []string{}
			}
		case json.Delim('}'), json.Delim(']'):
			names, key = names[:in], key[:in]
		default:
			if in >= 0 && names[in] != nil {
				key[in] = true
			}
		}
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something follows the document")
	}
	return nil
}
