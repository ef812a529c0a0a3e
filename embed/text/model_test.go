package text

import (
	"io/fs"
	"testing"
)

// modelFS is the built-in model as a file tree.
func modelFS(t testing.TB) fs.FS {
	t.Helper()
	root, err := fs.Sub(files, "model")
	if err != nil {
		t.Fatal(err)
	}
	return root
}
