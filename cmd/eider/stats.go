package main

import (
	"context"

	"github.com/eiderdb/eider"
)

type statsCmd struct {
	directory
}

// Run prints sizes.
func (c *statsCmd) Run(ctx context.Context, t *terminal) (err error) {
	db, err := c.read()
	if err != nil {
		return err
	}
	defer closing(db, &err)
	for _, info := range db.Collections() { // memory is known once indexes are loaded
		coll, err := db.Collection(info.Name)
		if err == nil {
			err = coll.Ready(ctx)
		}
		if err != nil {
			return err
		}
	}
	st, err := db.Stats(ctx)
	if err != nil {
		return err
	}
	if t.json {
		return t.print(st)
	}
	printStats(t, st)
	return nil
}

func printStats(t *terminal, st eider.Stats) {
	d := st.Storage
	t.printf("  %s at LSN %d\n", t.style(bold, clean(st.Path)), st.LSN)
	t.printf("  disk %s: live %s, log %s, dead %s; cache %s of %s\n\n",
		bytesText(d.DiskBytes), bytesText(d.LiveBytes), bytesText(d.LogBytes), bytesText(d.DeadBytes), bytesText(d.Cache.Bytes), bytesText(d.Cache.Limit))
	if e := d.Events; e.Events > 0 {
		t.printf("  %s events of %s users\n\n", count(e.Events), count(e.Users))
	}
	b := columns("collection", ">documents", "vector", "index", ">live", ">fresh", ">dead", ">vectors", ">graph")
	for _, c := range st.Collections {
		if len(c.Vectors) == 0 {
			b.add(c.Name, count(c.Docs))
		}
		for _, name := range sortedNames(c.Vectors) {
			v := c.Vectors[name]
			b.add(c.Name, count(c.Docs), name, v.Kind, count(v.Live), count(v.Fresh), count(v.Dead), bytesText(v.VectorBytes), bytesText(v.GraphBytes))
		}
	}
	b.write(t)
	for _, c := range st.Collections {
		if m := c.Memory; m != nil {
			t.printf("\n  %s: vector indexes take %s of %s\n", c.Name, bytesText(m.Used), bytesText(m.Budget))
			if m.Advice != "" {
				t.printf("  %s\n", m.Advice)
			}
		}
	}
}
