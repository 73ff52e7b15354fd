//go:build !windows

package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// maxSocketPath is what fits into an address on every Unix (Linux takes 107).
const maxSocketPath = 103

// dialWithin bounds a connection to a socket of this machine.
const dialWithin = 5 * time.Second

// listen opens a socket at path.
func listen(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	short, done, err := shortPath(path)
	if err != nil {
		return nil, err
	}
	defer done()
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "unix", short)
	if err != nil {
		return nil, fmt.Errorf("control: listen at %s: %w", path, err)
	}
	unix, ok := listener.(*net.UnixListener)
	if !ok {
		return nil, errors.Join(fmt.Errorf("control: %T is not a socket", listener), listener.Close())
	}
	unix.SetUnlinkOnClose(false) // short may be gone by then
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("control: %w", err), unix.Close())
	}
	return &socket{UnixListener: unix, path: path}, nil
}

// socket removes its file when it is closed.
type socket struct {
	*net.UnixListener

	path string
	once sync.Once
}

// Close removes the file first: nobody finds a socket that does not answer.
func (s *socket) Close() error {
	s.once.Do(func() { _ = os.Remove(s.path) })
	return s.UnixListener.Close()
}

// removeStale makes way for a new socket. It removes nothing but a socket at
// which nobody answers.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("control: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("control: %s is in the way and not a socket: move it away", path)
	}
	conn, err := dial(context.Background(), path)
	if err == nil {
		_ = conn.Close()
		return &Error{Kind: ErrInUse, Where: path}
	}
	if !errors.Is(err, ErrNoDaemon) {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("control: %w", err)
	}
	return nil
}

// dial connects to the socket at path.
func dial(ctx context.Context, path string) (net.Conn, error) {
	short, done, err := shortPath(path)
	if err != nil {
		return nil, err
	}
	defer done()
	conn, err := (&net.Dialer{Timeout: dialWithin}).DialContext(ctx, "unix", short)
	switch {
	case err == nil:
		return conn, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, &Error{Kind: ErrNoDaemon, Where: path}
	case errors.Is(err, fs.ErrPermission):
		return nil, &Error{Kind: ErrDenied, Where: path}
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, os.ErrDeadlineExceeded):
		// The queue of connections is full: nobody accepts them.
		return nil, &Error{Kind: ErrNotAnswering, Where: path, Err: err}
	}
	return nil, fmt.Errorf("control: connect to %s: %w", path, err)
}

// isRefused is for systems with another number for a refused connection.
func isRefused(error) bool { return false }
