package eider_test

import (
	"bytes"
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
)

// A fence is a fenced block of a Markdown file. Blocks whose first line says
// "```sh run" are executed, in order and in one shell, by TestGuide...; what a
// following "```text output" block shows must be part of what they print.
type fence struct {
	info, text string
	line       int
}

var fenced = regexp.MustCompile("(?ms)^```([^\n]*)\n(.*?)^```$")

func fences(t *testing.T, file string) []fence {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []fence
	for _, m := range fenced.FindAllSubmatchIndex(text, -1) {
		all = append(all, fence{
			info: strings.TrimSpace(string(text[m[2]:m[3]])),
			text: string(text[m[4]:m[5]]),
			line: 1 + bytes.Count(text[:m[0]], []byte("\n")),
		})
	}
	return all
}

// goCommand runs the go tool offline: everything it needs is in the module
// cache once this test binary has been built.
func goCommand(t *testing.T, dir string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod -buildvcs=false", "GOPROXY=off", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestReadmeProgramRunsAsPrinted builds every Go program of the README in a
// module of its own that requires this one, and runs it.
func TestReadmeProgramRunsAsPrinted(t *testing.T) {
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	programs := 0
	blocks := fences(t, "README.md")
	for i, f := range blocks {
		if f.info != "go" || !strings.HasPrefix(f.text, "package main") {
			continue
		}
		programs++
		dir := t.TempDir()
		sums, err := os.ReadFile("go.sum")
		if err != nil {
			t.Fatal(err)
		}
		// With all that this module requires, as go mod tidy would write it: else
		// go reads files of modules that building this one never fetched.
		own, err := os.ReadFile("go.mod")
		if err != nil {
			t.Fatal(err)
		}
		mod := strings.Replace(string(own), "module "+module, "module readme", 1) +
			fmt.Sprintf("\nrequire %s v0.0.0\n\nreplace %s => %s\n", module, module, filepath.ToSlash(root))
		for name, text := range map[string]string{"main.go": f.text, "go.mod": mod, "go.sum": string(sums)} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got := goCommand(t, dir, "run", ".")
		if i+1 == len(blocks) || blocks[i+1].info != "text output" {
			t.Fatalf("README.md:%d: the program is not followed by what it prints", f.line)
		}
		if want := blocks[i+1].text; got != want {
			t.Errorf("README.md:%d: the program prints\n%sbut the text says\n%s", f.line, got, want)
		}
	}
	if programs == 0 {
		t.Fatal("README.md has no Go program")
	}
}

// TestGuideCommandsDoWhatTheySay runs the shell blocks of the guide and the
// README with the eider binary of this tree, each file in one shell and an
// empty directory, and looks for the output they promise.
func TestGuideCommandsDoWhatTheySay(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the guide is written for a POSIX shell")
	}
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("the guide needs curl")
	}
	bin := t.TempDir()
	goCommand(t, ".", "build", "-o", filepath.Join(bin, "eider"), "./cmd/eider")
	for _, file := range []string{"README.md", "docs/guide.md"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			runGuide(t, bin, fences(t, file))
		})
	}
}

// runGuide feeds the blocks to one shell. Each block is followed by an echo of
// its number, so that output is compared block by block.
func runGuide(t *testing.T, bin string, blocks []fence) {
	t.Helper()
	port := freePort(t)
	var script strings.Builder
	script.WriteString("set -eu\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n")
	runnable := 0
	for i, f := range blocks {
		if f.info == "sh run" {
			runnable++
			fmt.Fprintf(&script, "%s\necho '== end of block %d'\n", strings.ReplaceAll(f.text, "8080", port), i)
		}
	}
	if runnable == 0 {
		t.Fatal("no block is marked ```sh run")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", script.String())
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "NO_COLOR=1")
	cmd.WaitDelay = 10 * time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	rest := out.String()
	for i, f := range blocks {
		if f.info != "sh run" {
			continue
		}
		got, after, ended := strings.Cut(rest, fmt.Sprintf("== end of block %d\n", i))
		rest = after
		if !ended {
			t.Fatalf("line %d: the block failed: %v\n%s\nstandard output:\n%s\nstandard error:\n%s", f.line, err, f.text, got, errs.String())
		}
		if i+1 < len(blocks) && blocks[i+1].info == "text output" {
			compareOutput(t, blocks[i+1], got)
		}
	}
	if err != nil {
		t.Errorf("the shell ended with %v\n%s", err, errs.String())
	}
}

