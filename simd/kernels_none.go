//go:build purego || !(amd64 || arm64)

package simd

// detect lists the implementations in assembly: none in this build.
func detect() []*kernels { return nil }
