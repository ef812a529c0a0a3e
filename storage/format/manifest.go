package format

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"time"
)

// Caps of a backup manifest.
const (
	MaxManifest      = 64 << 20 // bytes of manifest.json
	MaxManifestFiles = 1 << 20  // files of one backup
)

// ManifestVersion is the newest backup layout this binary reads and writes.
const ManifestVersion = 1

// Manifest describes one backup directory.
type Manifest struct {
	Version int            `json:"version"`
	Store   string         `json:"store"` // the store's identity, 32 hex digits
	Format  uint32         `json:"format"`
	Since   uint64         `json:"since"` // 0 for a full backup
	LSN     uint64         `json:"lsn"`   // the backup holds the state up to here
	Created time.Time      `json:"created"`
	Files   []ManifestFile `json:"files"`
	Sum     string         `json:"sum"` // SHA-256 of this document with an empty sum
}

// ManifestFile is one file of a backup.
type ManifestFile struct {
	Name   string `json:"name"` // slash-separated, inside the backup
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// EncodeManifest returns m as indented JSON with its Sum filled in. Error:
// ErrValue.
func EncodeManifest(m Manifest) ([]byte, error) {
	m.Sum = ""
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("%w: manifest: %v", ErrValue, err)
	}
	h := sha256.Sum256(b)
	m.Sum = hex.EncodeToString(h[:])
	b, err = json.MarshalIndent(m, "", "  ")
	return append(b, '\n'), err
}

// DecodeManifest decodes what EncodeManifest wrote, and nothing else: the bytes
// must be equal to its own encoding, sum included. File names are checked to
// stay inside the backup. Errors: ErrCorrupt, ErrVersion.
func DecodeManifest(b []byte) (Manifest, error) {
	var m Manifest
	if len(b) > MaxManifest {
		return m, corrupt("manifest of %d bytes", len(b))
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return Manifest{}, corrupt("manifest: %v", err)
	}
	if m.Version > ManifestVersion {
		return Manifest{}, fmt.Errorf("%w: backup version %d, this binary reads up to %d", ErrVersion, m.Version, ManifestVersion)
	}
	again, err := EncodeManifest(m)
	if err != nil || !bytes.Equal(again, b) {
		return Manifest{}, corrupt("manifest does not match its sum")
	}
	if m.Version < 1 || len(m.Store) != 32 || len(m.Files) > MaxManifestFiles || m.Since > m.LSN {
		return Manifest{}, corrupt("manifest")
	}
	for i, f := range m.Files {
		if !insideName(f.Name) || f.Size < 0 || len(f.SHA256) != 64 || i > 0 && f.Name <= m.Files[i-1].Name {
			return Manifest{}, corrupt("manifest names file %q", f.Name)
		}
	}
	return m, nil
}

// insideName reports whether a slash-separated name stays in its directory on
// every operating system.
func insideName(name string) bool {
	return name != "" && len(name) <= 255 && path.Clean(name) == name && !path.IsAbs(name) &&
		name != ".." && !strings.HasPrefix(name, "../") && !strings.ContainsAny(name, "\\:\x00")
}
