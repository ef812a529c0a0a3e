package main

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/eiderdb/eider"
)

type modelsCmd struct {
	List     modelsListCmd     `cmd:"" help:"List the models, and which version of each serves."`
	Show     modelsShowCmd     `cmd:"" help:"Show the versions of a model, or one version: ctr@7, ctr@production."`
	Promote  modelsPromoteCmd  `cmd:"" help:"Make an alias point to a version, if it passes the gate."`
	Rollback modelsRollbackCmd `cmd:"" help:"Make an alias point to the version that served before."`
	History  modelsHistoryCmd  `cmd:"" help:"Show where an alias pointed, and why it moved."`
	Unalias  modelsUnaliasCmd  `cmd:"" help:"Remove an alias, so that nothing serves by it; rollback brings it back."`
	Export   modelsExportCmd   `cmd:"" help:"Write a version as a folder that PyTorch's safetensors reads."`
	Import   modelsImportCmd   `cmd:"" help:"Store a folder as a new version."`
	Delete   modelsDeleteCmd   `cmd:"" help:"Delete a version that no alias needs."`
}

type modelsListCmd struct {
	directory
}

// Run lists the models.
func (c *modelsListCmd) Run(ctx context.Context, t *terminal) (err error) {
	db, err := c.read()
	if err != nil {
		return err
	}
	defer closing(db, &err)
	all, err := db.Models().List(ctx)
	if err != nil {
		return err
	}
	if t.json {
		return t.print(all)
	}
	if len(all) == 0 {
		t.printf("  no models\n")
		return nil
	}
	b := columns("model", "kind", ">versions", ">newest", "aliases")
	for _, m := range all {
		kind, newest := "", ""
		if n := len(m.Versions); n > 0 {
			kind, newest = m.Versions[n-1].Kind, strconv.FormatUint(uint64(m.Versions[n-1].Version), 10)
		}
		var aliases []string
		for _, a := range m.Aliases {
			aliases = append(aliases, fmt.Sprintf("%s@%d", a.Alias, a.Version))
		}
		b.add(m.Name, kind, count(len(m.Versions)), newest, strings.Join(aliases, ", "))
	}
	b.write(t)
	return nil
}

// reference is the argument of verbs that take any version.
type reference struct {
	Ref string `arg:"" name:"model" help:"Model and version or alias: ctr@7, ctr@canary; ctr is ctr@production."`
}

type modelsShowCmd struct {
	directory
	reference
}

// Run describes a model, or the version named.
func (c *modelsShowCmd) Run(ctx context.Context, t *terminal) (err error) {
	db, err := c.read()
	if err != nil {
		return err
	}
	defer closing(db, &err)
	if strings.Contains(c.Ref, "@") {
		v, err := db.Models().Version(ctx, c.Ref)
		if err != nil {
			return err
		}
		if t.json {
			return t.print(v)
		}
		printVersion(t, v)
		return nil
	}
	m, err := db.Models().Show(ctx, c.Ref)
	if err != nil {
		return err
	}
	if t.json {
		return t.print(m)
	}
	b := columns(">version", "kind", "created", ">size", "metrics", "aliases")
	for _, v := range m.Versions {
		var aliases []string
		for _, a := range m.Aliases {
			if a.Version == v.Version {
				aliases = append(aliases, a.Alias)
			}
		}
		b.add(v.Version, v.Kind, v.Created.Format(time.DateTime), bytesText(v.Bytes), metricsText(v.Metrics), strings.Join(aliases, ", "))
	}
	b.write(t)
	return nil
}

func metricsText(metrics []eider.Metric) string {
	parts := make([]string, len(metrics))
	for i, m := range metrics {
		parts[i] = fmt.Sprintf("%s %.4g [%.4g, %.4g]", m.Name, m.Value, m.Low, m.High)
	}
	return strings.Join(parts, ", ")
}

