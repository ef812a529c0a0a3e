package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/eiderdb/eider"
)

type checkCmd struct {
	directory
}

// opened is the report of a check of a database too damaged to open.
type opened struct {
	OK    bool   `json:"ok"`
	Error string `json:"error"`
}

// Run reads the whole database and compares everything derived with what it is
// derived from. It changes nothing. Damage is exit code 2.
func (c *checkCmd) Run(ctx context.Context, t *terminal) (err error) {
	db, err := c.read()
	if errors.Is(err, eider.ErrCorrupt) && t.json {
		return errors.Join(err, t.print(opened{Error: describe(err)}))
	}
	if err != nil {
		return err
	}
	defer closing(db, &err)
	rep, err := db.Check(ctx)
	if err != nil {
		return err
	}
	if t.json {
		err = t.print(rep)
	} else {
		printCheck(t, rep)
	}
	if err != nil || rep.OK {
		return err
	}
	return &failure{
		what: fmt.Sprintf("%s is damaged in %s places", c.Dir, count(problems(rep))),
		next: "restore a backup with `eider restore`, or save what can be read with `eider export`",
		code: exitDamage,
	}
}

func problems(rep eider.CheckReport) int64 {
	return int64(len(rep.Storage.Problems)+len(rep.Indexes)) + rep.Storage.Unlisted
}

func printCheck(t *terminal, rep eider.CheckReport) {
	if !rep.OK {
		b := columns("problem", "collection", "detail")
		for _, p := range rep.Storage.Problems {
			b.add(p.Kind, p.Collection, p.Detail)
		}
		for _, p := range rep.Indexes {
			b.add("index", p.Collection, p.Vector+": "+p.Detail)
		}
		b.write(t)
		if rep.Storage.Unlisted > 0 {
			t.printf("  and %s more\n", count(rep.Storage.Unlisted))
		}
		t.printf("\n")
	}
	verdict := t.style(green, "ok")
	if !rep.OK {
		verdict = t.style(red, "damaged")
	}
	keys := int64(0)
	for _, n := range rep.Storage.Checked {
		keys += n
	}
	t.printf("  %s at LSN %d: %s documents, %s keys read in %.1f s\n", verdict, rep.Storage.LSN, count(rep.Storage.Documents), count(keys), rep.Took)
}
