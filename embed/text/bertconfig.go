package text

import (
	"encoding/json"
	"errors"
	"io/fs"
	"path"
	"strings"
)

// Limits on the shape of a transformer.
const (
	maxLayers    = 256
	maxInner     = 1 << 16
	maxPositions = 1 << 16
)

// BERTOptions choose what of a model serves. The zero value is the model as its
// folder describes it.
type BERTOptions struct {
	// Layers is how many of the model's layers run, from the first on; 0 means
	// all. The others are not kept in memory.
	Layers int
	// Width is how many floats of a vector are kept, from the first on; 0 means
	// all.
	Width int
	// MaxTokens is how many tokens of a text are read, sentence marks included; 0
	// means what the folder says, and it cannot exceed the model's positions.
	MaxTokens int
	// Pooling makes one vector of those of the tokens: "mean", or "cls" for that
	// of the first; empty means what 1_Pooling/config.json says, mean without it.
	Pooling string
	// Unit scales vectors to unit length though modules.json does not say so.
	Unit bool
	// Prompt is written before every text, like the "query: " of E5.
	Prompt string
	// Threads bounds the goroutines of one Encode; 0 means one for each CPU.
	Threads int
}

// bertConfig is what config.json says of the network.
type bertConfig struct {
	ModelType    string  `json:"model_type"`
	Hidden       int     `json:"hidden_size"`
	Layers       int     `json:"num_hidden_layers"`
	Heads        int     `json:"num_attention_heads"`
	Inner        int     `json:"intermediate_size"`
	Activation   string  `json:"hidden_act"`
	Eps          float64 `json:"layer_norm_eps"`
	Positions    int     `json:"max_position_embeddings"`
	PositionType string  `json:"position_embedding_type"`
}

// isBERT reports whether the folder holds the kind of model that LoadBERT reads,
// by the model_type of config.json.
func isBERT(fsys fs.FS) bool {
	var c bertConfig
	data, err := readFile(fsys, "config.json", maxConfigBytes)
	return err == nil && json.Unmarshal(data, &c) == nil && c.ModelType == "bert"
}

// readConfig reads and checks config.json.
func readConfig(fsys fs.FS) (c bertConfig, err error) {
	data, err := readFile(fsys, "config.json", maxConfigBytes)
	if err != nil {
		return c, err
	}
	c.Eps, c.Activation = 1e-12, "gelu"
	if err := json.Unmarshal(data, &c); err != nil {
		return c, modelError("config.json: %v", err)
	}
	switch {
	case c.ModelType != "bert":
		return c, modelError("config.json: model_type is %.40q; bert is read, which MiniLM, BGE and E5 are too", c.ModelType)
	case c.PositionType != "" && c.PositionType != "absolute":
		return c, modelError("config.json: position_embedding_type %.40q is not supported (absolute is)", c.PositionType)
	case c.Hidden < 1 || c.Hidden > maxDim || c.Heads < 1 || c.Hidden%c.Heads != 0:
		return c, modelError("config.json: hidden_size %d must be 1 to %d and a multiple of num_attention_heads %d", c.Hidden, maxDim, c.Heads)
	case c.Layers < 1 || c.Layers > maxLayers:
		return c, modelError("config.json: num_hidden_layers %d must be 1 to %d", c.Layers, maxLayers)
	case c.Inner < 1 || c.Inner > maxInner:
		return c, modelError("config.json: intermediate_size %d must be 1 to %d", c.Inner, maxInner)
	case c.Positions < 4 || c.Positions > maxPositions:
		return c, modelError("config.json: max_position_embeddings %d must be 4 to %d", c.Positions, maxPositions)
	case !(c.Eps >= 0 && c.Eps <= 1):
		return c, modelError("config.json: layer_norm_eps %v must be 0 to 1", c.Eps)
	case activations[c.Activation] == nil:
		return c, modelError("config.json: hidden_act %.40q is not supported (gelu, gelu_new, gelu_pytorch_tanh and relu are)", c.Activation)
	}
	return c, nil
}

