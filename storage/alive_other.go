//go:build !unix

package storage

import "os"

// alive reports whether a process of this host exists.
func alive(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	_ = p.Release()
	return true
}
