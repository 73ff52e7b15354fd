// Package wholefile writes files whole or not at all: who reads one, after a
// crash or a power failure too, finds what was there before or all of the new.
// It knows nothing of what is in them.
package wholefile

import (
	"errors"
	"os"
	"path/filepath"
)

// Write has fill write a new file beside path, for its owner alone, and puts it
// in the place of path when all of it is on the disk. On an error path is as it
// was, and nothing is left beside it; the error is that of fill, or of the
// operating system, which names the file.
func Write(path string, fill func(*os.File) error) error {
	fresh, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // 0600
	if err != nil {
		return err
	}
	err = fill(fresh)
	if err = errors.Join(err, fresh.Sync(), fresh.Close()); err == nil {
		err = os.Rename(fresh.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(fresh.Name()))
	}
	return SyncDir(filepath.Dir(path))
}

// WriteBytes is Write of data.
func WriteBytes(path string, data []byte) error {
	return Write(path, func(f *os.File) error {
		_, err := f.Write(data)
		return err
	})
}
