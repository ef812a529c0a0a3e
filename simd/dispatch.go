package simd

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"unsafe"
)

// ErrUnavailable reports an implementation that this CPU or this build does not
// have; errors.Is finds it in what Select returns.
var ErrUnavailable = errors.New("simd implementation is not available")

// Env is the environment variable that names the implementation to start with.
const Env = "EIDER_SIMD"

// kernels is one implementation: a function for each kernel. Arguments have
// been checked, and no vector is empty.
type kernels struct {
	lanes int // of float32, where assembly chooses the kernel of a pair by it; else 0
	name  string

	dot, l2             func(a, b []float32) float32 // where lanes is 0
	dotRows, l2Rows     func(q, rows []float32, stride int, out []float32)
	dotGather, l2Gather func(q, rows []float32, stride int, ids []uint32, out []float32)
	cosine              func(a, b []float32) (dot, aa, bb float32)
	axpy                func(alpha float32, x, y []float32)
	probe               func(x []float32) float32
	largest             func(ids []uint32) uint32

	toHalf                      func(dst []uint16, src []float32)
	fromHalf                    func(dst []float32, src []uint16)
	dotHalf, l2Half             func(q []float32, b []uint16) float32
	dotRowsHalf, l2RowsHalf     func(q []float32, rows []uint16, stride int, out []float32)
	dotGatherHalf, l2GatherHalf func(q []float32, rows []uint16, stride int, ids []uint32, out []float32)

	dotI8, l2I8             func(a, b []int8) int32
	dotRowsI8, l2RowsI8     func(q, rows []int8, stride int, out []int32)
	dotGatherI8, l2GatherI8 func(q, rows []int8, stride int, ids []uint32, out []int32)

	dotU8, l2U8             func(a, b []uint8) int32
	dotRowsU8, l2RowsU8     func(q, rows []uint8, stride int, out []int32)
	dotGatherU8, l2GatherU8 func(q, rows []uint8, stride int, ids []uint32, out []int32)

	popcount      func(a []uint64) int
	hamming       func(a, b []uint64) int
	hammingRows   func(q, rows []uint64, stride int, out []int32)
	hammingGather func(q, rows []uint64, stride int, ids []uint32, out []int32)

	affineRowsI8   func(q []uint8, k *[5]float32, rows []uint8, stride int, out []float32)
	affineGatherI8 func(q []uint8, k *[5]float32, rows []uint8, stride int, ids []uint32, out []float32)
	affineRowsI4   func(q []int8, k *[5]float32, rows []uint8, stride int, out []float32)
	affineGatherI4 func(q []int8, k *[5]float32, rows []uint8, stride int, ids []uint32, out []float32)
	affineRowsI1   func(q []uint64, k *[5]float32, rows []uint8, stride int, out []float32)
	affineGatherI1 func(q []uint64, k *[5]float32, rows []uint8, stride int, ids []uint32, out []float32)

	place    func(e []placed, d float32) int
	admit    func(row []uint32, seen []uint8, epoch uint8, ids []uint32, allow []uint64, dst []uint32) int
	span     func(v []float32) (lo, hi float32, parts uint32)
	quantise func(codes []uint8, v []float32, k *[5]float32) (sum, square int32, err float32, bits uint32)

	gemm *gemmKernels

	functions
}

var (
	// available lists the implementations of this CPU, best first; the last is
	// generic. Fixed after init.
	available []*kernels
	active    atomic.Pointer[kernels]
	reason    string
)

func init() {
	available = append(detect(), &generic)
	active.Store(available[0])
	if name := os.Getenv(Env); name != "" {
		if err := Select(name); err != nil {
			reason = fmt.Sprintf("%s=%s: %v; using %s", Env, name, err, Active())
		}
	}
}

// Select makes the named implementation ("avx512", "avx2", "neon" or "generic")
// the one that serves every later call. Tests and benchmarks use it; a program
// has no need to. On error, which wraps ErrUnavailable, nothing changes.
func Select(name string) error {
	for _, k := range available {
		if k.name == name {
			active.Store(k)
			return nil
		}
	}
	return fmt.Errorf("simd: %q: %w; choose one of %s", name, ErrUnavailable, strings.Join(Available(), ", "))
}

// Active names the implementation in use.
func Active() string { return active.Load().name }

// Available names the implementations that Select accepts here, best first.
func Available() []string {
	names := make([]string, len(available))
	for i, k := range available {
		names[i] = k.name
	}
	return names
}

// Reason says why the implementation named by EIDER_SIMD is not in use; empty
// if it is, or if the variable is not set. Programs log it at start.
func Reason() string { return reason }

// hide returns s in a form that escape analysis does not follow through the
// call of a kernel variable, so that callers may keep small slices on their
// stack. It is sound because no kernel keeps an argument, and because a stack
// moves at calls only, of which there is none while the address is an integer.
// Made of its parts, for unsafe.Slice would check the length each time.
func hide[T any](s []T) []T {
	h := struct {
		data     unsafe.Pointer
		len, cap int
	}{unsafe.Add(unsafe.Pointer(nil), uintptr(unsafe.Pointer(unsafe.SliceData(s)))), len(s), len(s)}
	return *(*[]T)(unsafe.Pointer(&h))
}
