// Package fault breaks things on purpose, for tests: child processes that are
// killed, file systems that fail at the nth operation, run full or lose what
// was not synced, and directories with damaged files. It knows nothing of what
// it breaks; the suites that use it live beside the code they test (R1 to R5 of
// docs/PROMISES.md).
//
// Every fault is a function of a seed and a position, so a failure is replayed
// by its two numbers.
package fault

import (
	"os"
	"strconv"
)

// Soak reports whether the suites should run at full size: EIDER_SOAK=1.
func Soak() bool { return os.Getenv("EIDER_SOAK") == "1" }

// Size returns full when the suites run at full size, else short.
func Size(short, full int) int {
	if Soak() {
		return full
	}
	return short
}

// Seed returns the number in EIDER_SEED, or fallback.
func Seed(fallback uint64) uint64 {
	if n, err := strconv.ParseUint(os.Getenv("EIDER_SEED"), 10, 64); err == nil {
		return n
	}
	return fallback
}
