package format

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
)

const modelVersion = 1

// Model is the manifest of one version of a model. What a version is never
// changes; which version serves is said by promotions.
type Model struct {
	Name    string // a label
	Version uint32 // from 1; a number is never given twice under one name
	Kind    string // a label: the code that reads the tensors
	Weights uint64 // the id of its chunks, random; no two versions share it
	LSN     uint64 // of the commit that stored the version
	Created int64  // nanoseconds since 1970 UTC

	Features [32]byte // hash of the feature schema that the model reads
	From, To uint64   // LSNs of the data it was trained on, From <= To
	Seed     uint64   // of the training
	Parent   uint32   // version that the training began with, 0 for none
	Code     string   // revision of the code that trained it, up to MaxNote bytes
	Metrics  []Metric // ascending by name
	Config   []byte   // JSON of the model's kind, or empty

	Tensors []ModelTensor // in the canonical order of a safetensors file
	SHA256  [32]byte      // of that file, without metadata
}

// ModelTensor is a tensor of a model version.
type ModelTensor struct {
	TensorInfo
	Sum uint32 // CRC32C of its bytes
}

// Metric is what a model scored, with the confidence of that.
type Metric struct {
	Name  string  `json:"name"` // a label
	Value float64 `json:"value"`
	Low   float64 `json:"low"` // the interval, 95 % unless Set says otherwise
	High  float64 `json:"high"`
	Count uint64  `json:"count"`           // examples it was measured on
	Lower bool    `json:"lower,omitempty"` // lower is better
	Set   string  `json:"set"`             // names the examples, up to MaxNote bytes: metrics of other sets do not compare
}

func (m *Metric) check() error {
	if err := CheckLabel(m.Name); err != nil {
		return err
	}
	finite := m.Low <= m.Value && m.Value <= m.High && !math.IsInf(m.Low, 0) && !math.IsInf(m.High, 0)
	if !finite || len(m.Set) > MaxNote || !plain(m.Set) {
		return fmt.Errorf("%w: metric %q is %v in [%v, %v] on %.80q: want finite numbers, the value inside, plain text", ErrValue, m.Name, m.Value, m.Low, m.High, m.Set)
	}
	return nil
}

// Size is the length of the payload in bytes.
func (m *Model) Size() int64 {
	if len(m.Tensors) == 0 {
		return 0
	}
	last := &m.Tensors[len(m.Tensors)-1]
	return last.Offset + last.Size
}

// Chunks is the number of Weights that hold the payload.
func (m *Model) Chunks() uint32 { return uint32((m.Size() + MaxChunk - 1) / MaxChunk) }

// Infos returns the tensors as a safetensors header lists them.
func (m *Model) Infos() []TensorInfo {
	infos := make([]TensorInfo, len(m.Tensors))
	for i := range m.Tensors {
		infos[i] = m.Tensors[i].TensorInfo
	}
	return infos
}

// Check reports what is wrong with a manifest: ErrValue or ErrLimit.
func (m *Model) Check() error {
	for _, label := range []string{m.Name, m.Kind} {
		if err := CheckLabel(label); err != nil {
			return err
		}
	}
	switch {
	case m.Version == 0 || m.Parent >= m.Version:
		return fmt.Errorf("%w: version %d of model %q with parent %d", ErrValue, m.Version, m.Name, m.Parent)
	case m.From > m.To:
		return fmt.Errorf("%w: model %q was trained on LSN %d to %d", ErrValue, m.Name, m.From, m.To)
	case len(m.Code) > MaxNote || !plain(m.Code):
		return fmt.Errorf("%w: code revision %.80q of model %q: want plain text of at most %d bytes", ErrValue, m.Code, m.Name, MaxNote)
	case len(m.Config) > MaxModelConfig || len(m.Config) > 0 && !json.Valid(m.Config):
		return fmt.Errorf("%w: configuration of model %q is not JSON of at most %d bytes", ErrValue, m.Name, MaxModelConfig)
	case len(m.Metrics) > MaxMetrics || len(m.Tensors) > MaxTensors:
		return fmt.Errorf("%w: model %q has %d metrics and %d tensors", ErrLimit, m.Name, len(m.Metrics), len(m.Tensors))
	}
	for i := range m.Metrics {
		if err := m.Metrics[i].check(); err != nil {
			return err
		}
		if i > 0 && m.Metrics[i-1].Name >= m.Metrics[i].Name {
			return fmt.Errorf("%w: metric %q of model %q is out of order or given twice", ErrValue, m.Metrics[i].Name, m.Name)
		}
	}
	at := int64(0)
	names := make(map[string]bool, len(m.Tensors))
	for i := range m.Tensors {
		t := &m.Tensors[i]
		err := t.check()
		if err == nil && (t.Offset != at || t.Size > MaxWeights-at || i > 0 && !m.Tensors[i-1].before(&t.TensorInfo) || names[t.Name]) {
			err = fmt.Errorf("out of place")
		}
		if err != nil {
			return fmt.Errorf("%w: tensor %.80q of model %q: %v", ErrValue, t.Name, m.Name, err)
		}
		names[t.Name] = true
		at += t.Size
	}
	return nil
}

