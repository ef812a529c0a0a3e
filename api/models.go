package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/eiderdb/eider"
)

type modelList struct {
	Models []eider.Model `json:"models"`
}

type versionList struct {
	Versions []eider.ModelVersion `json:"versions"`
}

type promotionList struct {
	Promotions []eider.Promotion `json:"promotions"`
}

// newVersion is eider.NewModel without its name.
type newVersion struct {
	Kind    string                  `json:"kind"`
	Config  json.RawMessage         `json:"config,omitempty"`
	Tensors map[string]eider.Tensor `json:"tensors"`
	Metrics []eider.Metric          `json:"metrics,omitempty"`
	From    uint64                  `json:"from_lsn,omitempty"`
	To      uint64                  `json:"to_lsn,omitempty"`
	Seed    uint64                  `json:"seed,omitempty"`
	Code    string                  `json:"code,omitempty"`
}

// promotionOrder names the version to promote.
type promotionOrder struct {
	Version uint32     `json:"version"`
	Alias   string     `json:"alias,omitempty"` // default production
	Gate    eider.Gate `json:"gate,omitzero"`
	Force   bool       `json:"force,omitempty"`
	Note    string     `json:"note,omitempty"`
}

type rollbackOrder struct {
	Alias string `json:"alias,omitempty"` // default production
	Note  string `json:"note,omitempty"`
}

// predictOrder is eider.Inputs, and which version is to score them.
type predictOrder struct {
	Version    string           `json:"version,omitempty"` // number or alias, default production
	Rows       []map[string]any `json:"rows,omitempty"`
	IDs        []string         `json:"ids,omitempty"`
	Collection string           `json:"collection,omitempty"`
	User       string           `json:"user,omitempty"`
	Explain    bool             `json:"explain,omitempty"`
}

func (c *call) models() *eider.Models { return c.a.db.Models() }

// reference is the version of the path.
func (c *call) reference() string { return c.path("m") + "@" + c.path("ref") }

func listModels(c *call) error {
	all, err := c.models().List(c.ctx)
	if err != nil {
		return err
	}
	return c.reply(http.StatusOK, modelList{all})
}

func getModel(c *call) error {
	m, err := c.models().Show(c.ctx, c.path("m"))
	if err != nil {
		return err
	}
	return c.reply(http.StatusOK, m)
}

func listVersions(c *call) error {
	m, err := c.models().Show(c.ctx, c.path("m"))
	if err != nil {
		return err
	}
	return c.reply(http.StatusOK, versionList{m.Versions})
}

func postVersion(c *call) error {
	var n newVersion
	if err := c.decode(&n); err != nil {
		return err
	}
	v, err := c.models().Put(c.ctx, eider.NewModel{Name: c.path("m"), Kind: n.Kind, Config: n.Config, Tensors: n.Tensors, Metrics: n.Metrics,
		From: n.From, To: n.To, Seed: n.Seed, Code: n.Code})
	return c.created(v, err)
}

// created answers with a version that has been stored.
func (c *call) created(v eider.ModelVersion, err error) error {
	if err != nil {
		return err
	}
	c.a.log.Info("model stored", "model", v.Model, "version", v.Version, "bytes", v.Bytes)
	c.lsn(v.LSN)
	return c.reply(http.StatusCreated, v)
}

func getVersion(c *call) error {
	v, err := c.models().Version(c.ctx, c.reference())
	if err != nil {
		return err
	}
	return c.reply(http.StatusOK, v)
}

func deleteVersion(c *call) error {
	n, err := strconv.ParseUint(c.path("ref"), 10, 32)
	if err != nil {
		return invalid("", "name the version to delete by its number")
	}
	if err := c.models().Delete(c.ctx, c.path("m"), uint32(n)); err != nil {
		return err
	}
	return c.nothing()
}

func getModelAlias(c *call) error {
	all, err := c.models().History(c.ctx, c.path("m"), c.path("a"))
	if err != nil {
		return err
	}
	return c.reply(http.StatusOK, promotionList{all})
}

var unaliasParams = []param{{"note", false, "string", "who and why, kept in the history"}}

func deleteModelAlias(c *call) error {
	if err := c.models().Unalias(c.ctx, c.path("m"), c.path("a"), c.query.Get("note")); err != nil {
		return err
	}
	return c.nothing()
}

func promote(c *call) error {
	var o promotionOrder
	if err := c.decode(&o); err != nil {
		return err
	}
	if o.Version == 0 {
		return invalid("/version", "name the version to promote, a number from 1")
	}
	p, err := c.models().Promote(c.ctx, c.path("m"), o.Version, eider.PromoteOptions{Alias: o.Alias, Gate: o.Gate, Force: o.Force, Note: o.Note})
	return c.promoted(p, err)
}

func rollback(c *call) error {
	var o rollbackOrder
	if err := c.decode(&o); err != nil {
		return err
	}
	p, err := c.models().Rollback(c.ctx, c.path("m"), o.Alias, o.Note)
	return c.promoted(p, err)
}

func (c *call) promoted(p eider.Promotion, err error) error {
	if err != nil {
		return err
	}
	c.a.log.Info("model alias moved", "model", p.Model, "alias", p.Alias, "version", p.Version, "previous", p.Previous, "lsn", p.LSN)
	c.lsn(p.LSN)
	return c.reply(http.StatusOK, p)
}

func predict(c *call) error {
	var o predictOrder
	if err := c.decode(&o); err != nil {
		return err
	}
	if o.Version == "" {
		o.Version = eider.Production
	}
	if !isName(o.Version) {
		return invalid("/version", "%s", names["ref"].what)
	}
	p, err := c.a.db.Predict(c.ctx, c.path("m")+"@"+o.Version, eider.Inputs{Rows: o.Rows, IDs: o.IDs, Collection: o.Collection, User: o.User, Explain: o.Explain})
	if err != nil {
		return err
	}
	c.lsn(p.LSN)
	return c.reply(http.StatusOK, p)
}

var exportParams = []param{{"format", false, "string", "tar (config.json and model.safetensors, the default) or safetensors"}}

// exportModel streams a version. An error on the way breaks the connection, so
// that a cut export is not taken for a whole one.
func exportModel(c *call) error {
	v, err := c.models().Version(c.ctx, c.reference())
	if err != nil {
		return err
	}
	ref := fmt.Sprintf("%s@%d", v.Model, v.Version)
	write, media, extension := c.models().ExportTar, "application/x-tar", "tar"
	switch c.query.Get("format") {
	case "", "tar":
	case "safetensors":
		write, media, extension = c.models().ExportTensors, "application/octet-stream", "safetensors"
	default:
		return invalid("", "query parameter format is tar or safetensors")
	}
	h := c.w.Header()
	h.Set("Content-Type", media)
	h.Set("Content-Disposition", fmt.Sprintf("attachment; filename=\"%s-%d.%s\"", v.Model, v.Version, extension))
	h.Set("Cache-Control", "no-store")
	c.lsn(c.since)
	return write(c.ctx, ref, c.w)
}
