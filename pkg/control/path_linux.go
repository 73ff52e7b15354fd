package control

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// shortPath gives a name of path that fits into a socket's address: through the
// open folder's handle when path is too long. done closes the handle; the name
// is of use until then.
func shortPath(path string) (short string, done func(), err error) {
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	dir, err := os.Open(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, &Error{Kind: ErrNoDaemon, Where: path}
	}
	if err != nil {
		return "", nil, fmt.Errorf("control: %w", err)
	}
	short = fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path))
	if len(short) > maxSocketPath {
		return "", nil, errors.Join(fmt.Errorf("control: the name %s is too long for a socket", filepath.Base(path)), dir.Close())
	}
	return short, func() { _ = dir.Close() }, nil
}
