package eider

import (
	"archive/tar"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/storage"
	"github.com/eiderdb/eider/storage/format"
	"github.com/eiderdb/eider/storage/registry"
)

// Production is the alias of a model reference that names none.
const Production = registry.Production

// Models is the models of a database: versions that never change, and aliases that
// say which of them serves. A reference names a version as "ctr@7", or by an alias as
// "ctr@production", for which "ctr" is short.
//
// Storing and moving an alias are writes like those of documents: durable and
// visible on return, in the one log, with an LSN. All methods may be called from
// many goroutines.
type Models struct{ db *DB }

// Models opens the door to the models.
func (db *DB) Models() *Models { return &Models{db} }

// openModels opens the registry and learns where aliases point. A damaged model
// does not keep the rest of the database from being opened.
func (db *DB) openModels() (err error) {
	if db.registry, err = registry.Open(db.ctx, db.store); db.registry != nil {
		err = errors.Join(err, db.serving.open(db.registry))
	}
	if errors.Is(err, storage.ErrCorrupt) {
		db.log.Error("models are damaged; run a check", "err", err)
		err = nil
	}
	return translate(err)
}

// Ready loads what every alias points to, so that no prediction waits for it. It
// goes on after a model that cannot be loaded, and returns all errors.
func (m *Models) Ready(ctx context.Context) error {
	view, err := m.db.viewAt(0)
	if err == nil {
		defer view.Release()
		err = m.db.serving.ready(ctx, view)
	}
	return m.fail("load models", err)
}

// List describes all models in order of name.
func (m *Models) List(ctx context.Context) ([]Model, error) {
	all, err := m.db.registry.List()
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, m.fail("list models", err)
	}
	out := make([]Model, len(all))
	for i := range all {
		out[i] = describeModel(&all[i])
	}
	return out, nil
}

// Show describes a model. Error: ErrNotFound.
func (m *Models) Show(ctx context.Context, name string) (Model, error) {
	all, err := m.List(ctx)
	if err != nil {
		return Model{}, err
	}
	names := make([]string, len(all))
	for i := range all {
		if all[i].Name == name {
			return all[i], nil
		}
		names[i] = all[i].Name
	}
	e := &Error{Op: "show model", Code: CodeNotFound, Err: fmt.Errorf("%w: model %.80q", ErrNotFound, name), Hint: "import or store it first"}
	if near := index.Nearest(name, names); near != "" {
		e.Hint = fmt.Sprintf("did you mean %q?", near)
	}
	return Model{}, e
}

// Version describes the version that a reference names. Errors: ErrNotFound,
// ErrInvalid.
func (m *Models) Version(ctx context.Context, ref string) (ModelVersion, error) {
	v, err := m.db.registry.Get(ref)
	if err == nil {
		defer v.Close()
		err = ctx.Err()
	}
	if err != nil {
		return ModelVersion{}, m.fail("show model", err)
	}
	return describeVersion(v.Model), nil
}

// History lists the promotions of an alias, newest first.
func (m *Models) History(ctx context.Context, name, alias string) ([]Promotion, error) {
	all, err := m.db.registry.History(name, alias)
	if err == nil {
		err = ctx.Err()
	}
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("%w: model %s never had an alias %s", ErrNotFound, name, alias)
	}
	if err != nil {
		return nil, m.fail("show model", err)
	}
	out := make([]Promotion, len(all))
	for i, p := range all {
		out[i] = describePromotion(p)
	}
	return out, nil
}

// Put stores a new version and returns it; no alias points to it yet. Durable on
// return; after an error nothing of it is there. Errors: ErrInvalid naming tensor
// or field, ErrMismatch where the tensors are not those of the kind, ErrTooLarge,
// ErrFull, ErrReadOnly.
func (m *Models) Put(ctx context.Context, n NewModel) (ModelVersion, error) {
	v := format.Model{Name: n.Name, Kind: n.Kind, Config: n.Config, Metrics: n.Metrics, From: n.From, To: n.To, Seed: n.Seed, Code: n.Code}
	tensors := make(map[string]format.Tensor, len(n.Tensors))
	for name, t := range n.Tensors {
		data := make([]byte, 0, 4*len(t.Data))
		for _, x := range t.Data {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
		}
		tensors[name] = format.Tensor{DType: "F32", Shape: t.Shape, Data: data}
	}
	infos, err := format.InfoOf(tensors)
	if err == nil {
		plan := v
		for _, t := range infos {
			plan.Tensors = append(plan.Tensors, format.ModelTensor{TensorInfo: t})
		}
		err = fits(&plan)
	}
	if err != nil {
		return ModelVersion{}, m.fail("store model", err)
	}
	stored, err := m.db.registry.Put(ctx, v, tensors)
	if err != nil {
		return ModelVersion{}, m.fail("store model", err)
	}
	return describeVersion(stored), nil
}

// Promote makes an alias point to a version, in one write. Before, the version is
// read whole, checked, loaded and tried, and it stays in memory: the first
// prediction after waits for nothing. Predictions that go on meanwhile are wholly of
// the one version or of the other, and say of which. Promoting what serves already
// does nothing. Errors: ErrGate with the numbers, ErrMismatch, ErrNotFound,
// ErrCorrupt, ErrInvalid for a model that cannot be served, ErrReadOnly.
func (m *Models) Promote(ctx context.Context, name string, version uint32, o PromoteOptions) (Promotion, error) {
	w := warmth{serving: &m.db.serving}
	defer w.end()
	p, err := m.db.registry.Promote(ctx, name, version, orProduction(o.Alias), registry.Options{Force: o.Force, Note: o.Note, Warm: w.warm,
		Gate: registry.Gate{Metric: o.Gate.Metric, Margin: o.Gate.Margin, Candidate: o.Gate.Candidate, Served: o.Gate.Served}})
	if err != nil {
		return Promotion{}, m.fail("promote model", err)
	}
	return describePromotion(p), nil
}

