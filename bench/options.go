package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/eiderdb/eider/index"
)

// ErrOption reports an option no suite can run with: a negative count, an unknown
// peer or form of codes. The message says what to use instead.
var ErrOption = errors.New("bad option")

// Codes lists the forms of Eider's vectors that Options.Codes knows: "none" is
// float32 alone, the others walk compact codes and choose hits by the float32
// vectors, which -disk reads from a file instead of memory.
func Codes() []string {
	return []string{"none", "int8", "int4", "int8-disk", "int4-disk", "bit", "bit-disk"}
}

// check reports the first option out of its range: ErrOption.
func (o Options) check() error {
	for _, n := range []struct {
		name  string
		value int
	}{{"rows", o.Rows}, {"queries", o.Queries}, {"seeds", o.Seeds}} {
		if n.value < 0 {
			return fmt.Errorf("%w: --%s %d; use a positive number, or 0 for the suite's choice", ErrOption, n.name, n.value)
		}
	}
	if o.Time < 0 {
		return fmt.Errorf("%w: a negative time %v", ErrOption, o.Time)
	}
	for _, p := range o.Peers {
		if err := known("peer", p, slices.Concat(Peers(), tabularPeers, []string{"all", "none", ""})); err != nil {
			return err
		}
	}
	for _, c := range o.Codes {
		if err := known("form of codes", c, Codes()); err != nil {
			return err
		}
	}
	return nil
}

// known reports a name that is not among those allowed.
func known(what, name string, names []string) error {
	if slices.Contains(names, name) {
		return nil
	}
	if near := index.Nearest(name, names); near != "" {
		return fmt.Errorf("%w: unknown %s %q; did you mean %s?", ErrOption, what, name, near)
	}
	return fmt.Errorf("%w: unknown %s %q; use some of %s", ErrOption, what, name, strings.TrimSpace(strings.Join(names, " ")))
}

// checked is a suite that refuses bad options before it does anything.
func checked(run func(context.Context, Options, io.Writer) error) func(context.Context, Options, io.Writer) error {
	return func(ctx context.Context, o Options, w io.Writer) error {
		if err := o.check(); err != nil {
			return err
		}
		return run(ctx, o, w)
	}
}

// peers is what to compare with: those asked for, or the suite's choice.
func (o Options) peers(choice []string) []string {
	switch {
	case o.Peers == nil:
		return choice
	case slices.Contains(o.Peers, "all"):
		return Peers()
	}
	return slices.DeleteFunc(slices.Clone(o.Peers), func(p string) bool { return p == "none" || p == "" })
}

// codes is the forms of Eider's vectors to run, at least one, none twice.
func (o Options) codes() []string {
	if len(o.Codes) == 0 {
		return []string{"none"}
	}
	var out []string
	for _, c := range o.Codes {
		if !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	return out
}

// rows is the number of vectors asked for, or the suite's choice.
func (o Options) rows(choice int) int {
	if o.Rows > 0 {
		return o.Rows
	}
	return choice
}

// span is how long a timed part lasts.
func (o Options) span(choice time.Duration) time.Duration {
	if o.Time > 0 {
		return o.Time
	}
	return choice
}

func (o Options) seed() uint64 {
	if o.Seed == 0 {
		return 1
	}
	return o.Seed
}
