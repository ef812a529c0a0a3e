package bench

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/eiderdb/eider/internal/arena"
	"github.com/eiderdb/eider/simd"
)

//go:embed kernels/kernels.c
var kernelsC []byte

// Of the calls that Kernels times.
const (
	listLength = 32      // rows a call
	listSupply = 1 << 20 // ids drawn
	calls      = 512     // a turn: enough that what the other side left in caches matters little
)

// kernel is one distance kernel as both sides run it.
type kernel struct {
	name, shape string
	// dim counts components, but words where rows are bits; stride is a row in
	// bytes.
	dim, stride int
	cached      bool // rows of 8 that stay in a cache, not random ones
	call        func(m *rowSpace, dim, stride int, ids []uint32)
}

// rowSpace is the memory that rows are in, as every type, and room for results.
type rowSpace struct {
	floats []float32
	bytes  []uint8
	signed []int8
	words  []uint64
	scores [listLength]float32
	sums   [listLength]int32
	ids    []uint32
	drawn  int // what ids are below
	at     int // the next id of the supply
}

// errKernels reports that the C kernels cannot run here.
var errKernels = errors.New("not compared")

var affine = [5]float32{0.5, 1, -1, 2, 3}

// Kernels compares the speed of package simd's kernels with that of the same
// kernels in C with intrinsics (kernels/kernels.c), compiled by gcc -O3 for this
// machine, for each implementation. Both score the same rows by turns; the
// fastest of the turns counts, by the clock of the thread. Ratios are of speeds.
//
// A pair is a call for each row, and C calls cheaper: on Sapphire Rapids a call that
// does nothing took 1.4 ns of the 5.5 of a pair of 128 components in C, and 2.2 of
// 6.5 in Go, whose callers pass all to assembly through the stack and keep nothing
// in registers.
func Kernels(ctx context.Context, o Options, w io.Writer) error {
	r := newReport("kernels", "random rows", o, w)
	temp, err := os.MkdirTemp("", "eider-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	size, turns := int64(256<<20), 40
	if o.Quick {
		size, turns = 128<<20, 10
	}
	region, err := arena.Reserve(size)
	if err != nil {
		return err
	}
	defer region.Free()
	if err := region.Grow(size); err != nil {
		return err
	}
	m := newRowSpace(region)
	r.printf("distance kernels of package simd beside C, rows of %d MB, %s\n", size>>20, cpuName())
	before := simd.Active()
	defer simd.Select(before)
	for _, isa := range []string{"avx512", "avx2"} {
		if err := simd.Select(isa); err != nil {
			r.absent("gcc "+isa, err.Error())
			continue
		}
		c, err := compileKernels(ctx, temp, isa, size)
		if errors.Is(err, errKernels) {
			r.absent("gcc "+isa, err.Error())
			continue
		}
		if err == nil {
			err = errors.Join(compareKernels(ctx, r, m, c, isa, turns), c.close())
		}
		if err != nil {
			return err
		}
	}
	r.table()
	return r.err
}

// newRowSpace views the region and fills it with float32 numbers from 1 to 2, as
// the C program does.
func newRowSpace(region *arena.Region) *rowSpace {
	m := &rowSpace{
		floats: arena.View[float32](region), bytes: arena.View[uint8](region), signed: arena.View[int8](region),
		words: arena.View[uint64](region), ids: make([]uint32, listSupply),
	}
	seed := uint64(1)
	for i := range m.words {
		m.words[i] = splitmix(&seed)&0x007fffff007fffff | 0x3f8000003f800000
	}
	return m
}

// splitmix is the next number of a splitmix64 generator.
func splitmix(seed *uint64) uint64 {
	*seed += 0x9e3779b97f4a7c15
	z := *seed
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// draw fills ids with random ones below count.
func (m *rowSpace) draw(count int) {
	if m.drawn == count {
		return
	}
	seed := uint64(count)
	for i := range m.ids {
		m.ids[i] = uint32(splitmix(&seed) % uint64(count))
	}
	m.drawn = count
}

// kernels lists what is compared.
func kernels() []kernel {
	var list []kernel
	add := func(name, shape string, dim, stride int, call func(m *rowSpace, dim, stride int, ids []uint32)) {
		list = append(list, kernel{name, shape, dim, stride, true, call})
		if shape != "pair" {
			list = append(list, kernel{name, shape, dim, stride, false, call})
		}
	}
	for _, dim := range []int{128, 784} {
		floatKernels(add, "dot", dim, dotPairs, simd.DotRows, simd.DotGather)
		floatKernels(add, "l2", dim, l2Pairs, simd.L2Rows, simd.L2Gather)
		add("u8", "gather", dim, dim, func(m *rowSpace, dim, _ int, ids []uint32) {
			simd.L2GatherU8(m.bytes[:dim], m.bytes, dim, ids, m.sums[:])
		})
	}
	for _, words := range []int{2, 12, 24} {
		add("hamming", "gather", words, 8*words, func(m *rowSpace, words, _ int, ids []uint32) {
			simd.HammingGather(m.words[:words], m.words, words, ids, m.sums[:])
		})
	}
	for _, dim := range []int{128, 400, 784, 1536} {
		add("i8", "gather", dim, affineStride(dim), func(m *rowSpace, dim, stride int, ids []uint32) {
			simd.AffineGatherI8(m.bytes[:dim], &affine, m.bytes, stride, ids, m.scores[:])
		})
		add("i8", "rows", dim, affineStride(dim), func(m *rowSpace, dim, stride int, ids []uint32) {
			simd.AffineRowsI8(m.bytes[:dim], &affine, m.bytes[int(ids[0])*stride:], stride, m.scores[:])
		})
		add("i4", "gather", dim, affineStride((dim+1)/2), func(m *rowSpace, dim, stride int, ids []uint32) {
			simd.AffineGatherI4(m.signed[:dim], &affine, m.bytes, stride, ids, m.scores[:])
		})
		words := (dim + 63) / 64
		add("i1", "gather", words, affineStride(8*words), func(m *rowSpace, words, stride int, ids []uint32) {
			simd.AffineGatherI1(m.words[:4*words], &affine, m.bytes, stride, ids, m.scores[:])
		})
	}
	return list
}

// floatKernels adds the three shapes of a float32 distance.
func floatKernels(add func(name, shape string, dim, stride int, call func(*rowSpace, int, int, []uint32)), name string, dim int,
	pairs func(m *rowSpace, dim, stride int, ids []uint32),
	rows func(q, rows []float32, stride int, out []float32),
	gather func(q, rows []float32, stride int, ids []uint32, out []float32),
) {
	add(name, "pair", dim, 4*dim, pairs)
	add(name, "rows", dim, 4*dim, func(m *rowSpace, dim, _ int, ids []uint32) {
		rows(m.floats[:dim], m.floats[int(ids[0])*dim:], dim, m.scores[:])
	})
	add(name, "gather", dim, 4*dim, func(m *rowSpace, dim, _ int, ids []uint32) {
		gather(m.floats[:dim], m.floats, dim, ids, m.scores[:])
	})
}

// dotPairs and l2Pairs call a function that is not inlined for each id, as the C
// program does.
func dotPairs(m *rowSpace, dim, _ int, ids []uint32) {
	q, rows, out := m.floats[:dim], m.floats, m.scores[:len(ids)]
	for i, id := range ids {
		out[i] = simd.Dot(q, rows[int(id)*dim:][:dim])
	}
}

func l2Pairs(m *rowSpace, dim, _ int, ids []uint32) {
	q, rows, out := m.floats[:dim], m.floats, m.scores[:len(ids)]
	for i, id := range ids {
		out[i] = simd.L2(q, rows[int(id)*dim:][:dim])
	}
}

// affineStride is a row of so many bytes of codes, of whole 16 bytes.
func affineStride(codes int) int { return (simd.AffineHeader + codes + 15) &^ 15 }

// step is the number of ids that a call takes from the supply.
func (k kernel) step() int {
	if k.shape == "rows" {
		return 1
	}
	return listLength
}

// within is the number of bytes that rows are drawn from; the lists of the last
// ids end inside it.
func (k kernel) within(size int) int {
	if k.cached {
		return (listLength + 8) * k.stride
	}
	return size
}

// title names the figure: l2 gather 128 cached.
func (k kernel) title() string {
	place := "random"
	switch {
	case k.cached:
		place = "cached"
	case k.shape == "rows":
		place = "in order"
	}
	return fmt.Sprintf("%s %s %d %s", k.name, k.shape, k.dim, place)
}

// compareKernels times every kernel of one implementation beside C's, and fails
// if results differ.
func compareKernels(ctx context.Context, r *report, m *rowSpace, c *kernelProcess, isa string, turns int) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, k := range kernels() {
		within := k.within(len(m.bytes))
		m.draw(within/k.stride - listLength)
		m.at = 0
		best, theirs := math.Inf(1), math.Inf(1)
		for range turns {
			if err := ctx.Err(); err != nil {
				return context.Cause(ctx)
			}
			first, start := m.at, threadCPU()
			for range calls {
				k.call(m, k.dim, k.stride, m.ids[m.at:m.at+k.step()])
				if m.at += k.step(); m.at+k.step() > len(m.ids) {
					m.at = 0
				}
			}
			spent := threadCPU() - start
			took, sum, err := c.run(k, within, calls, first)
			if err != nil {
				return err
			}
			if own := m.sum(k); math.Abs(own-sum) > 1e-4*(math.Abs(sum)+1) {
				return fmt.Errorf("%s, %s: simd gives %g, C %g", k.title(), isa, own, sum)
			}
			best, theirs = min(best, float64(spent)/float64(calls)), min(theirs, float64(took)/float64(calls))
		}
		rate := func(ns float64) float64 { return listLength * 1e3 / ns }
		r.against("gcc "+isa, k.title(), rate(best), rate(theirs), "M rows/s", "higher", "")
	}
	return nil
}

// sum adds the results of the last call.
func (m *rowSpace) sum(k kernel) float64 {
	s := 0.0
	for i := range listLength {
		if k.name == "u8" || k.name == "hamming" {
			s += float64(m.sums[i])
		} else {
			s += float64(m.scores[i])
		}
	}
	return s
}

// kernelProcess is the C program; its source tells the protocol.
type kernelProcess struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Scanner
	errs tailBuffer
}

