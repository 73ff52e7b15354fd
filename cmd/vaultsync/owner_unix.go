//go:build !windows

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// handOver gives what root has made in the data directory to the directory's
// owner: a command that an administrator runs while the service is stopped must
// not lock the service out of its own state.
func handOver(dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	room, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("hand over the data directory: %w", err)
	}
	info, err := room.Stat(".")
	if err != nil {
		return errors.Join(fmt.Errorf("hand over the data directory: %w", err), room.Close())
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && owner.Uid != 0 {
		err = handOverAll(room, int(owner.Uid), int(owner.Gid))
	}
	return errors.Join(err, room.Close())
}

// handOverAll does it without following links, which the owner could have laid
// to what is not his: neither a symbolic one nor a second name of another file.
func handOverAll(room *os.Root, uid, gid int) error {
	err := fs.WalkDir(room.FS(), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		made, ok := info.Sys().(*syscall.Stat_t)
		if !ok || made.Uid != 0 || !info.IsDir() && (!info.Mode().IsRegular() || made.Nlink > 1) {
			return nil
		}
		return room.Lchown(path, uid, gid)
	})
	if err != nil {
		return fmt.Errorf("hand over the data directory: %w", err)
	}
	return nil
}
