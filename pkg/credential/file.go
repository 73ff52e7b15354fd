package credential

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"time"
)

// The largest files read, in bytes: one that is larger is another file.
const (
	maxSecret = 1 << 20
	maxRoots  = 16 << 20 // every public CA there is takes a quarter of a MiB
)

// Stamp tells whether a file has changed since it was read. The zero Stamp is
// that of a file that cannot be looked at.
type Stamp struct {
	size     int64
	modified time.Time
}

// StampOf is the stamp of a file now.
func StampOf(path string) Stamp {
	if path == "" {
		return Stamp{}
	}
	info, err := os.Stat(path)
	if err != nil {
		return Stamp{}
	}
	return stamp(info)
}

func stamp(info os.FileInfo) Stamp { return Stamp{info.Size(), info.ModTime()} }

// ReadFile reads a file that holds a secret, of 1 MiB at most; key is the
// setting that names it. On Unix it refuses one that everybody may read or
// write.
func ReadFile(key, path string) ([]byte, error) {
	data, _, err := readSecret(key, path)
	return data, err
}

// readSecret is ReadFile with the stamp of what was read.
func readSecret(key, path string) ([]byte, Stamp, error) {
	return readFile(key, path, maxSecret, func(info os.FileInfo) *Error {
		if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&0o006 != 0 {
			return &Error{Place: key, Text: fmt.Sprintf("every user of this machine may read or write %s (mode %04o)", path, mode), Fix: "run: chmod 600 " + path}
		}
		return nil
	})
}

// readFile reads a regular file of at most so many bytes that check accepts.
func readFile(key, path string, most int64, check func(os.FileInfo) *Error) ([]byte, Stamp, error) {
	fail := func(err error) ([]byte, Stamp, error) {
		return nil, Stamp{}, &Error{Place: key, Text: "the file cannot be read", Fix: "check the file and whether the account that runs vaultsync may read it", Cause: err}
	}
	// Opening a pipe would wait for its other end.
	if info, err := os.Stat(path); err != nil {
		return fail(err)
	} else if !info.Mode().IsRegular() {
		return nil, Stamp{}, &Error{Place: key, Text: path + " is not a file", Fix: "name a regular file"}
	}
	f, err := os.Open(path)
	if err != nil {
		return fail(err)
	}
	defer f.Close() //nolint:errcheck // read only
	// What counts is said of the open file: the path may lead to another by now.
	info, err := f.Stat()
	if err != nil {
		return fail(err)
	}
	if bad := check(info); bad != nil {
		return nil, Stamp{}, bad
	}
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return fail(err)
	}
	if int64(len(data)) > most {
		return nil, Stamp{}, &Error{Place: key, Text: fmt.Sprintf("%s is larger than %d MiB", path, most>>20), Fix: "name the file that holds it and nothing else"}
	}
	return data, stamp(info), nil
}
