package bench

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"image/jpeg"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"encoding/csv"

	"github.com/eiderdb/eider/index/rotate"
	"github.com/eiderdb/eider/internal/dataset"
	"github.com/eiderdb/eider/simd"
)

// labelled is a set to classify: rows of dim components in [0, 1], and a class for each.
type labelled struct {
	name        string
	dim         int
	train, test []float32
	trainY      []int
	testY       []int
	classes     int
}

// labelledSets are the names readLabelled knows.
var labelledSets = []string{"mnist", "fashion-mnist", "cifar10", "digits"}

// readLabelled reads a set from the data directory. Of digits, which has no test of its own,
// every fourth row is one. Error: ErrSet.
func readLabelled(dir, name string) (*labelled, error) {
	var s *labelled
	var err error
	switch name {
	case "mnist", "fashion-mnist":
		s, err = idxLabelled(filepath.Join(dir, name))
	case "cifar10":
		s, err = cifar(filepath.Join(dir, "cifar10-jpeg"))
	case "digits":
		s, err = digits(filepath.Join(dir, "sklearn-toy", "digits.csv.gz"))
	default:
		err = fmt.Errorf("%q is none of %v", name, labelledSets)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSet, err)
	}
	s.name = name
	for _, y := range s.trainY {
		s.classes = max(s.classes, y+1)
	}
	return s, nil
}

func idxLabelled(dir string) (*labelled, error) {
	s := &labelled{}
	for _, part := range []struct {
		file string
		rows *[]float32
		y    *[]int
	}{{"train", &s.train, &s.trainY}, {"t10k", &s.test, &s.testY}} {
		m, err := matrix(filepath.Join(dir, part.file+"-images-idx3-ubyte.gz"), 0)
		if err != nil {
			return nil, err
		}
		r, closer, err := open(filepath.Join(dir, part.file+"-labels-idx1-ubyte.gz"))
		if err != nil {
			return nil, err
		}
		defer closer()
		var y dataset.Ints
		if y, err = r.Ints(0); err != nil || y.Rows != m.Rows {
			return nil, fmt.Errorf("%d images, %d labels: %w", m.Rows, y.Rows, err)
		}
		s.dim = m.Cols
		*part.rows = scaled(m.Data, 1./255)
		for _, x := range y.Data {
			*part.y = append(*part.y, int(x))
		}
	}
	return s, nil
}

func scaled(x []float32, by float32) []float32 {
	simd.Scale(x, by)
	return x
}

func digits(path string) (*labelled, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	all, err := csv.NewReader(z).ReadAll()
	if err != nil {
		return nil, err
	}
	s := &labelled{}
	for i, cells := range all {
		s.dim = len(cells) - 1
		row := make([]float32, 0, len(cells))
		for _, c := range cells {
			x, err := strconv.ParseFloat(c, 32)
			if err != nil {
				return nil, err
			}
			row = append(row, float32(x))
		}
		y := int(row[s.dim])
		if row = scaled(row[:s.dim], 1./16); i%4 == 3 {
			s.test, s.testY = append(s.test, row...), append(s.testY, y)
		} else {
			s.train, s.trainY = append(s.train, row...), append(s.trainY, y)
		}
	}
	return s, nil
}

// cifar reads folders of JPEG images, one a class.
func cifar(dir string) (*labelled, error) {
	s := &labelled{dim: 32 * 32 * 3}
	classes := map[string]int{}
	for _, part := range []struct {
		file string
		rows *[]float32
		y    *[]int
	}{{"train-2000-per-class.tar.gz", &s.train, &s.trainY}, {"test.tar.gz", &s.test, &s.testY}} {
		f, err := os.Open(filepath.Join(dir, part.file))
		if err != nil {
			return nil, err
		}
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			return nil, err
		}
		for in := tar.NewReader(z); ; {
			h, err := in.Next()
			if errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, err
			}
			if !strings.HasSuffix(h.Name, ".jpg") {
				continue
			}
			img, err := jpeg.Decode(in)
			if err != nil || img.Bounds().Dx() != 32 || img.Bounds().Dy() != 32 {
				return nil, fmt.Errorf("%s: %w", h.Name, err)
			}
			for y := range 32 {
				for x := range 32 {
					r, g, b, _ := img.At(x, y).RGBA()
					*part.rows = append(*part.rows, float32(r)/65535, float32(g)/65535, float32(b)/65535)
				}
			}
			class := filepath.Base(filepath.Dir(h.Name))
			if _, ok := classes[class]; !ok {
				classes[class] = len(classes)
			}
			*part.y = append(*part.y, classes[class])
		}
	}
	return s, nil
}