// Rollback makes an alias ("" is Production) point to the version that served
// before; again, to the one before that. It asks no gate, but loads and tries the
// version as Promote does. Errors: ErrNotFound if no version is left to go back to,
// ErrCorrupt, ErrReadOnly.
func (m *Models) Rollback(ctx context.Context, name, alias, note string) (Promotion, error) {
	w := warmth{serving: &m.db.serving}
	defer w.end()
	p, err := m.db.registry.Rollback(ctx, name, orProduction(alias), registry.Options{Note: note, Warm: w.warm})
	if err != nil {
		return Promotion{}, m.fail("roll model back", err)
	}
	return describePromotion(p), nil
}

// warmth is the versions that a promotion has loaded before the alias moves.
type warmth struct {
	serving  *serving
	releases []func()
}

func (w *warmth) warm(ctx context.Context, v *registry.Version) error {
	release, err := w.serving.warm(ctx, v.View(), v.String())
	w.releases = append(w.releases, release)
	return err
}

func (w *warmth) end() {
	for _, release := range w.releases {
		release()
	}
}

// orProduction is an alias or its default.
func orProduction(alias string) string {
	if alias == "" {
		return Production
	}
	return alias
}

// Unalias removes an alias; Rollback brings it back. Error: ErrNotFound.
func (m *Models) Unalias(ctx context.Context, name, alias, note string) error {
	return m.fail("remove alias", m.db.registry.Unalias(ctx, name, orProduction(alias), note))
}

// Delete removes a version. Errors: ErrInUse naming the alias that serves it or
// would be rolled back to it, ErrNotFound, ErrReadOnly.
func (m *Models) Delete(ctx context.Context, name string, version uint32) error {
	return m.fail("delete model", m.db.registry.Delete(ctx, name, version))
}

// Export writes the version that ref names as the folder dir, which must not exist:
// model.safetensors, which PyTorch's safetensors reads, and config.json. Everything
// is checked on the way, and dir is complete when it is there. Errors: ErrExists,
// ErrNotFound, ErrCorrupt.
func (m *Models) Export(ctx context.Context, ref, dir string) error {
	return m.fail("export model", m.db.registry.Export(ctx, ref, dir))
}

// ExportTensors writes the version's model.safetensors to w. Only when it returns
// nil is what it wrote whole. Errors: as of Export, and w's.
func (m *Models) ExportTensors(ctx context.Context, ref string, w io.Writer) error {
	v, err := m.db.registry.Get(ref)
	if err == nil {
		defer v.Close()
		err = v.WriteTensors(ctx, w)
	}
	return m.fail("export model", err)
}

// ExportTar writes the folder of Export to w as a tar archive: config.json, then
// model.safetensors. Only when it returns nil is what it wrote whole. Errors: as of
// Export, and w's.
func (m *Models) ExportTar(ctx context.Context, ref string, w io.Writer) error {
	v, err := m.db.registry.Get(ref)
	if err != nil {
		return m.fail("export model", err)
	}
	defer v.Close()
	config, err := v.Config()
	if err != nil {
		return m.fail("export model", err)
	}
	size, err := v.TensorsSize()
	if err != nil {
		return m.fail("export model", err)
	}
	out := tar.NewWriter(w)
	entry := func(name string, size int64) error {
		return out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: time.Unix(0, v.Model.Created)})
	}
	err = entry(registry.ConfigFile, int64(len(config)))
	if err == nil {
		_, err = out.Write(config)
	}
	if err == nil {
		err = entry(registry.TensorsFile, size)
	}
	if err == nil {
		err = v.WriteTensors(ctx, out)
	}
	if err == nil {
		err = out.Close()
	}
	return m.fail("export model", err)
}

// Import stores the folder dir as a new version of the model that its config.json
// names, or of name if that is not "". Nothing but the two files is read, tensors
// must be those of the kind, and after an error nothing of it is stored. Errors:
// ErrMismatch and ErrInvalid naming the tensor or field, ErrNotFound,
// ErrTooLarge, ErrFull, ErrReadOnly.
func (m *Models) Import(ctx context.Context, dir, name string) (ModelVersion, error) {
	v, err := m.db.registry.Import(ctx, dir, name, fits)
	if errors.Is(err, storage.ErrCorrupt) {
		err = &translated{ErrInvalid, err} // the folder is damaged, nothing stored is
	}
	if err != nil {
		return ModelVersion{}, m.fail("import model", err)
	}
	return describeVersion(v), nil
}

// fail is DB.fail. The package below names itself, which the operation does too.
func (m *Models) fail(op string, err error) error {
	if err == nil {
		return nil
	}
	return m.db.fail(op, "", "", unprefixed{err})
}

type unprefixed struct{ err error }

func (u unprefixed) Error() string { return strings.TrimPrefix(u.err.Error(), "registry: ") }
func (u unprefixed) Unwrap() error { return u.err }
