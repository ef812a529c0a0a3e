package api

import (
	"slices"
	"strings"

	"github.com/eiderdb/eider/index"
)

// knownParam refuses a query parameter that its route does not have.
func knownParam(name string, known []string) error {
	if slices.Contains(known, name) {
		return nil
	}
	p := invalid("", "there is no query parameter of that name")
	if near := index.Nearest(name, known); near != "" {
		p.Hint = "did you mean " + near + "?"
	} else if len(known) > 0 {
		p.Hint = "the parameters are " + strings.Join(known, ", ")
	} else {
		p.Hint = "this request takes none"
	}
	return p
}