// compareOutput checks that each line the document shows was printed, in that
// order. A line "..." stands for any lines, "…" inside a line for any text.
func compareOutput(t *testing.T, f fence, got string) {
	t.Helper()
	lines := strings.Split(got, "\n")
	at := 0
	for want := range strings.Lines(f.text) {
		want = strings.TrimSpace(want)
		if want == "" || want == "..." {
			continue
		}
		pattern := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(want), "…", ".*") + "$")
		for at < len(lines) && !pattern.MatchString(strings.TrimSpace(lines[at])) {
			at++
		}
		if at == len(lines) {
			t.Errorf("line %d: the document shows\n%s\nbut the block printed\n%s", f.line, want, got)
			return
		}
		at++
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestEveryPackageIsDocumented(t *testing.T) {
	for _, p := range list(t, "linux/amd64") {
		documented := false
		for _, name := range p.GoFiles {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.ParseComments|parser.PackageClauseOnly)
			if err != nil {
				t.Fatal(err)
			}
			documented = documented || file.Doc != nil
		}
		if !documented && len(p.GoFiles) > 0 {
			t.Errorf("package %s has no package comment", short(p.ImportPath))
		}
	}
}

func TestEveryExportedNameIsDocumented(t *testing.T) {
	for _, p := range list(t, "linux/amd64") {
		for _, name := range p.GoFiles {
			path := filepath.Join(p.Dir, name)
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, path, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			var shared string // comment of the paragraph that decl stands in
			end := 0
			for _, decl := range file.Decls {
				if f, ok := decl.(*ast.FuncDecl); !ok || f.Doc != nil || set.Position(f.Pos()).Line != end+1 {
					shared = ""
					if ok {
						shared = f.Doc.Text()
					}
				}
				end = set.Position(decl.End()).Line
				for _, bare := range undocumented(decl) {
					if !slices.Contains(strings.FieldsFunc(shared, notLetter), bare.Name) {
						t.Errorf("%s: exported %s has no comment", set.Position(bare.Pos()), bare.Name)
					}
				}
			}
		}
	}
}

func notLetter(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }

// undocumented are the exported names of decl without a comment of their own
// or of their group. A function on the line after another may be named in that
// one's comment instead. Methods that every reader knows from an interface of the
// standard library are left alone.
func undocumented(decl ast.Decl) []*ast.Ident {
	var bare []*ast.Ident
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Doc != nil || !d.Name.IsExported() || d.Recv != nil && (!exportedReceiver(d) || wellKnown[d.Name.Name]) {
			return nil
		}
		bare = append(bare, d.Name)
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
					bare = append(bare, s.Name)
				}
			case *ast.ValueSpec:
				for _, n := range s.Names {
					if n.IsExported() && !commented(d) {
						bare = append(bare, n)
					}
				}
			}
		}
	}
	return bare
}

// commented reports whether a group of constants or variables has any comment:
// the members of an enumeration explain each other.
func commented(d *ast.GenDecl) bool {
	if d.Doc != nil {
		return true
	}
	for _, spec := range d.Specs {
		if s, ok := spec.(*ast.ValueSpec); ok && (s.Doc != nil || s.Comment != nil) {
			return true
		}
	}
	return false
}

var wellKnown = map[string]bool{
	"Error": true, "Unwrap": true, "String": true, "Len": true, "Less": true, "Swap": true, "Push": true, "Pop": true,
	"Read": true, "Write": true, "Close": true, "MarshalJSON": true, "UnmarshalJSON": true, "MarshalText": true,
	"UnmarshalText": true, "ServeHTTP": true, "Is": true, "As": true,
}

func exportedReceiver(d *ast.FuncDecl) bool {
	typ := d.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	switch x := typ.(type) {
	case *ast.Ident:
		return x.IsExported()
	case *ast.IndexExpr:
		id, ok := x.X.(*ast.Ident)
		return ok && id.IsExported()
	case *ast.IndexListExpr:
		id, ok := x.X.(*ast.Ident)
		return ok && id.IsExported()
	}
	return false
}
