package dataset

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// want is the value every golden file holds at a row and column.
func want(i, j int, signed bool) float32 {
	v := (i*7 + j*3) % 101
	if signed {
		v -= 20
	}
	return float32(v)
}

func golden(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func check(t *testing.T, m Matrix, rows, cols int, signed bool) {
	t.Helper()
	if m.Rows != rows || m.Cols != cols || len(m.Data) != rows*cols {
		t.Fatalf("%d x %d with %d elements, want %d x %d", m.Rows, m.Cols, len(m.Data), rows, cols)
	}
	for i := range rows {
		for j, x := range m.Row(i) {
			if x != want(i, j, signed) {
				t.Fatalf("element %d,%d is %v, want %v", i, j, x, want(i, j, signed))
			}
		}
	}
}

var goldens = []struct {
	name   string
	signed bool
	floats bool
}{
	{"a.fvecs", true, true}, {"a.bvecs", false, false}, {"a.ivecs", true, false},
	{"a.fbin", true, true}, {"a.u8bin", false, false}, {"a.i8bin", true, false}, {"a.ibin", true, false},
	{"a-lef4.npy", true, true}, {"a-lef8.npy", true, true}, {"a-lef2.npy", true, true}, {"a-bef4.npy", true, true},
	{"a-lei8.npy", true, false}, {"a-lei2.npy", true, false}, {"a-leu1.npy", false, false},
	{"a-idx3-ubyte.gz", false, false}, {"a-idx2-float", true, true},
}

func open(t *testing.T, name string) *Reader {
	t.Helper()
	f, ok := FormatOf(name)
	if name == "a-idx2-float" {
		f, ok = IDX, true
	}
	if !ok {
		t.Fatalf("FormatOf(%q) found no format", name)
	}
	r, err := NewReader(f, bytes.NewReader(golden(t, name)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEveryFormatReadsWhatItsOwnToolsWrote(t *testing.T) {
	for _, g := range goldens {
		t.Run(g.name, func(t *testing.T) {
			m, err := open(t, g.name).Matrix(0)
			if err != nil {
				t.Fatal(err)
			}
			check(t, m, 6, 5, g.signed)
			n, err := open(t, g.name).Ints(4)
			if g.floats {
				if !errors.Is(err, ErrUnsupported) {
					t.Fatalf("floats read as integers: %v", err)
				}
				return
			}
			if err != nil || n.Rows != 4 || n.Cols != 5 {
				t.Fatalf("integers: %d x %d, %v", n.Rows, n.Cols, err)
			}
			if got := n.Row(3)[2]; float32(got) != want(3, 2, g.signed) {
				t.Errorf("integer 3,2 is %d", got)
			}
		})
	}
}

func TestMatrixStopsAtItsLimitAndNextGoesOn(t *testing.T) {
	r := open(t, "a.fvecs")
	m, err := r.Matrix(2)
	if err != nil {
		t.Fatal(err)
	}
	check(t, m, 2, 5, true)
	row, err := r.Next()
	if err != nil || row[0] != want(2, 0, true) {
		t.Fatalf("third row %v, %v", row, err)
	}
	for range 3 {
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if _, err := r.Next(); err != io.EOF {
			t.Fatalf("after the last row: %v", err)
		}
	}
}

func TestOneDimensionalArrayIsAColumn(t *testing.T) {
	n, err := open(t, "labels.npy").Ints(0)
	if err != nil || n.Cols != 1 || !slices.Equal(n.Data, []int32{0, 1, 2, 3, 4, 5}) {
		t.Fatalf("%+v, %v", n, err)
	}
}

func TestFortranOrderIsRefusedWithAdvice(t *testing.T) {
	_, err := NewReader(Npy, bytes.NewReader(golden(t, "fortran.npy")))
	if !errors.Is(err, ErrUnsupported) {
		t.Fatal(err)
	}
}

func TestEveryTruncationIsATypedError(t *testing.T) {
	typed := []error{ErrFormat, ErrTruncated, ErrUnsupported, ErrTooLarge}
	for _, g := range goldens {
		f, ok := FormatOf(g.name)
		if !ok {
			f = IDX
		}
		whole := golden(t, g.name)
		for n := range len(whole) {
			r, err := NewReader(f, bytes.NewReader(whole[:n]))
			rows := 0
			if err == nil {
				var m Matrix
				m, err = r.Matrix(0)
				rows = m.Rows
			}
			if err == nil && r.prefix && n%(4+r.cols*r.elem.size) == 0 && rows == n/(4+r.cols*r.elem.size) {
				continue // vecs cut between rows: shorter, and whole
			}
			if err == nil && rows == 6 {
				continue // only the gzip trailer is missing
			}
			if !slices.ContainsFunc(typed, func(e error) bool { return errors.Is(err, e) }) {
				t.Fatalf("%s cut to %d bytes: %d rows, %v", g.name, n, rows, err)
			}
		}
	}
}

func TestALyingHeaderTakesNoMemory(t *testing.T) {
	head := []byte{0xff, 0xff, 0xff, 0x7f, 0x00, 0x01, 0x00, 0x00} // 2^31-1 rows of 256
	r, err := NewReader(Fbin, bytes.NewReader(head))
	if err != nil {
		t.Fatal(err)
	}
	if n := r.guess(0); n > 1<<20 {
		t.Errorf("first capacity is %d elements on the header's word", n)
	}
	if _, err := r.Matrix(0); !errors.Is(err, ErrTruncated) {
		t.Error(err)
	}
	head[7] = 1 // 16 million columns
	if _, err := NewReader(Fbin, bytes.NewReader(head)); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
}

func TestWhatIsWrittenReadsBack(t *testing.T) {
	m := Matrix{Rows: 3, Cols: 2, Data: []float32{1, -2, math.MaxFloat32, 0, 5e-45, 7}}
	for _, f := range []Format{Fvecs, Fbin, Npy} {
		var b bytes.Buffer
		if err := Write(&b, f, m); err != nil {
			t.Fatal(err)
		}
		r, err := NewReader(f, &b)
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Matrix(0)
		if err != nil || got.Rows != 3 || !slices.Equal(got.Data, m.Data) {
			t.Errorf("%s: %+v, %v", f, got, err)
		}
	}
	n := Ints{Rows: 2, Cols: 2, Data: []int32{1, -2, math.MaxInt32, math.MinInt32}}
	for _, f := range []Format{Ivecs, Ibin, Npy} {
		var b bytes.Buffer
		if err := WriteInts(&b, f, n); err != nil {
			t.Fatal(err)
		}
		r, err := NewReader(f, &b)
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Ints(0)
		if err != nil || !slices.Equal(got.Data, n.Data) {
			t.Errorf("%s: %+v, %v", f, got, err)
		}
	}
	if err := Write(io.Discard, IDX, m); !errors.Is(err, ErrUnsupported) {
		t.Error(err)
	}
}

func TestHalfCoversEveryClassOfValue(t *testing.T) {
	for h, f := range map[uint16]float32{
		0x0000: 0, 0x3c00: 1, 0xc000: -2, 0x7bff: 65504, 0x0400: 6.103515625e-05,
		0x0001: 5.960464477539063e-08, 0x83ff: -6.097555160522461e-05, 0x7c00: float32(math.Inf(1)),
	} {
		if got := half(h); got != f {
			t.Errorf("half(%#04x) = %v, want %v", h, got, f)
		}
	}
	if x := half(0x7e00); x == x {
		t.Error("a NaN came back as a number")
	}
}

func TestGeneratorsAreSeededAndShaped(t *testing.T) {
	recipe := Clusters{Rows: 3000, Queries: 10, Seed: 7}
	base, queries := recipe.Generate()
	again, _ := recipe.Generate()
	if base.Rows != 3000 || base.Cols != 128 || queries.Rows != 10 {
		t.Fatalf("%d x %d and %d queries", base.Rows, base.Cols, queries.Rows)
	}
	if !slices.Equal(base.Data, again.Data) {
		t.Error("one recipe gave two sets")
	}
	recipe.Seed = 8
	if other, _ := recipe.Generate(); slices.Equal(base.Data, other.Data) {
		t.Error("two seeds gave one set")
	}
	clipped := 0
	for _, x := range base.Data {
		if x != float32(uint8(x)) {
			t.Fatalf("component %v is no byte", x)
		}
		if x == 0 || x == 255 {
			clipped++
		}
	}
	if share := float64(clipped) / float64(len(base.Data)); share > 0.25 {
		t.Errorf("%.0f%% of the components are clipped", share*100)
	}
	s := Sphere(1500, 16, 1)
	for i := range s.Rows {
		sum := 0.0
		for _, x := range s.Row(i) {
			sum += float64(x) * float64(x)
		}
		if math.Abs(sum-1) > 1e-5 {
			t.Fatalf("row %d has squared norm %v", i, sum)
		}
	}
}
