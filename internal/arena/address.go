//go:build linux || darwin || windows

package arena

import "unsafe"

// address is where b starts.
func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }
