package service

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// Notifier tells systemd how the daemon is (sd_notify(3)). One without a socket
// says nothing: the daemon was not started by systemd.
type Notifier struct {
	socket   string
	watchdog time.Duration
}

// NewNotifier reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID by getenv.
func NewNotifier(getenv func(string) string, pid int) Notifier {
	n := Notifier{socket: getenv("NOTIFY_SOCKET")}
	usec, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64)
	other := getenv("WATCHDOG_PID")
	if err == nil && usec > 0 && usec < int64(24*time.Hour/time.Microsecond) && (other == "" || other == strconv.Itoa(pid)) {
		n.watchdog = time.Duration(usec) * time.Microsecond
	}
	return n
}

// Ready tells that the daemon is up, with a first status line.
func (n Notifier) Ready(line string) error { return n.send("READY=1\n" + status(line)) }

// Stopping tells that it is on its way to its safe point.
func (n Notifier) Stopping() error { return n.send("STOPPING=1") }

// Status is one line for `systemctl status`.
func (n Notifier) Status(line string) error { return n.send(status(line)) }

func status(line string) string {
	return "STATUS=" + strings.NewReplacer("\n", " ", "\r", " ").Replace(line)
}

// Watch tells systemd at half its watchdog's interval that the daemon is alive,
// as long as alive says so, until ctx is done. When alive fails the watchdog
// restarts the daemon. Without a watchdog it returns at once.
func (n Notifier) Watch(ctx context.Context, alive func() bool) error {
	if n.socket == "" || n.watchdog == 0 {
		return nil
	}
	ticker := time.NewTicker(n.watchdog / 2)
	defer ticker.Stop()
	for {
		if alive() {
			if err := n.send("WATCHDOG=1"); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (n Notifier) send(message string) error {
	if n.socket == "" {
		return nil
	}
	name := n.socket
	if strings.HasPrefix(name, "@") {
		name = "\x00" + name[1:] // the abstract name space
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell systemd %q: %w", message, err)
	}
	_, err = conn.Write([]byte(message))
	if closed := conn.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("tell systemd %q: %w", message, err)
	}
	return nil
}
