//go:build !linux && !windows

package main

import "golang.org/x/sys/unix"

// forbidCores keeps the process's memory, in which secrets and tokens stand,
// out of core files.
func forbidCores() {
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}) // otherwise what the machine allows
}
