//go:build !linux

package control

import "net"

// checkPeer relies on the modes of socket and folder, which only the owner can
// pass: this system is not asked who is at the other end.
func checkPeer(*net.UnixConn) error { return nil }
