//go:build !linux

package simd

import (
	"testing"
	"time"
)

// matrix is a large slice, or one that fits the first cache for "L1".
func matrix(_ *testing.B, place string) []float32 {
	if place == "L1" {
		return make([]float32, 4096)
	}
	return make([]float32, matrixBytes/4)
}

var begin = time.Now()

// clock is the time since the start.
func clock() time.Duration { return time.Since(begin) }
