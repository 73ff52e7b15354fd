//go:build !windows

package control

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// kill closes the socket and leaves its file.
func (s *socket) kill() error { return s.UnixListener.Close() }

func TestSocketIsTheOwnersAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "data", "control.sock")
	s, err := Listen(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for place, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		info, err := os.Stat(place)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", place, got, want)
		}
	}
}

func TestOnlySocketsAreRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, link := filepath.Join(dir, "control.sock"), filepath.Join(dir, "link.sock")
	if err := errors.Join(os.WriteFile(file, []byte("precious"), 0o600), os.Symlink(file, link)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, link} {
		if _, err := Listen(path, Options{}); err == nil || !strings.Contains(err.Error(), "in the way") {
			t.Errorf("Listen at %s = %v", path, err)
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "precious" {
		t.Errorf("the file is now %q, %v", text, err)
	}
}

func TestPathLongerThanASocketAddress(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 40))
	s, err := Listen(filepath.Join(dir, "control.sock"), Options{})
	if err != nil {
		if _, _, short := shortPath(strings.Repeat("x", 200)); short != nil && !errors.Is(short, ErrNoDaemon) {
			t.Skip("this system has no way to a long path:", err)
		}
		t.Fatal(err)
	}
	serve(t, s, func(context.Context, Request, Streams) int { return 7 })
	exit, _, _, err := call(t, transport{listen, dial}, filepath.Join(dir, "control.sock"), Request{})
	if exit != 7 || err != nil {
		t.Errorf("Call = %d, %v", exit, err)
	}
	if _, err := Listen(filepath.Join(dir, "control.sock"), Options{}); !errors.Is(err, ErrInUse) {
		t.Errorf("a second daemon: %v", err)
	}
}

func TestOtherTransportsAreDenied(t *testing.T) {
	t.Parallel()
	a, b := net.Pipe()
	defer func() { _, _ = a.Close(), b.Close() }()
	if err := authorize(a); !errors.Is(err, ErrDenied) {
		t.Errorf("authorize = %v, want ErrDenied", err)
	}
}
