//go:build !windows

package observe

import "syscall"

// What Unix calls a port in use, one that needs more rights, and an address
// that the machine does not have.
const (
	addressInUse  = syscall.EADDRINUSE
	accessRefused = syscall.EACCES
	noSuchAddress = syscall.EADDRNOTAVAIL
)
