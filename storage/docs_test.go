package storage

import (
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/eiderdb/eider/storage/format"
)

var update = flag.Bool("update", false, "write golden files that do not exist")

// table returns the cells of the table under a heading of FORMAT.md whose
// header row starts with first.
func table(t *testing.T, first string) [][]string {
	t.Helper()
	b, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	in := false
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "| "+first+" |"):
			in = true
		case in && !strings.HasPrefix(line, "|"):
			return rows
		case in && !strings.HasPrefix(line, "|---"):
			cells := strings.Split(strings.Trim(line, "|"), "|")
			for i := range cells {
				cells[i] = strings.Trim(strings.TrimSpace(cells[i]), "`")
			}
			rows = append(rows, cells)
		}
	}
	if rows == nil {
		t.Fatalf("FORMAT.md has no table that starts with %q", first)
	}
	return rows
}

func TestFormatPageListsEveryKeyPrefix(t *testing.T) {
	b, err := os.ReadFile("keys.go")
	if err != nil {
		t.Fatal(err)
	}
	code := map[string]bool{}
	for _, m := range regexp.MustCompile(`\n\tprefix\w+ += '(.)'`).FindAllStringSubmatch(string(b), -1) {
		code[m[1]] = true
	}
	page := map[string]bool{}
	for _, row := range table(t, "prefix") {
		page[row[0]] = true
	}
	if len(code) != 18 || !maps.Equal(code, page) {
		t.Errorf("keys.go has %v, FORMAT.md %v", slices.Sorted(maps.Keys(code)), slices.Sorted(maps.Keys(page)))
	}
}

func TestFormatPageListsEveryEnvelopeAndVersion(t *testing.T) {
	kinds := map[string]byte{"meta": format.EnvMeta, "record": format.EnvRecord, "collection": format.EnvCollection, "change": format.EnvChange,
		"event": format.EnvEvent, "model": format.EnvModel, "promotion": format.EnvPromotion, "weights": format.EnvWeights,
		"chunk": format.EnvChunk, "file": format.EnvFile, "setting": format.EnvSetting, "part": format.EnvBackup, "rotation": format.EnvRotation,
		"job": format.EnvJob}
	src := ""
	for _, f := range []string{"record", "change", "catalog", "chunk", "part", "rotation", "model", "promotion", "weights", "event", "job"} {
		b, err := os.ReadFile("format/" + f + ".go")
		if err != nil {
			t.Fatal(err)
		}
		src += string(b)
	}
	for _, row := range table(t, "kind") {
		if len(row) != 4 {
			continue // the table of values
		}
		if kind, ok := kinds[row[1]]; !ok || row[0] != string(kind) {
			t.Errorf("FORMAT.md gives %s the kind %q", row[1], row[0])
		}
		delete(kinds, row[1])
		if m := regexp.MustCompile(row[1] + `Version\s*= (\d+)`).FindStringSubmatch(src); row[1] != "setting" && (m == nil || m[1] != row[2]) {
			t.Errorf("FORMAT.md gives %s version %s, the code %v", row[1], row[2], m)
		}
	}
	if len(kinds) > 0 {
		t.Errorf("FORMAT.md lacks %v", kinds)
	}
}

