//go:build !windows

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// keepOwner gives a new file the owner of the one that it replaces, so that
// the service's account can still read it after an administrator has written
// it; the group may read it if it could before.
func keepOwner(path string, fresh *os.File) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at the owner of %s: %w", path, err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(owner.Uid) == os.Getuid() && int(owner.Gid) == os.Getgid() {
		return nil
	}
	if err := fresh.Chown(int(owner.Uid), int(owner.Gid)); err != nil {
		return fmt.Errorf("keep the owner of %s: %w", path, err)
	}
	if err := fresh.Chmod(0o600 | info.Mode().Perm()&0o040); err != nil {
		return fmt.Errorf("keep the owner of %s: %w", path, err)
	}
	return nil
}
