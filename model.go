package eider

import (
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"

	"github.com/eiderdb/eider/storage/format"
	"github.com/eiderdb/eider/storage/registry"
)

// Model is a model: its versions, oldest first, and where its aliases point.
type Model struct {
	Name     string         `json:"name"`
	Versions []ModelVersion `json:"versions"`
	Aliases  []Promotion    `json:"aliases"` // the newest of each alias, in order of alias
}

// ModelVersion describes one version of a model, which never changes.
type ModelVersion struct {
	Model    string          `json:"model"`
	Version  uint32          `json:"version"` // from 1; a number is never given twice under one name
	Kind     string          `json:"kind"`
	LSN      uint64          `json:"lsn"` // of the write that stored it
	Created  time.Time       `json:"created"`
	Bytes    int64           `json:"bytes"`   // of its tensors
	Tensors  []ModelTensor   `json:"tensors"` // in the order of the file
	SHA256   string          `json:"sha256"`  // of model.safetensors
	Config   json.RawMessage `json:"config,omitempty"`
	Features string          `json:"features,omitempty"` // hash of the feature schema it reads, hexadecimal
	From     uint64          `json:"from_lsn,omitempty"` // of the data it was trained on
	To       uint64          `json:"to_lsn,omitempty"`
	Seed     uint64          `json:"seed,omitempty"`
	Parent   uint32          `json:"parent,omitempty"` // version that the training began with
	Code     string          `json:"code,omitempty"`   // revision of the code that trained it
	Metrics  []Metric        `json:"metrics,omitempty"`
}

// ModelTensor is the name, element type and shape of a tensor.
type ModelTensor struct {
	Name  string `json:"name"`
	DType string `json:"dtype"`
	Shape []int  `json:"shape"`
}

// Metric is what a model scored, with the confidence of that.
type Metric = format.Metric

// Promotion is one change of where an alias points.
type Promotion struct {
	Model    string    `json:"model"`
	Alias    string    `json:"alias"`
	Version  uint32    `json:"version"`            // from now on, 0 if the alias was removed
	Previous uint32    `json:"previous,omitempty"` // until then
	LSN      uint64    `json:"lsn"`
	Time     time.Time `json:"time"`
	Rollback bool      `json:"rollback,omitempty"`
	Forced   bool      `json:"forced,omitempty"` // whatever the gate said
	Note     string    `json:"note,omitempty"`

	// What the gate compared: the metric of both versions.
	Metric    string  `json:"metric,omitempty"`
	Margin    float64 `json:"margin,omitempty"`
	Candidate float64 `json:"candidate,omitempty"`
	Served    float64 `json:"served,omitempty"`
}

// NewModel is a version to store.
type NewModel struct {
	Name    string
	Kind    string            // of modelKinds, such as "linear"
	Config  json.RawMessage   // what the kind's code reads beside the tensors
	Tensors map[string]Tensor // finite numbers
	Metrics []Metric
	From    uint64 // LSNs of the data it was trained on
	To      uint64
	Seed    uint64
	Code    string // revision of the code that trained it
}

// Tensor is a tensor of float32, row-major.
type Tensor struct {
	Shape []int     `json:"shape"`
	Data  []float32 `json:"data"`
}

// Gate compares a candidate with the version that serves, by one metric of both.
// Where a version serves, one is needed unless the promotion is forced.
type Gate struct {
	Metric string  `json:"metric,omitempty"`
	Margin float64 `json:"margin,omitempty"` // how much worse the candidate may be, in units of the metric
	// Candidate and Served replace the metrics stored with the versions.
	Candidate *Metric `json:"candidate,omitempty"`
	Served    *Metric `json:"served,omitempty"`
}

// PromoteOptions says what to move and what to ask before.
type PromoteOptions struct {
	Alias string `json:"alias,omitempty"` // default Production
	Gate  Gate   `json:"gate,omitzero"`
	Force bool   `json:"force,omitempty"` // promote whatever the gate says
	Note  string `json:"note,omitempty"`  // who and why, up to 256 bytes, kept in the history
}

func describeModel(e *registry.Entry) Model {
	m := Model{Name: e.Name, Versions: []ModelVersion{}, Aliases: []Promotion{}}
	for _, v := range e.Versions {
		m.Versions = append(m.Versions, describeVersion(v))
	}
	for _, p := range e.Aliases {
		m.Aliases = append(m.Aliases, describePromotion(p))
	}
	return m
}

func describeVersion(m *format.Model) ModelVersion {
	v := ModelVersion{Model: m.Name, Version: m.Version, Kind: m.Kind, LSN: m.LSN, Created: time.Unix(0, m.Created).UTC(),
		Bytes: m.Size(), Tensors: make([]ModelTensor, len(m.Tensors)), SHA256: hex.EncodeToString(m.SHA256[:]),
		Config: slices.Clone(m.Config), From: m.From, To: m.To, Seed: m.Seed, Parent: m.Parent, Code: m.Code, Metrics: slices.Clone(m.Metrics)}
	if m.Features != [32]byte{} {
		v.Features = hex.EncodeToString(m.Features[:])
	}
	for i, t := range m.Tensors {
		v.Tensors[i] = ModelTensor{Name: t.Name, DType: t.DType, Shape: slices.Clone(t.Shape)}
	}
	return v
}

func describePromotion(p *format.Promotion) Promotion {
	return Promotion{Model: p.Model, Alias: p.Alias, Version: p.Version, Previous: p.Previous, LSN: p.LSN, Time: time.Unix(0, p.Time).UTC(),
		Rollback: p.Rollback, Forced: p.Forced, Note: p.Note, Metric: p.Metric, Margin: p.Margin, Candidate: p.Candidate, Served: p.Served}
}
