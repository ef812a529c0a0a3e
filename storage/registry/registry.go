package registry

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/eiderdb/eider/storage"
	"github.com/eiderdb/eider/storage/format"
)

// Production is the alias of a reference that names none.
const Production = "production"

// Errors of this package, wrapped with detail, beside storage's own: ErrNotFound,
// ErrCorrupt, ErrValue, ErrLimit, ErrFull, ErrReadOnly, ErrClosed, ErrUnknown.
var (
	// ErrGate reports a promotion that the comparison of metrics refused; see
	// GateError.
	ErrGate = errors.New("promotion refused")
	// ErrMismatch reports a version that is not what its reader expects; the text
	// names the tensor and both shapes, or both hashes.
	ErrMismatch = errors.New("model does not fit")
	// ErrInUse reports a version that an alias needs.
	ErrInUse = errors.New("model version is in use")
)

// Registry is the models of a store. All methods may be called from many
// goroutines.
type Registry struct{ store *storage.Store }

// Open returns the registry of s, having deleted what a crash left of versions
// half written. Errors: storage's; after storage.ErrCorrupt nothing was deleted, and
// the registry, which is returned all the same, serves what can be read.
func Open(ctx context.Context, s *storage.Store) (*Registry, error) {
	_, err := s.SweepWeights(ctx)
	if err == nil || errors.Is(err, storage.ErrReadOnly) {
		return &Registry{s}, nil
	}
	err = fmt.Errorf("registry: %w", err)
	if errors.Is(err, storage.ErrCorrupt) {
		return &Registry{s}, err
	}
	return nil, err
}

// Split parses a reference: model, model@alias or model@version. version is 0 for
// an alias, which is Production where ref names none. Error: ErrValue.
func Split(ref string) (model, alias string, version uint32, err error) {
	model, alias, ok := strings.Cut(ref, "@")
	if !ok {
		alias = Production
	}
	if number(alias) {
		n, perr := strconv.ParseUint(alias, 10, 32)
		if perr != nil || n == 0 || alias[0] == '0' {
			return "", "", 0, fmt.Errorf("%w: %q: a version is a number from 1", storage.ErrValue, ref)
		}
		return model, "", uint32(n), format.CheckLabel(model)
	}
	return model, alias, 0, errors.Join(format.CheckLabel(model), format.CheckLabel(alias))
}

// number reports a text of digits, which names a version and so no alias.
func number(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func checkAlias(alias string) error {
	if number(alias) {
		return fmt.Errorf("%w: alias %q is a number, which would name a version", storage.ErrValue, alias)
	}
	return format.CheckLabel(alias)
}

// resolve finds the manifest that a reference names.
func resolve(m storage.ModelReader, ref string) (*format.Model, error) {
	model, alias, version, err := Split(ref)
	if err != nil {
		return nil, err
	}
	if version == 0 {
		p, err := newest(m, model, alias)
		if err != nil {
			return nil, err
		}
		if p == nil || p.Version == 0 {
			return nil, fmt.Errorf("%w: model %s has no alias %s; promote a version", storage.ErrNotFound, model, alias)
		}
		version = p.Version
	}
	return manifest(m, model, version)
}

// manifest reads the manifest of a version.
func manifest(m storage.ModelReader, model string, version uint32) (*format.Model, error) {
	b, err := m.Get(format.VersionKey(model, version))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, fmt.Errorf("%w: model version %s@%d", storage.ErrNotFound, model, version)
	} else if err != nil {
		return nil, err
	}
	v, err := format.ParseModel(b)
	if err != nil {
		return nil, fmt.Errorf("%s@%d: %w", model, version, err)
	}
	if v.Name != model || v.Version != version {
		return nil, fmt.Errorf("%w: manifest of %s@%d is under the key of %s@%d", storage.ErrCorrupt, v.Name, v.Version, model, version)
	}
	return v, nil
}

// newest returns the newest promotion of an alias, nil if there is none.
func newest(m storage.ModelReader, model, alias string) (*format.Promotion, error) {
	b, err := m.Last(format.PromotionsKey(model, alias))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return format.ParsePromotion(b)
}

// Get opens the version that a reference names: "ctr@3", "ctr@production", or "ctr",
// which is the same. The caller must Close it. Errors: storage.ErrNotFound,
// ErrValue, ErrCorrupt, ErrClosed.
func (r *Registry) Get(ref string) (*Version, error) {
	view, err := r.store.Acquire()
	if err != nil {
		return nil, err
	}
	defer view.Release()
	return At(view, ref)
}

// At is Get as of a view, which it retains.
func At(view *storage.View, ref string) (*Version, error) {
	m, err := resolve(view.Models(), ref)
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	return &Version{Model: m, view: view.Retain()}, nil
}

