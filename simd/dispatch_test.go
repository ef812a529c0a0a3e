package simd

import (
	"errors"
	"math"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func contains(list []string, s string) bool { return slices.Contains(list, s) }

// flagged reports whether a line of /proc/cpuinfo has the flag.
func flagged(info, flag string) bool {
	for line := range strings.Lines(info) {
		key, value, _ := strings.Cut(line, ":")
		if key = strings.TrimSpace(key); key == "flags" || key == "Features" {
			return slices.Contains(strings.Fields(value), flag)
		}
	}
	return false
}

func TestSelectRefusesUnknownNamesAndKeepsTheActiveOne(t *testing.T) {
	before := Active()
	err := Select("mmx")
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "generic") {
		t.Errorf("Select(mmx) = %v; want ErrUnavailable and the names to choose from", err)
	}
	if Active() != before {
		t.Errorf("active is %s, was %s", Active(), before)
	}
}

func TestGenericIsAlwaysAvailableAndLast(t *testing.T) {
	if a := Available(); a[len(a)-1] != "generic" {
		t.Errorf("available are %v", a)
	}
}

func TestEnvironmentChoosesTheImplementation(t *testing.T) {
	if os.Getenv("SIMD_TEST_CHILD") != "" {
		os.Stdout.WriteString("active " + Active() + ", reason " + Reason() + "\n")
		return
	}
	for _, c := range []struct{ env, active, reason string }{
		{"generic", "generic", ""},
		{"nonsense", Available()[0], "EIDER_SIMD=nonsense"},
		{"", Available()[0], ""},
	} {
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), "SIMD_TEST_CHILD=1", Env+"="+c.env)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Skip("this system cannot start the test binary again:", err)
		}
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if want := "active " + c.active + ", reason " + c.reason; !strings.Contains(string(out), want) {
			t.Errorf("%s=%s printed %q, want %q", Env, c.env, out, want)
		}
	}
}

func TestSmallCallersStayOnTheStack(t *testing.T) {
	rows := make([]float32, 64)
	var sum float32
	n := testing.AllocsPerRun(100, func() {
		var q [16]float32
		var out [4]float32
		ids := [4]uint32{0, 1, 2, 3}
		q[3] = 1
		DotGather(q[:], rows, 16, ids[:], out[:])
		sum += out[0] + Dot(q[:], q[:])
	})
	if n != 0 {
		t.Errorf("%v allocations a call", n)
	}
}

func TestWrongLengthsPanicByName(t *testing.T) {
	f, h, b, u, w, ids := make([]float32, 8), make([]uint16, 8), make([]int8, 8), make([]uint8, 8), make([]uint64, 8), []uint32{3, 0}
	out, ints := make([]float32, 2), make([]int32, 2)
	for name, call := range map[string]func(){
		"Dot":           func() { Dot(f, f[1:]) },
		"L2":            func() { L2(f[1:], f) },
		"Cosine":        func() { Cosine(f, nil) },
		"Axpy":          func() { Axpy(1, f, f[:3]) },
		"ToHalf":        func() { ToHalf(h, f[1:]) },
		"FromHalf":      func() { FromHalf(f[1:], h) },
		"DotHalf":       func() { DotHalf(f, h[1:]) },
		"L2Half":        func() { L2Half(f, h[1:]) },
		"DotI8":         func() { DotI8(b, b[1:]) },
		"L2U8":          func() { L2U8(u, u[1:]) },
		"Hamming":       func() { Hamming(w, w[1:]) },
		"Add":           func() { Add(f, f[1:]) },
		"Max":           func() { Max(nil) },
		"DotRows":       func() { DotRows(f[:4], f, 5, out) },
		"L2Rows":        func() { L2Rows(f[:4], f, 3, out) },
		"DotGather":     func() { DotGather(f[:2], f, 2, ids, out[:1]) },
		"L2Gather":      func() { L2Gather(f[:3], f, 3, ids, out) },
		"DotRowsHalf":   func() { DotRowsHalf(f[:4], h, -4, out) },
		"L2GatherHalf":  func() { L2GatherHalf(f[:3], h, math.MaxInt, ids, out) },
		"DotGatherI8":   func() { DotGatherI8(b[:2], b[:7], 2, ids, ints) },
		"L2RowsU8":      func() { L2RowsU8(u, u, 8, ints) },
		"HammingGather": func() { HammingGather(w[:3], w, 3, ids, ints) },

		"Exp":           func() { Exp(f, f[1:]) },
		"Softmax":       func() { Softmax(f[1:], f) },
		"ColumnMoments": func() { ColumnMoments(f, f[:3], f[3:6]) },
		"Normalise":     func() { Normalise(f, f, 0, 1, f, f[1:]) },
		"LayerNormGrad": func() { LayerNormGrad(f, f, f, 0, 1, f, f, f[1:]) },
		"MulAdd":        func() { MulAdd(f, f, f, f[1:]) },
		"Gather":        func() { Gather(f[:4], f[:7], 2, ids) },
		"ScatterAdd":    func() { ScatterAdd(f, f[:3], 2, ids) },
		"SGD":           func() { SGD(f, f[1:], 1, 0) },
		"Adam":          func() { Adam(f, f, f, f, AdamStep{Beta1: .9, Beta2: .9}) },
		"AdamRows":      func() { AdamRows(f, f[:4], f, f[1:], 2, ids, AdamStep{Step: 1}) },
		"Adagrad":       func() { Adagrad(f, f, f[1:], 1, 1) },
		"AdagradRows":   func() { AdagradRows(f[:7], f[:4], f[:7], 2, ids, 1, 1) },

		"AffineRowsI8":   func() { AffineRowsI8(u, new([5]float32), make([]uint8, 47), 24, out) },
		"AffineGatherI8": func() { AffineGatherI8(u, new([5]float32), make([]uint8, 96), 23, ids, out) },
		"AffineRowsI4":   func() { AffineRowsI4(b[:7], new([5]float32), make([]uint8, 39), 20, out) },
		"AffineGatherI4": func() { AffineGatherI4(b[:7], new([5]float32), make([]uint8, 96), 19, ids, out) },
		"AffineRowsI1":   func() { AffineRowsI1(w[:6], new([5]float32), make([]uint8, 96), 32, out) },
		"Quantise":       func() { Quantise(u, f[1:], &Steps{}) },
		"Place":          func() { Place(f, 1) },
		"DropReLU":       func() { DropReLU(f, f[1:], 1, 0, 0) },
		"DropReLUGrad":   func() { DropReLUGrad(f, f[1:], 0, 0) },
		"SinCosTurns":    func() { SinCosTurns(f, f[1:], f, 1) },
		"Below":          func() { Below(f, 1, 0, ids) },
		"FetchRows":      func() { FetchRows(ids, nil, 0, f, 4, 4, ids[:1]) },
		"AffineGatherI1": func() { AffineGatherI1(w, new([5]float32), make([]uint8, 64), 32, ids, out) },
	} {
		func() {
			defer func() {
				if msg, _ := recover().(string); !strings.HasPrefix(msg, "simd: "+name+": ") {
					t.Errorf("%s panicked with %q", name, msg)
				}
			}()
			call()
		}()
	}
}
