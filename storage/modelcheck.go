package storage

import (
	"bytes"
	"fmt"

	"github.com/eiderdb/eider/storage/format"
)

// models checks the registry: keys and values agree, the chunks of every version
// are there and give its tensors' checksums, every alias points to a version.
// Chunks that no version names are only waste (SweepWeights).
func (c *checker) models() {
	m := ModelReader{c.v.snap}
	next := map[string]uint32{}
	versions := map[string]map[uint32]bool{}
	weights := map[uint64]string{}
	newest := map[string]*format.Promotion{}
	c.scan("model", "", []byte{prefixModel}, []byte{prefixModel + 1}, func(key, value []byte) error {
		key = key[1:]
		var err error
		switch {
		case len(key) > 1 && key[0] == format.KeyModel && len(value) == 4:
			next[string(key[1:])] = be.Uint32(value)
		case len(key) > 1 && key[0] == format.KeyVersion:
			var v *format.Model
			if v, err = c.modelVersion(m, key, value); err != nil {
				break
			}
			if versions[v.Name] == nil {
				versions[v.Name] = map[uint32]bool{}
			}
			versions[v.Name][v.Version] = true
			if other := weights[v.Weights]; other != "" {
				err = fmt.Errorf("%w: its tensors are those of %s", ErrCorrupt, other)
			}
			weights[v.Weights] = fmt.Sprintf("%s@%d", v.Name, v.Version)
		case len(key) > 1 && key[0] == format.KeyPromotion:
			var p *format.Promotion
			if p, err = format.ParsePromotion(value); err != nil {
				break
			}
			if !bytes.Equal(key, format.PromotionKey(p.Model, p.Alias, p.LSN)) || p.LSN > c.v.lsn {
				err = fmt.Errorf("%w: promotion of LSN %d under another key or in the future", ErrCorrupt, p.LSN)
			}
			newest[string(format.PromotionsKey(p.Model, p.Alias))] = p
		default:
			err = fmt.Errorf("%w: unknown key", ErrCorrupt)
		}
		if err != nil {
			c.problem("model", "", "key %q: %v", key, err)
		}
		return nil
	})
	for name, all := range versions {
		for v := range all {
			if v >= next[name] {
				c.problem("model", "", "%s@%d exists, the next version is %d", name, v, next[name])
			}
		}
	}
	for _, p := range newest {
		if p.Version != 0 && !versions[p.Model][p.Version] {
			c.problem("model", "", "%s@%s points to version %d, which does not exist or is damaged", p.Model, p.Alias, p.Version)
		}
	}
}

// modelVersion reads a manifest and everything it names.
func (c *checker) modelVersion(m ModelReader, key, value []byte) (*format.Model, error) {
	v, err := format.ParseModel(value)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(key, format.VersionKey(v.Name, v.Version)) || v.LSN > c.v.lsn {
		return nil, fmt.Errorf("%w: manifest of %s@%d, LSN %d, under another key or in the future", ErrCorrupt, v.Name, v.Version, v.LSN)
	}
	r := &WeightsReader{Reader: m, Model: v}
	for i := range v.Tensors {
		c.Checked["tensor"]++
		if c.ctx.Err() != nil {
			break
		}
		if err := r.Tensor(i, func([]byte) error { return c.ctx.Err() }); err != nil && c.ctx.Err() == nil {
			return nil, err
		}
	}
	return v, nil
}

// WeightsReader reads the tensors of a model version, a chunk at a time. For one
// goroutine; fastest in order.
type WeightsReader struct {
	Reader ModelReader
	Model  *format.Model

	chunk []byte // the one read last
	seq   uint32
}

// Tensor calls fn with the bytes of tensor i of the manifest, piece by piece, and
// checks them: after the last piece, so fn's work counts only if Tensor returns
// nil. p is valid during the call. Errors: ErrCorrupt naming the tensor, fn's.
func (r *WeightsReader) Tensor(i int, fn func(p []byte) error) error {
	t := &r.Model.Tensors[i]
	sum := uint32(0)
	for at, end := t.Offset, t.Offset+t.Size; at < end; {
		seq := uint32(at / format.MaxChunk)
		start := int64(seq) * format.MaxChunk
		if r.chunk == nil || r.seq != seq {
			b, err := r.Reader.Weights(r.Model.Weights, seq, r.chunk[:0])
			if err == nil && int64(len(b)) != min(format.MaxChunk, r.Model.Size()-start) {
				err = fmt.Errorf("%w: chunk %d holds %d bytes", ErrCorrupt, seq, len(b))
			}
			if err != nil {
				r.chunk = nil
				return fmt.Errorf("tensor %.80q of %s@%d: %w", t.Name, r.Model.Name, r.Model.Version, err)
			}
			r.chunk, r.seq = b, seq
		}
		p := r.chunk[at-start : min(int64(len(r.chunk)), end-start)]
		sum = format.Extend(sum, p)
		if err := fn(p); err != nil {
			return err
		}
		at += int64(len(p))
	}
	if sum != t.Sum {
		return fmt.Errorf("%w: tensor %.80q of %s@%d does not match its checksum", ErrCorrupt, t.Name, r.Model.Name, r.Model.Version)
	}
	return nil
}
