package registry

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/eiderdb/eider/storage"
)

// machine runs random histories against a registry and an obvious model of one.
type machine struct {
	fs       vfs.FS
	s        *storage.Store
	r        *Registry
	next     uint32
	auc      map[uint32]float64
	promoted map[string][]step // by alias: the line that rollbacks walk back
	history  map[string][]uint32
}

// step is one place on the line of an alias.
type step struct{ version uint32 }

func (m *machine) open(t *rapid.T) {
	s, err := storage.Open("store", options(m.fs))
	if err != nil {
		t.Fatal(err)
	}
	if m.s = s; m.s.LSN() > 0 {
		if rep, err := s.Check(t.Context()); err != nil || !rep.OK() {
			t.Fatalf("check: %v %+v", err, rep.Problems)
		}
	}
	if m.r, err = Open(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}

// serves is the version that an alias points to, 0 for none.
func (m *machine) serves(alias string) uint32 {
	if h := m.history[alias]; len(h) > 0 {
		return h[len(h)-1]
	}
	return 0
}

// back is how many places of the line are left when the alias is rolled back, -1
// if it cannot be. The line ends with the version that serves, or served last.
func (m *machine) back(alias string) int {
	line, now := m.promoted[alias], m.serves(alias)
	for i := len(line) - 1; i >= 0; i-- {
		v := line[i].version
		if _, exists := m.auc[v]; exists && v != now {
			if now != 0 && i == len(line)-1 {
				continue
			}
			return i + 1
		}
	}
	return -1
}

func (m *machine) put(t *rapid.T) {
	d, tensors := draft(uint64(m.next), 32)
	auc := float64(rapid.IntRange(50, 90).Draw(t, "auc")) / 100
	d.Metrics[0].Value, d.Metrics[0].Low, d.Metrics[0].High = auc, auc, auc
	v, err := m.r.Put(t.Context(), d, tensors)
	if err != nil || v.Version != m.next {
		t.Fatalf("stored %+v, %v; want version %d", v, err, m.next)
	}
	m.auc[m.next] = auc
	m.next++
}

func (m *machine) promote(t *rapid.T) {
	alias := rapid.SampledFrom([]string{"production", "canary"}).Draw(t, "alias")
	version := uint32(rapid.IntRange(1, int(m.next)).Draw(t, "version"))
	margin := float64(rapid.IntRange(0, 20).Draw(t, "margin")) / 100
	force := rapid.IntRange(0, 4).Draw(t, "force") == 0
	now := m.serves(alias)
	auc, exists := m.auc[version]
	p, err := m.r.Promote(t.Context(), "ctr", version, alias, Options{Gate: Gate{Metric: "auc", Margin: margin}, Force: force})
	worse := exists && now != 0 && m.auc[now]-auc > margin
	switch {
	case !exists:
		if !errors.Is(err, storage.ErrNotFound) {
			t.Fatalf("promoted %d, which does not exist: %v", version, err)
		}
	case version == now:
		if err != nil || p.Version != version {
			t.Fatalf("promoted again: %+v, %v", p, err)
		}
	case worse && !force:
		if !errors.Is(err, ErrGate) {
			t.Fatalf("promoted %v over %v with a margin of %v: %v", auc, m.auc[now], margin, err)
		}
	default:
		if err != nil || p.Forced != worse {
			t.Fatalf("promotion %+v, %v", p, err)
		}
		m.promoted[alias] = append(m.promoted[alias], step{version})
		m.history[alias] = append(m.history[alias], version)
	}
}

func (m *machine) rollback(t *rapid.T) {
	alias := rapid.SampledFrom([]string{"production", "canary"}).Draw(t, "alias")
	n := m.back(alias)
	p, err := m.r.Rollback(t.Context(), "ctr", alias, Options{})
	if n < 0 {
		if !errors.Is(err, storage.ErrNotFound) {
			t.Fatalf("rolled back to %+v, %v", p, err)
		}
		return
	}
	m.promoted[alias] = m.promoted[alias][:n]
	want := m.promoted[alias][n-1].version
	if err != nil || p.Version != want {
		t.Fatalf("rolled back to %+v, %v; want %d", p, err, want)
	}
	m.history[alias] = append(m.history[alias], want)
}

func (m *machine) unalias(t *rapid.T) {
	err := m.r.Unalias(t.Context(), "ctr", "canary", "")
	if m.serves("canary") == 0 {
		if !errors.Is(err, storage.ErrNotFound) {
			t.Fatal(err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	m.history["canary"] = append(m.history["canary"], 0)
}

func (m *machine) delete(t *rapid.T) {
	version := uint32(rapid.IntRange(1, int(m.next)).Draw(t, "version"))
	used := false
	for alias := range m.history {
		used = used || m.serves(alias) == version
		if n := m.back(alias); n > 0 {
			used = used || m.promoted[alias][n-1].version == version
		}
	}
	err := m.r.Delete(t.Context(), "ctr", version)
	switch _, exists := m.auc[version]; {
	case !exists:
		if !errors.Is(err, storage.ErrNotFound) {
			t.Fatal(err)
		}
	case used:
		if !errors.Is(err, ErrInUse) {
			t.Fatalf("deleted %d, which is in use: %v", version, err)
		}
	default:
		if err != nil {
			t.Fatal(err)
		}
		delete(m.auc, version)
	}
}

func (m *machine) reopen(t *rapid.T) {
	if err := m.s.Close(); err != nil {
		t.Fatal(err)
	}
	m.open(t)
}

// check compares everything a reader can see.
func (m *machine) check(t *rapid.T) {
	all, err := m.r.List()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 && m.next == 1 {
		return
	}
	var got []uint32
	for _, v := range all[0].Versions {
		got = append(got, v.Version)
		if _, err := whole(t.Context(), m.r, fmt.Sprintf("ctr@%d", v.Version), 32); err != nil {
			t.Fatal(err)
		}
	}
	if len(got) != len(m.auc) {
		t.Fatalf("versions %v, want %v", got, m.auc)
	}
	for alias, want := range m.history {
		var versions []uint32
		h, err := m.r.History("ctr", alias)
		for _, p := range h {
			versions = append(versions, p.Version)
		}
		slices.Reverse(versions)
		if err != nil || !slices.Equal(versions, want) {
			t.Fatalf("history of %s is %v, %v; want %v", alias, versions, err, want)
		}
		v, err := m.r.Get("ctr@" + alias)
		if now := m.serves(alias); now == 0 && !errors.Is(err, storage.ErrNotFound) || now != 0 && (err != nil || v.Model.Version != now) {
			t.Fatalf("%s is %v, %v; want %d", alias, v, err, now)
		}
		if err == nil {
			v.Close()
		}
	}
}

func TestRegistryEqualsItsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{fs: vfs.NewMem(), next: 1, auc: map[uint32]float64{}, promoted: map[string][]step{}, history: map[string][]uint32{}}
		m.open(t)
		defer func() { m.s.Close() }()
		t.Repeat(map[string]func(*rapid.T){
			"put": m.put, "promote": m.promote, "promote again": m.promote, "rollback": m.rollback, "unalias": m.unalias,
			"delete": m.delete, "reopen": m.reopen, "": m.check,
		})
	})
}
