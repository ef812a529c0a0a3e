package eider

import (
	"fmt"

	"github.com/eiderdb/eider/index"
)

// retrieved says how a source was searched.
func retrieved(p index.Params, w index.Work) string {
	switch {
	case p.Exact:
		return "exact: asked for"
	case !w.Exact && p.Allow != nil:
		return "walk the graph, keep matches"
	case !w.Exact:
		return "walk the graph"
	case w.Hops > 0 && p.Allow != nil:
		return "walk the graph, keep matches, then scanned exactly"
	case w.Hops > 0:
		return "walk the graph, then scanned exactly"
	case p.Allow != nil:
		return "few matches: scan them"
	case p.Recall > 0:
		return "scan: for this recall a walk costs as much, or cannot do it"
	}
	return "scan: a walk costs as much"
}

// funnelled says by which components a walk went, "" if by all of them.
func funnelled(dim int, rotated bool, w index.Work) string {
	if w.Exact || w.Prefix == 0 || w.Prefix == dim {
		return ""
	}
	of := fmt.Sprintf("; on %d of %d components", w.Prefix, dim)
	if rotated {
		of += " of rotated vectors"
	}
	if w.Depth > w.Prefix {
		of += fmt.Sprintf(", put in order by %d", w.Depth)
	}
	return of
}

// predicted says what recall a walk is expected to have, "" after a scan.
func predicted(p index.Params, w index.Work) string {
	switch {
	case w.Exact || w.Ef == 0:
		return ""
	case w.Recall == 0 && p.Width > 0:
		return fmt.Sprintf("; a pool of %d, recall is not measured at this width", w.Ef)
	case w.Recall == 0:
		return fmt.Sprintf("; a pool of %d, recall is not measured yet", w.Ef)
	case p.Allow != nil:
		return fmt.Sprintf("; a pool of %d, recall %.3f as measured without a filter", w.Ef, w.Recall)
	}
	return fmt.Sprintf("; a pool of %d, recall %.3f as measured", w.Ef, w.Recall)
}
