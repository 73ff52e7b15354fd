//go:build !windows

package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestRootHandsOverWhatItMadeAndNothingElse(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	const service = 61184
	outside := t.TempDir()
	dir := t.TempDir()
	put(t, filepath.Join(outside, "shadow"), "root's own")
	put(t, filepath.Join(dir, "vaults", "new.db"), "made by root")
	put(t, filepath.Join(dir, "theirs"), "another's")
	for _, err := range []error{
		os.Chown(dir, service, service),
		os.Chown(filepath.Join(dir, "theirs"), 1000, 1000),
		os.Symlink(outside, filepath.Join(dir, "folder")),
		os.Symlink(filepath.Join(outside, "shadow"), filepath.Join(dir, "symbolic")),
		os.Link(filepath.Join(outside, "shadow"), filepath.Join(dir, "second-name")),
		handOver(dir),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]uint32{
		filepath.Join(dir, "vaults"):           service,
		filepath.Join(dir, "vaults", "new.db"): service,
		filepath.Join(dir, "theirs"):           1000,
		filepath.Join(dir, "symbolic"):         0,
		filepath.Join(outside, "shadow"):       0,
		outside:                                0,
	} {
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if owner, ok := info.Sys().(*syscall.Stat_t); !ok || owner.Uid != want {
			t.Errorf("%s belongs to %d, want %d", path, owner.Uid, want)
		}
	}
}
