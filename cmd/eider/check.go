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

// Run reads the whole database and compares everything derived with what it is
// derived from. It changes nothing. Damage is exit code 2.
func (c *checkCmd) Run(ctx context.Context, t *terminal) (err error) {
	db, err := c.read()
	if errors.Is(err, eider.ErrCorrupt) && t.json {
		problem := eider.Problem{Kind: "open", Detail: describe(err)}
		return errors.Join(err, t.print(eider.CheckReport{Problems: []eider.Problem{problem}}), t.flush())
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
	if err := t.flush(); err != nil {
		return err
	}
	return &failure{
		what: fmt.Sprintf("%s: %d problems found", c.Dir, len(rep.Problems)),
		next: "restore from a backup with `eider restore`, or export what can be read with `eider export`",
		code: exitDamage,
	}
}

func printCheck(t *terminal, rep eider.CheckReport) {
	if len(rep.Problems) > 0 {
		b := columns("problem", "collection", "key", "detail")
		for _, p := range rep.Problems {
			b.add(p.Kind, p.Collection, p.Key, p.Detail)
		}
		b.write(t)
		t.printf("\n")
	}
	verdict := t.style(green, "ok")
	if !rep.OK {
		verdict = t.style(red, "damaged")
	}
	t.printf("  %s at LSN %d: %s documents, %s vectors, %s postings read in %.1f s\n",
		verdict, rep.LSN, count(rep.Docs), count(rep.Vectors), count(rep.Postings), float64(rep.Micros)/1e6)
}