// reduce replaces rows by their first k principal components, which are found without
// labels, of the rows to train by. Components are not scaled. O(rows·dim²).
func (s *labelled) reduce(ctx context.Context, k int, seed uint64) error {
	d, n := s.dim, len(s.trainY)
	mean := make([]float32, d)
	for i := range n {
		simd.Add(mean, s.train[i*d:][:d])
	}
	simd.Scale(mean, 1/float32(n))
	for _, rows := range [][]float32{s.train, s.test} {
		for i := 0; i < len(rows); i += d {
			simd.Sub(rows[i:i+d], mean)
		}
	}
	cov := make([]float32, d*d)
	simd.Gemm(true, false, d, d, n, 1/float32(n), s.train, d, s.train, d, 0, cov, d)
	axes, err := leading(ctx, cov, d, k, seed)
	if err != nil {
		return err
	}
	for _, rows := range []*[]float32{&s.train, &s.test} {
		m := len(*rows) / d
		out := make([]float32, m*k)
		simd.Gemm(false, true, m, k, d, 1, *rows, d, axes, d, 0, out, k)
		*rows = out
	}
	s.dim = k
	return nil
}

// leading are the eigenvectors of the k largest eigenvalues of a symmetric matrix, d × d,
// by rows: iterations of a subspace half as large again, then an exact solution within it.
func leading(ctx context.Context, a []float32, d, k int, seed uint64) ([]float32, error) {
	b := min(d, k+k/2)
	rng := rand.New(rand.NewPCG(seed, 0x706361))
	q, next := make([]float32, b*d), make([]float32, b*d)
	for i := range q {
		q[i] = float32(rng.NormFloat64())
	}
	for range 40 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		orthogonal(q, d)
		simd.Gemm(false, false, b, d, d, 1, q, d, a, d, 0, next, d)
		q, next = next, q
	}
	orthogonal(q, d)
	simd.Gemm(false, false, b, d, d, 1, q, d, a, d, 0, next, d)
	inner := make([]float32, b*b)
	simd.Gemm(false, true, b, b, d, 1, next, d, q, d, 0, inner, b)
	small := make([]float64, b*b)
	for i := range b {
		for j := range b {
			small[i*b+j] = float64(inner[i*b+j]+inner[j*b+i]) / 2
		}
	}
	values, err := rotate.Eigen(ctx, small, b)
	if err != nil {
		return nil, err
	}
	order := make([]int, b)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		if values[i] > values[j] {
			return -1
		}
		return 1
	})
	out := make([]float32, k*d)
	for i, from := range order[:k] {
		for j := range b {
			simd.Axpy(float32(small[from*b+j]), q[j*d:][:d], out[i*d:][:d])
		}
	}
	return out, nil
}

// orthogonal makes the rows of q orthogonal and of length 1, in order.
func orthogonal(q []float32, d int) {
	for i := 0; i < len(q); i += d {
		row := q[i : i+d]
		for range 2 { // once leaves what rounding does
			for j := 0; j < i; j += d {
				simd.Axpy(-simd.Dot(row, q[j:j+d]), q[j:j+d], row)
			}
		}
		simd.Scale(row, float32(1/math.Sqrt(float64(simd.Dot(row, row)))))
	}
}
