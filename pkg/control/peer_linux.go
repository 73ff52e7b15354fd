package control

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// checkPeer lets the daemon's own user and root in, as the kernel names them.
func checkPeer(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return &Error{Kind: ErrDenied, Err: err}
	}
	var peer *unix.Ucred
	var peerErr error
	if err := raw.Control(func(fd uintptr) {
		peer, peerErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return &Error{Kind: ErrDenied, Err: err}
	}
	if peerErr != nil {
		return &Error{Kind: ErrDenied, Err: peerErr}
	}
	return permit(int(peer.Uid), os.Geteuid())
}

// permit decides by user ids.
func permit(peer, daemon int) error {
	if peer != 0 && peer != daemon {
		return &Error{Kind: ErrDenied, Err: fmt.Errorf("user id %d, the daemon has %d", peer, daemon)}
	}
	return nil
}
