package api

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/eiderdb/eider"
)

// snapshotOrder asks for a snapshot. With since it holds only what changed
// after that LSN, to be restored on top of an older one.
type snapshotOrder struct {
	Name  string `json:"name"`
	Since uint64 `json:"since,omitempty"`
}

// snapshot describes a finished snapshot: a directory of that name, which
// `eider restore` reads.
type snapshot struct {
	Name      string    `json:"name"`
	LSN       uint64    `json:"lsn"`
	Since     uint64    `json:"since,omitempty"`
	Bytes     int64     `json:"bytes"`
	CreatedAt time.Time `json:"created_at"`
}

type snapshotList struct {
	Snapshots []snapshot `json:"snapshots"`
}

// receipt is the file beside a snapshot that says it is whole. Its name has a
// dot, which no snapshot's name has.
func receipt(name string) string { return name + ".json" }

func (c *call) snapshots() (*os.Root, error) {
	if c.a.snapshots == nil {
		return nil, &problem{Code: codeDisabled, Detail: "this server keeps no snapshots", Hint: "start it with a snapshots directory"}
	}
	return c.a.snapshots, nil
}

func readSnapshot(root *os.Root, name string) (snapshot, error) {
	var s snapshot
	raw, err := root.ReadFile(receipt(name))
	if err == nil {
		err = json.Unmarshal(raw, &s)
	}
	if err != nil || s.Name != name {
		return s, &problem{Code: eider.CodeNotFound, Detail: "there is no such snapshot", cause: err}
	}
	return s, nil
}

func listSnapshots(c *call) error {
	root, err := c.snapshots()
	if err != nil {
		return err
	}
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	out := snapshotList{Snapshots: []snapshot{}}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || !isName(name) {
			continue
		}
		if s, err := readSnapshot(root, name); err == nil {
			out.Snapshots = append(out.Snapshots, s)
		}
	}
	slices.SortFunc(out.Snapshots, func(x, y snapshot) int { return x.CreatedAt.Compare(y.CreatedAt) })
	return c.reply(http.StatusOK, out)
}

func getSnapshot(c *call) error {
	root, err := c.snapshots()
	if err != nil {
		return err
	}
	s, err := readSnapshot(root, c.path("s"))
	if err != nil {
		return err
	}
	return c.reply(http.StatusOK, s)
}

func postSnapshot(c *call) error {
	root, err := c.snapshots()
	if err != nil {
		return err
	}
	var o snapshotOrder
	if err := c.decode(&o); err != nil {
		return err
	}
	if !isName(o.Name) {
		return invalid("/name", "%s", names["s"].what)
	}
	for _, name := range []string{o.Name, receipt(o.Name)} {
		if _, err := root.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			return &problem{Code: eider.CodeExists, Pointer: "/name", Detail: "a snapshot of that name exists", Hint: "choose another name or delete it"}
		}
	}
	info, err := c.a.db.Backup(c.ctx, filepath.Join(c.a.o.Snapshots, o.Name), o.Since)
	if err != nil {
		root.RemoveAll(o.Name)
		return err
	}
	s := snapshot{Name: o.Name, LSN: info.LSN, Since: o.Since, Bytes: size(root, o.Name), CreatedAt: time.Now().UTC().Truncate(time.Millisecond)}
	raw, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := root.WriteFile(receipt(o.Name), raw, 0o600); err != nil {
		root.RemoveAll(o.Name)
		return err
	}
	c.a.log.Info("snapshot taken", "snapshot", s.Name, "lsn", s.LSN, "bytes", s.Bytes)
	return c.reply(http.StatusCreated, s)
}

// size adds up the files below dir.
func size(root *os.Root, dir string) (n int64) {
	fs.WalkDir(root.FS(), dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			n += info.Size()
		}
		return nil
	})
	return n
}

// deleteSnapshot removes the receipt first: what is left of a deletion that
// stops half way is no snapshot.
func deleteSnapshot(c *call) error {
	root, err := c.snapshots()
	if err != nil {
		return err
	}
	name := c.path("s")
	if _, err := readSnapshot(root, name); err != nil {
		return err
	}
	if err := root.Remove(receipt(name)); err != nil {
		return err
	}
	if err := root.RemoveAll(name); err != nil {
		return err
	}
	c.a.log.Info("snapshot deleted", "snapshot", name)
	return c.nothing()
}
