package dataset

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

func openHDF5(t testing.TB, b []byte) *HDF5 {
	t.Helper()
	h, err := OpenHDF5(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHDF5ReadsWhatH5pyWrote(t *testing.T) {
	for _, name := range []string{"old", "new", "old-gzip", "new-gzip", "new-plain", "new-single"} {
		t.Run(name, func(t *testing.T) {
			h := openHDF5(t, golden(t, name+".hdf5"))
			if names := h.Names(); !slices.Equal(names, []string{"half", "ids", "neighbors", "test", "train"}) {
				t.Fatalf("names %v", names)
			}
			for key, want := range map[string]string{"distance": "euclidean", "dimension": "11", "point_type": "float"} {
				if got, ok := h.Attr(key); got != want || !ok {
					t.Errorf("attribute %s = %q, %v", key, got, ok)
				}
			}
			for set, shape := range map[string][2]int{"train": {37, 11}, "test": {4, 11}, "half": {5, 11}, "neighbors": {4, 10}} {
				r, err := h.Reader(set)
				if err != nil {
					t.Fatal(err)
				}
				m, err := r.Matrix(0)
				if err != nil {
					t.Fatalf("%s: %v", set, err)
				}
				check(t, m, shape[0], shape[1], true)
			}
			r, err := h.Reader("ids")
			if err != nil {
				t.Fatal(err)
			}
			if n, err := r.Ints(0); err != nil || float32(n.Row(3)[9]) != want(3, 9, true) {
				t.Errorf("int64 ids: %v", err)
			}
		})
	}
}

// train reads the data set train of a golden file.
func train(t *testing.T, name string) Matrix {
	t.Helper()
	r, err := openHDF5(t, golden(t, name)).Reader("train")
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.Matrix(0)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestHDF5FindsItsSignatureBehindAUserBlock(t *testing.T) {
	check(t, train(t, "userblock.hdf5"), 37, 11, true)
}

func TestHDF5StripsFletcherChecksums(t *testing.T) {
	check(t, train(t, "old-sum.hdf5"), 37, 11, true)
}

func TestHDF5ReadsAPagedFixedArray(t *testing.T) {
	check(t, train(t, "new-paged.hdf5"), 110, 11, false)
}

func TestHDF5RefusesWhatItCannotReadByName(t *testing.T) {
	for _, name := range []string{"lzf.hdf5", "resizable.hdf5"} {
		_, err := openHDF5(t, golden(t, name)).Reader("train")
		if !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := openHDF5(t, golden(t, "old.hdf5")).Reader("absent"); !errors.Is(err, ErrFormat) {
		t.Error(err)
	}
}

// readAll opens b and reads every data set, as far as that goes.
func readAll(b []byte) error {
	h, err := OpenHDF5(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return err
	}
	for _, name := range h.Names() {
		r, rerr := h.Reader(name)
		if rerr == nil {
			_, rerr = r.Matrix(1000)
		}
		err = errors.Join(err, rerr)
	}
	return err
}

func TestHDF5SurvivesAFlippedBitInEveryByteAndTruncation(t *testing.T) {
	for _, name := range []string{"userblock.hdf5", "new-gzip.hdf5"} {
		whole := golden(t, name)
		for n := 0; n < len(whole); n += 23 {
			if err := readAll(whole[:n]); err == nil {
				t.Fatalf("%s cut to %d bytes read whole", name, n)
			}
		}
		b := slices.Clone(whole)
		for i := range b {
			b[i] ^= 1 << (i % 8)
			_ = readAll(b) // any answer but a panic or a hang will do
			b[i] = whole[i]
		}
	}
}