// configure settles the options by what the folder says of pooling and length.
func (e *BERT) configure(fsys fs.FS, o BERTOptions) error {
	e.layers, e.dim = o.Layers, o.Width
	if o.Layers == 0 {
		e.layers = e.config.Layers
	}
	if o.Width == 0 {
		e.dim = e.config.Hidden
	}
	switch {
	case e.layers < 1 || e.layers > e.config.Layers:
		return modelError("option Layers is %d; the model has %d layers", o.Layers, e.config.Layers)
	case e.dim < 1 || e.dim > e.config.Hidden:
		return modelError("option Width is %d; the model's vectors have %d floats", o.Width, e.config.Hidden)
	case o.Pooling != "" && o.Pooling != "mean" && o.Pooling != "cls":
		return modelError("option Pooling is %.40q; give mean or cls", o.Pooling)
	case o.MaxTokens < 0 || o.MaxTokens > e.config.Positions:
		return modelError("option MaxTokens is %d; the model has %d positions", o.MaxTokens, e.config.Positions)
	case o.Threads < 0:
		return modelError("option Threads is %d; give 0 or more", o.Threads)
	}
	pooling, unit, err := readModules(fsys)
	if err != nil {
		return err
	}
	if o.Pooling != "" {
		pooling = o.Pooling
	}
	if pooling != "mean" && pooling != "cls" {
		return modelError("%s: pooling is not supported (mean and cls are); choose one of these by option Pooling", pooling)
	}
	e.cls, e.unit, e.prompt, e.threads = pooling == "cls", unit || o.Unit, o.Prompt, o.Threads
	e.maxTokens, err = readLength(fsys, e.config.Positions)
	if o.MaxTokens > 0 {
		e.maxTokens = o.MaxTokens
	}
	return err
}

// readOptional decodes a JSON file into v, and reports whether it is there.
func readOptional(fsys fs.FS, name string, v any) (bool, error) {
	data, err := readFile(fsys, name, maxConfigBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return false, modelError("%s: %v", name, err)
	}
	return true, nil
}

// readModules reads modules.json of sentence-transformers, the steps after the
// network. Without it, vectors are means as the network gives them.
func readModules(fsys fs.FS) (pooling string, unit bool, err error) {
	var modules []struct {
		Path string `json:"path"`
		Type string `json:"type"`
	}
	pooling = "mean"
	if _, err := readOptional(fsys, "modules.json", &modules); err != nil {
		return "", false, err
	}
	for _, m := range modules {
		switch kind := m.Type[strings.LastIndexByte(m.Type, '.')+1:]; kind {
		case "Transformer":
			if m.Path != "" && m.Path != "." {
				return "", false, modelError("modules.json: the network is in the folder %.80q, not beside modules.json; load that folder", m.Path)
			}
		case "Pooling":
			if pooling, err = readPooling(fsys, m.Path); err != nil {
				return "", false, err
			}
		case "Normalize":
			unit = true
		default:
			return "", false, modelError("modules.json: a step %.80q is not supported (Transformer, Pooling and Normalize are)", kind)
		}
	}
	return pooling, unit, nil
}

// readPooling reads config.json of a pooling step. The result is "mean", "cls" or
// what is not supported.
func readPooling(fsys fs.FS, dir string) (string, error) {
	name := path.Join(dir, "config.json")
	if !fs.ValidPath(name) {
		return "", modelError("modules.json: %.80q is not a folder of the model", dir)
	}
	modes := map[string]any{}
	if ok, err := readOptional(fsys, name, &modes); err != nil {
		return "", err
	} else if !ok {
		return "", modelError("modules.json names %s, which is missing; download the whole model", name)
	}
	if mode, ok := modes["pooling_mode"].(string); ok {
		return mode, nil
	}
	pooling := ""
	for mode, on := range modes {
		if mode, ok := strings.CutPrefix(mode, "pooling_mode_"); ok && on == true {
			if pooling != "" {
				return name + " names several modes", nil
			}
			pooling = map[string]string{"mean_tokens": "mean", "cls_token": "cls"}[mode]
			if pooling == "" {
				pooling = mode
			}
		}
	}
	if pooling == "" {
		return name + " names no mode", nil
	}
	return pooling, nil
}

// readLength is how many tokens of a text the model reads: at most its positions.
func readLength(fsys fs.FS, positions int) (int, error) {
	var c struct {
		Sentence float64 `json:"max_seq_length"`
		Model    float64 `json:"model_max_length"` // 1e30 where nobody said
	}
	for _, name := range []string{"tokenizer_config.json", "sentence_bert_config.json"} {
		if _, err := readOptional(fsys, name, &c); err != nil {
			return 0, err
		}
	}
	for _, n := range []float64{c.Sentence, c.Model} {
		if n >= 1 {
			return int(min(n, float64(positions))), nil
		}
	}
	return positions, nil
}
