package boltfile_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/vaultsync/vaultsync/pkg/boltfile"
)

var bucket = []byte("bucket")

func initialize(tx *bbolt.Tx) error {
	b, err := tx.CreateBucket(bucket)
	if err != nil {
		return err
	}
	return b.Put([]byte("key"), bytes.Repeat([]byte("value"), 2000))
}

// made is a file with something in it, closed.
func made(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.db")
	db, err := boltfile.Open(path, nil, initialize)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func notCalled(t *testing.T) func(*bbolt.Tx) error {
	return func(*bbolt.Tx) error {
		t.Error("a file that is there was made anew")
		return nil
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()

	t.Run("a new file is made whole, with its folder, for its owner alone", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "deep", "er", "state.db")
		db, err := boltfile.Open(path, nil, initialize)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
		}
		left, err := filepath.Glob(path + "?*")
		if err != nil || len(left) > 0 {
			t.Errorf("left beside it: %v, %v", left, err)
		}
	})

	t.Run("what was written is there after opening again", func(t *testing.T) {
		t.Parallel()
		db, err := boltfile.Open(made(t), nil, notCalled(t))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if err := db.View(func(tx *bbolt.Tx) error {
			if got := tx.Bucket(bucket).Get([]byte("key")); len(got) != 10000 {
				t.Errorf("%d bytes of 10000", len(got))
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("a making that fails leaves no file, and the next one succeeds", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "state.db")
		full := errors.New("the disk is full")
		if _, err := boltfile.Open(path, nil, func(*bbolt.Tx) error { return full }); !errors.Is(err, full) {
			t.Fatalf("got %v, want %v", err, full)
		}
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("a half-made file is there: %v", err)
		}
		db, err := boltfile.Open(path, nil, initialize)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
	})

	t.Run("a crash between making and naming leaves a file that is made anew", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "state.db")
		if err := os.WriteFile(path+".new", []byte("half a fi"), 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := boltfile.Open(path, nil, initialize)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
	})
}

func TestOpenRefusesDamage(t *testing.T) {
	t.Parallel()
	damage := map[string]func(whole []byte) []byte{
		"an empty file is damaged, never new":       func([]byte) []byte { return nil },
		"one byte is damaged":                       func(b []byte) []byte { return b[:1] },
		"a file cut off in its first page":          func(b []byte) []byte { return b[:100] },
		"a file cut off after its meta pages":       func(b []byte) []byte { return b[:2*os.Getpagesize()] },
		"a file cut off in the middle":              func(b []byte) []byte { return b[:len(b)/2] },
		"a file of zeros":                           func(b []byte) []byte { return make([]byte, len(b)) },
		"a file of something else":                  func(b []byte) []byte { return bytes.Repeat([]byte("not a database. "), len(b)/16) },
		"meta pages overwritten":                    func(b []byte) []byte { return append(make([]byte, 2*os.Getpagesize()), b[2*os.Getpagesize():]...) },
		"a list of free pages that is another page": func(b []byte) []byte { return zeroPages(b, 2) },
	}
	for name, do := range damage {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := made(t)
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			bad := do(bytes.Clone(whole))
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err = boltfile.Open(path, nil, notCalled(t))
			if !errors.Is(err, boltfile.ErrDamaged) {
				t.Fatalf("got %v, want an error that says damaged", err)
			}
			var e *boltfile.Error
			if !errors.As(err, &e) || e.Path != path || e.Hint() == "" {
				t.Errorf("%#v names neither file nor fix", err)
			}
			// Nothing was changed, and nothing holds the file.
			if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, bad) {
				t.Errorf("the damaged file was changed (%v)", err)
			}
			if err := os.WriteFile(path, whole, 0o600); err != nil {
				t.Fatal(err)
			}
			db, err := boltfile.Open(path, nil, notCalled(t))
			if err != nil {
				t.Fatalf("after a backup was put in its place: %v", err)
			}
			defer db.Close()
		})
	}
}

// zeroPages damages every page from the third on but keeps the meta pages.
func zeroPages(b []byte, from int) []byte {
	clear(b[from*os.Getpagesize():])
	return b
}

func TestOpenLocked(t *testing.T) {
	t.Parallel()

	t.Run("a file that is open already is locked", func(t *testing.T) {
		t.Parallel()
		path := made(t)
		db, err := boltfile.Open(path, nil, notCalled(t))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		_, err = boltfile.Open(path, nil, notCalled(t))
		if !errors.Is(err, boltfile.ErrLocked) || errors.Is(err, boltfile.ErrDamaged) {
			t.Fatalf("got %v, want locked", err)
		}
	})

	t.Run("a file that another process has open is locked, and free when that one ends", func(t *testing.T) {
		t.Parallel()
		path := made(t)
		other := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHold$", "-test.v=false")
		other.Env = append(os.Environ(), "BOLTFILE_HOLD="+path)
		stdin, err := other.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		stdout, err := other.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := other.Start(); err != nil {
			t.Fatal(err)
		}
		line := make([]byte, 5)
		if _, err := stdout.Read(line); err != nil || string(line) != "held\n" {
			t.Fatalf("%q, %v", line, err)
		}
		if _, err := boltfile.Open(path, nil, notCalled(t)); !errors.Is(err, boltfile.ErrLocked) {
			t.Errorf("got %v, want locked", err)
		}
		if err := errors.Join(stdin.Close(), other.Wait()); err != nil {
			t.Fatal(err)
		}
		db, err := boltfile.Open(path, nil, notCalled(t))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
	})
}

// TestHold is the other process.
func TestHold(t *testing.T) {
	path := os.Getenv("BOLTFILE_HOLD")
	if path == "" {
		t.Skip("runs only as the other process of TestOpenLocked")
	}
	db, err := boltfile.Open(path, nil, notCalled(t))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	os.Stdout.WriteString("held\n")
	os.Stdin.Read(make([]byte, 1)) // until it is closed
}
