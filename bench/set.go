package bench

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/internal/dataset"
)

// Set is a base to search in and queries to search for.
type Set struct {
	Name    string // file or recipe, with sizes where they were cut
	Base    dataset.Matrix
	Queries dataset.Matrix
	Labels  []int32 // class of each base row, nil when the set has none
	Metric  index.Metric
}

// ErrSet reports a data set that is not there or cannot be searched.
var ErrSet = errors.New("no such data set")

// Sets lists the names Options.Set knows besides files: MNIST's two, found in the
// data directory, and the generated ones.
func Sets() []string {
	return append([]string{"fashion-mnist", "mnist", "clusters", "clusters-100k", "sphere", "sift"}, slices.Sorted(maps.Keys(spectra))...)
}

// spectra are the generated sets that resemble embeddings, with their default
// sizes; dataset.Spectrum states the formula. Flat spectra decay slowly and lie in
// all components, nested ones decay fast and in the order of the components.
var spectra = map[string]dataset.Spectrum{
	"flat768":    {Rows: 200_000, Dim: 768, Knee: 1, Decay: 0.6},
	"nested768":  {Rows: 200_000, Dim: 768, Knee: 16, Decay: 2, Nested: true},
	"ood768":     {Rows: 200_000, Dim: 768, Knee: 1, Decay: 0.6, Gap: 0.7},
	"flat1536":   {Rows: 100_000, Dim: 1536, Knee: 1, Decay: 0.6},
	"nested1536": {Rows: 100_000, Dim: 1536, Knee: 16, Decay: 2, Nested: true},
}

// load finds and reads the set that o asks for, with at most rows base vectors
// and as many queries as given.
func load(o Options, rows, queries int) (*Set, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Rows > 0 {
		rows = o.Rows
	}
	if o.Queries > 0 {
		queries = o.Queries
	}
	dir, file, err := dataDir(o.Data)
	if err != nil {
		return nil, err
	}
	name := o.Set
	if name == "" {
		name = file
	}
	if name == "" {
		name = "clusters"
		if has(dir, "fashion-mnist/train-images-idx3-ubyte.gz") {
			name = "fashion-mnist"
		}
	}
	s, err := read(dir, name, o.seed(), rows, queries)
	if err != nil {
		return nil, err
	}
	if s.Base.Rows == 0 || s.Queries.Rows == 0 || s.Base.Cols != s.Queries.Cols {
		return nil, fmt.Errorf("%w: %s has %d x %d base vectors and %d x %d queries", ErrSet, name,
			s.Base.Rows, s.Base.Cols, s.Queries.Rows, s.Queries.Cols)
	}
	if s.Metric == index.Cosine {
		// Searched by squared distance between unit vectors: the same neighbours,
		// and no engine is charged for normalising.
		normalise(s.Base)
		normalise(s.Queries)
		s.Metric = index.L2
	}
	return s, nil
}

func read(dir, name string, seed uint64, rows, queries int) (*Set, error) {
	if recipe, ok := spectra[name]; ok {
		recipe.Kind, recipe.Rows, recipe.Queries, recipe.Seed = name, cut(recipe.Rows, rows), queries, seed
		base, q := recipe.Generate()
		return &Set{Name: recipe.Name(), Base: base, Queries: q, Metric: index.Cosine}, nil
	}
	switch name {
	case "sift":
		recipe := dataset.Sift{Rows: cut(1_000_000, rows), Queries: queries, Seed: seed}
		base, q := recipe.Generate()
		return &Set{Name: recipe.Name(), Base: base, Queries: q, Metric: index.L2}, nil
	case "clusters", "clusters-100k":
		n := 1_000_000
		if name == "clusters-100k" {
			n = 100_000
		}
		recipe := dataset.Clusters{Rows: cut(n, rows), Queries: queries, Seed: seed}
		base, q := recipe.Generate()
		return &Set{Name: recipe.Name(), Base: base, Queries: q, Metric: index.L2}, nil
	case "sphere":
		all := dataset.Sphere(cut(100_000, rows)+queries, 128, seed)
		n := all.Rows - queries
		return &Set{Name: fmt.Sprintf("sphere-%dx128-seed%d", n, seed), Base: all.Head(n), Queries: tail(all, n), Metric: index.L2}, nil
	case "fashion-mnist", "mnist":
		return mnist(filepath.Join(dir, name), name, rows, queries)
	}
	for _, path := range []string{name, filepath.Join(dir, name), filepath.Join(dir, name+".hdf5")} {
		info, err := os.Stat(path)
		switch {
		case err != nil:
			continue
		case info.IsDir():
			return pair(path, rows, queries)
		case strings.HasSuffix(path, ".hdf5") || strings.HasSuffix(path, ".h5"):
			return hdf5(path, rows, queries)
		}
		return held(path, rows, queries)
	}
	return nil, fmt.Errorf("%w: %q is neither one of %v nor a file, here or in %s; ann-benchmarks' files are at http://ann-benchmarks.com/<name>.hdf5",
		ErrSet, name, Sets(), dir)
}

