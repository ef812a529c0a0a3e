//go:build !linux

package bench

import (
	"runtime"
	"time"
)

// Other systems report wall time only: CPU times and resident memory are zero,
// which reports show as missing.

func processCPU() time.Duration { return 0 }
func threadCPU() time.Duration  { return 0 }
func resident() int64           { return 0 }
func peak() int64               { return 0 }
func resetPeak()                {}
func machineCPU() time.Duration { return 0 }
func memory() int64             { return 0 }
func loadAverage() string       { return "" }
func cpuName() string           { return runtime.GOARCH }