// AppendModel appends m's envelope to dst. Errors: those of Check.
func AppendModel(dst []byte, m *Model) ([]byte, error) {
	if err := m.Check(); err != nil {
		return dst, err
	}
	start := len(dst)
	dst = beginEnvelope(dst, EnvModel, modelVersion)
	dst = appendBlock(dst, []byte(m.Name))
	dst = binary.LittleEndian.AppendUint32(dst, m.Version)
	dst = appendBlock(dst, []byte(m.Kind))
	for _, x := range []uint64{m.Weights, m.LSN, uint64(m.Created), m.From, m.To, m.Seed} {
		dst = binary.LittleEndian.AppendUint64(dst, x)
	}
	dst = binary.LittleEndian.AppendUint32(dst, m.Parent)
	dst = append(append(dst, m.Features[:]...), m.SHA256[:]...)
	dst = appendBlock(dst, []byte(m.Code))
	dst = appendBlock(dst, m.Config)
	dst = binary.AppendUvarint(dst, uint64(len(m.Metrics)))
	for i := range m.Metrics {
		dst = appendMetric(dst, &m.Metrics[i])
	}
	dst = binary.AppendUvarint(dst, uint64(len(m.Tensors)))
	for i := range m.Tensors {
		t := &m.Tensors[i]
		dst = append(appendBlock(dst, []byte(t.Name)), byte(tensorType(t.DType)), byte(len(t.Shape)))
		for _, d := range t.Shape {
			dst = binary.AppendUvarint(dst, uint64(d))
		}
		dst = binary.LittleEndian.AppendUint32(dst, t.Sum)
	}
	return endEnvelope(dst, start)
}

func appendMetric(dst []byte, m *Metric) []byte {
	dst = appendBlock(dst, []byte(m.Name))
	for _, x := range []float64{m.Value, m.Low, m.High} {
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(x))
	}
	dst = binary.LittleEndian.AppendUint64(dst, m.Count)
	lower := byte(0)
	if m.Lower {
		lower = 1
	}
	return appendBlock(append(dst, lower), []byte(m.Set))
}

// ParseModel decodes an envelope of AppendModel. Errors: ErrCorrupt, ErrVersion.
func ParseModel(b []byte) (*Model, error) {
	_, body, err := OpenEnvelope(b, EnvModel, modelVersion)
	if err != nil {
		return nil, err
	}
	c := cursor{b: body}
	m := &Model{Name: string(c.block(MaxLabel)), Version: c.u32(), Kind: string(c.block(MaxLabel))}
	m.Weights, m.LSN, m.Created = c.u64(), c.u64(), int64(c.u64())
	m.From, m.To, m.Seed, m.Parent = c.u64(), c.u64(), c.u64(), c.u32()
	copy(m.Features[:], c.bytes(32))
	copy(m.SHA256[:], c.bytes(32))
	m.Code = string(c.block(MaxNote))
	m.Config = append([]byte(nil), c.block(MaxModelConfig)...)
	for range c.uvarint(MaxMetrics) {
		m.Metrics = append(m.Metrics, c.metric())
		if c.bad {
			break
		}
	}
	at := int64(0)
	for range c.uvarint(MaxTensors) {
		t := c.tensor()
		if c.bad {
			break
		}
		t.Offset = at
		at += t.Size
		m.Tensors = append(m.Tensors, t)
	}
	if !c.done() {
		return nil, corrupt("model manifest of %d bytes", len(body))
	}
	if err := m.Check(); err != nil {
		return nil, corrupt("model manifest: %v", err)
	}
	return m, nil
}

func (c *cursor) f64() float64 { return math.Float64frombits(c.u64()) }

func (c *cursor) metric() Metric {
	m := Metric{Name: string(c.block(MaxLabel)), Value: c.f64(), Low: c.f64(), High: c.f64(), Count: c.u64()}
	lower := c.u8()
	c.bad = c.bad || lower > 1
	m.Lower, m.Set = lower == 1, string(c.block(MaxNote))
	return m
}

func (c *cursor) tensor() ModelTensor {
	var t ModelTensor
	t.Name = string(c.block(MaxTensorName))
	kind, rank := int(c.u8()), int(c.u8())
	if c.bad || kind >= len(tensorTypes) || rank > MaxTensorRank {
		c.bad = true
		return t
	}
	t.DType, t.Shape = tensorTypes[kind].name, make([]int, rank)
	for i := range t.Shape {
		t.Shape[i] = int(c.uvarint(MaxWeights))
	}
	t.Sum = c.u32()
	var err error
	if t.Size, err = t.size(); err != nil {
		c.bad = true
	}
	return t
}
