package bench

import (
	"bytes"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// processCPU is the CPU time all threads of this process have used.
func processCPU() time.Duration { return clock(unix.CLOCK_PROCESS_CPUTIME_ID) }

// threadCPU is the CPU time the calling thread has used; callers hold it with
// runtime.LockOSThread.
func threadCPU() time.Duration { return clock(unix.CLOCK_THREAD_CPUTIME_ID) }

func clock(id int32) time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(id, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// machineCPU is the CPU time that all processes have used, to a hundredth of a second.
func machineCPU() time.Duration {
	const tick = time.Second / 100 // USER_HZ
	b, _ := os.ReadFile("/proc/stat")
	line, _, _ := bytes.Cut(b, []byte("\n"))
	var used time.Duration
	for i, f := range bytes.Fields(line) {
		// cpu user nice system idle iowait irq softirq steal, of which guests are parts
		if n, err := strconv.Atoi(string(f)); err == nil && i <= 8 && i != 4 && i != 5 {
			used += time.Duration(n) * tick
		}
	}
	return used
}

// resident is the memory of this process in RAM, in bytes.
func resident() int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(b)
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize())
}

// peak is the most memory that this process had in RAM since resetPeak, in bytes; since
// its start where the system refuses to forget.
func peak() int64 {
	b, _ := os.ReadFile("/proc/self/status")
	for line := range bytes.Lines(b) {
		if text, ok := bytes.CutPrefix(line, []byte("VmHWM:")); ok {
			n, _ := strconv.ParseInt(string(bytes.Fields(text)[0]), 10, 64)
			return n << 10
		}
	}
	return 0
}

func resetPeak() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }

// cpuName is the processor's model, for reports.
func cpuName() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range bytes.Lines(b) {
		if key, value, ok := bytes.Cut(line, []byte(":")); ok && bytes.HasPrefix(key, []byte("model name")) {
			return string(bytes.TrimSpace(value))
		}
	}
	return "unknown CPU"
}

// memory is the machine's RAM in bytes.
func memory() int64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	return int64(info.Totalram) * int64(info.Unit)
}

// loadAverage is the number of runnable threads over 1, 5 and 15 minutes.
func loadAverage() string {
	b, _ := os.ReadFile("/proc/loadavg")
	fields := bytes.Fields(b)
	return string(bytes.Join(fields[:min(3, len(fields))], []byte(" ")))
}
