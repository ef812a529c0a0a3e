package main

import (
	"runtime"
	"runtime/debug"

	"github.com/eiderdb/eider/simd"
)

type versionCmd struct{}

// build is what the binary knows about itself.
type build struct {
	Version  string `json:"version"`            // of the module, "(devel)" for a local build
	Revision string `json:"revision,omitempty"` // commit it was built from
	Modified bool   `json:"modified,omitempty"` // with local changes
	Go       string `json:"go"`
	Platform string `json:"platform"`
	SIMD     string `json:"simd"` // vector kernels chosen on this machine
}

// Run prints the build.
func (versionCmd) Run(t *terminal) error {
	b := buildOf()
	if t.json {
		return t.print(b)
	}
	t.printf("eider %s", b.Version)
	if b.Revision != "" {
		t.printf(" (%.12s", b.Revision)
		if b.Modified {
			t.printf(", modified")
		}
		t.printf(")")
	}
	t.printf(" %s %s simd=%s\n", b.Go, b.Platform, b.SIMD)
	return nil
}

// buildOf reads what the linker wrote into the binary.
func buildOf() build {
	b := build{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, SIMD: simd.Active()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}
