//go:build unix

package tabr

import "golang.org/x/sys/unix"

// cpu is the seconds of CPU that the process has taken.
func cpu() float64 {
	var r unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &r) != nil {
		return 0
	}
	s := func(t unix.Timeval) float64 { return float64(t.Nano()) / 1e9 }
	return s(r.Utime) + s(r.Stime)
}
