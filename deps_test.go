package eider_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/eiderdb/eider"

// lattice is the order of the packages, lowest first. "A, B < C, D" lets C and
// D import A and B and all that A and B may import. A package that is not
// listed fails, an import that does not follow fails, and a listed package that
// does not exist fails.
//
// Do not mend a red test by adding a line: most often the import is wrong. To
// add a line is to change the architecture (docs/ARCHITECTURE.md).
const lattice = `
# Nothing of ours below them.
NONE < simd, storage/format, embed, internal/arena, internal/metric, internal/fault, internal/demo;

# Storage knows bytes and keys, never vectors' meaning, never an index.
storage/format, internal/fault < storage;
storage < storage/registry;

# An index knows vectors, never storage. Kinds do not know each other.
NONE < index;
simd, index < index/quant;
simd < index/rotate;
simd, internal/arena, index/quant < index/vectors;
storage/format, index/vectors < index/flat, index/hnsw;
index/flat < index/indextest;

# Learning: tape, parameters, optimisers, and the check of their gradients.
simd < internal/nn;
internal/nn < internal/nn/nntest;
storage/format, internal/metric, internal/nn < internal/train;

# Tables: columns, transforms, splits; rows come from whoever calls.
internal/metric < tabular;
storage/format, internal/train, tabular < tabular/tabm;

# Recommenders learn and score; what they read comes from whoever calls.
storage/format, internal/nn < recsys/din;

# Learners of tables: numbers in, predictions out.
NONE < tabular;
index, tabular, storage/format, internal/train < tabular/tabr;

# Ways in: readers of files into vectors, documents; text into vectors.
simd < internal/dataset;
internal/dataset < internal/ingest;
simd, storage/format, embed < embed/text;
simd, storage/format < embed/bottleneck;

# Fusion and reordering of results.
index < rank;

# Models. They get numbers, never documents, and know neither storage nor each other.
NONE < rank/linear;

# Recommendation: histories, splits, negatives; takes events from iterators.
internal/metric < recsys;

# The facade glues storage, indexes, encoders, ranking and models together.
storage/registry, index/flat, index/hnsw, index/rotate, embed/bottleneck, embed/text, rank, rank/linear, internal/metric, internal/train, recsys, recsys/din < eider;

# The doors: HTTP, measurements, command line.
eider, internal/ingest < api;
eider, internal/ingest, internal/dataset, internal/metric, internal/train, recsys/din, tabular/tabm, tabular/tabr < bench;
api, bench, internal/demo < cmd/eider;
`

// Packages that only some may import.
var restricted = map[string][]string{
	"net/http": {"api", "bench", "cmd/eider", "embed/provider"},
	"unsafe":   {"simd", "internal/arena"},
	"plugin":   {},
	"C":        {},
}

// Who may touch files. Everything below works on bytes, readers and writers.
var files = map[string]string{
	"storage":          "the database directory",
	"storage/registry": "folders of models",
	"cmd/eider":        "files named on the command line",
	"bench":            "data sets, results",
	"eider":            "the directory given to Open",
	"api":              "snapshots and the spool of uploads",
	"internal/fault":   "breaks files on purpose, for tests",
	"internal/ingest":  "spool of formats that need random access",
	"internal/dataset": "data sets",
	"embed/text":       "a directory of weights that the caller names",
}

// fileCalls are the functions of package os that read or change files.
var fileCalls = strings.Fields(`Chdir Chmod Chown Chtimes CopyFS Create CreateTemp DirFS Lchown Link Lstat Mkdir
	MkdirAll MkdirTemp Open OpenFile OpenInRoot OpenRoot ReadDir ReadFile Readlink Remove RemoveAll Rename Stat
	Symlink Truncate WriteFile`)

// seeded are the functions of math/rand and math/rand/v2 that take their seed
// or source from the caller.
var seeded = strings.Fields(`New NewSource NewPCG NewChaCha8 NewZipf`)

// platforms are the targets whose build must keep the rules, since files are
// chosen by target.
var platforms = []string{"linux/amd64", "linux/arm64", "darwin/arm64", "windows/amd64"}

// pkg is what `go list` says about a package.
type pkg struct {
	ImportPath, Dir                              string
	GoFiles, CgoFiles, TestGoFiles, XTestGoFiles []string
	Imports, TestImports, XTestImports           []string
}