// compileKernels builds the C program for an implementation and starts it. The
// error wraps errKernels where there is no compiler or another architecture.
func compileKernels(ctx context.Context, temp, isa string, size int64) (*kernelProcess, error) {
	if runtime.GOARCH != "amd64" || threadCPU() == 0 {
		return nil, fmt.Errorf("%w: the C kernels are for Linux on amd64", errKernels)
	}
	cc, err := exec.LookPath("gcc")
	if err != nil {
		return nil, fmt.Errorf("%w: no gcc", errKernels)
	}
	source, bin := filepath.Join(temp, "kernels.c"), filepath.Join(temp, "kernels-"+isa)
	if err := os.WriteFile(source, kernelsC, 0o644); err != nil {
		return nil, err
	}
	args := []string{"-O3", "-march=native", "-o", bin, source}
	if isa == "avx2" {
		args = slices.Insert(args, 2, "-mno-avx512f")
	}
	if out, err := exec.CommandContext(ctx, cc, args...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("compiling the C kernels: %w: %s", err, bytes.TrimSpace(out))
	}
	c := &kernelProcess{cmd: exec.CommandContext(ctx, bin, fmt.Sprint(size))}
	c.cmd.Stderr, c.cmd.WaitDelay = &c.errs, 2*time.Second
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewScanner(out)
	return c, c.cmd.Start()
}

// run makes calls of a kernel and returns their time and the sum of the last
// one's results.
func (c *kernelProcess) run(k kernel, within, calls, first int) (time.Duration, float64, error) {
	fmt.Fprintln(c.in, k.name, k.shape, k.dim, k.stride, within, calls, first)
	var ns int64
	var sum float64
	if !c.out.Scan() {
		return 0, 0, fmt.Errorf("the C kernels ended: %s", c.errs.String())
	}
	_, err := fmt.Sscan(c.out.Text(), &ns, &sum)
	return time.Duration(ns), sum, err
}

// close ends the program.
func (c *kernelProcess) close() error { return errors.Join(c.in.Close(), c.cmd.Wait()) }
