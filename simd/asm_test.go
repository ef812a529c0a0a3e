package simd

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestAssemblyIsWhatTheGeneratorWrites(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the generator")
	}
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("no go command:", err)
	}
	if _, err := os.Stat("_asm"); err != nil {
		t.Skip("no generator beside the package:", err)
	}
	if out, err := command(tool, "mod", "download").CombinedOutput(); err != nil {
		t.Skipf("the generator's modules cannot be fetched: %v: %s", err, out)
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "asm")
	if out, err := command(tool, "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, isa := range []string{"avx2", "avx512", "hop", "gemm", "functions"} {
		code, stubs := filepath.Join(dir, isa+".s"), filepath.Join(dir, isa+".go")
		if out, err := command(program, "-isa", isa, "-out", code, "-stubs", stubs, "-pkg", "simd").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		for fresh, committed := range map[string]string{code: isa + "_amd64.s", stubs: isa + "_amd64.go"} {
			if !bytes.Equal(body(t, fresh), body(t, committed)) {
				t.Errorf("%s differs from what _asm writes: run go generate in simd", committed)
			}
		}
	}
}

// command runs in the generator's module, for this machine whatever the test is
// built for.
func command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = "_asm"
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "GOOS=", "GOARCH=")
	return cmd
}

// body is a file without its first line, which holds the command that wrote it.
func body(t *testing.T, name string) []byte {
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(b, []byte("\n"))
	return rest
}
