package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/eiderdb/eider/storage/format"
)

// TestMain makes this test binary answer as `eider` to the scripts.
func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"eider": main}) }

// TestScripts runs testdata/script/*.txtar: each is a session at a prompt.
// $ADDR is a free address of the loopback interface, one per script; $BERT the folder
// of a tiny model.
func TestScripts(t *testing.T) {
	bert, err := filepath.Abs("../../embed/text/testdata/bert")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			addr, err := freeAddress()
			e.Setenv("ADDR", addr)
			e.Setenv("NO_COLOR", "1")
			e.Setenv("BERT", bert)
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"fails":  fails,
			"http":   request,
			"damage": damage,
			"lines":  lines,
			"linear": linear,
		},
	})
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// fails CODE PROGRAM ARGS: the program ends with exactly that exit code.
func fails(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: fails CODE PROGRAM ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	var ended *exec.ExitError
	switch {
	case err == nil:
		ts.Fatalf("exit code 0, want %d", want)
	case !errors.As(err, &ended):
		ts.Fatalf("%v", err)
	case ended.ExitCode() != want:
		ts.Fatalf("exit code %d, want %d", ended.ExitCode(), want)
	}
}

// http METHOD URL STATUS [BODYFILE]: the answer has the status; its body is
// printed. While nothing listens yet the request is repeated.
func request(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: http METHOD URL STATUS [BODYFILE]")
	}
	body := ""
	if len(args) > 3 {
		body = ts.ReadFile(args[3])
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, args[0], args[1], strings.NewReader(body))
		ts.Check(err)
		req.Header.Set("Content-Type", "application/json")
		if key := ts.Getenv("KEY"); key != "" {
			req.Header.Set("Authorization", "Bearer "+key)
		}
		res, err := http.DefaultClient.Do(req)
		var refused *net.OpError
		if errors.As(err, &refused) && ctx.Err() == nil {
			time.Sleep(20 * time.Millisecond) // the server is starting
			continue
		}
		ts.Check(err)
		text, err := io.ReadAll(res.Body)
		res.Body.Close()
		ts.Check(err)
		fmt.Fprintf(ts.Stdout(), "%s\n", text)
		if got := strconv.Itoa(res.StatusCode); got != args[2] {
			ts.Fatalf("%s %s: status %s, want %s\n%s", args[0], args[1], got, args[2], text)
		}
		return
	}
}

// linear DIR BIAS WEIGHT...: the file model.safetensors in DIR holds a linear model,
// as PyTorch would write it.
func linear(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: linear DIR BIAS WEIGHT...")
	}
	var data []byte // canonical order: bias, weight
	for _, arg := range args[1:] {
		x, err := strconv.ParseFloat(arg, 32)
		ts.Check(err)
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(x)))
	}
	var file bytes.Buffer
	ts.Check(format.WriteSafetensors(&file, map[string]format.Tensor{
		"bias":   {DType: "F32", Shape: []int{1}, Data: data[:4]},
		"weight": {DType: "F32", Shape: []int{1, len(args) - 2}, Data: data[4:]},
	}, nil))
	ts.Check(os.WriteFile(filepath.Join(ts.MkAbs(args[0]), "model.safetensors"), file.Bytes(), 0o600))
}

// damage DIR SUFFIX: one byte in the middle of the largest file whose name ends
// so is changed. The file is replaced, not written to: a backup on the same
// disk may share the old one.
func damage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: damage DIR SUFFIX")
	}
	var largest string
	var size int64
	ts.Check(filepath.WalkDir(ts.MkAbs(args[0]), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, args[1]) {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() > size {
			largest, size = path, info.Size()
		}
		return err
	}))
	if largest == "" {
		ts.Fatalf("%s holds no file that ends in %s", args[0], args[1])
	}
	data, err := os.ReadFile(largest)
	ts.Check(err)
	data[len(data)/2] ^= 0x40
	ts.Check(os.Remove(largest))
	ts.Check(os.WriteFile(largest, data, 0o600))
}

// lines FILE N: the file (or stdout) has N lines.
func lines(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: lines FILE N")
	}
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	if got := strings.Count(ts.ReadFile(args[0]), "\n"); got != want {
		ts.Fatalf("%s has %d lines, want %d", args[0], got, want)
	}
}