func TestFormatPageListsEveryOperationKindAndCap(t *testing.T) {
	for _, row := range table(t, "number") {
		n, err := strconv.Atoi(row[0])
		if err != nil {
			t.Fatal(err)
		}
		if got := format.ChangeOp(n).String(); got != row[1] {
			t.Errorf("operation %d is %s, FORMAT.md says %s", n, got, row[1])
		}
	}
	src, err := os.ReadFile("format/limits.go")
	if err != nil {
		t.Fatal(err)
	}
	more, err := os.ReadFile("format/manifest.go")
	if err != nil {
		t.Fatal(err)
	}
	code := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\s*(?:const )?(Max\w+)\s*= (\d+)(?: (<<|\*) (\d+))?`).FindAllStringSubmatch(string(src)+string(more), -1) {
		n, err := strconv.Atoi(m[2])
		if err != nil {
			t.Fatal(err)
		}
		if k, err := strconv.Atoi(m[4]); err == nil && m[3] == "<<" {
			n <<= k
		} else if err == nil {
			n *= k
		}
		code[m[1]] = fmt.Sprint(n)
	}
	page := map[string]string{}
	for _, row := range table(t, "constant") {
		page[row[0]] = row[1]
	}
	if !maps.Equal(code, page) {
		t.Errorf("caps in the code %v, in FORMAT.md %v", code, page)
	}
	last := table(t, "format")
	if got := last[len(last)-1][0]; got != fmt.Sprint(FormatNumber) {
		t.Errorf("history ends at format %s, the code writes %d", got, FormatNumber)
	}
}

// readGolden reads a store written by the first binary of its format, its backups,
// and the dump of what it held then. Later binaries must read the same from it, for
// ever. It returns the store.
func readGolden(t *testing.T, goldenDir string, write func(t *testing.T, goldenDir, dumpFile string)) *Store {
	t.Helper()
	dumpFile := filepath.Join(goldenDir, "dump.txt")
	if _, err := os.Stat(dumpFile); *update && os.IsNotExist(err) {
		write(t, goldenDir, dumpFile)
	}
	dir := filepath.Join(t.TempDir(), "store")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(goldenDir, "store"))); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, crashOptions(nil))
	clean(t, s)
	want, err := os.ReadFile(dumpFile)
	if err != nil {
		t.Fatal(err)
	}
	if got := dumpText(t, s); got != string(want) {
		t.Errorf("the golden store reads differently:\n%s\nwant:\n%s", got, want)
	}
	target := filepath.Join(t.TempDir(), "restored")
	if _, err := Restore(t.Context(), target, filepath.Join(goldenDir, "full"), filepath.Join(goldenDir, "incremental")); err != nil {
		t.Fatal(err)
	}
	back := open(t, target, crashOptions(nil))
	clean(t, back)
	if got := dumpText(t, back); got != string(want) {
		t.Errorf("the golden backups restore differently:\n%s\nwant:\n%s", got, want)
	}
	return s
}

func TestGoldenStoreOfFormat1OpensAndReadsTheSame(t *testing.T) {
	r, err := readGolden(t, "testdata/v1", writeGolden).LoadSnapshot(1, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if b, err := io.ReadAll(r); err != nil || string(b) != "graph" {
		t.Errorf("index snapshot %q, %v", b, err)
	}
}

func TestGoldenStoreOfFormat3OpensAndReadsTheSame(t *testing.T) {
	s := readGolden(t, "testdata/v3", writeGoldenEvents)
	if users, events := acquire1(t, s).EventCounts(); users != 3 || events != 8 || s.Format().Format != 3 {
		t.Errorf("%d events of %d users in format %d", events, users, s.Format().Format)
	}
}

// writeGoldenEvents writes a store with events, of which users were erased and
// old ones deleted, and backups from before and after.
func writeGoldenEvents(t *testing.T, goldenDir, dumpFile string) {
	t.Helper()
	s, err := Open(filepath.Join(goldenDir, "store"), crashOptions(nil))
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	add := func(events ...Event) {
		for i := range events {
			events[i].Value, events[i].Context = float64(i)-1.5, []byte(`{"page":3}`)
		}
		appendEvents(t, s, events...)
	}
	add(event("ann", "film-1", 1_700_000_000, "e1"), event("bob", "film-2", 1_700_000_000, "e1"), event("ann", "film-2", -5, ""), event("eve", "film-9", 7, "x"))
	full, err := s.Backup(ctx, filepath.Join(goldenDir, "full"), 0)
	if err != nil {
		t.Fatal(err)
	}
	add(event("ann", "film-1", 1_700_000_001, "e1"), event("Zoë", "film-3", 1_700_000_002, ""), event("ann", "film-3", 1_700_000_002, "e2"))
	if _, err := s.EraseUser(ctx, "eve"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.RetainEvents(ctx, 0); err != nil {
		t.Fatal(err)
	}
	add(event("bob", "film-5", 1_700_000_003, ""), event("bob", "film-6", 1_700_000_003, ""), event("ann", "film-7", 4, ""), event("ann", "film-7", 4, ""))
	if _, err := s.Backup(ctx, filepath.Join(goldenDir, "incremental"), full.LSN); err != nil {
		t.Fatal(err)
	}
	endGolden(t, s, goldenDir, dumpFile)
}

func dumpText(t *testing.T, s *Store) string {
	d := dump(t, s)
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(d)) {
		fmt.Fprintf(&b, "%s: %s\n", k, d[k])
	}
	return b.String()
}

func writeGolden(t *testing.T, goldenDir, dumpFile string) {
	t.Helper()
	dir := filepath.Join(goldenDir, "store")
	o := crashOptions(nil)
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, r := t.Context(), rand.New(rand.NewPCG(1, 1))
	c := create(t, s, "films")
	churn(t, s, c, r, 60)
	full, err := s.Backup(ctx, filepath.Join(goldenDir, "full"), 0)
	if err != nil {
		t.Fatal(err)
	}
	numbers, err := s.CreateCollection(ctx, "numbers", format.IDUint64, []byte("schema"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetAliases(ctx, Alias{Name: "now", Collection: c}); err != nil {
		t.Fatal(err)
	}
	churn(t, s, numbers.ID, r, 40)
	churn(t, s, c, r, 40)
	if _, err := s.Backup(ctx, filepath.Join(goldenDir, "incremental"), full.LSN); err != nil {
		t.Fatal(err)
	}
	err = s.SaveSnapshot(ctx, c, 0, s.LSN(), func(w io.Writer) error {
		_, err := w.Write([]byte("graph"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	endGolden(t, s, goldenDir, dumpFile)
}

// endGolden writes down what a golden store holds and closes it.
func endGolden(t *testing.T, s *Store, goldenDir, dumpFile string) {
	t.Helper()
	dir := filepath.Join(goldenDir, "store")
	if err := os.WriteFile(dumpFile, []byte(dumpText(t, s)), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{lockFile, holderFile} { // this machine's, not the format's
		if err := os.Remove(filepath.Join(dir, f)); err != nil {
			t.Fatal(err)
		}
	}
}