func printVersion(t *terminal, v eider.ModelVersion) {
	t.printf("  %s  kind %s, stored %s at LSN %d, %s\n", t.style(bold, fmt.Sprintf("%s@%d", v.Model, v.Version)), v.Kind, v.Created.Format(time.DateTime), v.LSN, bytesText(v.Bytes))
	for _, line := range [][2]string{{"metrics", metricsText(v.Metrics)}, {"features", v.Features}, {"code", v.Code}, {"sha256", v.SHA256}, {"config", string(v.Config)}} {
		if line[1] != "" {
			t.printf("  %s  %s\n", line[0], clean(line[1]))
		}
	}
	b := columns("tensor", "type", "shape")
	for _, x := range v.Tensors {
		b.add(x.Name, x.DType, fmt.Sprint(x.Shape))
	}
	b.write(t)
}

// version splits a reference that must name a version by number.
func (r reference) version(verb string) (string, uint32, error) {
	name, number, ok := strings.Cut(r.Ref, "@")
	n, err := strconv.ParseUint(number, 10, 32)
	if !ok || err != nil || n == 0 {
		return "", 0, usage(fmt.Sprintf("%s names no version", r.Ref), fmt.Sprintf("write the number of the version to %s, like %s@7", verb, name))
	}
	return name, uint32(n), nil
}

type modelsPromoteCmd struct {
	directory
	reference
	Alias  string  `help:"Alias to move." default:"production"`
	Metric string  `help:"Refuse if this metric of the version is worse than that of the one which serves." placeholder:"NAME"`
	Margin float64 `help:"How much worse it may be, in units of the metric."`
	Force  bool    `help:"Promote whatever the metrics say."`
	Note   string  `help:"Who and why, kept in the history."`
}

// Run promotes a version.
func (c *modelsPromoteCmd) Run(ctx context.Context, t *terminal) (err error) {
	name, version, err := c.version("promote")
	if err != nil {
		return err
	}
	if c.Margin < 0 || math.IsNaN(c.Margin) || math.IsInf(c.Margin, 0) {
		return usage(fmt.Sprintf("--margin %v is not a number from 0", c.Margin), "use --force to promote a worse version")
	}
	db, err := c.write(false)
	if err != nil {
		return err
	}
	defer closing(db, &err)
	p, err := db.Models().Promote(ctx, name, version, eider.PromoteOptions{Alias: c.Alias, Force: c.Force, Note: c.Note, Gate: eider.Gate{Metric: c.Metric, Margin: c.Margin}})
	return printPromotion(t, p, err)
}

// aliased is the argument of verbs that take an alias.
type aliased struct {
	Ref string `arg:"" name:"model" help:"Model, or model@alias; ctr is ctr@production."`
}

func (a aliased) split() (model, alias string) {
	model, alias, ok := strings.Cut(a.Ref, "@")
	if !ok {
		alias = eider.Production
	}
	return model, alias
}

type modelsRollbackCmd struct {
	directory
	aliased
	Note string `help:"Who and why, kept in the history."`
}

// Run rolls an alias back.
func (c *modelsRollbackCmd) Run(ctx context.Context, t *terminal) (err error) {
	db, err := c.write(false)
	if err != nil {
		return err
	}
	defer closing(db, &err)
	name, alias := c.split()
	p, err := db.Models().Rollback(ctx, name, alias, c.Note)
	return printPromotion(t, p, err)
}

func printPromotion(t *terminal, p eider.Promotion, err error) error {
	if err != nil {
		return err
	}
	if t.json {
		return t.print(p)
	}
	t.printf("  %s@%s is version %d", p.Model, p.Alias, p.Version)
	if p.Previous != 0 {
		t.printf(", was %d", p.Previous)
	}
	if p.Metric != "" {
		t.printf("; %s %.6g", p.Metric, p.Candidate)
		if p.Previous != 0 {
			t.printf(" against %.6g", p.Served)
		}
	}
	if p.Forced {
		t.printf("; forced")
	}
	t.printf("\n")
	return nil
}

type modelsHistoryCmd struct {
	directory
	aliased
}

