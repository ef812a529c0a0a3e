package fault

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// Roll damages one file of a directory tree, or two, the way a die falls:
// delete, zero, halve, flip one bit, swap with another file, append rubbish. It
// skips empty files, and files for which skip is true. It returns what it did.
func Roll(dir string, rng *rand.Rand, skip func(name string) bool) (string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || skip != nil && skip(d.Name()) {
			return err
		}
		if info, err := d.Info(); err == nil && info.Size() > 0 {
			files = append(files, path)
		}
		return nil
	})
	if err != nil || len(files) == 0 {
		return "nothing to damage", err
	}
	slices.Sort(files)
	path := files[rng.IntN(len(files))]
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	name := filepath.Base(path)
	switch rng.IntN(6) {
	case 0:
		return "delete " + name, os.Remove(path)
	case 1:
		clear(b)
		return "zero " + name, os.WriteFile(path, b, 0o644)
	case 2:
		return "halve " + name, os.WriteFile(path, b[:len(b)/2], 0o644)
	case 3:
		bit := rng.IntN(8 * len(b))
		b[bit/8] ^= 1 << (bit % 8)
		return fmt.Sprintf("flip bit %d of %s", bit, name), os.WriteFile(path, b, 0o644)
	case 4:
		other := files[rng.IntN(len(files))]
		o, err := os.ReadFile(other)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(path, o, 0o644); err != nil {
			return "", err
		}
		return fmt.Sprintf("swap %s and %s", name, filepath.Base(other)), os.WriteFile(other, b, 0o644)
	default:
		extra := make([]byte, 1+rng.IntN(4096))
		for i := range extra {
			extra[i] = byte(rng.Uint32())
		}
		return fmt.Sprintf("append %d bytes to %s", len(extra), name), os.WriteFile(path, append(b, extra...), 0o644)
	}
}
