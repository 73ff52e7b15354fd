package observe

import "golang.org/x/sys/windows"

// What Windows calls a port in use, one that it has reserved, and an address
// that the machine does not have.
const (
	addressInUse  = windows.WSAEADDRINUSE
	accessRefused = windows.WSAEACCES
	noSuchAddress = windows.WSAEADDRNOTAVAIL
)
