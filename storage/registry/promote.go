package registry

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/eiderdb/eider/storage"
	"github.com/eiderdb/eider/storage/format"
)

// Gate compares a candidate with the version that serves, by one metric.
type Gate struct {
	Metric string  // name of the metric; needed where a version serves, unless forced
	Margin float64 // how much worse the candidate may be, >= 0, in units of the metric

	// Candidate and Served replace the metrics of the manifests: both measured now
	// on the same examples compare better than one of each training. nil takes the
	// manifest's.
	Candidate, Served *format.Metric
}

// GateError is an ErrGate with what was compared.
type GateError struct {
	Model, Alias      string
	Candidate, Served uint32 // versions; Served is 0 where none serves
	Metric            string
	New, Old          format.Metric // the candidate's and the served version's
	Margin            float64
	Reason            string // "" where the numbers say it
}

func (e *GateError) Error() string {
	who := fmt.Sprintf("%v: %s@%d as %s", ErrGate, e.Model, e.Candidate, e.Alias)
	if e.Reason != "" {
		return who + ": " + e.Reason
	}
	better := "higher"
	if e.New.Lower {
		better = "lower"
	}
	return fmt.Sprintf("%s: %s is %.6g [%.6g, %.6g], %.6g [%.6g, %.6g] of version %d serves (%s is better), and %.6g worse is allowed; train further, widen the margin, or force it",
		who, e.Metric, e.New.Value, e.New.Low, e.New.High, e.Old.Value, e.Old.Low, e.Old.High, e.Served, better, e.Margin)
}

// Is makes errors.Is(err, ErrGate) true.
func (e *GateError) Is(target error) bool { return target == ErrGate }

// compare fills p with the comparison, or refuses: a *GateError.
func (g *Gate) compare(p *format.Promotion, candidate, served *format.Model) error {
	e := &GateError{Model: p.Model, Alias: p.Alias, Candidate: candidate.Version, Metric: g.Metric, Margin: g.Margin}
	if g.Metric == "" {
		if served == nil {
			return nil
		}
		e.Served = served.Version
		e.Reason = fmt.Sprintf("version %d serves; name a metric to compare by, or force it", served.Version)
		return e
	}
	find := func(m *format.Model, given *format.Metric) (format.Metric, error) {
		if given != nil && given.Name == g.Metric {
			return *given, nil
		}
		for i := range m.Metrics {
			if m.Metrics[i].Name == g.Metric && given == nil {
				return m.Metrics[i], nil
			}
		}
		e.Reason = fmt.Sprintf("version %d has no metric %q; evaluate it, or force it", m.Version, g.Metric)
		return format.Metric{}, e
	}
	var err error
	if e.New, err = find(candidate, g.Candidate); err != nil {
		return err
	}
	p.Metric, p.Margin, p.Candidate = g.Metric, g.Margin, e.New.Value
	if served == nil {
		return nil
	}
	e.Served = served.Version
	if e.Old, err = find(served, g.Served); err != nil {
		return err
	}
	p.Served = e.Old.Value
	switch worse := e.Old.Value - e.New.Value; {
	case e.Old.Lower != e.New.Lower:
		e.Reason = fmt.Sprintf("the versions disagree whether a lower %s is better; evaluate both again", g.Metric)
	case e.Old.Set != e.New.Set:
		e.Reason = fmt.Sprintf("%s was measured on %q, that of version %d on %q; evaluate both on the same examples, or force it", g.Metric, e.New.Set, served.Version, e.Old.Set)
	case e.New.Lower && -worse > g.Margin, !e.New.Lower && worse > g.Margin:
	case math.IsNaN(worse):
		e.Reason = fmt.Sprintf("%s is not a number", g.Metric)
	default:
		return nil
	}
	return e
}

// Options of a promotion.
type Options struct {
	Gate   Gate
	Force  bool   // promote whatever the gate says; what it says is kept in the history
	Note   string // who and why, up to format.MaxNote bytes, kept in the history
	Expect Expect // what the server of the alias relies on

	// Warm is given the version that is to serve before the alias points to it, to
	// load it and try it; its error refuses that. The version is closed after it.
	Warm func(context.Context, *Version) error
}

// Promote makes an alias point to a version, in one commit, and returns what the
// history keeps of it. The version is read whole and checked first. Readers see
// the old version or the new one. Promoting what serves already does nothing and
// returns the promotion that did it. Errors: a *GateError with the numbers,
// ErrMismatch, storage.ErrNotFound, ErrCorrupt, Warm's, and those of Commit.
func (r *Registry) Promote(ctx context.Context, model string, version uint32, alias string, o Options) (*format.Promotion, error) {
	fail := func(err error) (*format.Promotion, error) {
		return nil, fmt.Errorf("registry: promoting %s@%d as %s: %w", model, version, alias, err)
	}
	if err := errors.Join(format.CheckLabel(model), checkAlias(alias)); err != nil {
		return fail(err)
	}
	if !(o.Gate.Margin >= 0) || math.IsInf(o.Gate.Margin, 0) {
		return fail(fmt.Errorf("%w: margin %v, want a finite number from 0; force the promotion instead", storage.ErrValue, o.Gate.Margin))
	}
	if err := r.warm(ctx, model, version, &o); err != nil {
		return fail(err)
	}
	var p *format.Promotion
	err := r.store.EditModels(ctx, false, func(e *storage.ModelEdit) error {
		candidate, err := manifest(e.ModelReader, model, version)
		if err != nil {
			return err
		}
		now, err := newest(e.ModelReader, model, alias)
		if err != nil {
			return err
		}
		if now != nil && now.Version == version {
			p = now
			return nil
		}
		p = &format.Promotion{Version: version, Note: o.Note}
		var served *format.Model
		if now != nil && now.Version != 0 {
			if served, err = manifest(e.ModelReader, model, now.Version); err != nil && !o.Force {
				return err
			}
		}
		p.Model, p.Alias = model, alias
		if err := o.Gate.compare(p, candidate, served); err != nil && !o.Force {
			return err
		} else if err != nil {
			p.Forced = true
		}
		return record(e, p, now)
	})
	if err != nil {
		return fail(err)
	}
	return p, nil
}