// mnist reads IDX files: the training images are the base and the test images the
// queries, which is what ann-benchmarks' fashion-mnist-784-euclidean holds.
func mnist(dir, name string, rows, queries int) (*Set, error) {
	base, err := matrix(filepath.Join(dir, "train-images-idx3-ubyte.gz"), rows)
	if err != nil {
		return nil, err
	}
	q, err := matrix(filepath.Join(dir, "t10k-images-idx3-ubyte.gz"), queries)
	if err != nil {
		return nil, err
	}
	s := &Set{Name: label(name, base), Base: base, Queries: q, Metric: index.L2}
	r, closer, err := open(filepath.Join(dir, "train-labels-idx1-ubyte.gz"))
	if err != nil {
		return s, nil // a set without labels still searches
	}
	defer closer()
	if labels, err := r.Ints(rows); err == nil && labels.Rows == base.Rows {
		s.Labels = labels.Data
	}
	return s, nil
}

// hdf5 reads ann-benchmarks' layout: train, test and the attribute distance.
func hdf5(path string, rows, queries int) (*Set, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	h, err := dataset.OpenHDF5(f, info.Size())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	s := &Set{}
	for name, part := range map[string]struct {
		to    *dataset.Matrix
		limit int
	}{"train": {&s.Base, rows}, "test": {&s.Queries, queries}} {
		r, err := h.Reader(name)
		if err == nil {
			*part.to, err = r.Matrix(part.limit)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	switch d, _ := h.Attr("distance"); d {
	case "euclidean", "":
		s.Metric = index.L2
	case "angular":
		s.Metric = index.Cosine
	case "ip", "dot", "normalized":
		s.Metric = index.IP
	default:
		return nil, fmt.Errorf("%w: %s is searched by %s distance; euclidean, angular and ip are measured", ErrSet, path, d)
	}
	s.Name = label(strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)), s.Base)
	return s, nil
}

// pair reads a directory with one file named *base* and one named *query*.
func pair(dir string, rows, queries int) (*Set, error) {
	var base, query string
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if _, ok := dataset.FormatOf(e.Name()); !ok {
			continue
		}
		switch name := strings.ToLower(e.Name()); {
		case strings.Contains(name, "base"):
			base = filepath.Join(dir, e.Name())
		case strings.Contains(name, "query") || strings.Contains(name, "queries"):
			query = filepath.Join(dir, e.Name())
		}
	}
	if base == "" || query == "" {
		return nil, fmt.Errorf("%w: %s needs a file named *base* and one named *query* (%v)", ErrSet, dir, dataset.Formats())
	}
	b, err := matrix(base, rows)
	if err != nil {
		return nil, err
	}
	q, err := matrix(query, queries)
	if err != nil {
		return nil, err
	}
	return &Set{Name: label(filepath.Base(dir), b), Base: b, Queries: q, Metric: index.L2}, nil
}

// held reads one file of vectors and holds its last rows out as queries.
func held(path string, rows, queries int) (*Set, error) {
	limit := 0
	if rows > 0 {
		limit = rows + queries
	}
	all, err := matrix(path, limit)
	if err != nil {
		return nil, err
	}
	n := max(0, all.Rows-min(queries, max(1, all.Rows/10)))
	base := all.Head(n)
	return &Set{Name: label(filepath.Base(path), base), Base: base, Queries: tail(all, n), Metric: index.L2}, nil
}

func matrix(path string, limit int) (dataset.Matrix, error) {
	r, closer, err := open(path)
	if err != nil {
		return dataset.Matrix{}, err
	}
	defer closer()
	m, err := r.Matrix(limit)
	if err != nil {
		return dataset.Matrix{}, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// open opens a file of a stream format; the caller calls closer.
func open(path string) (r *dataset.Reader, closer func() error, err error) {
	format, ok := dataset.FormatOf(path)
	if !ok {
		return nil, nil, fmt.Errorf("%w: %s has none of the extensions %v", ErrSet, path, dataset.Formats())
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrSet, err)
	}
	if r, err = dataset.NewReader(format, f); err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, f.Close, nil
}

// dataDir is the directory to look for sets in: the one given, $EIDER_DATA,
// ./data, or shared/data beside an ancestor of the working directory. When a file
// was given, it is the set.
func dataDir(given string) (dir, file string, err error) {
	if given != "" {
		info, err := os.Stat(given)
		if err != nil {
			return "", "", fmt.Errorf("%w: %w", ErrSet, err)
		}
		if !info.IsDir() {
			return filepath.Dir(given), given, nil
		}
		return given, "", nil
	}
	if env := os.Getenv("EIDER_DATA"); env != "" {
		return env, "", nil
	}
	if dir, err = os.Getwd(); err != nil {
		return "", "", err
	}
	for at := dir; !has(dir, "data"); at = filepath.Dir(at) {
		if has(at, "shared/data") {
			return filepath.Join(at, "shared", "data"), "", nil
		}
		if at == filepath.Dir(at) {
			break
		}
	}
	return filepath.Join(dir, "data"), "", nil
}

func has(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name)))
	return !errors.Is(err, fs.ErrNotExist) && err == nil
}

func label(name string, base dataset.Matrix) string {
	return fmt.Sprintf("%s-%dx%d", name, base.Rows, base.Cols)
}

func cut(n, limit int) int {
	if limit > 0 {
		return min(n, limit)
	}
	return n
}

func tail(m dataset.Matrix, from int) dataset.Matrix {
	return dataset.Matrix{Rows: m.Rows - from, Cols: m.Cols, Data: m.Data[from*m.Cols:]}
}

func normalise(m dataset.Matrix) {
	for i := range m.Rows {
		row, sum := m.Row(i), 0.0
		for _, x := range row {
			sum += float64(x) * float64(x)
		}
		if sum == 0 {
			continue
		}
		scale := float32(1 / math.Sqrt(sum))
		for j := range row {
			row[j] *= scale
		}
	}
}
