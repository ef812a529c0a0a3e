package registry

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/eiderdb/eider/storage"
	"github.com/eiderdb/eider/storage/format"
)

// Put stores a new version of a model and returns its manifest: m with Version,
// Weights (unless given, for Find), LSN, Created, Tensors and SHA256 filled in. Durable on return; before,
// nobody sees any of it, and after an error or a crash nothing is there. Tensors
// of floats must be finite. Neither m nor the tensors are kept. Errors: ErrValue
// naming the tensor or the field, ErrLimit, ErrUnknown (List tells), and those of
// storage's Commit.
func (r *Registry) Put(ctx context.Context, m format.Model, tensors map[string]format.Tensor) (*format.Model, error) {
	infos, err := format.InfoOf(tensors)
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	return r.put(ctx, m, infos, nil, func(i int) io.Reader { return bytes.NewReader(tensors[infos[i].Name].Data) })
}

// put stores a version from tensors in the canonical order. accept sees the whole
// manifest, but for version and LSN, before it is committed; nil accepts all.
func (r *Registry) put(ctx context.Context, m format.Model, infos []format.TensorInfo, accept func(*format.Model) error, open func(i int) io.Reader) (*format.Model, error) {
	m.Version, m.Tensors = math.MaxUint32, nil
	m.Metrics = slices.Clone(m.Metrics)
	slices.SortFunc(m.Metrics, func(a, b format.Metric) int { return cmp.Compare(a.Name, b.Name) })
	var err error
	if m.Config, err = compact(m.Config); err == nil {
		err = m.Check()
	}
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	u, err := r.store.NewUpload(m.Weights)
	if err != nil {
		return nil, err
	}
	m.Weights = u.ID()
	if err = upload(ctx, u, &m, infos, open); err == nil && accept != nil {
		err = accept(&m)
	}
	if err == nil {
		err = r.commit(ctx, &m)
	}
	if err != nil {
		if cerr := u.Close(); cerr != nil && !errors.Is(cerr, storage.ErrClosed) {
			err = errors.Join(err, cerr)
		}
		return nil, fmt.Errorf("registry: model %s: %w", m.Name, err)
	}
	u.Keep()
	return &m, nil
}

// commit gives m the next version of its name and stores its manifest.
func (r *Registry) commit(ctx context.Context, m *format.Model) error {
	return r.store.EditModels(ctx, false, func(e *storage.ModelEdit) error {
		m.Version, m.LSN, m.Created = 1, e.LSN, e.Time
		b, err := e.Get(format.ModelKey(m.Name))
		if err == nil && len(b) == 4 {
			m.Version = binary.BigEndian.Uint32(b)
		} else if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		if m.Version == math.MaxUint32 {
			return fmt.Errorf("%w: no version number is left", storage.ErrLimit)
		}
		if b, err = format.AppendModel(nil, m); err != nil {
			return err
		}
		e.Set(format.VersionKey(m.Name, m.Version), b)
		e.Set(format.ModelKey(m.Name), binary.BigEndian.AppendUint32(nil, m.Version+1))
		e.Log(format.OpModel, m.Name, "", m.Version)
		return nil
	})
}

// piece is how many bytes of a tensor are handled at once, whole elements.
const piece = 64 << 10

// upload writes the chunks of tensors, and their checksums into m.
func upload(ctx context.Context, u *storage.Upload, m *format.Model, infos []format.TensorInfo, open func(i int) io.Reader) error {
	h := sha256.New()
	head, err := format.AppendSafetensorsHeader(nil, infos, nil)
	if err != nil {
		return err
	}
	h.Write(head)
	buf := make([]byte, piece)
	for i, t := range infos {
		sum, in := uint32(0), open(i)
		for at := int64(0); at < t.Size; {
			p := buf[:min(piece, t.Size-at)]
			if _, err := io.ReadFull(in, p); err != nil {
				return fmt.Errorf("reading tensor %q: %w", t.Name, err)
			}
			if j := notFinite(t.DType, p); j >= 0 {
				return fmt.Errorf("%w: element %d of tensor %q is not a finite number", storage.ErrValue, at/int64(format.ElementBytes(t.DType))+int64(j), t.Name)
			}
			sum = format.Extend(sum, p)
			h.Write(p)
			if err := u.Write(ctx, p); err != nil {
				return err
			}
			at += int64(len(p))
		}
		m.Tensors = append(m.Tensors, format.ModelTensor{TensorInfo: t, Sum: sum})
	}
	m.SHA256 = [32]byte(h.Sum(nil))
	return u.Flush(ctx)
}

// notFinite returns the first element of p that is NaN or infinite, -1 for none.
func notFinite(dtype string, p []byte) int {
	le := binary.LittleEndian
	switch dtype {
	case "F64":
		for i := 0; i < len(p)/8; i++ {
			if le.Uint64(p[8*i:])&0x7ff0_0000_0000_0000 == 0x7ff0_0000_0000_0000 {
				return i
			}
		}
	case "F32":
		for i := 0; i < len(p)/4; i++ {
			if le.Uint32(p[4*i:])&0x7f80_0000 == 0x7f80_0000 {
				return i
			}
		}
	case "F16", "BF16":
		mask := uint16(0x7c00)
		if dtype == "BF16" {
			mask = 0x7f80
		}
		for i := 0; i < len(p)/2; i++ {
			if le.Uint16(p[2*i:])&mask == mask {
				return i
			}
		}
	}
	return -1
}