// short is the import path inside the module; the root is "eider".
func short(path string) string {
	if path == module {
		return "eider"
	}
	return strings.TrimPrefix(path, module+"/")
}

func ours(path string) bool { return path == module || strings.HasPrefix(path, module+"/") }

// list returns the packages of the module as built for a platform.
func list(t *testing.T, platform string) []pkg {
	t.Helper()
	goos, goarch, _ := strings.Cut(platform, "/")
	cmd := exec.Command("go", "list", "-e=false", "-json=ImportPath,Dir,GoFiles,CgoFiles,TestGoFiles,XTestGoFiles,Imports,TestImports,XTestImports", "./...")
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list for %s: %v\n%s", platform, err, errs.String())
	}
	var all []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatalf("go list for %s: %v", platform, err)
		}
		all = append(all, p)
	}
}

// order parses a lattice into the set of packages each package may import.
func order(text string) (map[string]map[string]bool, error) {
	may := map[string]map[string]bool{}
	var rules strings.Builder
	for line := range strings.Lines(text) {
		code, _, _ := strings.Cut(line, "#")
		rules.WriteString(code)
	}
	for rule := range strings.SplitSeq(rules.String(), ";") {
		if strings.TrimSpace(rule) == "" {
			continue
		}
		low, high, ok := strings.Cut(rule, "<")
		if !ok || strings.Contains(high, "<") {
			return nil, fmt.Errorf("rule %q is not of the form A < B", strings.TrimSpace(rule))
		}
		for _, h := range names(high) {
			if may[h] == nil {
				may[h] = map[string]bool{}
			}
			for _, l := range names(low) {
				if l == "NONE" {
					continue
				}
				if may[l] == nil {
					return nil, fmt.Errorf("%s is below %s but comes later; order the rules from the ground up", l, h)
				}
				may[h][l] = true
				maps.Copy(may[h], may[l])
			}
		}
	}
	return may, nil
}

func names(list string) []string {
	var all []string
	for name := range strings.SplitSeq(list, ",") {
		all = append(all, strings.TrimSpace(name))
	}
	return all
}

func TestImportsFollowTheLattice(t *testing.T) {
	may, err := order(lattice)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	wrong := map[string]bool{} // each once, not once per platform
	for _, platform := range platforms {
		for _, p := range list(t, platform) {
			from := short(p.ImportPath)
			seen[from] = true
			below, listed := may[from]
			if !listed {
				wrong[fmt.Sprintf("package %s is not in the lattice of deps_test.go: say where it belongs", from)] = true
				continue
			}
			for _, path := range p.Imports {
				if ours(path) && !below[short(path)] {
					wrong[fmt.Sprintf("%s imports %s, which is not below it", from, short(path))] = true
				}
				if users, limited := restricted[path]; limited && !slices.Contains(users, from) {
					wrong[fmt.Sprintf("%s imports %q, which only %v may", from, path, users)] = true
				}
			}
			if len(p.CgoFiles) > 0 {
				wrong[fmt.Sprintf("%s has cgo files %v", from, p.CgoFiles)] = true
			}
		}
	}
	for _, what := range slices.Sorted(maps.Keys(wrong)) {
		t.Error(what)
	}
	for name := range may {
		if !seen[name] {
			t.Errorf("package %s is in the lattice of deps_test.go but does not exist", name)
		}
	}
}

func TestLatticeRefusesAnImportThatIsNotBelow(t *testing.T) {
	may, err := order("NONE < a, b;\na < c; # c may not import b\nc < d;")
	if err != nil {
		t.Fatal(err)
	}
	if !may["d"]["a"] || !may["d"]["c"] || may["c"]["b"] || may["a"]["c"] {
		t.Fatalf("wrong order: %v", may)
	}
	if _, err := order("b < c; NONE < b;"); err == nil {
		t.Fatal("a rule about a package that has no place yet was accepted")
	}
}

// Negative rules of ARCHITECTURE section 3, kept as their own test so that a
// change of the lattice cannot undo them unnoticed.
func TestIndexAndModelsNeverSeeStorage(t *testing.T) {
	may, err := order(lattice)
	if err != nil {
		t.Fatal(err)
	}
	for name, below := range may {
		family, _, _ := strings.Cut(name, "/")
		if slices.Contains([]string{"index", "embed", "rank", "recsys", "tabular"}, family) && below["storage"] {
			t.Errorf("%s may import storage", name)
		}
		if slices.Contains([]string{"embed", "rank", "recsys", "tabular"}, family) && (below["index/hnsw"] || below["index/flat"]) {
			t.Errorf("%s may import a concrete index; it takes an index.Searcher", name)
		}
	}
}

