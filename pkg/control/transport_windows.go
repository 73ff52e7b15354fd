package control

import (
	"context"
	"errors"
	"net"

	"golang.org/x/sys/windows"
)

// listen opens a loopback port with a key; see the package comment.
func listen(path string) (net.Listener, error) { return listenKeyed(path) }

func dial(ctx context.Context, path string) (net.Conn, error) { return dialKeyed(ctx, path) }

// isRefused knows Windows' own number for a refused connection.
func isRefused(err error) bool { return errors.Is(err, windows.WSAECONNREFUSED) }