// warm reads a candidate whole and lets the caller try it.
func (r *Registry) warm(ctx context.Context, model string, version uint32, o *Options) error {
	v, err := r.Get(fmt.Sprintf("%s@%d", model, version))
	if err != nil {
		return err
	}
	defer v.Close()
	if err := o.Expect.Match(v.Model); err != nil {
		return err
	}
	if err := v.Verify(ctx); err != nil {
		return err
	}
	if o.Warm != nil {
		return o.Warm(ctx, v)
	}
	return nil
}

// record stores p as the successor of now, the alias's newest promotion or nil.
func record(e *storage.ModelEdit, p, now *format.Promotion) error {
	p.LSN, p.Time = e.LSN, e.Time
	if now != nil {
		p.Previous = now.Version
		if p.Rollback {
			// Back is the target's: a second rollback goes further back.
		} else if now.Version != 0 {
			p.Back = now.LSN
		} else {
			p.Back = now.Back
		}
	}
	b, err := format.AppendPromotion(nil, p)
	if err != nil {
		return err
	}
	e.Set(format.PromotionKey(p.Model, p.Alias, p.LSN), b)
	e.Log(format.OpPromote, p.Model, p.Alias, p.Version)
	return nil
}

// target returns the promotion that a rollback from p returns to: the nearest one
// back whose version is another and still exists; nil if there is none.
func target(m storage.ModelReader, p *format.Promotion) (*format.Promotion, error) {
	for back := p.Back; back != 0; {
		b, err := m.Get(format.PromotionKey(p.Model, p.Alias, back))
		if err != nil {
			return nil, err
		}
		t, err := format.ParsePromotion(b)
		if err != nil {
			return nil, err
		}
		if t.Version != p.Version {
			if _, err = m.Get(format.VersionKey(t.Model, t.Version)); err == nil {
				return t, nil
			} else if !errors.Is(err, storage.ErrNotFound) {
				return nil, err
			}
		}
		if t.Back >= back {
			return nil, fmt.Errorf("%w: promotion %d of %s@%s goes back to %d", storage.ErrCorrupt, back, p.Model, p.Alias, t.Back)
		}
		back = t.Back
	}
	return nil, nil
}

// Rollback makes an alias point to the version that served before, in one commit;
// again, to the one before that. It asks no gate and goes on when the disk is
// full; of o it takes Note, Expect and Warm. Errors: storage.ErrNotFound if no
// version is left to go back to, ErrMismatch, Warm's, and those of Commit.
func (r *Registry) Rollback(ctx context.Context, model, alias string, o Options) (p *format.Promotion, err error) {
	fail := func(err error) (*format.Promotion, error) {
		return nil, fmt.Errorf("registry: rolling %s@%s back: %w", model, alias, err)
	}
	for ready := uint32(0); ; {
		var other uint32 // the target, if it is not the version that is ready
		err = r.change(ctx, model, alias, func(e *storage.ModelEdit, now *format.Promotion) error {
			other = 0
			t, err := target(e.ModelReader, now)
			if err != nil {
				return err
			}
			if t == nil {
				return fmt.Errorf("%w: no version served before %d", storage.ErrNotFound, now.Version)
			}
			if o.Warm != nil && t.Version != ready {
				other = t.Version
				return nil
			}
			p = &format.Promotion{Model: model, Alias: alias, Version: t.Version, Back: t.Back, Rollback: true, Note: o.Note}
			return record(e, p, now)
		})
		if err != nil {
			return fail(err)
		}
		if other == 0 {
			return p, nil
		}
		if err := r.warm(ctx, model, other, &o); err != nil {
			return fail(err)
		}
		ready = other
	}
}

// Unalias removes an alias. Its history stays, and Rollback brings it back.
// Errors: storage.ErrNotFound and those of Commit.
func (r *Registry) Unalias(ctx context.Context, model, alias, note string) error {
	err := r.change(ctx, model, alias, func(e *storage.ModelEdit, now *format.Promotion) error {
		if now.Version == 0 {
			return storage.ErrNotFound
		}
		return record(e, &format.Promotion{Model: model, Alias: alias, Note: note}, now)
	})
	if err != nil {
		return fmt.Errorf("registry: removing alias %s@%s: %w", model, alias, err)
	}
	return nil
}

// change edits an alias that was promoted before.
func (r *Registry) change(ctx context.Context, model, alias string, fn func(e *storage.ModelEdit, now *format.Promotion) error) error {
	if err := errors.Join(format.CheckLabel(model), checkAlias(alias)); err != nil {
		return err
	}
	return r.store.EditModels(ctx, true, func(e *storage.ModelEdit) error {
		now, err := newest(e.ModelReader, model, alias)
		if err != nil {
			return err
		}
		if now == nil {
			return storage.ErrNotFound
		}
		return fn(e, now)
	})
}
