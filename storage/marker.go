package storage

import (
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// markerFS closes a window in how Pebble switches manifests. Pebble writes and
// syncs MANIFEST-n, creates the marker file that names it, and then syncs the
// directory once for both entries:
//
//	create MANIFEST-n ── sync file ── create marker ── sync directory
//	                                              └ power cut
//
// A disk that keeps the marker's entry and loses the manifest's leaves a store
// that names a missing manifest and does not open. markerFS syncs the directory
// before it creates a marker, so a marker never outlives what it names. Found by
// the power-cut suite; markers move only when a manifest is rolled over.
type markerFS struct{ vfs.FS }

// Create implements vfs.FS.
func (m markerFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if strings.HasPrefix(m.PathBase(name), "marker.") {
		if err := syncDir(m.FS, m.PathDir(name)); err != nil {
			return nil, err
		}
	}
	return m.FS.Create(name, category)
}

// Unwrap implements vfs.FS.
func (m markerFS) Unwrap() vfs.FS { return m.FS }
