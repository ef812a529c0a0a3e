package main

import (
	"context"
	"fmt"
	"os"

	"github.com/eiderdb/eider"
)

type restoreCmd struct {
	Target  string   `arg:"" help:"Directory to make; it must not exist yet or be empty."`
	Backups []string `arg:"" help:"A full backup, then its increments in order."`
}

// restored is the report of a restore.
type restored struct {
	Target      string       `json:"target"`
	LSN         uint64       `json:"lsn"`
	Collections []eider.Info `json:"collections"`
}

// Run restores and opens the result once, so that a backup that cannot be used
// is known now.
func (c *restoreCmd) Run(ctx context.Context, t *terminal) (err error) {
	for _, b := range c.Backups {
		if _, err := os.Stat(b); err != nil {
			return failed(fmt.Sprintf("cannot read backup %s: %v", b, reason(err)), "check the path")
		}
	}
	if err := eider.Restore(ctx, c.Target, c.Backups...); err != nil {
		return err
	}
	db, err := directory{c.Target}.write(false) // what increments left undone is finished now
	if err != nil {
		return err
	}
	defer closing(db, &err)
	rep := restored{Target: c.Target, LSN: db.LSN(), Collections: db.Collections()}
	if t.json {
		return t.print(rep)
	}
	t.printf("  restored %s up to LSN %d\n\n", c.Target, rep.LSN)
	return listCollections(t, rep.Collections)
}
