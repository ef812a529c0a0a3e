package arena

import (
	"errors"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unsafe"
)

func reserveT(t *testing.T, max int64) *Region {
	t.Helper()
	r, err := Reserve(max)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Free(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func grow(t *testing.T, r *Region, size int64) {
	t.Helper()
	if err := r.Grow(size); err != nil {
		t.Fatal(err)
	}
}

func TestGrowKeepsContentsAndAddsZeroes(t *testing.T) {
	r := reserveT(t, 64<<20)
	filled := 0
	for size := int64(1); size <= 64<<20; size = size*3 + 4096 {
		grow(t, r, size)
		if r.Len() < size || r.Len() > r.Cap() {
			t.Fatalf("Len is %d after Grow(%d), Cap %d", r.Len(), size, r.Cap())
		}
		v := View[uint32](r)
		if len(v) != int(r.Len()/4) {
			t.Fatalf("view has %d elements of %d bytes", len(v), r.Len())
		}
		for i := range v {
			want := uint32(i)
			if i >= filled {
				want = 0
			}
			if v[i] != want {
				t.Fatalf("element %d is %d, want %d", i, v[i], want)
			}
			v[i] = uint32(i)
		}
		filled = len(v)
	}
}

func TestBaseAddressNeverMovesWhereStable(t *testing.T) {
	r := reserveT(t, 32<<20)
	if !r.Stable() {
		t.Skip("this system has no stable regions")
	}
	grow(t, r, 1)
	base, whole := &View[float32](r)[0], Whole[float32](r)
	grow(t, r, 32<<20)
	if &View[float32](r)[0] != base || &whole[0] != base {
		t.Fatal("base address moved")
	}
	if int64(len(whole)) != r.Cap()/4 {
		t.Fatalf("whole view has %d elements, want %d", len(whole), r.Cap()/4)
	}
	whole[len(whole)-1] = 7
	if v := View[float32](r); v[len(v)-1] != 7 {
		t.Fatal("views taken before and after Grow show different memory")
	}
}

func TestBaseIsAlignedToAHugePage(t *testing.T) {
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
		t.Skip("only where huge pages are advised")
	}
	for range 4 {
		r := reserveT(t, 1)
		grow(t, r, 1)
		if p := uintptr(unsafe.Pointer(&View[byte](r)[0])); p%(2<<20) != 0 {
			t.Fatalf("base is %#x", p)
		}
	}
}

func TestMemoryBeyondLenFaults(t *testing.T) {
	r := reserveT(t, 16<<20)
	if !r.Stable() {
		t.Skip("this system has no protected reservation")
	}
	grow(t, r, 2<<20)
	whole := Whole[byte](r)
	whole[r.Len()-1] = 1
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	for _, at := range []int64{r.Len(), r.Len() + 4096, r.Cap() - 1} {
		faulted := func() (faulted bool) {
			defer func() { faulted = recover() != nil }()
			whole[at]++
			return false
		}()
		if !faulted {
			t.Fatalf("byte %d is accessible, committed are %d", at, r.Len())
		}
	}
}

func TestHugeReservationCostsNoMemory(t *testing.T) {
	if strconv.IntSize == 32 {
		t.Skip("64 GiB cannot be addressed")
	}
	before := resident(t)
	r := reserveT(t, 64<<30)
	if !r.Stable() {
		t.Skip("this system commits memory when it grows")
	}
	grow(t, r, 1<<30)
	View[byte](r)[512<<20] = 1
	if d := resident(t) - before; d >= 1<<30 {
		t.Fatalf("resident memory rose by %d bytes", d)
	}
}

// resident is the resident set size of this process in bytes.
func resident(t *testing.T) int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("no /proc here:", err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

func TestReserveRefusesSizesItCannotAddress(t *testing.T) {
	for _, size := range []int64{math.MinInt64, -1, 0, math.MaxInt64, math.MaxInt64 - 1} {
		if r, err := Reserve(size); !errors.Is(err, ErrSize) {
			t.Errorf("Reserve(%d) = %v, %v; want ErrSize", size, r, err)
		}
	}
	if strconv.IntSize == 64 && stable {
		if _, err := Reserve(1 << 61); !errors.Is(err, ErrMemory) {
			t.Errorf("Reserve of 2 EiB: %v; want ErrMemory", err)
		}
	}
}

func TestGrowBeyondReservationChangesNothing(t *testing.T) {
	r := reserveT(t, 1<<20)
	grow(t, r, 1)
	before := r.Len()
	if err := r.Grow(r.Cap() + 1); !errors.Is(err, ErrFull) {
		t.Fatalf("got %v, want ErrFull", err)
	}
	if r.Len() != before {
		t.Fatalf("Len is %d, was %d", r.Len(), before)
	}
	grow(t, r, r.Cap())
	grow(t, r, 1) // never shrinks
	if r.Len() != r.Cap() {
		t.Fatalf("Len is %d, want %d", r.Len(), r.Cap())
	}
}

func TestFreedRegionHoldsNothing(t *testing.T) {
	r, err := Reserve(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	grow(t, r, 1)
	for range 2 {
		if err := r.Free(); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Grow(1); !errors.Is(err, ErrFreed) {
		t.Errorf("Grow after Free: %v, want ErrFreed", err)
	}
	if r.Len() != 0 || r.Cap() != 0 || View[byte](r) != nil || Whole[byte](r) != nil {
		t.Error("a freed region still shows memory")
	}
}

func TestReadersUseTheCommittedPartWhileItGrows(t *testing.T) {
	r := reserveT(t, 64<<20)
	if !r.Stable() {
		t.Skip("readers must be kept out where the base moves")
	}
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				if v := View[uint64](r); len(v) > 0 && v[len(v)-1] != 0 {
					t.Error("fresh memory is not zero")
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for size := int64(2 << 20); size <= r.Cap(); size += 2 << 20 {
		grow(t, r, size)
	}
	close(done)
	readers.Wait()
}

func TestViewsHaveWholeElementsOfEveryType(t *testing.T) {
	r := reserveT(t, 1)
	if View[float64](r) != nil {
		t.Fatal("an empty region has a view")
	}
	grow(t, r, 1)
	n := int(r.Len())
	if a, b, c, d := len(View[int8](r)), len(View[uint16](r)), len(View[float32](r)), len(View[uint64](r)); a != n || b != n/2 || c != n/4 || d != n/8 {
		t.Fatalf("views of %d bytes have %d, %d, %d, %d elements", n, a, b, c, d)
	}
}

func TestDiscardGivesWholePagesBackAndKeepsTheRest(t *testing.T) {
	r := reserveT(t, 64<<20)
	if !r.Stable() {
		t.Skip("the garbage collector owns the memory")
	}
	grow(t, r, 64<<20)
	v := View[byte](r)
	for i := range v {
		v[i] = 7
	}
	before := resident(t)
	r.Discard(101, 64<<20-101)
	r.Discard(5, 5)
	if d := before - resident(t); runtime.GOOS == "linux" && d < 60<<20 {
		t.Errorf("resident memory fell by %d bytes only", d)
	}
	for _, i := range []int{0, 100, 64<<20 - 101, 64<<20 - 1} {
		if v[i] != 7 {
			t.Errorf("byte %d outside the range is %d", i, v[i])
		}
	}
	v[32<<20] = 9
	if v[32<<20] != 9 {
		t.Error("discarded memory does not hold what is written to it")
	}
}
