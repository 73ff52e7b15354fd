//go:build !windows

package service

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// listener is systemd's end; short paths only, so not t.TempDir.
func listener(t *testing.T) (*net.UnixConn, string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "n") //nolint:usetesting // its paths are too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn, path
}

func receive(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	buffer := make([]byte, 1024)
	n, err := conn.Read(buffer)
	if err != nil {
		t.Fatal(err)
	}
	return string(buffer[:n])
}

func env(of map[string]string) func(string) string { return func(key string) string { return of[key] } }

func TestSystemdIsTold(t *testing.T) {
	t.Parallel()
	conn, path := listener(t)
	n := NewNotifier(env(map[string]string{"NOTIFY_SOCKET": path}), 1)
	var got []string
	for _, tell := range []func() error{func() error { return n.Ready("up\nMAINPID=1") }, func() error { return n.Status("3 vaults\nFDSTORE=1") }, n.Stopping} {
		if err := tell(); err != nil {
			t.Fatal(err)
		}
		got = append(got, receive(t, conn))
	}
	if want := []string{"READY=1\nSTATUS=up MAINPID=1", "STATUS=3 vaults FDSTORE=1", "STOPPING=1"}; !slices.Equal(got, want) {
		t.Errorf("systemd heard %q, want %q", got, want)
	}
	_ = conn.Close()
	_ = os.Remove(path)
	if err := n.Ready(""); err == nil {
		t.Error("a systemd that is gone was told")
	}
	if err := NewNotifier(env(nil), 1).Ready(""); err != nil {
		t.Errorf("without systemd: %v", err)
	}
}

func TestWatchdogPingsOnlyWhileAlive(t *testing.T) {
	t.Parallel()
	conn, path := listener(t)
	n := NewNotifier(env(map[string]string{"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "2000", "WATCHDOG_PID": "7"}), 7)
	ctx, stop := context.WithCancel(t.Context())
	asked := 0
	err := n.Watch(ctx, func() bool {
		asked++
		if asked == 5 {
			stop()
		}
		return asked <= 2 // then the scheduler hangs
	})
	if err != nil || asked < 5 {
		t.Errorf("Watch = %v after asking %d times", err, asked)
	}
	if err := n.send("END"); err != nil {
		t.Fatal(err)
	}
	var got []string
	for len(got) == 0 || got[len(got)-1] != "END" {
		got = append(got, receive(t, conn))
	}
	if want := []string{"WATCHDOG=1", "WATCHDOG=1", "END"}; !slices.Equal(got, want) {
		t.Errorf("systemd heard %q, want %q", got, want)
	}
}

func TestWatchdogSettings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		usec, pid string
		want      time.Duration
	}{
		"none":                {"", "", 0},
		"for this process":    {"60000000", "7", time.Minute},
		"for any process":     {"60000000", "", time.Minute},
		"for another process": {"60000000", "8", 0},
		"not a number":        {"1m", "", 0},
		"negative":            {"-5", "", 0},
		"beyond all sense":    {"9223372036854775807", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := NewNotifier(env(map[string]string{"NOTIFY_SOCKET": "x", "WATCHDOG_USEC": c.usec, "WATCHDOG_PID": c.pid}), 7)
			if n.watchdog != c.want {
				t.Errorf("the watchdog is %v, want %v", n.watchdog, c.want)
			}
		})
	}
}

func TestTheJournalIsKnownByItsStream(t *testing.T) {
	t.Parallel()
	file, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // a test's file
	var id syscall.Stat_t
	if err := syscall.Fstat(int(file.Fd()), &id); err != nil {
		t.Fatal(err)
	}
	for stream, want := range map[string]bool{
		fmt.Sprintf("%d:%d", id.Dev, id.Ino):   true,
		fmt.Sprintf("%d:%d", id.Dev, id.Ino+1): false, // inherited, and stderr sent elsewhere
		"":                                     false,
	} {
		if got := journalReads(stream, file); got != want {
			t.Errorf("journalReads(%q) = %v", stream, got)
		}
	}
}
