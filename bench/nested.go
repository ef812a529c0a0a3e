package bench

import (
	"context"
	"io"
	"strings"
	"time"
)

// Nested measures graphs over nested vectors that are walked on codes of a prefix
// and reordered by longer ones: recall against the exact answer at full width, and
// speed beside Eider's own graph of full-width float32 vectors (eider-full) and the
// peers asked for (none by default). Prefixes are a sixth and a half of the
// dimension unless o.Prefixes says otherwise; with o.Rotate those of rotated vectors are
// measured too. The set is nested1536 unless another is named. Errors: ErrOption,
// ErrSet, the context's, those of the engine.
func Nested(ctx context.Context, o Options, w io.Writer) error {
	rows, queries, budget := 0, 2000, 60*time.Second
	if o.Quick {
		rows, queries, budget = 10_000, 300, 8*time.Second
	}
	if o.Set == "" {
		o.Set = "nested1536"
	}
	if o.Codes == nil {
		o.Codes = []string{"int8"}
	}
	return compareGraphs(ctx, o, w, plan{suite: "nested", rows: rows, queries: queries, budget: budget, forms: nestedForms})
}

// nestedForms is every kind of codes at full width, walked on the short prefix,
// and walked on it with the long one between; the rival is float32 alone.
func nestedForms(o Options, s *Set) (own, rivals []*graph) {
	prefixes := o.Prefixes
	if len(prefixes) == 0 {
		prefixes = []int{s.Base.Cols / 6, s.Base.Cols / 2}
	}
	for _, codes := range o.codes() {
		if strings.HasPrefix(codes, "none") {
			continue
		}
		own = append(own, &graph{codes: codes})
		for n := range prefixes {
			own = append(own, &graph{codes: codes, widths: prefixes[:n+1]})
		}
		for n := range prefixes {
			if o.Rotate {
				own = append(own, &graph{codes: codes, widths: prefixes[:n+1], rotate: true})
			}
		}
	}
	return own, []*graph{{codes: "none", title: "eider-full"}}
}