// Find returns the version of a model that was stored with an id of its weights, so
// that who was interrupted can tell whether it had stored one; nil if there is none.
// O(versions of the model). Errors: storage's.
func (r *Registry) Find(model string, weights uint64) (found *format.Model, err error) {
	view, err := r.store.Acquire()
	if err != nil {
		return nil, err
	}
	defer view.Release()
	err = view.Models().Scan(format.VersionsKey(model), func(_, value []byte) error {
		v, err := format.ParseModel(value)
		if err == nil && v.Weights == weights {
			found = v
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("registry: model %s: %w", model, err)
	}
	return found, nil
}

// Entry is one model: its versions, oldest first, and the newest promotion of
// each alias it has, in order of alias.
type Entry struct {
	Name     string
	Versions []*format.Model
	Aliases  []*format.Promotion
}

// List returns the models in order of name, those without a version left
// included. Manifests are shared with nobody. Errors: storage's.
func (r *Registry) List() ([]Entry, error) {
	view, err := r.store.Acquire()
	if err != nil {
		return nil, err
	}
	defer view.Release()
	m := view.Models()
	var all []Entry
	err = m.Scan([]byte{format.KeyModel}, func(key, _ []byte) error {
		all = append(all, Entry{Name: string(key[1:])})
		return nil
	})
	for i := range all {
		e := &all[i]
		err = errors.Join(err, m.Scan(format.VersionsKey(e.Name), func(_, value []byte) error {
			v, err := format.ParseModel(value)
			e.Versions = append(e.Versions, v)
			return err
		}))
		aliases, aerr := aliases(m, e.Name)
		err = errors.Join(err, aerr)
		for _, p := range aliases {
			if p.Version != 0 {
				e.Aliases = append(e.Aliases, p)
			}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	return all, nil
}

// Aliases returns the newest promotion of every alias of every model, those that
// point nowhere included. What can be read is returned beside an error, storage's.
func (r *Registry) Aliases() (all []*format.Promotion, err error) {
	view, err := r.store.Acquire()
	if err != nil {
		return nil, err
	}
	defer view.Release()
	m := view.Models()
	var bad []error
	bad = append(bad, m.Scan([]byte{format.KeyModel}, func(key, _ []byte) error {
		some, err := aliases(m, string(key[1:]))
		all, bad = append(all, some...), append(bad, err)
		return nil
	}))
	if err := errors.Join(bad...); err != nil {
		return all, fmt.Errorf("registry: %w", err)
	}
	return all, nil
}

// aliases returns the newest promotion of every alias that a model ever had, in
// order of alias.
func aliases(m storage.ModelReader, model string) (all []*format.Promotion, err error) {
	err = m.Scan(format.PromotionsKey(model, ""), func(_, value []byte) error {
		p, err := format.ParsePromotion(value)
		if err != nil {
			return err
		}
		if n := len(all); n > 0 && all[n-1].Alias == p.Alias {
			all[n-1] = p
		} else {
			all = append(all, p)
		}
		return nil
	})
	return all, err
}

// History returns the promotions of an alias, newest first. Errors: storage's.
func (r *Registry) History(model, alias string) (all []*format.Promotion, err error) {
	if err := errors.Join(format.CheckLabel(model), checkAlias(alias)); err != nil {
		return nil, err
	}
	view, err := r.store.Acquire()
	if err != nil {
		return nil, err
	}
	defer view.Release()
	err = view.Models().Scan(format.PromotionsKey(model, alias), func(_, value []byte) error {
		p, err := format.ParsePromotion(value)
		all = append([]*format.Promotion{p}, all...)
		return err
	})
	return all, err
}

// Delete removes a version and its tensors; whoever holds it still reads it.
// Errors: ErrInUse with the alias that serves it or would be rolled back to it,
// and storage's.
func (r *Registry) Delete(ctx context.Context, model string, version uint32) error {
	if err := format.CheckLabel(model); err != nil {
		return err
	}
	err := r.store.EditModels(ctx, true, func(e *storage.ModelEdit) error {
		v, err := manifest(e.ModelReader, model, version)
		if err != nil {
			return err
		}
		all, err := aliases(e.ModelReader, model)
		if err != nil {
			return err
		}
		for _, p := range all {
			if p.Version == version {
				return fmt.Errorf("%w: alias %s points to %s@%d; promote another version first", ErrInUse, p.Alias, model, version)
			}
			back, err := target(e.ModelReader, p)
			if err != nil {
				return err
			}
			if back != nil && back.Version == version {
				return fmt.Errorf("%w: alias %s would be rolled back to %s@%d; promote another version first", ErrInUse, p.Alias, model, version)
			}
		}
		e.Delete(format.VersionKey(model, version))
		e.DropWeights(v.Weights)
		e.Log(format.OpUnmodel, model, "", version)
		return nil
	})
	if err != nil {
		return fmt.Errorf("registry: deleting %s@%d: %w", model, version, err)
	}
	return nil
}

// Features hashes are 32 bytes, in text 64 hexadecimal digits.
func hash(h [32]byte) string { return hex.EncodeToString(h[:]) }
