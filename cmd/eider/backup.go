package main

import (
	"context"
)

type backupCmd struct {
	directory
	Dest  string `arg:"" help:"Directory to write; it must not exist yet or be empty."`
	Since uint64 `help:"Only the changes after this LSN (the LSN an earlier backup printed)." placeholder:"LSN"`
}

// Run writes one backup and says up to which LSN it goes; that LSN is the
// --since of the next one.
func (c *backupCmd) Run(ctx context.Context, t *terminal) (err error) {
	db, err := c.write(false) // a checkpoint needs the lock
	if err != nil {
		return err
	}
	defer closing(db, &err)
	info, err := db.Backup(ctx, c.Dest, c.Since)
	if err != nil {
		return err
	}
	if t.json {
		return t.print(info)
	}
	kind := "full backup"
	if c.Since > 0 {
		kind = "changes since " + count(c.Since)
	}
	t.printf("  %s of %s in %s, %s, up to LSN %d\n", kind, c.Dir, c.Dest, bytesText(info.Bytes), info.LSN)
	t.printf("  next: eider backup %s DEST --since %d\n", c.Dir, info.LSN)
	return nil
}
