package boltfile_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
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
	db, err := boltfile.Open(path, boltfile.Options{}, initialize)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func shut(t *testing.T, c io.Closer) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func notCalled(t *testing.T) func(*bbolt.Tx) error {
	return func(*bbolt.Tx) error {
		t.Error("a file that is there was made anew")
		return nil
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()

	t.Run("a new file is made whole, for its owner alone", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "state.db")
		db, err := boltfile.Open(path, boltfile.Options{}, initialize)
		if err != nil {
			t.Fatal(err)
		}
		defer shut(t, db)
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
		db, err := boltfile.Open(made(t), boltfile.Options{}, notCalled(t))
		if err != nil {
			t.Fatal(err)
		}
		defer shut(t, db)
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
		if _, err := boltfile.Open(path, boltfile.Options{}, func(*bbolt.Tx) error { return full }); !errors.Is(err, full) {
			t.Fatalf("got %v, want %v", err, full)
		}
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("a half-made file is there: %v", err)
		}
		db, err := boltfile.Open(path, boltfile.Options{}, initialize)
		if err != nil {
			t.Fatal(err)
		}
		defer shut(t, db)
	})

	t.Run("in a folder that is not there nothing is made: it may be a disk that is not mounted", func(t *testing.T) {
		t.Parallel()
		folder := filepath.Join(t.TempDir(), "none")
		if _, err := boltfile.Open(filepath.Join(folder, "state.db"), boltfile.Options{}, initialize); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("got %v", err)
		}
		if _, err := os.Stat(folder); err == nil {
			t.Error("the folder was made")
		}
	})

	t.Run("without a way to make it, a file that is not there is an error and stays so", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "state.db")
		for _, o := range []boltfile.Options{{}, {ReadOnly: true}} {
			if _, err := boltfile.Open(path, o, nil); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("got %v", err)
			}
		}
		if _, err := os.Stat(path); err == nil {
			t.Error("it was made")
		}
	})

	t.Run("a folder in its place is an error", func(t *testing.T) {
		t.Parallel()
		if _, err := boltfile.Open(t.TempDir(), boltfile.Options{}, initialize); err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("got %v", err)
		}
	})

	t.Run("of several that make it at once each gets the same file", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "state.db")
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				db, err := boltfile.Open(path, boltfile.Options{}, func(tx *bbolt.Tx) error {
					_, err := tx.CreateBucketIfNotExists([]byte("seen"))
					return err
				})
				if err == nil {
					err = db.Update(func(tx *bbolt.Tx) error {
						seen := tx.Bucket([]byte("seen"))
						n, err := seen.NextSequence()
						if err != nil {
							return err
						}
						return seen.Put([]byte{byte(n)}, nil)
					})
					err = errors.Join(err, db.Close())
				}
				// One that waited too long for the others is no fault.
				if err != nil && !errors.Is(err, boltfile.ErrLocked) {
					t.Error(err)
				}
			})
		}
		group.Wait()
		db, err := boltfile.Open(path, boltfile.Options{}, notCalled(t))
		if err != nil {
			t.Fatal(err)
		}
		defer shut(t, db)
		if err := db.View(func(tx *bbolt.Tx) error {
			seen := tx.Bucket([]byte("seen"))
			if n := seen.Stats().KeyN; n == 0 || uint64(n) != seen.Sequence() {
				t.Errorf("%d records, %d written: a file was lost", n, seen.Sequence())
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		left, err := filepath.Glob(path + "?*")
		if err != nil || len(left) > 0 {
			t.Errorf("left beside it: %v, %v", left, err)
		}
	})

	t.Run("several may read at once, and nobody write meanwhile", func(t *testing.T) {
		t.Parallel()
		path := made(t)
		for range 2 {
			db, err := boltfile.Open(path, boltfile.Options{ReadOnly: true}, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer shut(t, db)
			if err := db.Update(func(*bbolt.Tx) error { return nil }); err == nil {
				t.Error("written through one opened to read")
			}
		}
		if _, err := boltfile.Open(path, boltfile.Options{}, nil); !errors.Is(err, boltfile.ErrLocked) {
			t.Errorf("got %v", err)
		}
	})

	t.Run("a file does not outgrow its limit", func(t *testing.T) {
		t.Parallel()
		path := made(t)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		db, err := boltfile.Open(path, boltfile.Options{MaxSize: int(info.Size()) + 64<<10, Reserve: 1 << 30}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer shut(t, db)
		err = db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put([]byte("more"), make([]byte, 1<<20)) })
		if err == nil {
			t.Error("1 MiB was written where 64 KiB had room")
		}
	})

	t.Run("room reserved is addresses, not file", func(t *testing.T) {
		t.Parallel()
		path := made(t)
		db, err := boltfile.Open(path, boltfile.Options{Reserve: 4 << 30}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer shut(t, db)
		if info, err := os.Stat(path); err != nil || info.Size() > 1<<20 {
			t.Errorf("%d bytes, %v", info.Size(), err)
		}
	})

	t.Run("a copy of an open file is whole", func(t *testing.T) {
		t.Parallel()
		db, err := boltfile.Open(made(t), boltfile.Options{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer shut(t, db)
		path := filepath.Join(t.TempDir(), "copy.db")
		if err := db.View(func(tx *bbolt.Tx) error { return tx.CopyFile(path, 0o600) }); err != nil {
			t.Fatal(err)
		}
		if err := boltfile.Check(path); err != nil {
			t.Error(err)
		}
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
		"a list of free pages that is out of order": unsortFreeList,
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
			_, err = boltfile.Open(path, boltfile.Options{}, notCalled(t))
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
			db, err := boltfile.Open(path, boltfile.Options{}, notCalled(t))
			if err != nil {
				t.Fatalf("after a backup was put in its place: %v", err)
			}
			defer shut(t, db)
		})
	}
}

// unsortFreeList says of every page that could be the list of free pages that
// it is a list out of order.
func unsortFreeList(b []byte) []byte {
	const header, kind = 16, 0x10
	for at := 2 * os.Getpagesize(); at < len(b); at += os.Getpagesize() {
		if page := b[at:]; binary.NativeEndian.Uint16(page[8:]) == kind {
			binary.NativeEndian.PutUint16(page[10:], 2)
			binary.NativeEndian.PutUint64(page[header:], 9)
			binary.NativeEndian.PutUint64(page[header+8:], 8)
		}
	}
	return b
}

// zeroPages damages every page from the third on but keeps the meta pages.
func zeroPages(b []byte, from int) []byte {
	clear(b[from*os.Getpagesize():])
	return b
}

func TestOpenOneLostHeaderIsMadeGoodByTheOther(t *testing.T) {
	t.Parallel()
	for page := range 2 {
		path := made(t)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		clear(whole[page*os.Getpagesize():][:os.Getpagesize()])
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := boltfile.Open(path, boltfile.Options{}, notCalled(t))
		if err != nil {
			t.Fatal(err)
		}
		// The older of the two is one of an empty file, but it is whole.
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOpenLocked(t *testing.T) {
	t.Parallel()

	t.Run("a file that is open already is locked", func(t *testing.T) {
		t.Parallel()
		path := made(t)
		db, err := boltfile.Open(path, boltfile.Options{}, notCalled(t))
		if err != nil {
			t.Fatal(err)
		}
		defer shut(t, db)
		_, err = boltfile.Open(path, boltfile.Options{}, notCalled(t))
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
		if _, err := boltfile.Open(path, boltfile.Options{}, notCalled(t)); !errors.Is(err, boltfile.ErrLocked) {
			t.Errorf("got %v, want locked", err)
		}
		if err := errors.Join(stdin.Close(), other.Wait()); err != nil {
			t.Fatal(err)
		}
		db, err := boltfile.Open(path, boltfile.Options{}, notCalled(t))
		if err != nil {
			t.Fatal(err)
		}
		defer shut(t, db)
	})
}

// TestHold is the other process.
func TestHold(t *testing.T) {
	path := os.Getenv("BOLTFILE_HOLD")
	if path == "" {
		t.Skip("runs only as the other process of TestOpenLocked")
	}
	db, err := boltfile.Open(path, boltfile.Options{}, notCalled(t))
	if err != nil {
		t.Fatal(err)
	}
	defer shut(t, db)
	if _, err := os.Stdout.WriteString("held\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stdin.Read(make([]byte, 1)); !errors.Is(err, io.EOF) { // until it is closed
		t.Fatal(err)
	}
}
