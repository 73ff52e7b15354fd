// Package control is the local endpoint by which commands reach the running
// daemon: the command line sends its arguments, the daemon executes the same
// command in its own process and streams back what it prints and its exit code.
// It carries commands and knows none of them.
//
// On Unix the endpoint is a socket in the data directory (0600), and the peer's
// user must be the daemon's or root. Windows has no peer credentials for
// sockets (and Wine no sockets in the file system), so there it is a loopback
// port whose number and key are in a file of the data directory, which only the
// owner can read; both sides prove that they know the key, neither sends it.
package control
