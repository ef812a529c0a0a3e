//go:build purego || !(amd64 || arm64)

package simd

// expected is empty: this build has no assembly.
var expected map[string]string
