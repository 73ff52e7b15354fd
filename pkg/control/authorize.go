package control

import "net"

// authorize checks who is at the other end, as the transport can tell.
func authorize(conn net.Conn) error {
	switch c := conn.(type) {
	case *keyedConn:
		return c.challenge()
	case *net.UnixConn:
		return checkPeer(c)
	}
	return ErrDenied
}
