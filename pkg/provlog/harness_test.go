package provlog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

var (
	ann = identity.ObjectID{0: 0xa1, 15: 1}
	bob = identity.ObjectID{0: 0xb0, 15: 2}
)

// clock is a clock that is set by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return c.now
}

func openLog(t *testing.T, dir string, o Options) *Log {
	t.Helper()
	l, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return l
}

func entry(vault, login string, at time.Time) Entry {
	return Entry{
		Time: at, Vault: vault, Run: "01J1", Person: ann, Login: login, Kind: "update",
		Before: map[string]any{"fullName": "Ann"}, After: map[string]any{"fullName": "Ann B"}, Why: "changed in the directory", Outcome: "done",
	}
}

func write(t *testing.T, l *Log, entries ...Entry) {
	t.Helper()
	if err := l.Append(entries); err != nil {
		t.Fatalf("append: %v", err)
	}
}

// logins reads the log and lists the login names, and the error at the end.
func logins(t *testing.T, l *Log, f Filter) (string, error) {
	t.Helper()
	var all []string
	for e, err := range l.Read(t.Context(), f) {
		if err != nil {
			return strings.Join(all, " "), err
		}
		all = append(all, e.Login)
	}
	return strings.Join(all, " "), nil
}

func wantLogins(t *testing.T, l *Log, f Filter, want string) {
	t.Helper()
	if got, err := logins(t, l, f); err != nil || got != want {
		t.Errorf("read %+v: %q, %v; want %q", f, got, err, want)
	}
}

func filesOf(t *testing.T, l *Log, vault string) []string {
	t.Helper()
	all, err := segments(filepath.Join(l.dir, vault))
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, s := range all {
		paths = append(paths, s.path)
	}
	return paths
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

var errDiskFull = errors.New("no space left on device")

// disk is a disk with so much room; a write beyond it is cut.
type disk struct {
	mu   sync.Mutex
	room int
}

func (d *disk) open(path string, fresh bool) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if fresh && d.room == 0 {
		return nil, fmt.Errorf("open %s: %w", path, errDiskFull)
	}
	f, err := openFile(path, fresh)
	return &diskFile{file: f, disk: d}, err
}

type diskFile struct {
	file
	disk *disk
}

func (f *diskFile) Write(b []byte) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	n := min(len(b), f.disk.room)
	f.disk.room -= n
	if n == len(b) {
		return f.file.Write(b)
	}
	if n > 0 {
		if _, err := f.file.Write(b[:n]); err != nil {
			return 0, err
		}
	}
	return n, errDiskFull
}