func TestOnlyNamedPackagesTouchFiles(t *testing.T) {
	eachSelector(t, false, func(p pkg, imported, name, at string) {
		if imported == "os" && slices.Contains(fileCalls, name) && files[short(p.ImportPath)] == "" {
			t.Errorf("%s: os.%s in package %s, which has no business with files", at, name, short(p.ImportPath))
		}
	})
}

func TestRandomNumbersAreSeededByTheCaller(t *testing.T) {
	eachSelector(t, true, func(_ pkg, imported, name, at string) {
		// Types (rand.Rand, rand.Source) are fine; unseeded functions are not.
		isType := slices.Contains([]string{"Rand", "Source", "Source64", "PCG", "ChaCha8", "Zipf"}, name)
		if (imported == "math/rand" || imported == "math/rand/v2") && !isType && !slices.Contains(seeded, name) {
			t.Errorf("%s: rand.%s draws from a seed nobody chose; use rand.New with a seed", at, name)
		}
	})
}

// eachSelector calls fn for every pkg.Name expression on an imported package,
// with the import path.
func eachSelector(t *testing.T, tests bool, fn func(p pkg, imported, name, at string)) {
	t.Helper()
	done := map[string]bool{}
	for _, platform := range platforms {
		for _, p := range list(t, platform) {
			sources := slices.Clone(p.GoFiles)
			if tests {
				sources = slices.Concat(sources, p.TestGoFiles, p.XTestGoFiles)
			}
			for _, file := range sources {
				path := filepath.Join(p.Dir, file)
				if !done[path] {
					done[path] = true
					selectors(t, path, func(imported, name, at string) { fn(p, imported, name, at) })
				}
			}
		}
	}
}

func selectors(t *testing.T, path string, fn func(imported, name, at string)) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	imports := map[string]string{}
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(imported, "/v2")
		name = name[strings.LastIndex(name, "/")+1:]
		if spec.Name != nil {
			name = spec.Name.Name
		}
		imports[name] = imported
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && imports[x.Name] != "" {
				fn(imports[x.Name], sel.Sel.Name, set.Position(sel.Pos()).String())
			}
		}
		return true
	})
}

// TestDirectDependenciesAreListedWithAReason compares the modules that our
// packages import with go.mod and with the table in docs/dependencies.md.
func TestDirectDependenciesAreListedWithAReason(t *testing.T) {
	required := modules(t)
	used := map[string]bool{}
	for _, platform := range platforms {
		for _, p := range list(t, platform) {
			for _, path := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
				if first, _, _ := strings.Cut(path, "/"); ours(path) || !strings.Contains(first, ".") {
					continue
				}
				if m := owner(required, path); m != "" {
					used[m] = true
				} else {
					t.Errorf("%s imports %s, which no module of go.mod provides", short(p.ImportPath), path)
				}
			}
		}
	}
	listed := map[string]string{}
	text, err := os.ReadFile("docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(line, "|"); len(cells) >= 4 && strings.Contains(cells[1], "`") {
			listed[strings.Trim(strings.TrimSpace(cells[1]), "`")] = strings.TrimSpace(cells[2])
		}
	}
	for m := range used {
		if listed[m] == "" {
			t.Errorf("docs/dependencies.md gives no reason for %s", m)
		}
	}
	for m := range listed {
		if !used[m] {
			t.Errorf("docs/dependencies.md lists %s, which nothing imports", m)
		}
	}
}

// modules are the paths that go.mod requires.
func modules(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(words) >= 2 && strings.Contains(words[0], ".") && strings.HasPrefix(words[1], "v") {
			all = append(all, words[0])
		}
	}
	return all
}

// owner is the module with the longest path that is a prefix of an import.
func owner(modules []string, path string) string {
	best := ""
	for _, m := range modules {
		if (path == m || strings.HasPrefix(path, m+"/")) && len(m) > len(best) {
			best = m
		}
	}
	return best
}