// Run lists the promotions of an alias, newest first.
func (c *modelsHistoryCmd) Run(ctx context.Context, t *terminal) (err error) {
	db, err := c.read()
	if err != nil {
		return err
	}
	defer closing(db, &err)
	name, alias := c.split()
	all, err := db.Models().History(ctx, name, alias)
	if err != nil || t.json {
		return answer(t, all, err)
	}
	b := columns("time", ">LSN", ">version", ">was", "how", "note")
	for _, p := range all {
		version, was, how := "none", "", "promoted"
		if p.Version != 0 {
			version = strconv.FormatUint(uint64(p.Version), 10)
		}
		if p.Previous != 0 {
			was = strconv.FormatUint(uint64(p.Previous), 10)
		}
		switch {
		case p.Rollback:
			how = "rolled back"
		case p.Version == 0:
			how = "removed"
		case p.Forced:
			how = "forced"
		}
		if p.Metric != "" {
			how += fmt.Sprintf(", %s %.4g", p.Metric, p.Candidate)
			if p.Previous != 0 {
				how += fmt.Sprintf(" against %.4g", p.Served)
			}
		}
		b.add(p.Time.Format(time.DateTime), p.LSN, version, was, how, p.Note)
	}
	b.write(t)
	return nil
}

type modelsUnaliasCmd struct {
	directory
	aliased
	Note string `help:"Who and why, kept in the history."`
}

// Run removes an alias.
func (c *modelsUnaliasCmd) Run(ctx context.Context, t *terminal) (err error) {
	db, err := c.write(false)
	if err != nil {
		return err
	}
	defer closing(db, &err)
	name, alias := c.split()
	if err := db.Models().Unalias(ctx, name, alias, c.Note); err != nil {
		return err
	}
	if t.json {
		return t.print(map[string]any{"model": name, "alias": alias, "lsn": db.LSN()})
	}
	t.printf("  %s@%s is removed\n", name, alias)
	return nil
}

type modelsExportCmd struct {
	directory
	reference
	Folder string `arg:"" help:"Folder to write; it must not exist."`
}

// Run exports a version.
func (c *modelsExportCmd) Run(ctx context.Context, t *terminal) (err error) {
	db, err := c.read()
	if err != nil {
		return err
	}
	defer closing(db, &err)
	v, err := db.Models().Version(ctx, c.Ref)
	if err != nil {
		return err
	}
	if err := db.Models().Export(ctx, fmt.Sprintf("%s@%d", v.Model, v.Version), c.Folder); err != nil {
		return err
	}
	return stored(t, v, "in "+c.Folder)
}

type modelsImportCmd struct {
	directory
	Folder string `arg:"" help:"Folder with model.safetensors and config.json."`
	Name   string `help:"Name to store it under; default the one in config.json."`
	Create bool   `help:"Make the database if there is none."`
}

// Run imports a folder.
func (c *modelsImportCmd) Run(ctx context.Context, t *terminal) (err error) {
	db, err := c.write(c.Create)
	if err != nil {
		return err
	}
	defer closing(db, &err)
	v, err := db.Models().Import(ctx, c.Folder, c.Name)
	if err != nil {
		return err
	}
	if err := stored(t, v, "stored"); err != nil || t.json {
		return err
	}
	t.printf("  next: eider models promote %s %s@%d\n", c.Dir, v.Model, v.Version)
	return nil
}

// stored says where a version is now.
func stored(t *terminal, v eider.ModelVersion, where string) error {
	if t.json {
		return t.print(v)
	}
	t.printf("  %s@%d (%s, %s) %s\n", v.Model, v.Version, v.Kind, bytesText(v.Bytes), where)
	return nil
}

type modelsDeleteCmd struct {
	directory
	reference
}

// Run deletes a version.
func (c *modelsDeleteCmd) Run(ctx context.Context, t *terminal) (err error) {
	name, version, err := c.version("delete")
	if err != nil {
		return err
	}
	db, err := c.write(false)
	if err != nil {
		return err
	}
	defer closing(db, &err)
	if err := db.Models().Delete(ctx, name, version); err != nil {
		return err
	}
	if t.json {
		return t.print(map[string]any{"model": name, "version": version, "lsn": db.LSN()})
	}
	t.printf("  %s@%d is deleted\n", name, version)
	return nil
}
