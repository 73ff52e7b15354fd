package observe

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
)

// ListenError says why the API cannot listen where it should, and what to do.
type ListenError struct {
	Addr string
	Err  error
	hint string
}

// Error names the address and the cause.
func (e *ListenError) Error() string {
	return fmt.Sprintf("the API cannot listen on %s: %v", e.Addr, e.Err)
}

// Unwrap is the cause.
func (e *ListenError) Unwrap() error { return e.Err }

// Hint is what to do about it.
func (e *ListenError) Hint() string { return e.hint }

// Why an address is not to be had.
var (
	// ErrAddressInUse is an address on which another program listens.
	ErrAddressInUse = errors.New("another program listens there already")
	// ErrNotLoopback is an address that other machines could reach. The API
	// asks nobody for a password.
	ErrNotLoopback = errors.New("other machines could reach that address, and the API asks nobody for a password")
)

const listenHint = "set api.listen in vaultsync.yaml to a free loopback address such as 127.0.0.1:8391, or to \"\" to switch the API off"

// Listen takes the address (host:port) of the API, so that whoever starts the
// program learns at once when it is not to be had. The error is a *ListenError.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, listenError(addr, err)
	}
	if tcp, ok := l.Addr().(*net.TCPAddr); !ok || !tcp.IP.IsLoopback() {
		return nil, &ListenError{Addr: addr, Err: errors.Join(ErrNotLoopback, l.Close()), hint: listenHint}
	}
	return l, nil
}

func listenError(addr string, err error) *ListenError {
	switch {
	case errors.Is(err, addressInUse):
		return &ListenError{
			Addr: addr, Err: fmt.Errorf("%w (%w)", ErrAddressInUse, err),
			hint: "if that is another vaultsync, stop it; else " + listenHint,
		}
	case errors.Is(err, fs.ErrPermission), errors.Is(err, accessRefused):
		return &ListenError{
			Addr: addr, Err: err,
			hint: "the system keeps that port for itself or for others; " + listenHint,
		}
	case errors.Is(err, noSuchAddress):
		return &ListenError{Addr: addr, Err: err, hint: "this machine has no such address; " + listenHint}
	default:
		return &ListenError{Addr: addr, Err: err, hint: listenHint}
	}
}
