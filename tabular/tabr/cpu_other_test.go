//go:build !unix

package tabr

import "time"

var started = time.Now()

// cpu is the seconds since the start, where the system is not asked.
func cpu() float64 { return time.Since(started).Seconds() }
